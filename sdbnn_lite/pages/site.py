"""The notebook chain as static pages that work without a network, from the committed outputs (``make site``).

    python -m sdbnn_lite.pages.site [--out site]

A page (``page.html`` filled) holds its pictures and its style and loads nothing. Formulas in the notebooks are written
as text, since TeX would need a script.
"""

from __future__ import annotations

import argparse
import html
import re
import sys
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from ..errors import RunError, UsageError
from ..system.files import writable_folder, write_atomic
from . import chain
from .hygiene import EXPLORER, tags

NEEDED = "the site needs nbconvert: pip install 'sdbnn-lite[notebooks]'"
TITLE = "Self-Distribution Binary Neural Networks"
ABOUT = ("In a binary neural network every weight and every activation is +1 or −1. These notebooks show, step by "
         "step, what decides those signs and how a network learns to set them better.")  # fmt: skip
LIVE = ("Sliders stand here when the notebook runs. The still picture above shows the same for a few of their values. "
        "To move them yourself: <code>make lab</code>.")  # fmt: skip
COLOURS = {"text": "#1f2328", "muted": "#57606a", "link": "#0b57a4", "page": "#ffffff", "code": "#f6f8fa"}
CODE_STYLE = "xcode"  # of pygments' light styles the one whose colours all stand out enough
TEMPLATE = Template(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))


def build(out: str | Path) -> list[Path]:
    """Write ``out/index.html``, a page for every notebook, and the files that they link to; returns the paths.

    Raises UsageError where nbconvert is missing, and, after all is written, for links that lead nowhere, for pictures
    that would be loaded from elsewhere, and for TeX.
    """
    pages = [Page(path) for path in chain.find_notebooks()]
    out, written = writable_folder(out), []

    def put(name: str, content: bytes) -> None:
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, content)
        written.append(path)

    put("index.html", index(pages).encode())
    for before, page, after in zip([None, *pages], pages, [*pages[1:], None]):
        put(page.name, page.render(before, after).encode())
        for name, path in page.files.items():
            put(name, path.read_bytes())
    if complaints := [f"{page.path.name}: {found}" for page in pages for found in page.complaints]:
        raise UsageError("the site is written, but " + "; ".join(complaints))
    return written


class Page:
    """One notebook as a page: ``title``, ``learn`` and ``minutes`` from its first cell, and what it links to."""

    def __init__(self, path: Path):
        self.path, self.name = path, f"{path.stem}.html"
        self.notebook = chain.read(path)
        self.files: dict[str, Path] = {}  # name in the site -> file
        self.complaints: list[str] = []
        opening = next((cell.source for cell in self.notebook.cells if cell.cell_type == "markdown"), "")
        self.title = _find(r"^# +(.+)$", opening) or path.stem
        self.learn = _find(r"^\| *\*\*You will learn\*\* *\|(.+)\|$", opening)
        self.minutes = int(_find(r"^\| *\*\*Time\*\* *\|\D*(\d+) minutes", opening) or 0)

    def render(self, before: Page | None, after: Page | None) -> str:
        """The whole page, with links to the pages around it."""
        links = ['<a href="index.html">Contents</a>']
        links += [f'<a href="{before.name}" rel="prev">← {html.escape(before.title)}</a>'] if before else []
        links += [f'<a class="next" href="{after.name}" rel="next">{html.escape(after.title)} →</a>'] if after else []
        body = "\n".join(self._cell(cell) for cell in self.notebook.cells)
        return _document(self.title, body, "\n".join(links))

    def _cell(self, cell: Any) -> str:
        if cell.cell_type == "markdown":
            return self._markdown(cell.source)
        if cell.cell_type != "code" or not cell.source.strip():
            return ""
        shown = [f'<div class="output">{part}</div>' for part in map(self._output, cell.outputs) if part]
        if EXPLORER in tags(cell):
            shown.append(f'<p class="live">{LIVE}</p>')
        return "\n".join([_filters().Highlight2HTML(pygments_lexer="python3")(cell.source), *shown])

    def _markdown(self, source: str) -> str:
        prose = re.sub(r"^```.*?^```|^ {4}.*?$|`[^`]*`", "", source, flags=re.MULTILINE | re.DOTALL)
        if found := re.search(r"\$\$.+?\$\$|\$\S(?:[^$\n]*\S)?\$", prose, flags=re.DOTALL):
            self.complaints.append(f"{found[0]!r} is TeX: write the formula as text")
        source = re.sub(r"\n</details>", "\n\n</details>", source)  # nbconvert takes it for a part of a list before it
        rendered = _filters().markdown2html(source)
        rendered = re.sub(r'<a class="anchor-link".*?</a>', "", rendered)
        rendered = re.sub(r"<thead>\s*<tr>\s*(<th></th>\s*)+</tr>\s*</thead>", "", rendered)  # "| | |" heads nothing
        rendered = re.sub(r"<table>.*?</table>", r'<div class="scroll">\g<0></div>', rendered, flags=re.DOTALL)
        return re.sub(r'\b(href|src)="([^"]*)"', lambda m: f'{m[1]}="{self._link(m[2], m[1] == "src")}"', rendered)

    def _output(self, output: Any) -> str:
        if output.output_type == "stream":
            return f"<pre><samp>{_filters().ansi2html(output.text.rstrip())}</samp></pre>"
        data = output.get("data", {})
        if "image/png" in data:
            about = output.metadata.get("image/png", {})
            alt, width = html.escape(about.get("alt", "")), about.get("width")
            size = f' width="{width}"' if width else ""
            return f'<img alt="{alt}"{size} src="data:image/png;base64,{data["image/png"].strip()}">'
        if "text/html" in data:
            return f'<div class="scroll">{data["text/html"]}</div>'
        if "text/markdown" in data:
            return self._markdown(data["text/markdown"])
        return f"<pre><samp>{_filters().ansi2html(data['text/plain'])}</samp></pre>" if "text/plain" in data else ""

    def _link(self, target: str, loaded: bool) -> str:
        """Where a link of the notebook leads in the site; ``loaded``: the browser loads it with the page."""
        parts = urlsplit(html.unescape(target))
        elsewhere = parts.scheme or parts.netloc
        if loaded and elsewhere and parts.scheme != "data":
            self.complaints.append(f"{target} is loaded from elsewhere")
        if elsewhere or not parts.path:
            return target
        path = (self.path.parent / unquote(parts.path)).resolve()
        fragment = f"#{parts.fragment}" if parts.fragment else ""
        if path.parent == self.path.parent and path.suffix == ".ipynb" and path.name in chain.CHAIN:
            return f"{path.stem}.html{fragment}"
        root = chain.NOTEBOOKS.parent
        if path.is_file() and path.is_relative_to(root):
            name = path.relative_to(root).as_posix()
            self.files[name] = path
            return quote(name) + fragment
        self.complaints.append(f"{target} leads nowhere")
        return target


def index(pages: list[Page]) -> str:
    """The first page: the chain, what each notebook teaches, and how long it takes."""
    rows = "\n".join(
        f'<tr><td><a href="{page.name}">{html.escape(page.title)}</a></td>'
        f'<td>{_inline(page.learn)}</td><td class="minutes">{page.minutes or ""}</td></tr>'
        for page in pages
    )
    body = f"""<h1>{TITLE}</h1>
<p>{ABOUT} Read them from top to bottom: {sum(page.minutes for page in pages)} minutes in all.</p>
<div class="scroll"><table>
<thead><tr><th>Notebook</th><th>You will learn</th><th class="minutes">Minutes</th></tr></thead>
<tbody>
{rows}
</tbody></table></div>
<p>These pages hold the notebooks as they were last run: the text, the code, its results and the pictures. To change the
code and to move the sliders, open the notebooks from a clone of the repository with <code>make lab</code>.</p>"""
    return _document(TITLE, body, "")


def _document(title: str, body: str, links: str) -> str:
    from pygments.formatters import HtmlFormatter
    name = TITLE if title == TITLE else f"{title} · {TITLE}"
    # The formatter sets colours of line numbers, too, and the style's own background.
    styles = HtmlFormatter(style=CODE_STYLE).get_style_defs(".highlight").splitlines()
    highlight = "\n".join(line for line in styles if line.startswith(".highlight ."))
    top, bottom = (f'<nav aria-label="{where}">\n{links}\n</nav>' if links else "" for where in ("Top", "Bottom"))
    return TEMPLATE.substitute(COLOURS, title=html.escape(name), highlight=highlight, top=top, main=body, bottom=bottom)


def _find(pattern: str, text: str) -> str:
    found = re.search(pattern, text, flags=re.MULTILINE)
    return found[1].strip() if found else ""


def _inline(source: str) -> str:
    """A line of Markdown as HTML, without the paragraph around it and without links, which may lead elsewhere."""
    rendered = _filters().markdown2html(source).strip()
    return re.sub(r"^<p>|</p>$|</?a\b[^>]*>", "", rendered)


def _filters() -> Any:
    try:
        from nbconvert import filters
    except ModuleNotFoundError as error:
        raise UsageError(NEEDED) from error
    return filters


def main(argv: list[str] | None = None) -> int:
    """The command; returns 0, or 2 where something on the pages doesn't work."""
    parser = argparse.ArgumentParser(prog="python -m sdbnn_lite.pages.site",
                                     description="Write the notebooks as a web site.")  # fmt: skip
    parser.add_argument("--out", default="site", metavar="DIR", help="where to (default: %(default)s)")
    args = parser.parse_args(argv)
    try:
        pages = [path for path in build(args.out) if path.suffix == ".html"]
    except (UsageError, RunError) as error:
        print(error, file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    print(f"{len(pages)} pages: open {Path(args.out) / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

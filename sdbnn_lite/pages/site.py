"""The notebook chain as static pages that work without a network, from the committed outputs (``make site``).

    python -m sdbnn_lite.pages.site [--out site] [--repository OWNER/NAME]

A page is ``page.html``, filled: it holds its pictures and its style, and reads well without scripts. With them
(``site.js``, ``explorers.js``, the search's index, all in the same folder) it also searches, zooms, keeps predictions
and moves the explorers that need no kernel.
"""

from __future__ import annotations

import argparse
import html
import json
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from ..errors import RunError, UsageError
from ..system.files import writable_folder, write_atomic
from . import chain, explorer_data, reference
from .equations import inline, plain, to_html
from .first_cell import check_repository
from .guesses import read_guesses
from .hygiene import EXPLORER, behind_guesses, tags

TITLE = "Self-Distribution Binary Neural Networks"
LIVE = ("Sliders stand here when the notebook runs. The still picture above shows the same for a few of their values. "
        "To move them yourself: <code>make lab</code>.")  # fmt: skip
LIGHT = {"text": "#1f2328", "muted": "#57606a", "link": "#0b57a4", "page": "#ffffff", "code": "#f6f8fa",
         "line": "#d0d7de", "good": "#116329", "bad": "#a40e26"}  # fmt: skip
DARK = {"text": "#e6edf3", "muted": "#9ea7b3", "link": "#79b8ff", "page": "#0d1117", "code": "#161b22",
        "line": "#3d444d", "good": "#7ee787", "bad": "#ffa198"}  # fmt: skip
CODE_STYLES = ("xcode", "one-dark")  # of pygments' light and dark styles two whose colours all stand out enough
FILES = Path(__file__).parent
TEMPLATE, FIRST = (Template((FILES / f"{name}.html").read_text(encoding="utf-8")) for name in ("page", "first_page"))
SCRIPTS = ("explorer-data.js", "explorers.js", "network.js")  # of the explorers that need no kernel
ONE_CLICK = {"Colab": "https://colab.research.google.com/github/{}/blob/HEAD/notebooks/{}",
             "Binder": "https://mybinder.org/v2/gh/{}/HEAD?labpath=notebooks%2F{}"}  # fmt: skip
HEADING = re.compile(r'<h([1-3]) id="(.*?)">(.*?)</h\1>', flags=re.DOTALL)


def build(out: str | Path, repository: str = "", with_reference: bool = False) -> list[Path]:
    """Write ``out/index.html``, a page for every notebook, and the files that they need; returns the paths.

    ``repository``: OWNER/NAME on GitHub, to which pages then link so that Colab and Binder open the notebook.
    ``with_reference``: write the modules' pages too (:mod:`~sdbnn_lite.pages.reference`), and link to them.
    Raises UsageError where nbconvert or latex2mathml is missing, for guesses that make no sense, and, after all is
    written, for links that lead nowhere, pictures that would be loaded from elsewhere, formulas that can't be shown.
    """
    if repository:
        check_repository(repository)
    pages = [Page(path, repository, with_reference) for path in chain.find_notebooks()]
    out, written = writable_folder(out), []

    def put(name: str, content: bytes) -> None:
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, content)
        written.append(path)

    put("index.html", index(pages).encode())
    for page in pages:
        put(page.name, page.render(pages).encode())
        for name, path in page.files.items():
            put(name, path.read_bytes())
    put("site.js", (FILES / "site.js").read_bytes())
    if any(page.scripts for page in pages):
        put(SCRIPTS[0], explorer_data.script().encode())
        for name in SCRIPTS[1:]:
            put(name, (FILES / name).read_bytes())
    words = [[page.name, page.title, [[s["id"], plain(s["title"]), s["text"]] for s in page.sections]]
             for page in pages]  # fmt: skip
    put("search-index.js", f"window.searchIndex = {json.dumps(words, ensure_ascii=False)};\n".encode())
    for name, text in reference.build(style(".pdoc-code")) if with_reference else ():
        put(name, text.encode())
    if complaints := [f"{page.path.name}: {found}" for page in pages for found in page.complaints]:
        raise UsageError("the site is written, but " + "; ".join(complaints))
    return written


class Page:
    """One notebook as a page: ``title``, ``learn`` and ``minutes`` from its first cell, and what it links to."""

    def __init__(self, path: Path, repository: str = "", with_reference: bool = False):
        self.path, self.name = path, f"{path.stem}.html"
        self.repository, self.with_reference = repository, with_reference
        self.notebook = chain.read(path)
        self.files: dict[str, Path] = {}  # name in the site -> file
        self.scripts: tuple[str, ...] = ()  # beside site.js
        self.complaints: list[str] = []
        opening = next((cell.source for cell in self.notebook.cells if cell.cell_type == "markdown"), "")
        self.title = _find(r"^# +(.+)$", opening) or path.stem
        self.learn = _find(r"^\| *\*\*You will learn\*\* *\|(.+)\|$", opening)
        self.minutes = int(_find(r"^\| *\*\*Time\*\* *\|\D*(\d+) minutes", opening) or 0)
        self.sections = [{"level": "1", "id": "main", "title": self.title, "text": ""}]  # what the search looks through
        try:
            self.guesses = read_guesses(self.notebook)  # position of the cell -> name, form
        except UsageError as error:
            raise UsageError(f"{path.name}: {error}") from error

    def render(self, pages: list[Page]) -> str:
        """The whole page, with links to the others."""
        at = pages.index(self)
        links = ['<a href="index.html">Contents</a>']
        links += [f'<a href="{p.name}" rel="prev">← {html.escape(p.title)}</a>' for p in pages[:at][-1:]]
        links += [f'<a class="next" href="{p.name}" rel="next">{html.escape(p.title)} →</a>'
                  for p in pages[at + 1 : at + 2]]  # fmt: skip
        behind, cells = behind_guesses(self.notebook), []
        for i, cell in enumerate(self.notebook.cells):
            (guess, _), (_, form) = (self.guesses.get(place, ("", "")) for place in (behind.get(i), i))
            cells.append(form or self._cell(cell, guess))
        if self.guesses:
            cells.append('<p class="score" role="status"></p>')
        return _document(self, "\n".join([*self._one_click(), *cells]), pages, "\n".join(links))

    def _one_click(self) -> list[str]:
        if not self.repository:
            return []
        links = [f'<a href="{url.format(self.repository, quote(self.path.name))}">Open in {where}</a>'
                 for where, url in ONE_CLICK.items()]  # fmt: skip
        return [f'<p class="badges">{" ".join(links)}</p>']

    def _cell(self, cell: Any, guess: str) -> str:
        if cell.cell_type == "markdown":
            return self._remember(self._markdown(cell.source))
        if cell.cell_type != "code" or not cell.source.strip():
            return ""
        shown = [f'<div class="output">{part}</div>' for part in map(self._output, cell.outputs) if part]
        if EXPLORER in tags(cell):
            name = _find(r"(\w+)\.explorer\(", cell.source)
            live = f'<p class="live">{LIVE}</p>'
            if name in explorer_data.EXPLORERS:
                self.scripts, live = SCRIPTS, f'<div class="explorer" data-explorer="{name}">{live}</div>'
            shown.append(live)
        if guess and shown:
            fold = f'<details class="fold" data-guess="{html.escape(guess)}"><summary>Show what happened</summary>'
            shown = [fold, *shown, "</details>"]
        self.sections[-1]["text"] += f" {cell.source}"
        return "\n".join([_filters().Highlight2HTML(pygments_lexer="python3")(cell.source), *shown])

    def _markdown(self, source: str) -> str:
        source = re.sub(r"\n</details>", "\n\n</details>", source)  # nbconvert takes it for a part of a list before it
        rendered, complaints = to_html(source)
        self.complaints += complaints
        rendered = re.sub(r'<a class="anchor-link".*?</a>', "", rendered)
        rendered = re.sub(r'(?<= id=")[^"]*', lambda m: html.escape(unquote(m[0])), rendered)  # as links name them
        rendered = re.sub(r"<thead>\s*<tr>\s*(<th></th>\s*)+</tr>\s*</thead>", "", rendered)  # "| | |" heads nothing
        rendered = re.sub(r"<table>.*?</table>", r'<div class="scroll">\g<0></div>', rendered, flags=re.DOTALL)
        return re.sub(r'\b(href|src)="([^"]*)"', lambda m: f'{m[1]}="{self._link(m[2], m[1] == "src")}"', rendered)

    def _remember(self, rendered: str) -> str:
        """Take what is written under each heading into ``sections``; returns ``rendered``."""
        for part in re.split(r"(?=<h[1-3] id=)", rendered):
            if found := HEADING.match(part):
                link = quote(html.unescape(found[2]))
                self.sections.append({"level": found[1], "id": link, "title": found[3], "text": ""})
            self.sections[-1]["text"] += f" {plain(part[found.end() :] if found else part)}"
        return rendered

    def _output(self, output: Any) -> str:
        if output.output_type == "stream":
            return _printed(output.text.rstrip())
        data = output.get("data", {})
        if "image/png" in data:
            about = output.metadata.get("image/png", {})
            alt, width = html.escape(about.get("alt", "")), about.get("width")
            size = f' width="{width}" style="--width: {width}px"' if width else ""
            source = f'data:image/png;base64,{data["image/png"].strip()}'
            return f'<div class="scroll"><img alt="{alt}"{size} src="{source}"></div>'
        if "text/html" in data:
            return f'<div class="scroll">{data["text/html"]}</div>'
        if "text/markdown" in data:
            return self._markdown(data["text/markdown"])
        return _printed(data["text/plain"]) if "text/plain" in data else ""

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
        f'<td>{inline(page.learn)}</td><td class="minutes">{page.minutes or ""}</td></tr>'
        for page in pages
    )
    minutes = sum(page.minutes for page in pages)
    return _document(None, FIRST.substitute(title=TITLE, minutes=minutes, rows=rows), pages, "")


def _document(page: Page | None, body: str, pages: list[Page], links: str) -> str:
    """A whole page around ``body``; ``page``: the notebook's, None for the first page."""
    name = f"{page.title} · {TITLE}" if page else TITLE
    top, bottom = (f'<nav aria-label="{where}">\n{links}\n</nav>' if links else "" for where in ("Top", "Bottom"))
    scripts = "\n".join(f'<script src="{name}" defer></script>' for name in (page.scripts if page else []))
    link = f'<a href="{reference.FIRST}">Reference</a>' if any(page.with_reference for page in pages) else ""
    return TEMPLATE.substitute(style(".highlight"), title=html.escape(name), top=top, main=body, bottom=bottom,
                               scripts=scripts, contents=_contents(page, pages), reference=link)  # fmt: skip


def _contents(here: Page | None, pages: list[Page]) -> str:
    """The chain as a list, and under this page's entry its headings."""
    lines = []
    for page in pages:
        current = ' aria-current="page"' if page is here else ""
        lines.append(f'<li><a href="{page.name}"{current}>{html.escape(page.title)}</a>')
        if page is here:
            inside = [f'<li class="h{s["level"]}"><a href="#{s["id"]}">{re.sub("</?a[^>]*>", "", s["title"])}</a></li>'
                      for s in page.sections if s["level"] > "1"]  # fmt: skip
            lines.append(f"<ul>{''.join(inside)}</ul>" if inside else "")
        lines.append("</li>")
    return "\n".join(lines)


def style(code: str) -> dict[str, str]:
    """The colours by name, each for light and dark, and as "highlight" those of a program inside ``code``."""
    from pygments.styles import get_style_by_name
    from pygments.token import STANDARD_TYPES
    light, dark = (get_style_by_name(name) for name in CODE_STYLES)
    colours = {short: [style.style_for_token(token)["color"] or ink[1:] for style, ink in ((light, LIGHT["text"]),
               (dark, DARK["text"]))] for token, short in STANDARD_TYPES.items() if short}  # fmt: skip
    rules = (f"{code} .{short} {{ color: light-dark(#{a}, #{b}); }}" for short, (a, b) in colours.items())
    return {**{name: f"light-dark({colour}, {DARK[name]})" for name, colour in LIGHT.items()},
            "highlight": "\n".join(rules)}  # fmt: skip


def _printed(text: str) -> str:
    """Printed text; a long line that isn't a table's (it has no two spaces) may break on a phone."""
    shown = re.sub(r"(?m)^(?!.*  )[^<\n]{40,}$", r'<span class="words">\g<0></span>', _filters().ansi2html(text))
    return f"<pre><samp>{shown}</samp></pre>"


def _find(pattern: str, text: str) -> str:
    found = re.search(pattern, text, flags=re.MULTILINE)
    return found[1].strip() if found else ""


def _filters() -> Any:
    from nbconvert import filters
    return filters


def main(argv: list[str] | None = None) -> int:
    """The command; returns 0, or 2 where something on the pages doesn't work."""
    parser = argparse.ArgumentParser(prog="python -m sdbnn_lite.pages.site",
                                     description="Write the notebooks as a web site.")  # fmt: skip
    parser.add_argument("--out", default="site", metavar="DIR", help="where to (default: %(default)s)")
    parser.add_argument("--repository", default="", metavar="OWNER/NAME", help="on GitHub: link to Colab and Binder")
    args = parser.parse_args(argv)
    try:
        written = build(args.out, args.repository, with_reference := find_spec("pdoc") is not None)
    except (UsageError, RunError) as error:
        print(error, file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    pages = sum(path.suffix == ".html" for path in written)
    missing = "" if with_reference else " (no reference: pip install pdoc)"
    print(f"{pages} pages: open {Path(args.out) / 'index.html'}{missing}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The static site: nothing comes from the network, every link leads somewhere, and everyone can read it."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import browser
import pytest

pytest.importorskip("nbconvert")

import nbformat  # noqa: E402
from nbformat import v4  # noqa: E402

from sdbnn_lite.errors import UsageError  # noqa: E402
from sdbnn_lite.pages import chain, site  # noqa: E402

VOID = {"meta", "link", "img", "br", "hr", "input", "col", "wbr", "source"}
NOTHING = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="  # one pixel


class Read(HTMLParser):
    """What a page loads, links to and shows; fails for tags that aren't closed in order."""

    def __init__(self, text):
        super().__init__()
        self.loaded, self.links, self.ids, self.levels, self.alts, self.tables = [], [], set(), [], [], []
        self.open, self.text = [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag not in VOID:
            self.open.append(tag)
        if "id" in given:
            assert given["id"] not in self.ids, f"two elements with id {given['id']}"
            self.ids.add(given["id"])
        if tag == "a" and "href" in given:  # else it is a place to link to
            self.links.append(given["href"])
        elif "href" in given:
            self.loaded.append(given["href"])
        self.loaded += [given[name] for name in ("src", "srcset", "data", "poster") if name in given]
        if tag == "img":
            self.alts.append(given.get("alt", ""))
        if re.fullmatch("h[1-6]", tag):
            self.levels.append(int(tag[1]))
        assert not any(name.startswith("on") for name in given) and tag not in ("iframe", "object")
        assert tag != "script" or "src" in given

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The site of the committed notebooks: name -> text."""
    if not chain.CHAIN:
        pytest.skip("the notebooks aren't part of an installed package")
    out = tmp_path_factory.mktemp("site")
    written = site.build(out)
    assert {path.relative_to(out).as_posix() for path in written} >= {"index.html"}
    return out, {
        path.relative_to(out).as_posix(): path.read_text("utf-8") for path in written if path.suffix == ".html"
    }


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A repository of its own; returns a function that fills its notebooks/ and builds the site."""
    notebooks = tmp_path / "repository" / "notebooks"
    notebooks.mkdir(parents=True)
    monkeypatch.setattr(chain, "NOTEBOOKS", notebooks)

    def build(**cells):
        for name, content in cells.items():
            nb = v4.new_notebook(cells=content, metadata={"kernelspec": chain.KERNEL})
            chain.write(nb, notebooks / f"{name}.ipynb")
        monkeypatch.setattr(chain, "CHAIN", tuple(f"{name}.ipynb" for name in cells))
        site.build(tmp_path / "out")
        return tmp_path / "out"

    return build


# --- the real chain --------------------------------------------------------------------------------------------------


def test_there_is_a_page_for_every_notebook(pages):
    assert set(pages[1]) == {"index.html", *(name.replace(".ipynb", ".html") for name in chain.CHAIN)}


def test_the_pages_load_nothing_from_elsewhere(pages):
    out, texts = pages
    for name, text in texts.items():
        for target in Read(text).loaded:
            assert target.startswith("data:") or (out / unquote(target)).is_file(), f"{name} loads {target[:80]}"
        styles = "".join(re.findall(r"<style>(.*?)</style>", text, flags=re.DOTALL))
        assert "url(" not in styles and "@import" not in styles


def test_every_internal_link_leads_somewhere(pages):
    out, texts = pages
    read = {name: Read(text) for name, text in texts.items()}
    for name, page in read.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme:
                assert parts.scheme in ("https", "mailto"), f"{name} links to {link}"
                continue
            target = unquote(parts.path) or name
            solutions = target.startswith("notebooks/solutions/")  # a file to open in Jupyter, no page of the chain
            assert solutions or not target.endswith(".ipynb"), f"{name} links to {link}"
            assert (out / target).is_file(), f"{name} links to {link}"
            if parts.fragment:
                assert unquote(parts.fragment) in read[target].ids, f"{name} links to {link}"


def test_headings_are_in_order_and_every_picture_has_words(pages):
    for name, text in pages[1].items():
        page = Read(text)
        assert page.levels[0] == 1 and page.levels.count(1) == 1, name
        assert all(b <= a + 1 for a, b in zip(page.levels, page.levels[1:])), f"{name}: {page.levels}"
        assert all(alt.strip() for alt in page.alts), f"{name}: a picture without alt text"
        assert '<html lang="en">' in text and re.search(r"<title>.+</title>", text)


def test_the_index_tells_what_each_notebook_teaches_and_how_long_it_takes(pages):
    texts = pages[1]
    rows = re.findall(
        r"<tr><td><a href=\"(.*?)\">(.*?)</a></td><td>(.*?)</td><td class=\"minutes\">(\d*)</td>", texts["index.html"]
    )
    assert [row[0] for row in rows] == [name.replace(".ipynb", ".html") for name in chain.CHAIN]
    for name, title, learn, minutes in rows:
        assert "<h1 id=" in texts[name] and title[:2] == name[:2]
        assert len(learn) > 20 and 1 <= int(minutes or 0) <= 90, name


def test_explorers_point_to_the_picture_above_and_to_make_lab(pages):
    for name in chain.CHAIN:
        cells = [cell for cell in chain.read(chain.NOTEBOOKS / name).cells if ".explorer(" in cell.source]
        text = pages[1][name.replace(".ipynb", ".html")]
        assert text.count('class="live"') == sum(cell.cell_type == "code" for cell in cells)
        assert all("<img" in before for before in text.split('class="live"')[:-1])


# --- contrast --------------------------------------------------------------------------------------------------------


def contrast(a, b):
    """WCAG's contrast ratio of two colours "#rrggbb", 1 to 21."""

    def luminance(colour):
        values = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
        return sum(weight * v for weight, v in zip((0.2126, 0.7152, 0.0722), linear))

    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_computed_as_wcag_does():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


def test_text_and_code_stand_out_enough():
    from pygments.styles import get_style_by_name

    for colours, style in zip((site.LIGHT, site.DARK), site.CODE_STYLES, strict=True):
        inks = [colours[name] for name in ("text", "muted", "link", "good", "bad")]
        inks += [f"#{given['color']}" for _, given in get_style_by_name(style) if given["color"]]
        assert len(inks) > 10
        assert min(contrast(ink, colours[background]) for ink in inks for background in ("page", "code")) >= 4.5


# What stands outside the screen and can't be scrolled to, and figures that are shown much smaller than they were made.
CUT_OFF = """[...document.querySelectorAll("main *, nav *, .tools *")]
    .filter(e => !e.closest(".scroll, pre") && e.getBoundingClientRect().right > innerWidth + 1)
    .map(e => e.outerHTML.slice(0, 80))"""
SMALL = """[...document.querySelectorAll(".output img")]
    .filter(e => e.offsetParent && e.offsetWidth < 0.75 * e.getAttribute("width")).map(e => e.alt.slice(0, 60))"""


@pytest.mark.slow
@pytest.mark.skipif(bool(browser.why_not()), reason=browser.why_not())
def test_in_a_browser_pages_ask_for_nothing_and_fit_on_phone_and_desk(pages, tmp_path):
    out, texts = pages
    with browser.chromium(tmp_path) as context:
        page = context.new_page()
        asked, errors = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        for name in texts:
            for width in (390, 1200):
                page.set_viewport_size({"width": width, "height": 800})
                page.goto((out / name).as_uri())
                with browser.keep_screenshot(page, f"site-{name}"):
                    assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{name}: {width} is narrow"
                    assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0)"), name
                    assert page.evaluate(CUT_OFF) == [], f"{name} at {width}"
                    assert page.evaluate(SMALL) == [], f"{name} at {width}"
    assert errors == [] and [url for url in asked if not url.startswith(("file:", "data:"))] == []


# --- small notebooks -------------------------------------------------------------------------------------------------


def test_cells_become_html(folder):
    picture = {"output_type": "display_data", "data": {"image/png": NOTHING, "text/plain": "[picture]"}}
    picture["metadata"] = {"image/png": {"alt": 'a "dot" & more', "width": 900}}
    result = {"output_type": "execute_result", "execution_count": 1, "metadata": {}, "data": {"text/plain": "<1>"}}
    words = {"text/markdown": "**so** [b](01_b.ipynb)", "text/plain": "<IPython.core.display.Markdown object>"}
    words = {"output_type": "display_data", "metadata": {}, "data": words}
    printed = {"output_type": "stream", "name": "stdout", "text": "a < b\n"}
    (folder(**{"00_a": [], "01_b": []}).parent / "repository" / "some file.csv").write_text("x\n")
    out = folder(
        **{
            "00_a": [
                v4.new_markdown_cell(
                    "# 00 · A & B\n\n| | |\n|---|---|\n| **You will learn** | to `x` & [y](01_b.ipynb) |\n"
                    "| **Time** | about 7 minutes |\n\n## Next\n\nSee [b](01_b.ipynb#Part), [here](#Next), "
                    "[the file](../some%20file.csv). It costs $5 or $7.\n\n    a formula $x$ = 1\n\n"
                    "<details>\n<summary>Reveal</summary>\n\n- one\n- two\n</details>"
                ),
                v4.new_code_cell(
                    "x < 1  # y",
                    outputs=[nbformat.from_dict(output) for output in (printed, result, words, picture)],
                    execution_count=1,
                ),
                v4.new_code_cell("m.explorer()", metadata={"tags": ["explorer"]}, execution_count=2),
                v4.new_code_cell(""),
            ],
            "01_b": [v4.new_markdown_cell("# 01 · B\n\n## Part")],
        }
    )
    text = (out / "00_a.html").read_text()
    for part in (
        'href="01_b.html#Part"',
        'href="#Next"',
        'href="some%20file.csv"',
        "<pre><samp>a &lt; b</samp></pre>",
        "<pre><samp>&lt;1&gt;</samp></pre>",
        '<img alt="a &quot;dot&quot; &amp; more" width="900" style="--width: 900px" '
        f'src="data:image/png;base64,{NOTHING}">',
        '<p><strong>so</strong> <a href="01_b.html">b</a></p>',
        "<code>make lab</code>",
        "<title>00 · A &amp; B · ",
        'rel="next">01 · B →</a>',
    ):
        assert part in text
    assert "IPython.core" not in text and "<thead>" not in text and "anchor-link" not in text
    assert (out / "some file.csv").read_text() == "x\n"
    index = (out / "index.html").read_text()
    assert '00 · A &amp; B</a></td><td>to <code>x</code> &amp; y</td><td class="minutes">7</td>' in index
    for name in ("index.html", "00_a.html", "01_b.html"):
        Read((out / name).read_text())


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("[x](02_c.ipynb)", "00_a.ipynb: 02_c.ipynb leads nowhere"),
        ("![x](../absent.png)", "../absent.png leads nowhere"),
        ("[x](../../outside.txt)", "outside.txt leads nowhere"),
        ("![x](https://example.org/x.png)", "x.png is loaded from elsewhere"),
        (r"so $\unheard{a}$ it is", r"'.*unheard\{a\}' can't be shown: .*unheard isn't known"),
        ("$$\n\\frac{a\n$$", "braces don't match"),
        ("<p>$x^2$</p>", r"'\$x\^2\$' isn't read as LaTeX"),
    ],
)
def test_what_would_not_work_is_told(folder, tmp_path, source, complaint):
    (tmp_path / "outside.txt").write_text("not ours")
    with pytest.raises(UsageError, match=f"the site is written, but .*{complaint}"):
        folder(**{"00_a": [v4.new_markdown_cell(f"# A\n\n{source}")]})
    assert (tmp_path / "out" / "00_a.html").is_file()


def test_two_builds_are_the_same_bytes(folder):
    cells = {"00_a": [v4.new_markdown_cell("# A\n\ntext"), v4.new_code_cell("1 + 1", execution_count=1)]}
    first = (folder(**cells) / "00_a.html").read_bytes()
    assert (folder(**cells) / "00_a.html").read_bytes() == first


def test_the_command(folder, tmp_path, capsys, monkeypatch):
    folder(**{"00_a": [v4.new_markdown_cell("# A")]})
    assert site.main(["--out", str(tmp_path / "new" / "site")]) == 0
    assert "2 pages: open" in capsys.readouterr().out
    (tmp_path / "file").write_text("")
    assert site.main(["--out", str(tmp_path / "file")]) == 2
    assert "not a folder that can be written" in capsys.readouterr().err
    for missing in ("nbconvert.filters.markdown_mistune", "latex2mathml.converter"):
        with monkeypatch.context() as without:
            without.setitem(sys.modules, missing, None)
            assert site.main(["--out", str(tmp_path / "new" / "site")]) == 2
        assert "pip install 'sdbnn-lite[notebooks]'" in capsys.readouterr().err


def test_make_site_calls_it():
    help_text = subprocess.run(
        [sys.executable, "-m", "sdbnn_lite.pages.site", "--help"], capture_output=True, text=True
    )
    assert help_text.returncode == 0 and "--out" in help_text.stdout
    assert "-m sdbnn_lite.pages.site --out site" in (browser.ROOT / "Makefile").read_text()


# --- search, explorers, one click ------------------------------------------------------------------------------------


def search_index(out):
    text = (out / "search-index.js").read_text("utf-8")
    assert text.startswith("window.searchIndex = ")
    return json.loads(text.removeprefix("window.searchIndex = ").rstrip(";\n"))


def test_the_index_holds_words_and_code_under_their_headings_but_no_outputs(folder):
    printed = nbformat.from_dict({"output_type": "stream", "name": "stdout", "text": "printed\n"})
    cells = [
        v4.new_markdown_cell('# A & B\n\nSome *words*.\n\n## "So?" $x$\n\nMore.'),
        v4.new_code_cell("code < 1", outputs=[printed], execution_count=1),
    ]
    out = folder(**{"00_a": cells})
    ((page, title, sections),) = search_index(out)
    assert (page, title) == ("00_a.html", "A & B")
    assert [(name, text.split()) for _, name, text in sections] == [
        ("A & B", []), ("A & B", ["Some", "words", "."]), ('"So?" x', ["More.", "code", "<", "1"]),
    ]  # fmt: skip
    read = Read((out / page).read_text())
    assert {unquote(link) for link, _, _ in sections} <= read.ids
    assert "#" + sections[-1][0] in read.links  # the contents'


def test_the_index_leads_to_places_that_are_there(pages):
    out, texts = pages
    for page, _, sections in search_index(out):
        ids = Read(texts[page]).ids
        assert len(sections) > 3 and {unquote(link) for link, _, _ in sections} <= ids


def test_scripts_come_only_with_explorers_that_they_move(folder):
    def page(**cells):
        out = folder(**cells)
        return re.findall(r'<script src="(.*?)"', (out / "00_a.html").read_text()), out

    explorer = v4.new_code_cell("layer_cost.explorer()", metadata={"tags": ["explorer"]}, execution_count=1)
    scripts, out = page(**{"00_a": [v4.new_markdown_cell("# A"), explorer]})
    assert scripts == ["site.js"] and not (out / "explorer-data.js").exists()
    explorer.source = "sum_of_signs.explorer(p=0.5)"
    scripts, out = page(**{"00_a": [v4.new_markdown_cell("# A"), explorer]})
    assert scripts == ["site.js", "explorer-data.js", "explorers.js", "network.js"]
    assert all((out / name).is_file() for name in scripts)


def test_colab_and_binder_open_the_notebook_of_a_named_repository(folder, monkeypatch, tmp_path, capsys):
    out = folder(**{"00_a": [v4.new_markdown_cell("# A")]})
    assert "Open in" not in (out / "00_a.html").read_text()
    assert site.main(["--out", str(out), "--repository", "ada/nets"]) == 0
    links = Read((out / "00_a.html").read_text()).links
    assert "https://colab.research.google.com/github/ada/nets/blob/HEAD/notebooks/00_a.ipynb" in links
    assert "https://mybinder.org/v2/gh/ada/nets/HEAD?labpath=notebooks%2F00_a.ipynb" in links
    assert site.main(["--out", str(tmp_path / "none"), "--repository", "ada"]) == 2
    assert "repository='ada': OWNER/NAME" in capsys.readouterr().err and not (tmp_path / "none").exists()


def test_long_printed_sentences_may_break_and_tables_may_not(folder):
    lines = ["a sentence that is longer than a phone is wide, really", "name    value    and what it means to us all"]
    printed = nbformat.from_dict({"output_type": "stream", "name": "stdout", "text": "\n".join(lines)})
    cells = [v4.new_markdown_cell("# A"), v4.new_code_cell("f()", outputs=[printed], execution_count=1)]
    text = (folder(**{"00_a": cells}) / "00_a.html").read_text()
    assert f'<samp><span class="words">{lines[0]}</span>\n{lines[1]}</samp>' in text

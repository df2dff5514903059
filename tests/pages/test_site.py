"""The static site: nothing comes from the network, every link leads somewhere, and everyone can read it."""

import re
import subprocess
import sys
from urllib.parse import unquote, urlsplit

import browser
import pytest
from site_page import Read, search_index

pytest.importorskip("nbconvert")


from sdbnn_lite.pages import chain, site  # noqa: E402


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
        asked, errors = browser.asked_for(page), []
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        for name in texts:
            for width in browser.at_widths(page, out / name):
                with browser.keep_screenshot(page, f"site-{name}"):
                    assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{name}: {width} is narrow"
                    assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0)"), name
                    assert page.evaluate(CUT_OFF) == [], f"{name} at {width}"
                    assert page.evaluate(SMALL) == [], f"{name} at {width}"
    assert errors == [] and asked == []


def test_the_index_leads_to_places_that_are_there(pages):
    out, texts = pages
    for page, _, sections in search_index(out):
        ids = Read(texts[page]).ids
        assert len(sections) > 3 and {unquote(link) for link, _, _ in sections} <= ids


def test_make_site_calls_it():
    help_text = subprocess.run(
        [sys.executable, "-m", "sdbnn_lite.pages.site", "--help"], capture_output=True, text=True
    )
    assert help_text.returncode == 0 and "--out" in help_text.stdout
    assert "-m sdbnn_lite.pages.site --out site" in (browser.ROOT / "Makefile").read_text()

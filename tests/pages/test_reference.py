"""The modules' pages beside the notebooks': a page each, nothing from a network, links that lead somewhere, search."""

import re
import sys
from pathlib import Path

import browser
import pytest
from package_modules import MODULES, PACKAGE

from sdbnn_lite.pages import reference, site

COLUMN = """A row.

pad, cutout   pixels ``a <b>`` side
              and more
size          one | two

More < less.
>>> 1 < 2
True
"""


def test_columns_become_lists_and_nothing_becomes_a_tag():
    assert reference.lists(COLUMN).strip() == (
        "A row.\n\n- `pad, cutout`: pixels ``a <b>`` side and more\n- `size`: one | two\n\n"
        "More &lt; less.\n\n>>> 1 < 2\nTrue"
    )
    assert reference.lists("Equations:\n\n    y = x    z = 2\n\nEnd.") == "Equations:\n\n    y = x    z = 2\n\nEnd."


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The pages of the whole package: name -> text."""
    pytest.importorskip("pdoc")
    out = tmp_path_factory.mktemp("site")
    texts = dict(reference.build(site.style(".pdoc-code")))
    for name, text in texts.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(text, "utf-8")
    (out / "index.html").write_text("<title>notebooks</title>")
    return out, texts


@pytest.mark.slow
def test_every_module_has_a_page_and_every_public_name_a_place_on_it(pages):
    out, texts = pages
    modules = {name for name in MODULES if name != "__main__"}
    files = {name.removesuffix(".__init__").replace(".", "/") for name in modules if name != "__init__"}
    expected = {f"reference/sdbnn_lite/{name}.html" for name in files} | {reference.FIRST}
    assert {name for name in texts if name.endswith(".html")} == expected
    for name in sys.modules["sdbnn_lite"].__all__:
        assert f'id="{name}"' in texts[reference.FIRST], name
    assert "sdbnn_lite.core.binarize.binarize" in texts["reference/search.js"]


@pytest.mark.slow
def test_pages_load_nothing_and_link_to_what_is_there(pages):
    out, texts = pages
    for name, text in texts.items():
        if name.endswith(".html"):
            assert not re.search(r'<(?:script|img|iframe)[^>]* src="(?!data:)|<link[^>]*stylesheet|@import', text), name
            shown = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
            for link in re.findall(r'<a [^>]*href="([^"#:]+)[^"]*"', shown):
                assert (out / Path(name).parent / link).resolve().is_file(), f"{name} links to {link}"
            assert str(PACKAGE.parent) not in text


@pytest.mark.slow
@pytest.mark.skipif(bool(browser.why_not()), reason=browser.why_not())
def test_in_a_browser_it_is_found_read_and_left(pages, tmp_path):
    out, _ = pages
    with browser.chromium(tmp_path) as context:
        page = context.new_page()
        asked = browser.asked_for(page)
        for name in ("sdbnn_lite", "sdbnn_lite/core/layers", "sdbnn_lite/data/augment"):
            for width in browser.at_widths(page, out / "reference" / f"{name}.html"):
                assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{name} at {width}"
        page.fill("input[type=search]", "binarize")
        page.wait_for_selector(".search-result")
        assert "binarize" in page.inner_text(".search-result a")
        page.click("#theme")
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"
        page.click("text=← Notebooks")
        assert page.title() == "notebooks"
    assert asked == []

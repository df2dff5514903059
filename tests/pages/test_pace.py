"""How much a notebook may ask of its reader: lines of code in its cells, and words of prose."""

import re

import pytest

pytest.importorskip("nbformat")

from sdbnn_lite.pages import chain, first_cell  # noqa: E402

CODE = {"00": 43, "01": 130, "02": 130, "03": 108, "04": 78, "05": 86, "06": 85, "07": 98, "08": 140}  # 900 together
WORDS = 3_000
CELLS = 56


@pytest.fixture(scope="module")
def notebooks():
    return {path.name[:2]: chain.read(path) for path in chain.find_notebooks()}


def lines_of_code(nb):
    """Without the installation, which is the same everywhere."""
    read = [c.source.partition(first_cell.BEGINS)[0].rstrip() for c in nb.cells if c.cell_type == "code"]
    return sum(len(source.splitlines()) for source in read)


def words_of_prose(nb):
    return sum(len(cell.source.split()) for cell in nb.cells if cell.cell_type == "markdown")


def test_cells_hold_what_a_student_should_read(notebooks):
    long = {name: lines for name, nb in notebooks.items() if (lines := lines_of_code(nb)) > CODE[name]}
    assert not long and sum(CODE.values()) <= 900


def test_prose_fits_into_a_lesson(notebooks):
    assert {name: words for name, nb in notebooks.items() if (words := words_of_prose(nb)) > WORDS} == {}
    assert {name: len(nb.cells) for name, nb in notebooks.items() if len(nb.cells) > CELLS} == {}


def test_no_cell_draws(notebooks):
    """Pictures are made by the package; a cell shows them."""
    drawing = []
    for name, nb in notebooks.items():
        code = [cell.source for cell in nb.cells if cell.cell_type == "code"]
        drawing += [(name, text) for text in code if any(w in text for w in (".subplots(", "new_figure(", "plt."))]
    assert drawing == []


def test_every_notebook_asks_before_it_shows(notebooks):
    """Predictions are asked for and counted at the end, and no Markdown cell asks for one that nothing compares."""
    for name, nb in notebooks.items():
        source = [cell.source for cell in nb.cells if cell.cell_type == "code"]
        if name != "00":
            assert sum(text.startswith("guess(") for text in source) >= 3, name
            assert any("score()" in text for text in source[-2:]), name
        assert not any("**Predict.**" in cell.source for cell in nb.cells if cell.cell_type == "markdown"), name
        assert not any("check(" in text.replace("_check(", "").replace("check_", "") for text in source), name


def test_explorers_are_called_as_the_site_and_the_browser_test_look_for_them(notebooks):
    cells = [(name, cell.source) for name, nb in notebooks.items() for cell in nb.cells
             if cell.cell_type == "code" and "explorer" in cell.metadata.get("tags", [])]  # fmt: skip
    assert len(cells) >= 5
    assert [where for where in cells if not re.fullmatch(r"\w+\.explorer\(\)", where[1])] == []

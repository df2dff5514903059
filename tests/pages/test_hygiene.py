"""What keeps an executed notebook from being committed: each fault, on small notebooks; then the real ones."""

import re

import pytest

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("nbclient")

from made_notebooks import SOMEWHERE, WIDGET, code, good, notebook, result, stream  # noqa: E402

from sdbnn_lite.pages import chain  # noqa: E402
from sdbnn_lite.pages.hygiene import check_hygiene  # noqa: E402


def test_a_good_notebook_has_no_complaint():
    assert check_hygiene(good()) == []


def set_count(nb):
    nb.cells[2].execution_count = 5


def never_run(nb):
    nb.cells[2].update(execution_count=None, outputs=[])


def untagged(nb):
    nb.cells[1].metadata["tags"] = []


def late_parameters(nb):
    nb.cells.insert(1, code("1", result(text_plain="1"), count=1))
    for count, cell in enumerate([cell for cell in nb.cells if cell.cell_type == "code" and cell.source], 1):
        cell.execution_count = count


def widget_state(nb):
    nb.metadata["widgets"] = {}


def show(*outputs):
    """Break a notebook by outputs of its second code cell."""

    def broken(nb):
        nb.cells[2].outputs += [nbformat.from_dict(output) for output in outputs]

    return broken


def skip_level(nb):
    nb.cells[3].source = "#### Detail"


def no_title(nb):
    nb.cells[0].source = "## Part"


def no_heading(nb):
    nb.cells[0].source = nb.cells[3].source = "text"


def ignored_output(nb):
    nb.cells[2].metadata["tags"] = ["nbval-ignore-output"]


def ignored_by_comment(nb):
    nb.cells[2].source = "# NBVAL_IGNORE_OUTPUT\n1 / 2"


def silent(nb):
    nb.cells[2].outputs = []


def only_blank(nb):
    nb.cells[2].outputs = [nbformat.from_dict(stream("\n"))]


ERROR = {"output_type": "error", "ename": "KeyError", "evalue": "'x'", "traceback": []}


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        (set_count, r"execution counts are \[1, 5, 3, 4\], not 1 to 4"),
        (never_run, "execution counts"),
        (untagged, "first code cell isn't tagged"),
        (late_parameters, "first code cell isn't tagged"),
        (widget_state, "widget state"),
        (show(WIDGET), "cell 3: holds a widget view"),
        (show(ERROR), r"cell 3: ends in an error \(KeyError\)"),
        (show(stream("careful", name="stderr")), "cell 3: writes to stderr"),
        (show(stream(f"saved {SOMEWHERE} now")), rf"cell 3: shows an absolute path: {SOMEWHERE}$"),
        (show(result(text_plain=f"PosixPath('{SOMEWHERE}')")), "absolute path"),
        (show(result(text_html=f'<a href="file:{SOMEWHERE}">')), "absolute path"),
        (show(stream("in C:" + "\\Users\\ada")), "absolute path"),
        (show(result(text_plain="<function f at 0x7f0123456789>")), "memory address"),
        (skip_level, "cell 4: heading 'Detail' is level 4, after level 2"),
        (no_title, "cell 1: heading 'Part' is level 2, after level 0"),
        (no_heading, "no heading"),
        (silent, "only 1 of the 3 code cells that aren't plots"),
        (only_blank, "only 1 of the 3"),
        (ignored_output, "only 1 of the 3"),
        (ignored_by_comment, "only 1 of the 3"),
    ],
)
def test_each_fault_has_its_complaint(broken, complaint):
    nb = good()
    broken(nb)
    complaints = check_hygiene(nb)
    assert any(re.search(complaint, said) for said in complaints), complaints


@pytest.mark.parametrize(
    "text",
    ["3/4 and a/b/c", "(p + q)/n/2", "images/s", "../figures/x/y.png", "https://arxiv.org/abs/2103.02394", "±1 / ±1"],
)
def test_a_slash_is_no_absolute_path(text):
    nb = good()
    show(stream(text), result(text_html=f'<img src="data:image/jpeg;base64,/9j/4AAQ/"> {text}</td></tr>'))(nb)
    assert check_hygiene(nb) == []


def test_an_empty_notebook_is_not_clean():
    assert len(check_hygiene(notebook())) == 2


@pytest.mark.parametrize("name", chain.CHAIN)
def test_the_committed_notebook_is_clean(name):
    assert check_hygiene(chain.read(chain.NOTEBOOKS / name)) == []

"""A notebook of the chain as it is committed, for tests of what it says."""

import pytest
from places import NOTEBOOKS


def cells_of(number):
    """The cells of the notebook whose name begins with ``number``; skips the module where there are no notebooks."""
    nbformat = pytest.importorskip("nbformat")
    found = list(NOTEBOOKS.glob(f"{number}_*.ipynb"))
    if not found:
        pytest.skip("no notebooks here: an installed package", allow_module_level=True)
    return nbformat.read(found[0], as_version=4).cells


def prose(cells, between="\n"):
    """All Markdown."""
    return between.join(cell.source for cell in cells if cell.cell_type == "markdown")


def said(cell):
    """All text that a cell shows."""
    return "\n".join(output.get("text", "") or output["data"].get("text/markdown", output["data"].get("text/plain", ""))
                     for output in cell.outputs)  # fmt: skip


def place_in(cells, text):
    """The first cell with ``text``."""
    return next(i for i, cell in enumerate(cells) if text in cell.source)

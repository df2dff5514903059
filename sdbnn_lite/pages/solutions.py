"""The exercises' solutions as notebooks: made from the chain and ``lessons.exercises``, never written by hand.

python -m sdbnn_lite.pages.solutions      write and execute notebooks/solutions/ (``make notebooks`` does it last)
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from ..lessons.exercises import find
from .chain import NOTEBOOKS, find_notebooks, read, refresh, write
from .hygiene import code_cells, tags

SOLUTIONS = NOTEBOOKS / "solutions"
NEEDED = "exercises-need-this"  # the tag of a cell, beside the set-up, that the exercises can't do without
_CALL = re.compile(r'^exercise\("([^"]+)".*', re.MULTILINE | re.DOTALL)


def solutions_of(nb: Any, name: str) -> Any | None:
    """The solutions of the notebook ``nb``, called ``name``: its set-up, then each exercise; None where it has none."""
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
    cells, solved, text = [], False, None
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            text = cell
            continue
        call = _CALL.search(cell.source)
        if call:
            solved = True
            task = text.source[text.source.rindex("### ") :] if text is not None and "### " in text.source else ""
            cells += [new_markdown_cell(task)] if task else []
            cells.append(new_code_cell(f"{find(call[1]).solution.strip()}\n\n{call[0].strip()}"))
        elif {"parameters", NEEDED} & {*tags(cell)} or "notebook_setup(" in cell.source:
            cells.append(new_code_cell(cell.source, metadata={"tags": [t for t in tags(cell) if t == "parameters"]}))
    if not solved:
        return None
    title = re.search(r"^# (.*)", nb.cells[0].source, re.MULTILINE)[1]
    head = new_markdown_cell(f"# Solutions: {title}\n\nMade from [the notebook](../{name}) and the package's checks.")
    made = new_notebook(cells=[head, *cells], metadata=dict(nb.metadata))
    for number, cell in enumerate(made.cells):
        cell.id = f"solution-{number}"  # the same in every run
    return made


def write_solutions(folder: Path = SOLUTIONS) -> list[Path]:
    """Write and execute the solutions of all notebooks into ``folder``; returns their paths."""
    written = []
    for path in find_notebooks():
        if (made := solutions_of(read(path), path.name)) is not None:
            out = folder / path.name.replace(".ipynb", "_solutions.ipynb")
            write(made, out)
            refresh(out)
            written.append(out)
    return written


def wrong_answers(nb: Any) -> list[str]:
    """What the exercises of an executed solution printed where it isn't "right: ..."."""
    said = ["".join(o.get("text", "") for o in cell.outputs) for _, cell in code_cells(nb) if _CALL.search(cell.source)]
    return [text.strip() for text in said if not text.startswith("right: ")]


if __name__ == "__main__":
    wrong = [(path, line) for path in write_solutions() for line in wrong_answers(read(path))]
    for path, line in wrong:
        print(f"{path.name}: {line}")
    sys.exit(bool(wrong))

"""What keeps an executed notebook from being committed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

MIN_COMPARED = 0.6  # share of the code cells that aren't plots whose text nbval compares
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
IGNORE_OUTPUT = "nbval-ignore-output"
EXPLORER = "explorer"  # the tag that clean() leaves on a cell whose widget it took away
GUESS = "guess"  # likewise, where the widget asked for a prediction
EMBEDDED = re.compile(r"data:[\w/+.-]+;base64,[\w+/=]*|https?://\S+")  # slashes that aren't paths of this machine
ABSOLUTE_PATH = re.compile(r"file:/|(?<![\w./~)\]-])/[\w.@+-]+/|(?<!\w)[A-Z]:[\\/]+\w")
ADDRESS = re.compile(r"\bat 0x[0-9a-f]{6,}")


def check_hygiene(nb: Any) -> list[str]:
    """What keeps ``nb`` from being committed, a sentence each; cells are counted from 1 as a reader sees them."""
    complaints = []
    code = list(code_cells(nb))
    if not code or "parameters" not in tags(code[0][1]):
        complaints.append("the first code cell isn't tagged 'parameters'")
    counts = [cell.execution_count for _, cell in code]
    if counts != list(range(1, len(code) + 1)):
        complaints.append(f"execution counts are {counts}, not 1 to {len(code)}: run the whole notebook top to bottom")
    if "widgets" in nb.metadata:
        complaints.append("the metadata hold widget state")
    for number, cell in code:
        for output in cell.outputs:
            complaints += [f"cell {number}: {complaint}" for complaint in _output_complaints(output)]
    complaints += _heading_complaints(nb)
    complaints += _guess_complaints(nb)
    texts = [cell for _, cell in code if not _is_plot(cell)]
    compared = sum(_has_compared_text(cell) for cell in texts)
    if compared < MIN_COMPARED * len(texts):
        complaints.append(f"only {compared} of the {len(texts)} code cells that aren't plots show text that a re-run "
                          f"compares; {MIN_COMPARED:.0%} have to")  # fmt: skip
    return complaints


def _output_complaints(output: Any) -> Iterator[str]:
    if output.output_type == "error":
        yield f"ends in an error ({output.ename})"
    if output.output_type == "stream" and output.name == "stderr":
        yield "writes to stderr"
    if WIDGET_VIEW in output.get("data", {}):
        yield "holds a widget view"
    text = EMBEDDED.sub("", _readable(output))
    if found := ABSOLUTE_PATH.search(text):
        yield f"shows an absolute path: {text[found.start() :].split()[0]}"
    if ADDRESS.search(text):
        yield "shows a memory address, which differs in every run"


def _heading_complaints(nb: Any) -> Iterator[str]:
    level = 0
    for number, cell in enumerate(nb.cells, 1):
        if cell.cell_type != "markdown":
            continue
        prose = re.sub(r"^```.*?^```", "", cell.source, flags=re.MULTILINE | re.DOTALL)  # a # there is a comment
        for found in re.finditer(r"^(#{1,6}) +(\S.*)", prose, flags=re.MULTILINE):
            deeper = len(found[1])
            if deeper > level + 1:
                yield f"cell {number}: heading {found[2]!r} is level {deeper}, after level {level}"
            level = deeper
    if level == 0:
        yield "there is no heading"


def _guess_complaints(nb: Any) -> Iterator[str]:
    source = "\n".join(cell.source for _, cell in code_cells(nb))
    calls = {name: re.findall(rf"^{name}\(\s*\"([^\"]+)", source, re.MULTILINE) for name in ("guess", "outcome")}
    for name in sorted({*calls["guess"], *calls["outcome"]}):
        asked, answered = (calls[kind].count(name) for kind in ("guess", "outcome"))
        if (asked, answered) != (1, 1):
            yield f"prediction {name!r} is asked for {asked} times and answered {answered} times"


def _has_compared_text(cell: Any) -> bool:
    """Whether nbval compares something that says something (a figure's ``<Figure size ...>`` doesn't)."""
    if IGNORE_OUTPUT in tags(cell) or "NBVAL_IGNORE_OUTPUT" in cell.source:
        return False
    return any((output.output_type == "stream" and output.name == "stdout" and output.text.strip())
               or ("text/plain" in output.get("data", {}) and not _is_picture(output))
               for output in cell.outputs)  # fmt: skip


def _is_plot(cell: Any) -> bool:
    """Whether the cell shows only pictures or a widget."""
    shown = cell.outputs or {EXPLORER, GUESS} & {*tags(cell)}
    return bool(shown) and all(_is_picture(output) for output in cell.outputs)


def _is_picture(output: Any) -> bool:
    return any(kind == WIDGET_VIEW or kind.startswith("image/") for kind in output.get("data", {}))


def _readable(output: Any) -> str:
    """All the text of an output, without its pictures' bytes."""
    data = output.get("data", {}).items()
    texts = [str(value) for kind, value in data if kind.startswith("text/") or kind.endswith(("+xml", "json"))]
    return output.get("text", "") + "\n".join(texts)


def code_cells(nb: Any) -> Iterator[tuple[int, Any]]:
    """The code cells that hold code, with their position in the notebook."""
    return ((n, cell) for n, cell in enumerate(nb.cells, 1) if cell.cell_type == "code" and cell.source.strip())


def is_guess(cell: Any) -> bool:
    """Whether the cell asks for a prediction (see ``lessons.guesses``)."""
    return cell.cell_type == "code" and cell.source.startswith("guess(")


def behind_guesses(nb: Any) -> dict[int, int]:
    """The code cells whose outputs a reader shouldn't see before predicting, from a guess to the next heading.

    Position of the cell -> position of its guess, from 0.
    """
    behind, guess = {}, None
    for at, cell in enumerate(nb.cells):
        if is_guess(cell):
            guess = at
        elif cell.cell_type == "markdown" and re.match(r"#+ ", cell.source):
            guess = None
        elif cell.cell_type == "code" and guess is not None:
            behind[at] = guess
    return behind


def tags(cell: Any) -> list[str]:
    """The cell's tags, [] where it has none."""
    return cell.metadata.get("tags", [])

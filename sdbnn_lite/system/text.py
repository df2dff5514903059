"""Tables as text: Markdown for the README and the notebooks, aligned columns for a terminal."""

from collections.abc import Iterable, Mapping, Sequence


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A line for ``head``, one that ends it, and one for each of ``rows``; a "|" inside a cell is escaped."""
    return "\n".join([_line(head), "|" + "---|" * len(head), *map(_line, rows)])


def _line(cells: Iterable[object]) -> str:
    return "| " + " | ".join(str(cell).replace("|", r"\|") for cell in cells) + " |"


def aligned_table(rows: Sequence[Sequence[str]], right: Sequence[bool], rule: bool = False) -> str:
    """Columns two blanks apart, each as wide as its longest cell; those marked in ``right`` end at the same place.

    ``rows``: one cell a column, the header first if there is one; ``rule``: draw a line of dashes under it.
    """
    widths = [max(map(len, column)) for column in zip(*rows)]
    rows = [rows[0], ["-" * width for width in widths], *rows[1:]] if rule else rows
    lines = ([f"{c:>{w}}" if r else f"{c:<{w}}" for c, w, r in zip(row, widths, right)] for row in rows)
    return "\n".join("  ".join(line).rstrip() for line in lines)


def rows_table(rows: Sequence[Mapping[str, object]], digits: int) -> str:
    """Dictionaries with the same keys, each a line under these; numbers to the right, floats to ``digits`` places."""
    if not rows:
        return "nothing"
    lines = [list(rows[0]), *([_cell(value, digits) for value in row.values()] for row in rows)]
    return aligned_table(lines, [isinstance(value, int | float) for value in rows[0].values()])


def _cell(value: object, digits: int) -> str:
    if value is None or isinstance(value, bool):
        return {None: "-", True: "yes", False: "no"}[value]
    return f"{value:.{digits}f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)

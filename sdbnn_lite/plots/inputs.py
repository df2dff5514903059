"""The share of +1 among the inputs of binary layers, before and after ASD's shift."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..errors import UsageError
from .parts import INK, SMALL, finish, logarithmic, with_legend, wrapped
from .theme import BLACK, BLUE, GREY, LINES, drawing

TITLE = "Share of +1 among the inputs of binary layers, before and after ASD's shift"


def before_and_after(courses: Mapping[str, pd.DataFrame], ends: pd.DataFrame, title: str = TITLE,
                     caption: str = "") -> Figure:  # fmt: skip
    """Left: the share over the epochs, dashed before and solid after the shift. Right: an arrow per run, last epoch.

    ``courses`` and ``ends`` are what ``input_shares.over_epochs`` and ``ends`` gave, in percent. A course without a
    shift is one line.
    """
    if not courses or ends.empty:
        raise UsageError("courses, ends: empty; at least one of each is needed")
    with drawing(8.3, 2.6 + 0.42 * max(len(ends), 5) + 0.36 * len(courses)) as figure:
        ((left, right),), below = with_legend(figure, 1, 2, 0.3 + 0.36 * len(courses))
        looks = iter(LINES * len(courses))
        for label, shares in courses.items():
            shifted = (shares["input_after"] - shares["input_before"]).abs().max() > 0.5
            _course(left, shares, label.replace("`", ""), *(next(looks) if shifted else (GREY, "x")), shifted)
        logarithmic(left, "x")
        left.set(xlabel="epoch", ylabel="share of +1 (%)")
        left.set_title("while learning", size=11)
        for place, row in enumerate(ends.itertuples()):
            arrow = {"arrowstyle": "-|>", "lw": 2, "color": BLUE, "shrinkA": 5, "shrinkB": 0}
            right.annotate("", (row.after, place), (row.before, place), arrowprops=arrow)
            right.plot(row.before, place, "o", mfc="white", mec=BLACK, ms=8)
        right.set_yticks(range(len(ends)), [label.replace(", ", "\n", 1) for label in ends["label"]], size=SMALL)
        right.set(xlim=(0, 100), ylim=(len(ends) - 0.5, -0.5), xlabel="share of +1 (%), before → after")
        right.set_title("after the last epoch", size=11)
        right.grid(axis="y", visible=False)
        left.axhline(50, color=INK, lw=1.4, ls=(0, (4, 3)))
        right.axvline(50, color=INK, lw=1.4, ls=(0, (4, 3)))
        lines, labels = left.get_legend_handles_labels()
        below.legend(lines, [wrapped(x, 42) for x in labels], loc="center", ncols=2, fontsize=SMALL, frameon=False)
        return finish(figure, title, caption)


def _course(ax: Axes, shares: pd.DataFrame, label: str, colour: str, marker: str, shifted: bool) -> None:
    """The two lines of a run and the band between them, or its one line."""
    after, every = shares["input_after"], max(1, len(shares) // 6)
    look = {"color": colour, "marker": marker, "mec": BLACK, "mew": 0.8, "ms": 6, "lw": 1.8}
    ax.plot(shares.index, after, markevery=every, label=f"{label}, after the shift" if shifted else label, **look)
    if shifted:
        ax.plot(shares.index, shares["input_before"], "--", markevery=every, mfc="white", label=f"{label}, before",
                **look)  # fmt: skip
        ax.fill_between(shares.index, shares["input_before"], after, color=colour, alpha=0.15, lw=0)

"""Figures of EDE's gradients: how they grow with the temperature, and what that does to the steps."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..analysis.ede_gradients import AT_ONE, Course, over_layers
from ..core.methods import METHODS
from ..errors import UsageError
from .parts import INK, RIM, SMALL, finish, logarithmic, spread_out, with_legend
from .theme import BLACK, COLOURS, MARKERS, drawing

STEPS = (1.0, 2.0, 5.0, 10.0)  # of EDE's t, whose gradients are drawn layer by layer
DASHES = ("--", ":", "-.")  # of the schedules after the first
_SHADES = ("#9ECAE1", "#4292C6", "#08519C", BLACK)


def gradients_over_t(table: pd.DataFrame, one: str, courses: Sequence[Course], caption: str = "") -> Figure:
    """Left: the relative gradient |dL/dW|/|W| against t, a line per method. Right: layer by layer in ``one`` of them.

    ``table`` is final_gradients.csv's; ``courses`` of other schedules than the first one's are broken lines on the
    left, and for each schedule a vertical line is where its t ended. Both scales are logarithmic.
    """
    if one not in set(table["method"]):
        raise UsageError(f"one={one!r}: not in the table, which has {', '.join(table['method'].unique())}")
    methods = [m for m in METHODS if m in set(table["method"])]
    with drawing(8.3, 6.0) as figure:
        ((left, right),), below = with_legend(figure, 1, 2, 0.9)
        _gradients_by_method(left, table, methods, courses)
        _gradients_by_layer(right, table[table["method"] == one])
        right.set_title(f"{METHODS[one].short}: layer by layer", size=11)
        below.legend(*left.get_legend_handles_labels(), loc="center", ncols=3, fontsize=SMALL, frameon=False)
        return finish(figure, "What EDE's late temperatures do to the weights' gradients", caption)


def _gradients_by_method(ax: Axes, table: pd.DataFrame, methods: Sequence[str],
                         courses: Sequence[Course]) -> None:  # fmt: skip
    means = over_layers(table).groupby(["method", "t"])["relative"].mean()
    for method in methods:
        _marked(ax, means.loc[method], method, "-", METHODS[method].short)
    ends = {}
    for course in courses:
        ends[course.schedule] = course.log["ede_t"].iloc[-1]
        if (dash := schedules(courses)[course.schedule]) != "-":
            _marked(ax, course.relative, course.method, dash, f"{METHODS[course.method].short}, {course.schedule}")
    for t in ends.values():
        ax.axvline(t, color=INK, lw=1.4, ls=(0, (4, 3)))
    said = "\n".join(f"t = {t:.1f}: end of {s}" for s, t in ends.items() if "t from" not in s)  # the legend says those
    ax.annotate(said, (0.02, 0.97), xycoords="axes fraction", va="top", size=SMALL, color=INK,
                bbox={"fc": "white", "ec": "none", "pad": 1})  # fmt: skip
    logarithmic(ax, "xy")
    ax.set(xlabel="EDE's temperature t", ylabel="gradient of the latent weights,\nrelative to the weights")
    ax.set_title("all binary layers, a line per method", size=11)


def _gradients_by_layer(ax: Axes, table: pd.DataFrame) -> None:
    names = list(table["layer"].unique())
    relative = (table["gradient"] / table["weight"]).groupby([table["t"], table["layer"]]).mean()
    places = np.arange(1, len(names) + 1)
    logarithmic(ax, "y")
    low, high = relative.min() / 2, 3 * relative.max()
    ax.set_ylim(low, high)
    starts = np.log(relative.loc[list(STEPS), names[0]].to_numpy() / low) / np.log(high / low)
    heights = spread_out(starts + 0.035, 0.075, 0.02, 0.97)  # of the labels, a little above the lines' left ends
    for t, shade, height in zip(STEPS, _SHADES, heights, strict=True):
        ax.plot(places, relative.loc[t].reindex(names), color=shade, lw=2, path_effects=RIM if t == STEPS[0] else None)
        ax.annotate(f"t = {t:g}", (0, height), (6, 0), "axes fraction", "offset points", size=SMALL, color=BLACK)
    ax.set(xlim=(1, len(names)), xticks=places[:: 1 + len(places) // 10])
    ax.set_xlabel("layer; gradients come from the right")


def schedules(courses: Sequence[Course]) -> dict[str, str]:
    """The different schedules of ``courses`` in their order, and how the lines of each are drawn."""
    names = list(dict.fromkeys(course.schedule for course in courses))
    return {name: "-" if not k else DASHES[(k - 1) % len(DASHES)] for k, name in enumerate(names)}


def _marked(ax: Axes, line: pd.Series, method: str, dash: str, label: str, every: int = 1) -> None:
    """``line`` over its index in the method's colour, with its marker at ``every`` so manyth point from the end."""
    look = {"color": COLOURS[method], "ls": dash, "lw": 1.8}
    ax.plot(line.index, line, **look, path_effects=RIM if dash == "-" else None)
    ax.plot(line.index, line, **look, marker=MARKERS[method], mec=BLACK, mew=0.8, ms=7, label=label,
            markevery=slice((len(line) - 1) % every, None, every))  # fmt: skip


def effective_steps(courses: Sequence[Course], ends: pd.DataFrame, title: str, caption: str = "") -> Figure:
    """Left: every epoch's step over that at t = 1, against the share of the schedule. Right: what followed from it.

    ``courses`` and ``ends`` are what ``ede_gradients.courses`` and ``summary`` gave. Right: the last epoch's step, and
    the points that training accuracy gained above t = 1.
    """
    if not courses:
        raise UsageError("courses: empty; at least one is needed")
    dashes = schedules(courses)
    with drawing(8.3, 5.0) as figure:
        ((left, right),), below = with_legend(figure, 1, 2, 0.6)
        for course in courses:
            steps = course.steps().set_index("share")["step"]
            steps.index *= 100
            label = f"{METHODS[course.method].short}, {course.schedule}"
            _marked(left, steps, course.method, dashes[course.schedule], label, -(-len(steps) // 7))
        for row in ends.itertuples():
            first, colour = dashes[row.schedule] == "-", COLOURS[row.method]
            right.plot(row.step, row.train, MARKERS[row.method], color=colour if first else "white", ms=10, mew=1.6,
                       mec=BLACK if first else colour)  # fmt: skip
        left.axvline(100 * AT_ONE, color=INK, lw=1.2, ls=(0, (4, 3)))
        left.annotate("t = 1 on its way\nfrom 0.001 to 10", (100 * AT_ONE, 0.03), (-4, 0), ("data", "axes fraction"),
                      "offset points", ha="right", va="bottom", size=SMALL, color=INK)  # fmt: skip
        for ax, draw in ((left, "y"), (right, "x")):
            logarithmic(ax, draw)
            (ax.axhline if draw == "y" else ax.axvline)(1, color=BLACK, lw=1.2)
        right.axhline(0, color=BLACK, lw=1.2)
        right.margins(0.15)
        left.set(xlabel="share of the schedule (%)", ylabel="step: lr · gradient,\nrelative to that at t = 1")
        right.set(xlabel="the last epoch's step", ylabel="training accuracy\nabove t = 1 (points)")
        below.legend(*left.get_legend_handles_labels(), loc="center", ncols=3, fontsize=SMALL, frameon=False)
        return finish(figure, title, caption)

"""What several figures are made of: title, caption, notes; lines with bands and markers; names at the lines' ends."""

import textwrap
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter
from sklearn.isotonic import isotonic_regression

from ..core.methods import METHODS, get_method
from ..errors import UsageError
from .theme import BLACK, COLOURS, MARKERS, MINUS, MINUS_HATCH, PLUS, PLUS_HATCH

INK = "#444444"  # for secondary text: 9.7:1 on white
SMALL = 9.5
RIM = [patheffects.withStroke(linewidth=2.8, foreground=BLACK)]  # light colours hardly stand out from white
MEASURES = {"entropy": "entropy of the output signs [bit]", "sign_difference": "sign difference of the outputs",
            "input_after": "share of +1 among the inputs"}  # fmt: skip


def chosen_methods(there: Iterable[str], methods: Sequence[str] | None = None, all_needed: bool = False) -> list[str]:
    """Those of ``methods`` that are ``there``, as given; without ``methods`` all of them, in the order of ``METHODS``.

    Raises UsageError for an unknown method, where none is left, and where ``all_needed`` and one isn't there.
    """
    there = set(there)
    for method in there if methods is None else methods:
        get_method(method)
    if methods is None:
        methods = [m for m in METHODS if m in there]
    found = [m for m in methods if m in there]
    if not methods:
        raise UsageError("nothing to draw: no method given")
    if not found or (all_needed and len(found) < len(methods)):
        raise UsageError(f"methods: none of {', '.join(m for m in methods if m not in there)} is in the table")
    return found


def axis_label(measure: str) -> str:
    """A measure of ``MEASURES`` with its unit, for an axis; UsageError for any other."""
    if measure not in MEASURES:
        raise UsageError(f"measure={measure!r}: choose one of {', '.join(MEASURES)}")
    return MEASURES[measure]


def wrapped(text: str, width: int = 110) -> str:
    """``text`` on lines that fit below a figure."""
    return "\n".join(textwrap.wrap(text, width))


def joined(words: Iterable[str]) -> str:
    """The different ones of ``words``, joined by "and"."""
    return " and ".join(dict.fromkeys(words))


def note(ax: Axes, y: float, text: str, size: float = SMALL, **look) -> None:
    """A text to the right of the axes, at the height ``y`` of its data."""
    ax.annotate(text, (1, y), (7, 0), ax.get_yaxis_transform(), "offset points", size=size, **{"va": "center", **look})


def with_legend(figure: Figure, bands: int, columns: int, height: float = 0.5, **options) -> tuple[np.ndarray, Axes]:
    """(bands, columns) axes, and below them an empty one, ``height`` inches high, for the legend, which would otherwise
    cover the caption."""
    inches = figure.get_figheight()
    ratios = [(inches - 0.7 - height) / bands] * bands + [height]
    grid = figure.subplots(bands + 1, columns, squeeze=False, gridspec_kw={"height_ratios": ratios}, **options)
    for ax in grid[-1]:
        ax.remove()
    below = figure.add_subplot(grid[0, 0].get_gridspec()[-1, :])
    below.axis("off")
    return grid[:-1], below


def fill(grid: np.ndarray, items: Collection) -> Iterator[tuple[Axes, Any]]:
    """The axes of ``grid``, row by row, each with one of ``items``; axes that are left over are removed."""
    for ax in grid.flat[len(items) :]:
        ax.remove()
    return zip(grid.flat, items)


def logarithmic(ax: Axes, axes: str) -> None:
    """Logarithmic ``axes`` ("x", "y" or both) whose ticks are plain numbers."""
    for axis in axes:
        getattr(ax, f"set_{axis}scale")("log")
        ticks = getattr(ax, f"{axis}axis")
        ticks.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ticks.set_minor_formatter(NullFormatter())


def finish(figure: Figure, title: str, caption: str = "") -> Figure:
    """Write what is seen above and what it was measured on below, and lay the figure out once and for all.

    Call it inside ``drawing``. Each draw moves the ticks a little: a PNG would depend on what was drawn before it.
    """
    figure.suptitle(title, x=0.01, ha="left", weight="bold", size=13)
    if caption:
        figure.supxlabel(caption, x=0.01, ha="left", size=SMALL, color=INK)
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.06)  # inches: letters are a little wider at another dpi
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    return figure


def curve(ax: Axes, table: pd.DataFrame, method: str, every: slice, **look) -> None:
    """``table``'s mean over its index as a line, min to max as a band, a marker at ``every`` so manyth point."""
    colour, x = COLOURS[method], table.index
    ax.fill_between(x, table["min"], table["max"], color=colour, alpha=0.22, lw=0)
    ax.plot(x, table["mean"], color=colour, **{"lw": 1.8, "path_effects": RIM, **look})
    ax.plot(x[every], table["mean"].iloc[every], MARKERS[method], color=colour, mec=BLACK, mew=0.8, ms=7)


@dataclass(frozen=True)
class EndNames:
    """How names stand at the right ends of lines: marker at ``at``, text at ``text_at`` (both in axes widths), the
    least distance of two as ``share`` of the axes' height, and the sizes of text and marker in points."""

    at: float
    text_at: float
    share: float
    size: float
    marker: float = 7


def name_ends(ax: Axes, ends: Mapping[str, float], text: Callable[[str], str], look: EndNames) -> None:
    """Each method's marker and ``text(method)`` right of the axes, at the height of its last value or near it."""
    bottom, top = ax.get_ylim()
    methods = sorted(ends, key=ends.get)
    gap = min(look.share * (top - bottom), (top - bottom) / max(len(methods) - 1, 1))
    heights = spread_out([ends[m] for m in methods], gap, bottom, top)
    outside = ax.get_yaxis_transform()
    line = {"arrowstyle": "-", "color": INK, "lw": 0.8, "shrinkA": 0, "shrinkB": 0}
    for method, height in zip(methods, heights):
        ax.annotate("", (1, ends[method]), (look.at, height), outside, outside, arrowprops=line)
        ax.plot(look.at, height, MARKERS[method], color=COLOURS[method], mec=BLACK, mew=0.8, ms=look.marker,
                clip_on=False, transform=outside)  # fmt: skip
        ax.text(look.text_at, height, text(method), transform=outside, va="center", size=look.size)


def spread_out(values: Sequence[float], gap: float, low: float, high: float) -> np.ndarray:
    """``values`` (ascending), moved as little as possible (least squares): ``gap`` apart, from ``low`` to ``high``."""
    steps = gap * np.arange(len(values))
    return isotonic_regression(np.asarray(values) - steps, y_min=low, y_max=high - steps[-1]) + steps


def sign_bars(ax: Axes, heights: np.ndarray, edges: np.ndarray, plus: np.ndarray, name: str = "{}") -> None:
    """Adjoining bars, one patch per sign (many patches would take too long to draw); ``plus``: bool per bar.

    ``name`` becomes their labels, with −1 or +1 in its place.
    """
    for side, colour, hatch, sign in ((~plus, MINUS, MINUS_HATCH, "−1"), (plus, PLUS, PLUS_HATCH, "+1")):
        if side.any():
            outline = np.append(edges[:-1][side], edges[1:][side][-1])
            ax.stairs(heights[side], outline, fill=True, label=name.format(sign), facecolor=colour, hatch=hatch,
                      edgecolor="white", linewidth=0)  # fmt: skip

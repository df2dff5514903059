"""EDE's gradients as a picture, for notebook 05: data in, ``Figure`` out."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from ..analysis.ede_gradients import over_layers
from ..core.methods import METHODS
from ..errors import UsageError
from .parts import INK, RIM, SMALL, finish, spread_out, with_legend
from .theme import BLACK, COLOURS, MARKERS, new_figure, theme

STEPS = (1.0, 2.0, 5.0, 10.0)  # of t, in the right panel
_SHADES = ("#9ECAE1", "#4292C6", "#08519C", BLACK)


def gradients_over_t(table: pd.DataFrame, one: str, last_t: float, caption: str = "") -> Figure:
    """Left: the relative gradient |dL/dW|/|W| against t, a line per method. Right: layer by layer in ``one`` of them.

    ``table`` is final_gradients.csv's; ``last_t`` is where the runs' schedule ended. Both scales are logarithmic.
    """
    if one not in set(table["method"]):
        raise UsageError(f"one={one!r}: not in the table, which has {', '.join(table['method'].unique())}")
    methods = [m for m in METHODS if m in set(table["method"])]
    with theme():
        figure = new_figure(8.3, 5.4)
        ((left, right),), below = with_legend(figure, 1, 2)
        _methods(left, table, methods, last_t)
        _layers(right, table[table["method"] == one])
        right.set_title(f"{METHODS[one].short}: layer by layer", size=11)
        below.legend(*left.get_legend_handles_labels(), loc="center", ncols=5, fontsize=SMALL, frameon=False)
        return finish(figure, "What EDE's late temperatures do to the weights' gradients", caption)


def _methods(ax: Axes, table: pd.DataFrame, methods: Sequence[str], last_t: float) -> None:
    means = over_layers(table).groupby(["method", "t"])["relative"].mean()
    for method in methods:
        curve = means.loc[method]
        ax.plot(curve.index, curve, color=COLOURS[method], lw=1.8, path_effects=RIM)
        ax.plot(curve.index, curve, MARKERS[method], color=COLOURS[method], mec=BLACK, mew=0.8, ms=7, clip_on=False,
                label=METHODS[method].short)  # fmt: skip
    ax.axvline(last_t, color=INK, lw=1.4, ls=(0, (4, 3)))
    ax.annotate("last epoch", (last_t, 0.97), (-5, 0), ("data", "axes fraction"), "offset points", ha="right", va="top",
                size=SMALL, color=INK)  # fmt: skip
    _logarithmic(ax, "xy")
    ax.set(xlabel="EDE's temperature t", ylabel="gradient of the latent weights,\nrelative to the weights")
    ax.set_title("all binary layers, a line per method", size=11)


def _layers(ax: Axes, table: pd.DataFrame) -> None:
    names = list(table["layer"].unique())
    relative = (table["gradient"] / table["weight"]).groupby([table["t"], table["layer"]]).mean()
    places = np.arange(1, len(names) + 1)
    _logarithmic(ax, "y")
    low, high = relative.min() / 2, 3 * relative.max()
    ax.set_ylim(low, high)
    starts = np.log(relative.loc[list(STEPS), names[0]].to_numpy() / low) / np.log(high / low)
    heights = spread_out(starts + 0.035, 0.075, 0.02, 0.97)  # of the labels, a little above the lines' left ends
    for t, shade, height in zip(STEPS, _SHADES, heights, strict=True):
        ax.plot(places, relative.loc[t].reindex(names), color=shade, lw=2, path_effects=RIM if t == STEPS[0] else None)
        ax.annotate(f"t = {t:g}", (0, height), (6, 0), "axes fraction", "offset points", size=SMALL, color=BLACK)
    ax.set(xlim=(1, len(names)), xticks=places[:: 1 + len(places) // 10])
    ax.set_xlabel("binary layer; gradients come from the right")


def _logarithmic(ax: Axes, axes: str) -> None:
    """Logarithmic ``axes`` ("x", "y" or both) whose ticks are plain numbers."""
    for axis in axes:
        getattr(ax, f"set_{axis}scale")("log")
        ticks = getattr(ax, f"{axis}axis")
        ticks.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ticks.set_minor_formatter(NullFormatter())

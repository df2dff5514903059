"""Pictures of output signs for notebook 04, and the numbers in them: data in, ``Figure`` out.

ridges            the channels of a layer as a density and dots, method under method
over_epochs       a measure over the epochs, the seeds' range as a band
final_runs        each run's signs after the last epoch beside its accuracy
rank_correlation  Spearman's, with n and p
against_accuracy  the same as a picture
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy import stats

from ..core.methods import METHODS
from ..errors import UsageError
from .methods import spread_out
from .theme import BLACK, COLOURS, MARKERS, new_figure, theme

MEASURES = {
    "entropy": "mean entropy of the output signs [bit]",
    "sign_difference": "mean sign difference of the outputs",
}
INK = "#444444"
POINTS = 256  # of a density


# --- channels --------------------------------------------------------------------------------------------------------


def density(values: np.ndarray, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """(POINTS,) places from ``low`` to ``high`` and a smooth density there that integrates to 1.

    Gaussian kernels, reflected at both ends, since a share can't pass them; at least 1/50 of the range wide.
    """
    values = np.asarray(values, dtype=float)
    if values.size == 0 or values.min() < low or values.max() > high:
        raise UsageError(f"values: at least one is needed, all from {low} to {high}")
    places = np.linspace(low, high, POINTS)
    width = max(values.std() * values.size**-0.2, (high - low) / 50)
    mirrored = np.concatenate([values, 2 * low - values, 2 * high - values])
    return places, stats.norm.pdf(places[:, None], mirrored[None, :], width).sum(axis=1) / values.size


def ridges(panels: Mapping[str, tuple[str, float, float, Mapping[str, np.ndarray]]], title: str) -> Figure:
    """A panel per entry, two in a row; in it a row per method: density, below it a tick per channel, mean in numbers.

    ``panels``: heading -> (axis label with its unit, low end, high end, method -> a value per channel). All densities
    are drawn equally tall, so that wide ones stay visible.
    """
    if not panels:
        raise UsageError("panels: empty; at least one is needed")
    methods = list(next(iter(panels.values()))[3])
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    with theme():
        figure = new_figure(9.6, 0.6 + rows * (1.0 + 0.47 * len(methods)))
        grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
        for ax, (heading, (label, low, high, values)) in zip(grid.flat, panels.items()):
            for row, method in enumerate(methods[::-1]):
                _ridge(ax, row, values[method], low, high, COLOURS[method])
            ax.set_title(heading, size=11)
            ax.set(xlabel=label, xlim=(low, high), ylim=(-0.35, len(methods) - 0.05))
            ax.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
            ax.set_yticks(range(len(methods)), [METHODS[m].short for m in methods[::-1]])
            ax.grid(axis="y", visible=False)
        for ax in grid.flat[len(panels) :]:
            ax.remove()
        figure.suptitle(title, x=0.01, ha="left", weight="bold", size=12)
    return figure


def _ridge(ax: Axes, row: int, values: np.ndarray, low: float, high: float, colour: str) -> None:
    places, heights = density(values, low, high)
    heights *= 0.7 / heights.max()
    ax.fill_between(places, row, row + heights, color=colour, alpha=0.55, lw=0)
    ax.plot(places, row + heights, color=BLACK, lw=1)
    ax.plot(values, np.full(len(values), row - 0.14), "|", color=BLACK, ms=7, mew=0.8, alpha=0.7)
    mean = float(np.mean(values))
    ax.plot([mean, mean], [row, row + 0.45], color=BLACK, lw=2.2)
    ax.annotate(f"{mean:.3f}", (1, row + 0.1), (5, 0), ax.get_yaxis_transform(), "offset points", size=9.5)


# --- epochs ----------------------------------------------------------------------------------------------------------


def over_epochs(signs: pd.DataFrame, methods: Sequence[str], measure: str = "entropy") -> Figure:
    """A panel per layer: the measure after each epoch, mean over the seeds as a line, their range as a band.

    ``signs`` has a row per ``method``, ``seed``, ``epoch`` and ``layer``. Labels stand at the lines' ends.
    """
    _known(signs, methods, measure)
    layers = list(signs["layer"].unique())
    with theme():
        figure = new_figure(9.6, 4.6)
        axes = figure.subplots(1, len(layers), sharey=True, squeeze=False)[0]
        table = signs.groupby(["layer", "method", "epoch"])[measure].agg(["min", "mean", "max"])
        shown = table[table.index.get_level_values("method").isin(methods)]
        low, high = shown["min"].min(), shown["max"].max()
        low, high = low - 0.02 * (high - low), high + 0.05 * (high - low)
        for ax, layer in zip(axes, layers):
            for number, method in enumerate(methods):
                _course(ax, table.loc[(layer, method)], method, number)
            ax.set(xlabel="epoch", title=f"layer {layer}", ylim=(low, high))
            last = int(signs["epoch"].max())
            ax.set_xlim(1, last)
            ax.set_xticks([1, *range(10, last + 1, 10)])
            ends = {m: table.loc[(layer, m), "mean"].iloc[-1] for m in methods}
            named = {m: f"{METHODS[m].short} {value:.3f}" for m, value in ends.items()}
            name_ends(ax, ends, named.get, at=1.06, text_at=1.1, share=0.062, size=9.5)
        axes[0].set_ylabel(MEASURES[measure])
        seeds = signs["seed"].nunique()
        figure.suptitle(
            f"{measure.replace('_', ' ').capitalize()} of the output signs while learning: line = mean of {seeds} "
            "seeds, band = their range", x=0.01, ha="left", weight="bold", size=12,
        )  # fmt: skip
    return figure


def _course(ax: Axes, curve: pd.DataFrame, method: str, number: int) -> None:
    colour = COLOURS[method]
    ax.fill_between(curve.index, curve["min"], curve["max"], color=colour, alpha=0.22, lw=0)
    rim = [patheffects.withStroke(linewidth=2.6, foreground=BLACK)]  # light colours hardly stand out from white
    ax.plot(curve.index, curve["mean"], color=colour, lw=1.7, path_effects=rim)
    every = slice(number, None, 9)  # from another epoch on for each, so that none hides another
    ax.plot(curve.index[every], curve["mean"].iloc[every], MARKERS[method], color=colour, mec=BLACK, mew=0.8, ms=7)


def name_ends(ax: Axes, ends: Mapping[str, float], text: Callable[[str], str], *, at: float, text_at: float,
              share: float, size: float) -> None:  # fmt: skip
    """Each method's marker and ``text(method)`` right of the axes, at the height of its last value or near it.

    ``at`` and ``text_at``: places in axes widths; ``share``: the least distance of two, in axes heights.
    """
    bottom, top = ax.get_ylim()
    methods = sorted(ends, key=ends.get)
    gap = min(share * (top - bottom), (top - bottom) / max(len(methods) - 1, 1))
    heights = spread_out([ends[m] for m in methods], gap, bottom, top)
    outside = ax.get_yaxis_transform()
    line = {"arrowstyle": "-", "color": INK, "lw": 0.8, "shrinkA": 0, "shrinkB": 0}
    for method, height in zip(methods, heights):
        ax.annotate("", (1, ends[method]), (at, height), outside, outside, arrowprops=line)
        ax.plot(at, height, MARKERS[method], color=COLOURS[method], mec=BLACK, mew=0.8, ms=7, clip_on=False,
                transform=outside)  # fmt: skip
        ax.text(text_at, height, text(method), transform=outside, va="center", size=size)


# --- accuracy --------------------------------------------------------------------------------------------------------


class RankCorrelation(NamedTuple):
    """Spearman's rank correlation, its two-sided p-value, and of how many pairs."""

    rho: float
    p: float
    n: int

    @property
    def visible(self) -> float:
        """The smallest |rho| that has p < 0.05 with so many pairs (t distribution)."""
        t = stats.t.ppf(0.975, self.n - 2)
        return float(t / np.sqrt(self.n - 2 + t * t))


def rank_correlation(x: Sequence[float], y: Sequence[float]) -> RankCorrelation:
    """Do large ``x`` go with large ``y``? +1: always, -1: never, 0: no relation.

    Raises UsageError for fewer than 4 pairs, unequal lengths, NaN, or an x or y that never changes.
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if x.shape != y.shape or x.ndim != 1 or len(x) < 4:
        raise UsageError(f"x {x.shape}, y {y.shape}: two lists of the same length are needed, at least 4 long")
    if np.isnan(x).any() or np.isnan(y).any() or np.ptp(x) == 0 or np.ptp(y) == 0:
        raise UsageError("x, y: NaN, or a list whose values are all the same; ranks need differences")
    result = stats.spearmanr(x, y)
    return RankCorrelation(float(result.statistic), float(result.pvalue), len(x))


def final_runs(signs: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """A row per run and layer: what signs.csv says after the run's last epoch, beside its ``test_accuracy``."""
    last = signs[signs["epoch"] == signs["epoch"].max()]
    return last.merge(runs[["method", "seed", "test_accuracy"]], on=["method", "seed"], validate="many_to_one")


def against_accuracy(table: pd.DataFrame, measure: str = "entropy") -> Figure:
    """A panel per layer: every run's accuracy against the measure, with the rank correlation over the runs.

    ``table``: what :func:`final_runs` gave. A marker per method, which its name and the legend tell.
    """
    methods = [m for m in METHODS if m in set(table["method"])]
    _known(table, methods, measure)
    layers = list(table["layer"].unique())
    with theme():
        figure = new_figure(9.6, 4.9)
        axes = figure.subplots(1, len(layers), sharey=True, squeeze=False)[0]
        for ax, layer in zip(axes, layers):
            rows = table[table["layer"] == layer]
            for method in methods:
                mine = rows[rows["method"] == method]
                ax.plot(mine[measure], 100 * mine["test_accuracy"], MARKERS[method], color=COLOURS[method], mec=BLACK,
                        mew=0.8, ms=9, ls="", label=METHODS[method].short, clip_on=False)  # fmt: skip
            found = rank_correlation(rows[measure], rows["test_accuracy"])
            ax.set_title(f"layer {layer}\nρ = {found.rho:+.2f}, n = {found.n} runs, p = {found.p:.2f}")
            ax.set_xlabel(MEASURES[measure])
        axes[0].set_ylabel("test images correct [%]")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=5, fontsize=10, frameon=False)
    return figure


def _known(table: pd.DataFrame, methods: Sequence[str], measure: str) -> None:
    if measure not in MEASURES:
        raise UsageError(f"measure={measure!r}: choose one of {', '.join(MEASURES)}")
    missing = [m for m in methods if m not in set(table["method"])]
    if missing or not len(methods):
        raise UsageError(f"methods: {', '.join(missing) or 'none given'}; the table has other ones")

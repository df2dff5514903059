"""Figures of output signs, for notebooks 04 and 05: data in, ``Figure`` out."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..analysis.rank_test import FEWEST, RankTest, rank_correlation
from ..core.methods import METHODS
from .parts import INK, SMALL, EndNames, axis_label, chosen_methods, curve, fill, finish, name_ends, with_legend
from .theme import BLACK, BLUE, COLOURS, GREY, MARKERS, RED, drawing

THIN_RIM = [patheffects.withStroke(linewidth=2.6, foreground=BLACK)]


def over_epochs(signs: pd.DataFrame, methods: Sequence[str], measure: str = "entropy") -> Figure:
    """A panel per layer: the measure after each epoch, mean over the seeds as a line, their range as a band.

    ``signs`` has a row per ``method``, ``seed``, ``epoch`` and ``layer``. Labels stand at the lines' ends.
    """
    label = f"mean {axis_label(measure)}"
    methods = chosen_methods(signs["method"], methods, all_needed=True)
    layers, last = list(signs["layer"].unique()), int(signs["epoch"].max())
    with drawing(9.6, 4.6) as figure:
        axes = figure.subplots(1, len(layers), sharey=True, squeeze=False)[0]
        table = signs.groupby(["layer", "method", "epoch"])[measure].agg(["min", "mean", "max"])
        shown = table[table.index.get_level_values("method").isin(methods)]
        low, high = shown["min"].min(), shown["max"].max()
        low, high = low - 0.02 * (high - low), high + 0.05 * (high - low)
        for ax, layer in zip(axes, layers):
            for number, method in enumerate(methods):
                curve(ax, table.loc[(layer, method)], method, slice(number, None, 9), lw=1.7, path_effects=THIN_RIM)
            ax.set(xlabel="epoch", title=f"layer {layer}", ylim=(low, high), xlim=(1, last))
            ax.set_xticks([1, *range(10, last + 1, 10)])
            ends = {m: table.loc[(layer, m), "mean"].iloc[-1] for m in methods}
            named = {m: f"{METHODS[m].short} {value:.3f}" for m, value in ends.items()}
            name_ends(ax, ends, named.get, EndNames(1.06, 1.1, 0.062, 9.5))
        axes[0].set_ylabel(label)
        seeds = signs["seed"].nunique()
        what = f"{measure.replace('_', ' ').capitalize()} of the output signs while learning"
        title = f"{what}: line = mean of {seeds} seeds, band = their range"
        figure.suptitle(title, x=0.01, ha="left", weight="bold", size=12)
    return figure


def run_markers(ax: Axes, table: pd.DataFrame, methods: Sequence[str], measure: str) -> None:
    """Every run of ``table`` at its ``measure`` and test accuracy in percent, by its method's marker."""
    for method in methods:
        mine = table[table["method"] == method]
        ax.plot(mine[measure], 100 * mine["test_accuracy"], MARKERS[method], color=COLOURS[method], mec=BLACK, mew=0.8,
                ms=9, ls="", label=METHODS[method].short, clip_on=False)  # fmt: skip


def final_runs(signs: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """A row per run and layer: what signs.csv says after the run's last epoch, beside its ``test_accuracy``."""
    last = signs[signs["epoch"] == signs["epoch"].max()]
    return last.merge(runs[["method", "seed", "test_accuracy"]], on=["method", "seed"], validate="many_to_one")


def against_accuracy(table: pd.DataFrame, measure: str = "entropy") -> Figure:
    """A panel per layer: every run's accuracy against the measure, with the rank correlation over the runs.

    ``table``: what :func:`final_runs` gave. A marker per method, which its name and the legend tell.
    """
    label = f"mean {axis_label(measure)}"
    methods = chosen_methods(table["method"])
    layers = list(table["layer"].unique())
    with drawing(9.6, 4.9) as figure:
        axes = figure.subplots(1, len(layers), sharey=True, squeeze=False)[0]
        for ax, layer in zip(axes, layers):
            rows = table[table["layer"] == layer]
            run_markers(ax, rows, methods, measure)
            found = rank_correlation(rows[measure], rows["test_accuracy"])
            ax.set_title(f"layer {layer}\nρ = {found.rho:+.2f}, n = {found.n} runs, p = {found.p:.2f}")
            ax.set_xlabel(label)
        axes[0].set_ylabel("accuracy [%]")
        known = axes[0].get_legend_handles_labels()
        figure.legend(*known, loc="outside lower center", ncols=5, fontsize=10, frameon=False)
    return figure


def against_control(table: pd.DataFrame, control: str, title: str, measure: str = "sign_difference",
                    caption: str = "") -> Figure:  # fmt: skip
    """A panel per method: its ``measure`` in each layer, mean over the seeds, beside the grey line of the ``control``.

    ``table`` has a row per ``method``, ``seed`` and ``layer``, in the network's order. A band is the seeds' range; a
    panel says in how many layers the method's mean is below the control's. Raises UsageError without the control, and
    where there is no other method.
    """
    chosen_methods(table["method"], [control])
    methods = chosen_methods(table["method"].loc[table["method"] != control])
    label, layers = axis_label(measure), list(table["layer"].unique())
    grouped = table.groupby(["method", "layer"])[measure].agg(["min", "mean", "max"])
    seeds = {m: grouped.loc[m].reindex(layers).set_axis(np.arange(1, len(layers) + 1)) for m in [control, *methods]}
    usual, columns = seeds[control], min(len(methods), 4 if len(methods) > 6 else 3)
    bands = -(-len(methods) // columns)
    with drawing(8.3, 1.2 + 2.1 * bands) as figure:
        grid = figure.subplots(bands, columns, sharex=True, sharey=True, squeeze=False)
        for ax, method in fill(grid, methods):
            ax.plot(usual["mean"], color=GREY, lw=2.6)
            ax.fill_between(usual.index, usual["min"], usual["max"], color=GREY, alpha=0.3, lw=0)
            curve(ax, seeds[method], method, slice(0, None, 3))
            lower = int((seeds[method]["mean"] < usual["mean"]).sum())
            ax.set_title(f"{METHODS[method].short}\nlower in {lower} of {len(layers)}", size=SMALL + 1)
            staged = _stages(ax, layers)
            ax.set(xlim=(1, max(len(layers), 2)))
            ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
            ax.yaxis.set_major_locator(MaxNLocator(4))  # whatever the height, which isn't known yet
        for row in grid:
            row[0].set_ylabel(label.replace(" of the", "\nof the").replace(" among", "\namong"))
        said = f"grey: {METHODS[control].short}; band: the seeds' range; layers from the first to the last"
        return finish(figure, title, f"{said}{' (dashed: a new stage)' * staged}\n{caption}")


def _stages(ax: Axes, layers: Sequence[str]) -> bool:
    """A line between the stages of a ResNet, whose layers are called layers.<stage>.<block>.<conv>; whether any."""
    stages = [name.split(".")[1] if name.startswith("layers.") else "" for name in layers]
    for k in range(1, len(stages)):
        if stages[k] != stages[k - 1]:
            ax.axvline(k + 0.5, color=INK, lw=1.2, ls=(0, (4, 3)), zorder=1)
    return len(set(stages)) > 1


def signs_against_accuracy(runs: pd.DataFrame, layers: pd.DataFrame, found: RankTest | None, measure: str,
                           caption: str = "", title: str = "") -> Figure:  # fmt: skip
    """Left: every run's accuracy against its ``measure``, mean over the layers. Right: rho of each layer over methods.

    ``runs``, ``layers`` and ``found`` are what ``ablation.over_layers``, ``by_layer`` and ``correlation`` (over the
    methods) gave. The grey band is what so few methods can't tell from chance.
    """
    methods = chosen_methods(runs["method"])
    with drawing(8.3, 5.2) as figure:
        ((left, right),), below = with_legend(figure, 1, 2)
        run_markers(left, runs, methods, measure)
        left.set(xlabel=f"{axis_label(measure)},\nmean over the layers", ylabel="test accuracy (%)")
        left.xaxis.set_major_locator(MaxNLocator(4))
        left.margins(0.08)
        said = f"ρ = {found.rho:+.2f}, p = {found.p:.2f}" if found else f"too few for ρ ({FEWEST} are needed)"
        left.set_title(f"a marker per run\n{len(methods)} methods: {said}", size=11)
        _layer_rho(right, layers)
        below.legend(*left.get_legend_handles_labels(), loc="center", ncols=5, fontsize=SMALL, frameon=False)
        asked = f"Does accuracy follow the {measure.replace('_', ' ')} of the output signs?"
        return finish(figure, title or asked, caption)


def _layer_rho(ax: Axes, layers: pd.DataFrame) -> None:
    """A stem per layer: rho over the methods' means, a filled marker where p < 0.05."""
    places = np.arange(1, len(layers) + 1)
    ax.axvline(0, color=BLACK, lw=1.2)
    known = layers["rho"].notna().to_numpy()
    said = "(grey: may be chance)" if known.any() else f"(needs {FEWEST} methods)"
    ax.set_title(f"ρ of each layer, over the methods\n{said}", size=11)
    if known.any():
        widest = layers["visible"].max()
        ax.axvspan(-widest, widest, color=GREY, alpha=0.22, lw=0)
        ax.hlines(places[known], 0, layers["rho"][known], color=BLUE, lw=2)
        clear = known & (layers["p"] < 0.05).to_numpy()
        for chosen, fill in ((known & ~clear, "white"), (clear, RED)):
            if chosen.any():  # an empty line that isn't clipped would stretch the layout to the figure's corner
                look = {"color": fill, "mec": BLACK, "mew": 1.2, "ms": 7, "ls": "", "clip_on": False}
                ax.plot(layers["rho"][chosen], places[chosen], "o", **look)
    ax.set(xlabel="rank correlation ρ\n(filled: p < 0.05)", ylabel="binary layer")
    ax.set(xlim=(-1, 1), ylim=(len(layers) + 0.6, 0.4), xticks=[-1, -0.5, 0, 0.5, 1])
    ax.set_yticks(places[:: 1 + len(places) // 12])
    ax.grid(axis="y", visible=False)

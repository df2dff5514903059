"""Pictures of the CIFAR-10 runs, for notebooks 04 and 05 and the README: data in, ``Figure`` out.

run_curves          a panel per run: accuracy over the epochs, its last and its best epoch, the paper's level
layer_profile       a measure of the output signs through the depth of a network, method by method
signs_against_accuracy   every run's signs beside its accuracy, and the rank correlation layer by layer
confusion_matrix    what is taken for what
mistakes            test images that a network got wrong
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..analysis.rank_test import FEWEST, RankTest
from ..core.methods import METHODS, get_method
from ..errors import UsageError
from .methods import INK, RIM, SMALL, finish, frame, note, with_legend
from .signs import name_ends
from .theme import BLACK, BLUE, COLOURS, GREY, MARKERS, ORANGE, RED, new_figure, theme

MEASURES = {
    "entropy": "entropy of the output signs [bit]",
    "sign_difference": "sign difference of the outputs",
    "input_after": "share of +1 among the inputs",
}
_HEAT = LinearSegmentedColormap.from_list("mistakes", ["#FFFFFF", "#F6C58F"])  # dark text can be read on all of it


# --- learning curves of single runs ----------------------------------------------------------------------------------


def run_curves(
    runs: Mapping[str, tuple[pd.DataFrame, float | None]],
    caption: str = "",
    title: str = "Accuracy while learning: our last epoch, the best one, and the paper's figure",
) -> Figure:
    """A panel per run: test accuracy (solid) and training accuracy (dashed) after each epoch.

    ``runs``: heading -> (log.csv's rows, the paper's figure in percent or None). A ring stands at the last epoch, which
    is our figure, a star at the best one on the test set; the paper's figure, where there is one, is a dotted line.
    """
    if not runs:
        raise UsageError("runs: empty; at least one is needed")
    columns = min(3, len(runs))
    bands = -(-len(runs) // columns)
    logs = [log for log, _ in runs.values()]
    low = 100 * min(log["test_accuracy"].quantile(0.1) for log in logs)
    papers = [paper for _, paper in runs.values() if paper]
    high = max([100 * max(log[["test_accuracy", "train_accuracy"]].max().max() for log in logs), *papers])
    with theme():
        figure = new_figure(8.3, 1.6 + 2.9 * bands)
        grid, below = with_legend(figure, bands, columns, sharey=True)
        for ax, (heading, (log, paper)) in zip(grid.flat, runs.items()):
            _run_panel(ax, log, paper)
            ax.set_title(f"{heading}\n{_ends(log)}", size=SMALL + 0.5)
            ax.set_xlabel("epoch")
            ax.set_ylim(10 * np.floor(low / 10), min(high + 2, 101))
        for ax in grid.flat[len(runs) :]:
            ax.remove()
        for row in grid:
            row[0].set_ylabel("accuracy (%)")
        below.legend(*grid.flat[0].get_legend_handles_labels(), loc="center", ncols=3, fontsize=SMALL, frameon=False)
        frame(figure, title, caption)
        return finish(figure)


def _run_panel(ax: Axes, log: pd.DataFrame, paper: float | None) -> None:
    epochs, test = log["epoch"].to_numpy(), 100 * log["test_accuracy"].to_numpy()
    ax.plot(epochs, 100 * log["train_accuracy"], "--", color=ORANGE, lw=1.8, label="training images, augmented")
    ax.plot(epochs, test, "-", color=BLUE, lw=1.8, label="test images")
    ax.plot(epochs[test.argmax()], test.max(), "*", color=ORANGE, mec=BLACK, ms=13, ls="", clip_on=False,
            label="best epoch on the test images")  # fmt: skip
    ax.plot(epochs[-1], test[-1], "o", mfc="none", mec=BLACK, mew=1.8, ms=15, ls="", clip_on=False,
            label="last epoch: our figure")  # fmt: skip
    if paper:
        ax.axhline(paper, color=BLACK, lw=1.4, ls=(0, (1, 2)), label="the paper's figure")
    ax.set_xlim(0, max(epochs[-1], 2))
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))


def _ends(log: pd.DataFrame) -> str:
    percent = 100 * log["test_accuracy"]
    return f"last {percent.iloc[-1]:.2f} %, best {percent.max():.2f} %"


# --- signs through the depth of a network ----------------------------------------------------------------------------


def layer_profile(
    table: pd.DataFrame, methods: Sequence[str], measures: Sequence[str] = ("sign_difference",), caption: str = ""
) -> Figure:
    """A panel per measure: its mean over the seeds in each layer, from the first to the last, a line per method.

    ``table`` has a row per ``method``, ``seed`` and ``layer`` (in the network's order); a band is the seeds' range.
    Methods that the table lacks are left out.
    """
    methods = _there(table, methods)
    for measure in measures:
        if measure not in MEASURES:
            raise UsageError(f"measure={measure!r}: choose one of {', '.join(MEASURES)}")
    layers = list(table["layer"].unique())
    with theme():
        figure = new_figure(8.3, 1.2 + 3.1 * len(measures))
        axes = figure.subplots(len(measures), 1, squeeze=False)[:, 0]
        for ax, measure in zip(axes, measures):
            grouped = table.groupby(["method", "layer"])[measure].agg(["min", "mean", "max"])
            places = np.arange(1, len(layers) + 1)
            for number, method in enumerate(methods):
                _profile(ax, places, grouped.loc[method].reindex(layers), method, number)
            staged = _stages(ax, layers)
            ax.set_xlim(1, max(len(layers), 2))
            ax.set_xticks(places)
            ax.set_ylabel(MEASURES[measure].replace(" of the", "\nof the").replace(" among", "\namong"))
            ends = {m: grouped.loc[(m, layers[-1]), "mean"] for m in methods}
            limits = ax.get_ylim()
            name_ends(ax, ends, lambda m: METHODS[m].short, at=1.05, text_at=1.075, share=0.085, size=SMALL + 0.5)
            ax.set_ylim(limits)
        axes[-1].set_xlabel("binary layer, from the first to the last" + " (dashed: a new stage)" * staged)
        frame(figure, "Output signs through the depth of the network, method by method", caption)
        return finish(figure)


def _profile(ax: Axes, places: np.ndarray, curve: pd.DataFrame, method: str, number: int) -> None:
    colour = COLOURS[method]
    if (curve["max"] > curve["min"]).any():
        ax.fill_between(places, curve["min"], curve["max"], color=colour, alpha=0.2, lw=0)
    ax.plot(places, curve["mean"], color=colour, lw=1.8, path_effects=RIM)
    every = slice(number % 3, None, 3)  # so that none hides another
    ax.plot(places[every], curve["mean"].to_numpy()[every], MARKERS[method], color=colour, mec=BLACK, mew=0.8, ms=7)


def _stages(ax: Axes, layers: Sequence[str]) -> bool:
    """A line between the stages of a ResNet, whose layers are called layers.<stage>.<block>.<conv>; whether any."""
    stages = [name.split(".")[1] if name.startswith("layers.") else "" for name in layers]
    for k in range(1, len(stages)):
        if stages[k] != stages[k - 1]:
            ax.axvline(k + 0.5, color=INK, lw=1.2, ls=(0, (4, 3)), zorder=1)
    return len(set(stages)) > 1


# --- signs and accuracy ----------------------------------------------------------------------------------------------


def signs_against_accuracy(
    runs: pd.DataFrame,
    layers: pd.DataFrame,
    found: RankTest | None,
    measure: str = "sign_difference",
    caption: str = "",
) -> Figure:
    """Left: every run's accuracy against its ``measure``, mean over the layers. Right: rho of each layer over methods.

    ``runs``, ``layers`` and ``found`` are what ``ablation.over_layers``, ``by_layer`` and ``correlation`` (over the
    methods) gave. The grey band is what so few methods can't tell from chance.
    """  # fmt: skip
    methods = _there(runs, [m for m in METHODS if m in set(runs["method"])])
    with theme():
        figure = new_figure(8.3, 5.2)
        ((left, right),), below = with_legend(figure, 1, 2)
        for method in methods:
            mine = runs[runs["method"] == method]
            left.plot(mine[measure], 100 * mine["test_accuracy"], MARKERS[method], color=COLOURS[method], mec=BLACK,
                      mew=0.8, ms=9, ls="", label=METHODS[method].short, clip_on=False)  # fmt: skip
        left.set_xlabel(f"{MEASURES[measure]},\nmean over the layers")
        left.set_ylabel("test accuracy (%)")
        left.xaxis.set_major_locator(MaxNLocator(4))
        left.margins(0.08)
        said = f"ρ = {found.rho:+.2f}, p = {found.p:.2f}" if found else f"too few for ρ ({FEWEST} are needed)"
        left.set_title(f"a marker per run\n{len(methods)} methods: {said}", size=11)
        _layer_rho(right, layers)
        below.legend(*left.get_legend_handles_labels(), loc="center", ncols=5, fontsize=SMALL, frameon=False)
        frame(figure, f"Does accuracy follow the {measure.replace('_', ' ')} of the output signs?", caption)
        return finish(figure)


def _layer_rho(ax: Axes, layers: pd.DataFrame) -> None:
    """A stem per layer: rho over the methods' means, a filled marker where p < 0.05."""
    places = np.arange(1, len(layers) + 1)
    ax.axvline(0, color=BLACK, lw=1.2)
    known = layers["rho"].notna().to_numpy()
    if known.any():
        widest = layers["visible"].max()
        ax.axvspan(-widest, widest, color=GREY, alpha=0.22, lw=0)
        ax.hlines(places[known], 0, layers["rho"][known], color=BLUE, lw=2)
        clear = known & (layers["p"] < 0.05).to_numpy()
        for chosen, fill in ((known & ~clear, "white"), (clear, RED)):
            if chosen.any():  # an empty line that isn't clipped would stretch the layout to the figure's corner
                look = {"color": fill, "mec": BLACK, "mew": 1.2, "ms": 7, "ls": "", "clip_on": False}
                ax.plot(layers["rho"][chosen], places[chosen], "o", **look)
        ax.set_title("ρ of each layer, over the methods\n(grey: may be chance)", size=11)
    else:
        ax.set_title(f"ρ of each layer, over the methods\n(needs {FEWEST} methods)", size=11)
    ax.set(xlim=(-1, 1), ylim=(len(layers) + 0.6, 0.4), ylabel="binary layer")
    ax.set_xlabel("rank correlation ρ\n(filled: p < 0.05)")
    ax.set_xticks([-1, -0.5, 0, 0.5, 1])
    ax.set_yticks(places[:: 1 + len(places) // 12])
    ax.grid(axis="y", visible=False)


# --- what is taken for what ------------------------------------------------------------------------------------------


def confusion_matrix(counts: np.ndarray, classes: Sequence[str], title: str, caption: str = "") -> Figure:
    """Row: the true class, column: the answer; the number of images in each field, the mistakes shaded by it.

    ``counts`` is int (C, C). Right answers stand in frames, in bold.
    """
    counts = np.asarray(counts)
    if counts.shape != (len(classes), len(classes)) or (counts < 0).any():
        raise UsageError(f"counts: shape {counts.shape} given, ({len(classes)}, {len(classes)}) needed, none below 0")
    wrong = counts * (1 - np.eye(len(classes), dtype=int))
    with theme():
        figure = new_figure(8.3, 7.0)
        ax = figure.subplots()
        ax.imshow(wrong, cmap=_HEAT, vmin=0, vmax=max(wrong.max(), 1), aspect="auto")
        for (i, j), n in np.ndenumerate(counts):
            right = {"weight": "bold", "bbox": {"boxstyle": "square,pad=0.35", "fc": "white", "ec": BLUE, "lw": 1.8}}
            ax.text(j, i, f"{n}" if n else "·", ha="center", va="center", size=SMALL + 0.5, color=BLACK,
                    **(right if i == j else {}))  # fmt: skip
        total = np.maximum(counts.sum(axis=1), 1)
        for i, share in enumerate(100 * np.diag(counts) / total):
            note(ax, i, f"{share:.1f} %", size=SMALL + 0.5)
        note(ax, -0.75, "right", color=INK)
        ax.set_xticks(range(len(classes)), [_in_two(name) for name in classes], size=SMALL)
        ax.set_yticks(range(len(classes)), classes, size=SMALL + 0.5)
        ax.set(xlabel="the network's answer", ylabel="true class")
        ax.set_xticks(np.arange(len(classes) + 1) - 0.5, minor=True)
        ax.set_yticks(np.arange(len(classes) + 1) - 0.5, minor=True)
        ax.grid(which="major", visible=False)
        ax.grid(which="minor", color="#DDDDDD", lw=0.8)
        ax.tick_params(which="minor", length=0)
        frame(figure, title, caption)
        return finish(figure)


def _in_two(name: str, longest: int = 8) -> str:
    """A long name on two lines, so that ten of them fit side by side."""
    if len(name) <= longest:
        return name
    half = 4 if name.startswith("auto") else (len(name) + 1) // 2
    return f"{name[:half]}-\n{name[half:]}"


def mistakes(
    images: np.ndarray, table: pd.DataFrame, classes: Sequence[str], title: str, caption: str = "", columns: int = 6
) -> Figure:
    """Test images that were taken for something else: below each, what it is and what the network said, how surely.

    ``images`` is uint8 (N, H, W, 3); ``table`` has a row for each: true, predicted, p_true, p_predicted.
    """
    if len(images) != len(table) or not len(table):
        raise UsageError(f"{len(images)} images and {len(table)} rows given: as many of both are needed, at least one")
    columns = min(columns, len(table))
    bands = -(-len(table) // columns)
    with theme():
        figure = new_figure(8.3, 0.9 + 1.95 * bands)
        grid = figure.subplots(bands, columns, squeeze=False)
        for ax, picture, row in zip(grid.flat, images, table.itertuples()):
            ax.imshow(picture, interpolation="nearest")
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
            ax.set_title(classes[row.true], size=SMALL + 0.5, loc="left")
            answer = f"“{classes[row.predicted]}”\n{_surely(row.p_predicted)}"
            ax.set_xlabel(answer, size=SMALL, loc="left", color=BLACK)
        for ax in grid.flat[len(table) :]:
            ax.remove()
        frame(figure, title, caption)
        return finish(figure)


def _surely(p: float) -> str:
    return "> 99.9 %" if p > 0.999 else f"{100 * p:.1f} %"


def _there(table: pd.DataFrame, methods: Sequence[str]) -> list[str]:
    """Those of ``methods`` that ``table`` holds; UsageError where it is none of them, or one is unknown."""
    for method in methods:
        get_method(method)
    found = [m for m in methods if m in set(table["method"])]
    if not found:
        raise UsageError(f"methods: none of {', '.join(methods) or 'no name'} is in the table")
    return found

"""Figures of runs: what they reach and mistake. For notebooks 05 and 06 and ``plot``."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ..errors import UsageError
from .parts import INK, SMALL, fill, finish, note, with_legend
from .theme import BLACK, BLUE, GREEN, GREY, MARKERS, ORANGE, PURPLE, RED, SKY, drawing

PANELS = {  # label of the axis -> columns of log.csv, solid and dashed, and their factor
    "accuracy (%)": (("test_accuracy", "train_accuracy"), 100),
    "loss": (("test_loss", "train_loss"), 1),
    "learning rate": (("lr",), 1),
    "t of EDE": (("ede_t",), 1),
}
_HEAT = LinearSegmentedColormap.from_list("mistakes", ["#FFFFFF", "#F6C58F"])  # dark text can be read on all of it


def run_curves(
    runs: Mapping[str, tuple[pd.DataFrame, float | None, int]],
    caption: str = "",
    title: str = "Accuracy while learning: our last epoch, the best one, and the paper's number",
) -> Figure:
    """A panel per run: test accuracy (solid) and training accuracy (dashed) after each epoch.

    ``runs``: heading -> (log.csv's rows, the paper's number in percent or None, the run's epochs). A ring stands at the
    last epoch, which is our number, a star at the best one on the test set, neither in a run that isn't finished; the
    paper's number, where there is one, is a dotted line.
    """
    if not runs:
        raise UsageError("runs: empty; at least one is needed")
    columns = 2 if len(runs) == 4 else min(3, len(runs))
    bands = -(-len(runs) // columns)
    logs, papers, _ = zip(*runs.values())
    low = 100 * min(log["test_accuracy"].quantile(0.1) for log in logs)
    reached = (100 * log[["test_accuracy", "train_accuracy"]].max().max() for log in logs)
    high = max([*reached, *filter(None, papers)])
    with drawing(8.3, 1.6 + 2.9 * bands) as figure:
        grid, below = with_legend(figure, bands, columns, sharey=True)
        for ax, (heading, (log, paper, epochs)) in fill(grid, runs.items()):
            _run_panel(ax, log, paper, epochs)
            percent = 100 * log["test_accuracy"]
            last = f"last {percent.iloc[-1]:.2f} %"
            ends = f"{last}, best {percent.max():.2f} %" if len(log) == epochs else f"not finished; {last}"
            ax.set_title(f"{heading}\n{ends}", size=SMALL + 0.5)
            ax.set(xlabel="epoch", ylim=(10 * np.floor(low / 10), min(high + 2, 101)))
        for row in grid:
            row[0].set_ylabel("accuracy (%)")
        below.legend(*grid.flat[0].get_legend_handles_labels(), loc="center", ncols=3, fontsize=SMALL, frameon=False)
        return finish(figure, title, caption)


def _run_panel(ax: Axes, log: pd.DataFrame, paper: float | None, planned: int) -> None:
    epochs, test = log["epoch"].to_numpy(), 100 * log["test_accuracy"].to_numpy()
    ax.plot(epochs, 100 * log["train_accuracy"], "--", color=ORANGE, lw=1.8, label="training images, augmented")
    ax.plot(epochs, test, "-", color=BLUE, lw=1.8, label="test images")
    if len(log) == planned:
        ax.plot(epochs[test.argmax()], test.max(), "*", color=ORANGE, mec=BLACK, ms=13, ls="", clip_on=False,
                label="best epoch on the test images")  # fmt: skip
        ax.plot(epochs[-1], test[-1], "o", mfc="none", mec=BLACK, mew=1.8, ms=15, ls="", clip_on=False,
                label="last epoch: our number")  # fmt: skip
    if paper:
        ax.axhline(paper, color=BLACK, lw=1.4, ls=(0, (1, 2)), label="the paper's number")
    ax.set_xlim(0, max(planned, 2))
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))


def compared(runs: Mapping[str, pd.DataFrame], title: str, caption: str = "") -> Figure:
    """Accuracy, loss, learning rate and EDE's t (logarithmic) after each epoch; a colour and a marker for each run.

    ``runs``: name in the legend -> log.csv's rows, at least one. Solid: test images, dashed: training images.
    """
    if not runs or any(log.empty for log in runs.values()):
        raise UsageError(f"runs: {len(runs)} given; at least one is needed, and an epoch of each")
    columns = max(1, min(3, 96 // (8 + max(map(len, runs)))))
    below_axes = 0.3 + 0.22 * -(-(len(runs) + 2) // columns)
    with drawing(8.3, 6.0 + below_axes) as figure:
        grid, below = with_legend(figure, 2, 2, below_axes)
        for ax, (label, (lines, factor)) in zip(grid.flat, PANELS.items()):
            for number, log in enumerate(runs.values()):
                every = -(-len(log) // 8)  # about eight markers, the last one at the line's end
                marked = slice((len(log) - 1) % every, None, every)
                for column, style in zip(lines, ("-", "--")):
                    ax.plot(log["epoch"], factor * log[column], style, markevery=marked, **_look(number))
            ax.set(ylabel=label, xlabel="epoch", yscale="log" if label.startswith("t ") else "linear")
            ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        entries = [Line2D([], [], label=name, **_look(number)) for number, name in enumerate(runs)]
        entries += [Line2D([], [], color=INK, ls=style, label=f"{which} images")
                    for style, which in (("-", "test"), ("--", "training"))]  # fmt: skip
        below.legend(handles=entries, loc="center", ncols=columns, fontsize=SMALL, frameon=False)
        return finish(figure, title, caption)


def _look(number: int) -> dict:
    """Of the run with that number: eight colours and eleven markers make 88 pairs."""
    colours, markers = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, BLACK, GREY), list(MARKERS.values())
    look = {"color": colours[number % len(colours)], "marker": markers[number % len(markers)]}
    return look | {"mec": BLACK, "mew": 0.6, "ms": 5, "lw": 1.6}


def confusion_matrix(counts: np.ndarray, classes: Sequence[str], title: str, caption: str = "") -> Figure:
    """Row: true class, column: answer; the number of images in each field, mistakes shaded by it, right ones framed.

    ``counts`` is int (C, C).
    """
    if counts.shape != (len(classes), len(classes)) or (counts < 0).any():
        raise UsageError(f"counts: shape {counts.shape} given, ({len(classes)}, {len(classes)}) needed, none below 0")
    wrong = counts * (1 - np.eye(len(classes), dtype=int))
    with drawing(8.3, 7.0) as figure:
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
        return finish(figure, title, caption)


def _in_two(name: str, longest: int = 8) -> str:
    """A long name on two lines, so that ten of them fit side by side."""
    if len(name) <= longest:
        return name
    half = 4 if name.startswith("auto") else (len(name) + 1) // 2
    return f"{name[:half]}-\n{name[half:]}"


def mistakes(images: np.ndarray, table: pd.DataFrame, classes: Sequence[str], title: str, caption: str = "",
             columns: int = 6) -> Figure:  # fmt: skip
    """Misclassified test images: above each its class, below it the network's answer and how sure it is.

    ``images`` is uint8 (N, H, W, 3); ``table`` has a row for each: true, predicted, p_true, p_predicted.
    """
    if len(images) != len(table) or not len(table):
        raise UsageError(f"{len(images)} images and {len(table)} rows given: as many of both are needed, at least one")
    columns = min(columns, len(table))
    bands = -(-len(table) // columns)
    with drawing(8.3, 0.9 + 1.95 * bands) as figure:
        grid = figure.subplots(bands, columns, squeeze=False)
        for ax, (picture, row) in fill(grid, list(zip(images, table.itertuples()))):
            ax.imshow(picture, interpolation="nearest")
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
            ax.set_title(classes[row.true], size=SMALL + 0.5, loc="left")
            surely = "> 99.9 %" if row.p_predicted > 0.999 else f"{100 * row.p_predicted:.1f} %"
            ax.set_xlabel(f"“{classes[row.predicted]}”\n{surely}", size=SMALL, loc="left", color=BLACK)
        return finish(figure, title, caption)

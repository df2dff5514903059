"""The figure of ``sdbnn-lite plot``: what runs reached, epoch by epoch, whether or not they are finished."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ..errors import UsageError
from .parts import INK, SMALL, finish, with_legend
from .theme import BLACK, BLUE, GREEN, GREY, MARKERS, ORANGE, PURPLE, RED, SKY, drawing

_COLOURS = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, BLACK, GREY)
_MARKERS = tuple(MARKERS.values())  # eleven: with the eight colours, 88 lines that differ
TRAINING, TEST = "--", "-"
PANELS = {  # label of the axis -> columns of log.csv with their line styles, and the factor they are shown with
    "accuracy (%)": ({"test_accuracy": TEST, "train_accuracy": TRAINING}, 100),
    "loss": ({"test_loss": TEST, "train_loss": TRAINING}, 1),
    "learning rate": ({"lr": TEST}, 1),
    "t of EDE": ({"ede_t": TEST}, 1),
}


def compared(runs: Mapping[str, pd.DataFrame], title: str, caption: str = "") -> Figure:
    """Accuracy, loss, learning rate and EDE's t (logarithmic) after each epoch, a colour and a marker for each run.

    ``runs``: name in the legend -> log.csv's rows, at least one. Solid: test images, dashed: training images.
    """
    if not runs or any(log.empty for log in runs.values()):
        raise UsageError(f"{len(runs)} runs: at least one is needed, and an epoch of each")
    columns = max(1, min(3, 96 // (8 + max(map(len, runs)))))
    below_axes = 0.3 + 0.22 * -(-(len(runs) + 2) // columns)
    with drawing(8.3, 6.0 + below_axes) as figure:
        grid, below = with_legend(figure, 2, 2, below_axes, sharex=True)
        for ax, (label, (lines, factor)) in zip(grid.flat, PANELS.items()):
            for number, log in enumerate(runs.values()):
                for column, style in lines.items():
                    _line(ax, log["epoch"], factor * log[column], number, style)
            ax.set_ylabel(label)
        ax.set_yscale("log")
        for ax in grid[-1]:
            ax.set_xlabel("epoch")
            ax.tick_params(labelbottom=True)  # shared axes leave them to the lowest, the legend's
            ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        entries = [Line2D([], [], label=name, **_look(number)) for number, name in enumerate(runs)]
        entries += [Line2D([], [], color=INK, ls=style, label=f"{which} images")
                    for style, which in ((TEST, "test"), (TRAINING, "training"))]  # fmt: skip
        below.legend(handles=entries, loc="center", ncols=columns, fontsize=SMALL, frameon=False)
        return finish(figure, title, caption)


def _look(number: int) -> dict:
    return {"color": _COLOURS[number % len(_COLOURS)], "marker": _MARKERS[number % len(_MARKERS)], "mec": BLACK,
            "mew": 0.6, "ms": 5, "lw": 1.6}  # fmt: skip


def _line(ax: Axes, epochs: pd.Series, values: pd.Series, number: int, style: str) -> None:
    """One curve, with about eight markers; the last one stands at its end."""
    every = -(-len(epochs) // 8)
    marked = range((len(epochs) - 1) % every, len(epochs), every)
    ax.plot(epochs, values, style, markevery=list(marked), **_look(number))

"""The figure of a search: what each setting has to do with the accuracy that was reached."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..errors import UsageError
from .parts import SMALL, fill, finish, with_legend
from .theme import BLACK, BLUE, ORANGE, drawing


def settings_tried(trials: pd.DataFrame, scales: Mapping[str, str], title: str, caption: str = "") -> Figure:
    """A panel per setting: validation accuracy against its value, pruned trials hollow, the best trial a star.

    ``trials``: trials.csv's rows. ``scales``: setting -> "linear", "log", or "choices". Failed trials aren't drawn.
    """
    if trials.empty or not scales:
        raise UsageError(f"{len(trials)} trials of {len(scales)} settings given: at least one of both is needed")
    columns = min(3, len(scales))
    bands = -(-len(scales) // columns)
    with drawing(8.3, 1.6 + 2.4 * bands) as figure:
        grid, below = with_legend(figure, bands, columns, sharey=True)
        for ax, (name, scale) in fill(grid, scales.items()):
            _panel(ax, trials, name, scale)
        for row in grid:
            row[0].set_ylabel("validation accuracy (%)")
        below.legend(*grid.flat[0].get_legend_handles_labels(), loc="center", ncols=3, fontsize=SMALL, frameon=False)
        return finish(figure, title, caption)


def _panel(ax: Axes, trials: pd.DataFrame, name: str, scale: str) -> None:
    values = trials[name]
    if scale == "choices":
        choices = sorted(values.unique())
        values = values.map(choices.index)
        ax.set_xticks(range(len(choices)), [str(choice) for choice in choices], size=SMALL)
        ax.set_xlim(-0.5, len(choices) - 0.5)
    elif scale == "log":
        ticks = sorted({float(f"{value:.1g}") for value in np.geomspace(values.min(), values.max(), 3)})
        ax.set(xscale="log", xlim=(values.min() / 1.2, values.max() * 1.2))
        ax.minorticks_off()
        ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    else:
        ax.xaxis.set_major_locator(MaxNLocator(4))
    percent = 100 * trials["validation_accuracy"]
    pruned, complete = trials["state"] == "pruned", trials["state"] == "complete"
    ax.plot(values[pruned], percent[pruned], "o", mfc="none", mec=BLUE, ms=6, ls="", label="pruned")
    ax.plot(values[complete], percent[complete], "o", color=BLUE, mec=BLACK, mew=0.6, ms=6, ls="", label="complete")
    if complete.any():
        best = percent[complete].idxmax()
        ax.plot(values[best], percent[best], "*", color=ORANGE, mec=BLACK, ms=13, ls="", label="the best")
    ax.set_xlabel(name)

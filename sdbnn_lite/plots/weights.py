"""Pictures of latent weights, and of the signs that a shift flips: data in, a Figure out."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from .theme import BLACK, BLUE, GREEN, ORANGE, RED, drawing


def near_zero(kinds: Mapping[str, np.ndarray], reach: float = 0.2) -> Figure:
    """Histograms of latent weights within ``reach`` of zero, all given in standard deviations: a line per kind."""
    with drawing(6.8, 3.6) as figure:
        ax = figure.subplots()
        for (kind, weights), colour, style in zip(kinds.items(), (BLACK, BLUE, ORANGE), ("-", "-", "--")):
            counts, edges = np.histogram(weights, np.linspace(-reach, reach, 41))
            ax.stairs(counts, edges, baseline=None, color=colour, ls=style, lw=2, label=kind)
        ax.set(xlabel="latent weight [standard deviations of its layer]", ylabel="weights per bar", ylim=(0, None),
               title="Close to zero")  # fmt: skip
        ax.legend(loc="upper right", fontsize=10)
    return figure


def flips_by_layer(runs: pd.DataFrame) -> Figure:
    """A panel per data set: share of flipped weight signs in each layer, a line per run, and what a fresh layer has.

    ``runs``: rows of ``analysis.weight_flips.committed``.
    """
    with drawing(6.8, 2.9 * runs["data"].nunique() + 0.3) as figure:
        axes = figure.subplots(runs["data"].nunique(), squeeze=False, sharey=True)[:, 0]
        for ax, (data, those) in zip(axes, runs.groupby("data", sort=False)):
            for (method, epochs, n), run in those.groupby(["method", "epochs", "n"], sort=False):
                colour, marker = (GREEN, "s") if method == "WSD" else (BLUE, "o") if n > 1 else (RED, "D")
                places = np.arange(1, len(run) + 1)
                ax.plot(places, 100 * run["flips"], marker, ls="-", color=colour, mec=BLACK, lw=1.2,
                        label=f"{method}, {epochs} epochs, n = {n}")  # fmt: skip
            ax.plot(places, 100 * run["fresh"], color=BLACK, ls="--", label="expected before training")
            ax.set(title=f"{run['network'].iloc[0]} on {data}", ylabel="signs flipped [%]", xticks=places[::2])
            ax.set_ylim(-0.01)
            ax.legend(fontsize=9.5)
        axes[-1].set_xlabel("binary layer, from the first to the last")
    return figure

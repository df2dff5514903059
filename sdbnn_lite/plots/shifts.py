"""Pictures of ASD's shifts, from image to image and through EDE, and of WSD's, with the weight signs that they flip."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from ..core.binarize import ede_k, sign
from ..core.record import LayerSigns
from ..core.signs import random_signs
from .theme import BLACK, BLUE, GREEN, GREY, LINES, ORANGE, RED, drawing

PER_DIGIT = 5  # images
EDE_LOOKS = {0.001: (BLACK, "-"), 1.0: (BLUE, "--"), 3.0: (GREEN, "-."), 10.0: (RED, ":")}  # t: colour, line


def shift_maps(shifts: Mapping[str, Tensor], labels: Tensor) -> Figure:
    """A map per layer of its shifts (N, C): a row per image, five of each digit; a column per channel, by its mean."""
    chosen = torch.cat([(labels == digit).nonzero().flatten()[:PER_DIGIT] for digit in range(10)])
    end = max(abs(s - 0.5).max() for s in shifts.values()).item()
    with drawing(10, 4.8) as figure:
        axes = figure.subplots(1, len(shifts), squeeze=False)[0]
        for ax, (name, shift) in zip(axes, shifts.items()):
            look = {"aspect": "auto", "cmap": "viridis", "vmin": 0.5 - end, "vmax": 0.5 + end}
            picture = ax.imshow(shift[chosen][:, shift.mean(0).argsort()], **look)
            ax.set(title=f"{name}: {shift.shape[1]} channels", xlabel="channel, sorted by mean shift")
            ax.set_yticks(range(PER_DIGIT // 2, 10 * PER_DIGIT, PER_DIGIT), range(10))
            ax.set_ylabel("digit (five images each)")
            for border in range(PER_DIGIT, 10 * PER_DIGIT, PER_DIGIT):
                ax.axhline(border - 0.5, color="white", lw=1.2)
            ax.grid(visible=False)
        figure.colorbar(picture, ax=axes, label="shift [added to a]", pad=0.02)
    return figure


def filters_and_outputs(layers: Mapping[str, LayerSigns]) -> Figure:
    """A panel per title: each filter's share of +1 among its weights, q, against that among its outputs, P.

    The line is P of random signs with the layer's mean share p of +1 among its inputs (``signs.random_signs``).
    """
    line = np.linspace(0.4, 0.6, 41)
    with drawing(4.75 * len(layers), 3.9) as figure:
        axes = figure.subplots(1, len(layers), sharex=True, sharey=True, squeeze=False)[0]
        for ax, (title, layer) in zip(axes, layers.items()):
            p = layer.input_after.mean()
            closed = [100 * random_signs(p, share, layer.fan_in).plus for share in line]
            ax.plot(100 * line, closed, color=BLACK, ls="--", lw=1.8, label="formula of notebook 01")
            look = {"ls": "", "marker": "o", "color": BLUE, "mec": "white", "mew": 0.5, "ms": 6.5}
            ax.plot(100 * layer.weight_after, 100 * layer.output, label="one output channel", **look)
            ax.set(title=f"{title}: p = {p:.2f}", xlabel="+1 among the filter's weights, q [%]")
            ax.set(xlim=(40, 60), ylim=(0, 100), xticks=range(40, 61, 5))
        axes[0].set_ylabel("+1 among its outputs, P [%]")
        axes[0].legend(loc="upper left", fontsize=10)
    return figure


def ede_slopes(slopes: Mapping[float, Tensor], x: Tensor) -> Figure:
    """Left k·tanh(t·x) beside the sign, right its ``slopes`` at x, for the t of ``EDE_LOOKS``."""
    with drawing(9.5, 3.6) as figure:
        left, right = figure.subplots(1, 2)
        left.plot(x, sign(x), color=GREY, lw=4, alpha=0.6, label="sign(x)")
        for t, (colour, line) in EDE_LOOKS.items():
            look = {"color": colour, "ls": line, "lw": 2.2, "label": f"t = {t:g}"}
            left.plot(x, ede_k(t) * torch.tanh(t * x), **look)
            right.plot(x, slopes[t], **look)
        left.set(xlabel="x", ylabel="k·tanh(t·x)", title="What backward pretends sign is", ylim=(-1.6, 1.6))
        right.set(xlabel="x", ylabel="slope: k·t·(1 − tanh²(t·x))", title="Its slope, used as gradient")
        left.legend(loc="upper left", fontsize=9)
        right.legend(loc="upper right", fontsize=9)
    return figure


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
    """A panel per data set and network: share of weight signs flipped in each layer, a line per run; dashed: fresh.

    ``runs``: rows of ``analysis.weight_flips.committed``.
    """
    panels = [*runs.groupby(["network", "data"], sort=False)]
    with drawing(8.6, 2.9 * len(panels) + 0.3) as figure:
        axes = figure.subplots(len(panels), squeeze=False, sharey=True)[:, 0]
        for ax, (where, those) in zip(axes, panels):
            lines = those.groupby(["run", "method", "epochs", "n"], sort=False)
            for ((_, method, epochs, n), run), (colour, marker) in zip(lines, LINES * len(lines)):
                places = np.arange(1, len(run) + 1)
                ax.plot(places, 100 * run["flips"], marker, ls="-", color=colour, mec=BLACK, lw=1.2,
                        label=f"{method}, {epochs} epochs, n = {n}")  # fmt: skip
            ax.plot(places, 100 * run["fresh"], color=BLACK, ls="--", label="expected before training")
            ax.set(title=" on ".join(where), ylabel="signs flipped [%]", xticks=places[::2])
            ax.set_ylim(-0.01)
            ax.legend(fontsize=9.5, loc="center left", bbox_to_anchor=(1.01, 0.5))
        axes[-1].set_xlabel("binary layer, from the first to the last")
    return figure

"""Pictures for notebooks 00 and 01: data in, ``Figure`` out."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..core import signs
from .theme import BLACK, BLUE, GREY, SIGNS, drawing


def sign_maps(image: np.ndarray, maps: np.ndarray, title: str) -> Figure:
    """An ``image`` (H, W), and beside it some of the ``maps`` (K, H, W) of ±1 that were made of it."""
    with drawing(9, 2.15) as figure:
        first, *others = figure.subplots(1, 1 + len(maps))
        first.imshow(image, cmap="gray_r")
        first.set_title(title)
        for number, (ax, values) in enumerate(zip(others, maps)):
            ax.imshow(values, cmap=SIGNS, vmin=-1, vmax=1)
            ax.set_title(f"map {number}")
        for ax in (first, *others):
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
        figure.suptitle("light orange: +1, dark blue: −1", x=0.19, ha="left", fontsize=11)
    return figure


def sign_and_surrogate() -> Figure:
    """Left: sign(x) and clip(x). Right: their derivatives; the clip's is the straight-through estimator."""
    x = np.linspace(-2, 2, 401)
    with drawing(7.4, 3.2) as figure:
        left, right = figure.subplots(1, 2)
        left.plot(x, np.where(x >= 0, 1, -1), color=BLACK, lw=2, label="sign(x), used forward")
        left.plot(x, x.clip(-1, 1), color=BLUE, lw=2, ls="--", label="clip(x), pretended backward")
        left.set(xlabel="x", ylabel="value", title="Forward", ylim=(-1.3, 1.9))
        right.plot(x, 0 * x, color=BLACK, lw=2, label="derivative of sign(x): 0")
        right.plot(x, abs(x) <= 1, color=BLUE, lw=2, ls="--", label="surrogate gradient (STE)")
        right.set(xlabel="x", ylabel="derivative", title="Backward", ylim=(-0.1, 1.6))
        for ax in (left, right):
            ax.legend(loc="upper left", fontsize=10)
    return figure


def unit_maps(ink: np.ndarray, shares: np.ndarray) -> Figure:
    """Two maps of pixels: the mean image ``ink`` (H, W) from 0 to 1, and the mean entropy of the units at each pixel,
    from their ``shares`` of +1 (O, H, W)."""
    panels = {"mean image\n[ink, 0 to 1]": ink, "mean entropy\nof the units [bit]": signs.entropy(shares).mean(axis=0)}
    with drawing(7.4, 4.3) as figure:
        figure.get_layout_engine().set(h_pad=0.1)  # else the titles leave the figure by a pixel or two
        for ax, (title, values) in zip(figure.subplots(1, 2), panels.items()):
            ax.imshow(values, cmap="cividis")
            middle = (values.min() + values.max()) / 2
            for (row, column), value in np.ndenumerate(values):
                ink_colour = "black" if value > middle else "white"
                ax.text(column, row, f"{value:.1f}", ha="center", va="center", color=ink_colour)
            ax.set(title=title, xticks=[], yticks=[])
    return figure


def shares_by_layer(layers: pd.DataFrame) -> Figure:
    """Left: a row per binary layer, its channels' shares of +1 as a histogram in shades. Right: mean entropy.

    ``layers``: columns shares (channels per bin, a list), channels, dead and entropy, as ``silent_channels`` has them.
    """
    counts = np.array(layers["shares"].tolist()) / layers["channels"].to_numpy()[:, None]
    rows = np.arange(1, len(layers) + 1)
    with drawing(7.4, 4.8) as figure:
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.7, 1))
        edges = np.append(rows - 0.5, rows[-1] + 0.5)
        shades = left.pcolormesh(np.linspace(0, 1, counts.shape[1] + 1), edges, 100 * counts, cmap="cividis", vmin=0)
        figure.colorbar(shades, ax=left, label="channels of the layer [%]", location="top", aspect=40, pad=0.02)
        left.set(xlabel="share of +1 among a channel's outputs", ylabel="binary layer")
        left.set(yticks=rows, ylim=edges[[-1, 0]])
        right.barh(rows, layers["entropy"], color=GREY, height=0.7)
        for row, (bits, dead) in zip(rows, layers[["entropy", "dead"]].to_numpy()):
            if dead:
                right.annotate(f"{dead:.0f} dead", (bits, row), (4, 0), "data", "offset points", va="center", size=9.5)
        right.set(xlabel="mean entropy [bit]", xlim=(0, 1.25), xticks=(0, 0.5, 1))
        for ax in (left, right):
            ax.grid(visible=False)
            ax.tick_params(labelsize=9.5)
    return figure

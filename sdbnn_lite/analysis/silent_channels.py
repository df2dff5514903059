"""Channels that say nothing, in the network trained on Imagenette: counted in its committed table of signs.

A channel is *dead* where the convolution's outputs y all had one sign on the recorded images, and *one-sided* where one
sign has a share of at least 95 % (the outermost bins of the table's histogram).
"""

from dataclasses import dataclass

import pandas as pd

from ..core.methods import METHODS
from ..core.signs import random_signs
from . import imagenet, tables
from .captions import span
from .final_signs import read_signs


@dataclass(frozen=True)
class SilentChannels:
    """``layers``, a row per binary layer from 1 up: mean shares of +1 p of the inputs (after ASD) and q of the weights,
    mean entropy [bit], numbers of channels, dead and one_sided, and shares, the channels per bin of their share of +1.
    ``counts``: their sums, layers, and below_half, the layers with less than half a bit. ``about``: of what it is."""

    layers: pd.DataFrame
    counts: dict[str, int]
    about: str


def silent_channels(dataset: str = "imagenette", part: str = "stage2") -> SilentChannels | None:
    """Counted in the longest published run of that part; None where there is none with such a table."""
    name = imagenet.longest(dataset).get(part)
    signs, images = read_signs(tables.results_of(name), "validation images") if name else (pd.DataFrame(), "")
    if signs.empty:
        return None
    run, shares = tables.published_runs(dataset)[name], signs["share_histogram"].str.split()
    shares = shares.map(lambda counts: [int(count) for count in counts])
    layers = pd.DataFrame({"p": signs["input_after"], "q": signs["weight_after"], "entropy": signs["entropy"],
                           "channels": shares.map(sum), "dead": signs["dead_channels"],
                           "one_sided": shares.map(lambda counts: counts[0] + counts[-1]),
                           "shares": shares}).set_axis(range(1, len(signs) + 1))  # fmt: skip
    counts = layers[["channels", "dead", "one_sided"]].sum().to_dict()
    counts |= {"layers": len(layers), "below_half": int((layers["entropy"] < 0.5).sum())}
    return SilentChannels(layers, counts, f"{run['data'].split(' (')[0]}, ResNet-18 at {run['image_size']} pixels, "
                          f"{METHODS[run['method']].short}, {run['epochs']} epochs, {images.split(',')[0]}, n = 1 seed")


def silent_in_words(found: SilentChannels) -> str:
    """How many channels are dead or one-sided, in how many layers little is said, and where it was measured."""
    c = found.counts
    return (f"{c['dead']:,} of {c['channels']:,} channels are dead, {c['one_sided']:,} have one sign in at least 95 % "
            f"of their outputs; in {c['below_half']} of {c['layers']} layers the mean entropy is below half a bit, "
            f"{found.layers['entropy'].min():.2f} bit at the lowest ({found.about})")  # fmt: skip


def formula_in_words(found: SilentChannels, layer: int, fan_in: int) -> str:
    """What the formula for random signs says of the ``layer``, and what was measured in it and the two after it."""
    row, rows = found.layers.loc[layer], found.layers.loc[layer : layer + 2]
    p, q, bits = (span(rows[column].tolist(), 2) for column in ("p", "q", "entropy"))
    return (f"The formula gives P = {random_signs(row.p, row.q, fan_in).plus:.2f}; {row.one_sided} of {row.channels} "
            f"channels are that one-sided. In layers {layer} to {layer + 2}, with p = {p} and q = {q}, "
            f"{rows['one_sided'].sum()} of {rows['channels'].sum()} are, and the mean entropy is {bits} bit.\n\nIn the "
            f"whole network {silent_in_words(found)}.")  # fmt: skip

"""Channels that hardly ever change sign: predicted from a layer's shares of +1 by 01's closed form, and counted.

A channel is *dead* where the convolution's outputs y all had one sign on the recorded images, and *one-sided* where one
sign has a share of at least 95 % (the outermost bins of the histogram in final_signs.csv; dead ones included).
"""

from dataclasses import dataclass

import pandas as pd
import torch

from ..core.layers import binary_layers
from ..core.methods import METHODS
from ..core.models import build
from ..core.signs import entropy, random_signs
from . import imagenet, tables
from .captions import span
from .final_signs import read_signs

SILENT = 0.1  # bit; below this a layer is predicted to say next to nothing


def layer_table(name: str, dataset: str = "imagenette") -> tuple[pd.DataFrame, str]:
    """A row per binary layer of the published run ``name``, from 1 up, and on which images it was measured.

    p, q: mean shares of +1 among the inputs (after ASD) and the weights; n, the fan-in; P and predicted: the share of
    +1 and the entropy [bit] of n random products. Measured: mean entropy [bit], the numbers of channels, dead and
    one_sided, and shares, the channels per bin of their share of +1. No rows where the run has no signs.
    """
    with torch.device("meta"):
        layers = binary_layers(build(tables.published_runs(dataset)[name]["network"]))
    signs, images = read_signs(tables.results_of(name), "validation images")
    rows = []
    for place, row in enumerate(signs.to_dict("records"), 1):
        p, q, n = row["input_after"], row["weight_after"], layers[row["layer"]].weight[0].numel()
        plus = min(random_signs(p, q, n).plus, 1.0)  # rounding may pass 1
        shares = [int(count) for count in row["share_histogram"].split()]
        rows.append({"layer": place, "p": p, "q": q, "n": n, "P": plus, "predicted": float(entropy(plus)),
                     "entropy": row["entropy"], "channels": sum(shares), "dead": row["dead_channels"],
                     "one_sided": shares[0] + shares[-1], "shares": shares})  # fmt: skip
    return pd.DataFrame(rows, index=range(1, len(rows) + 1)), images


def predicted_in_words(table: pd.DataFrame, images: str) -> str:
    """What of :func:`layer_table` was predicted, and what was found."""
    dead, one_sided, every = (int(table[column].sum()) for column in ("dead", "one_sided", "channels"))
    where = ", ".join(f"{row.layer} ({row.dead})" for row in table.itertuples() if row.dead)
    silent = table["predicted"] < SILENT
    said = [f"{len(found)} layer{'s' * (len(found) > 1)} that {what}: {found['entropy'].mean():.2f} bit an output sign "
            f"({found['entropy'].min():.2f} to {found['entropy'].max():.2f})"
            for found, what in ((table[silent], "the formula calls silent"), (table[~silent], "it doesn't"))
            if len(found)]  # fmt: skip
    return (f"{dead:,} of {every:,} channels have one sign on all of {images}{f', in layers {where}' if dead else ''}; "
            f"{one_sided:,} have one sign in 95% of their outputs or more. The {'; the '.join(said)}.")  # fmt: skip


@dataclass(frozen=True)
class SilentChannels:
    """``layers``: a :func:`layer_table`. ``counts``: its sums of channels, dead and one_sided, the number of layers,
    and below_half, the layers with less than half a bit. ``about``: of what it is."""

    layers: pd.DataFrame
    counts: dict[str, int]
    about: str


def silent_channels(dataset: str = "imagenette", part: str = "stage2") -> SilentChannels | None:
    """Counted in the longest published run of that part; None where there is none with such a table."""
    name = imagenet.longest(dataset).get(part)
    layers, images = layer_table(name, dataset) if name else (pd.DataFrame(), "")
    if layers.empty:
        return None
    run, counts = tables.published_runs(dataset)[name], layers[["channels", "dead", "one_sided"]].sum().to_dict()
    counts |= {"layers": len(layers), "below_half": int((layers["entropy"] < 0.5).sum())}
    return SilentChannels(layers, counts, f"{run['data'].split(' (')[0]}, ResNet-18 at {run['image_size']} pixels, "
                          f"{METHODS[run['method']].short}, {run['epochs']} epochs, {images.split(',')[0]}, n = 1 seed")


def silent_in_words(found: SilentChannels) -> str:
    """How many channels are dead or one-sided, in how many layers little is said, and where it was measured."""
    c = found.counts
    return (f"{c['dead']:,} of {c['channels']:,} channels are dead, {c['one_sided']:,} have one sign in at least 95 % "
            f"of their outputs; in {c['below_half']} of {c['layers']} layers the mean entropy is below half a bit, "
            f"{found.layers['entropy'].min():.2f} bit at the lowest ({found.about})")  # fmt: skip


def formula_in_words(found: SilentChannels, layer: int) -> str:
    """What the formula for random signs says of the ``layer``, and what was measured in it and the two after it."""
    row, rows = found.layers.loc[layer], found.layers.loc[layer : layer + 2]
    p, q, bits = (span(rows[column].tolist(), 2) for column in ("p", "q", "entropy"))
    return (f"The formula gives P = {row.P:.2f}; {row.one_sided} of {row.channels} channels are that one-sided. In "
            f"layers {layer} to {layer + 2}, with p = {p} and q = {q}, {rows['one_sided'].sum()} of "
            f"{rows['channels'].sum()} are, and the mean entropy is {bits} bit.\n\nIn the whole network "
            f"{silent_in_words(found)}.")  # fmt: skip

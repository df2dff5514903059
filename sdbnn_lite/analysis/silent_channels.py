"""Channels that say nothing, in the network that was trained on Imagenette: counted in its committed table of signs.

A channel is *dead* where the convolution's outputs y all had one sign on the recorded images; it is *one-sided* where
one sign's share is at most 5 % (the outermost bins of the table's histogram).
"""

from dataclasses import dataclass

import pandas as pd

from ..core.methods import METHODS
from ..core.record import SHARE_BINS
from . import imagenet, tables
from .captions import span
from .final_signs import read_signs

HALF = 0.5  # bit: below it, a layer's mean entropy counts as low


@dataclass(frozen=True)
class SilentChannels:
    """A row per binary layer: p and q (mean shares of +1 of its inputs, after ASD, and weights), entropy [bit],
    channels, dead, one_sided (counts), shares (channels per bin of their share of +1). ``about``: of what it is."""

    layers: pd.DataFrame
    about: str

    @property
    def counts(self) -> dict[str, int]:
        """channels, dead and one_sided of the whole network; below_half: layers with a low mean entropy; layers."""
        total = self.layers[["channels", "dead", "one_sided"]].sum().to_dict()
        return {**total, "below_half": int((self.layers["entropy"] < HALF).sum()), "layers": len(self.layers)}


def silent_channels(dataset: str = "imagenette", part: str = "stage2") -> SilentChannels | None:
    """Counted in the longest published run of that part; None where there is none with such a table."""
    name = imagenet.longest(dataset).get(part)
    signs, images = read_signs(tables.results_of(name), "validation images") if name else (pd.DataFrame(), "")
    if signs.empty:
        return None
    run = tables.published_runs(dataset)[name]
    shares = signs["share_histogram"].str.split().map(lambda counts: [int(count) for count in counts])
    layers = pd.DataFrame({"p": signs["input_after"], "q": signs["weight_after"], "entropy": signs["entropy"],
                           "channels": shares.map(sum), "dead": signs["dead_channels"],
                           "one_sided": shares.map(lambda counts: counts[0] + counts[-1]),
                           "shares": shares}).set_axis(range(1, len(signs) + 1))  # fmt: skip
    about = (f"{run['data'].split(' (')[0]}, ResNet-18 at {run['image_size']} pixels, {METHODS[run['method']].short}, "
             f"{run['epochs']} epochs, {images.split(',')[0]}, n = 1 seed")  # fmt: skip
    return SilentChannels(layers, about)


def silent_in_words(found: SilentChannels) -> str:
    """How many channels are dead or one-sided, and in how many layers little is said; where it was measured."""
    c = found.counts
    low = found.layers["entropy"].min()
    return (f"{c['dead']:,} of {c['channels']:,} channels are dead, {c['one_sided']:,} have one sign in at least "
            f"{1 - 1 / SHARE_BINS:.0%} of their outputs; in {c['below_half']} of {c['layers']} layers the mean entropy "
            f"is below half a bit, {low:.2f} bit at the lowest ({found.about})")  # fmt: skip


def layers_in_words(found: SilentChannels, first: int, last: int) -> str:
    """The same for the layers ``first`` to ``last``, counted from 1, beside what they get."""
    rows = found.layers.loc[first:last]
    p, q, bits = (span(rows[column].tolist(), 2) for column in ("p", "q", "entropy"))
    return (f"In layers {first} to {last} a share of {p} of the inputs is +1 and of {q} of the weights; "
            f"{rows['one_sided'].sum()} of their {rows['channels'].sum()} channels have one sign in at least "
            f"{1 - 1 / SHARE_BINS:.0%} of their outputs, and the mean entropy is {bits} bit.")  # fmt: skip

"""Explorer: how often the output channels of a layer say +1, for two methods, epoch by epoch, over three seeds.

Everything comes from the tables of the digits study: one row per method, seed, epoch and layer. P is a channel's share
of +1 among its outputs, before batch norm; H(P) its entropy in bits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...analysis.tables import read_study
from ...core.methods import METHODS
from ...errors import UsageError
from ...plots.parts import sign_bars
from ...plots.theme import BLACK, COLOURS, GREY, MARKERS, drawing
from ...training.recipes import get_recipe
from ...training.sign_rows import SHARE_BINS
from .. import widgets
from ..widgets import Control

STUDY = "digits"
LAYERS = ("conv2", "conv3")
EPOCHS = get_recipe(STUDY).epochs
ALL = "all"  # the seeds together
SEEDS = (0, 1, 2)
BINARY = tuple(name for name, method in METHODS.items() if method.binary)
EDGES = np.linspace(0, 1, SHARE_BINS + 1)
BALANCED = (0.4, 0.6)  # channels in here use both signs about equally

_METHODS = [(METHODS[name].title, name) for name in BINARY]
CONTROLS = (
    Control("method_a", "method on the left", "ede", choices=_METHODS),
    Control("method_b", "method in the middle", "asd", choices=_METHODS),
    Control("layer", "layer", "conv2", choices=LAYERS, buttons=True),
    Control("epoch", "after epoch", EPOCHS, unit="of training", min=1, max=EPOCHS, step=1),
    Control("seed", "seed of the training", ALL, choices=(("all three", ALL), *SEEDS), buttons=True),
)
PRESETS = {
    "ASD against its control": {"method_a": "ede", "method_b": "asd", "layer": "conv2", "epoch": EPOCHS},
    "the same, one layer later": {"method_a": "ede", "method_b": "asd", "layer": "conv3", "epoch": EPOCHS},
    "the same, after the first epoch": {"method_a": "ede", "method_b": "asd", "layer": "conv2", "epoch": 1},
    "WSD against its control": {"method_a": "ede", "method_b": "wsd", "layer": "conv2", "epoch": EPOCHS},
    "a scale against none": {"method_a": "bnn", "method_b": "xnor", "layer": "conv2", "epoch": EPOCHS},
    "balanced weights against none": {"method_a": "bnn", "method_b": "irnet", "layer": "conv2", "epoch": EPOCHS},
}
VALUES = (1, 4, 12, EPOCHS)  # epochs in the static version
LINES = (0, 10, 20, 30)  # channels, where histograms have a line across


@dataclass(frozen=True)
class Side:
    """One method. Arrays have a row or an entry per seed.

    channels    (S, SHARE_BINS) output channels per bin of their share of +1
    entropy     (S, EPOCHS) mean over the channels, in bits, after each epoch
    accuracy    (S,) share of test images that are right, after the chosen epoch
    """

    method: str
    channels: np.ndarray
    entropy: np.ndarray
    accuracy: np.ndarray

    @property
    def name(self) -> str:
        return METHODS[self.method].short

    @property
    def balanced(self) -> float:
        """Channels whose share of +1 lies within ``BALANCED``, mean over the seeds."""
        middles = (EDGES[:-1] + EDGES[1:]) / 2
        return float(self.channels[:, (middles > BALANCED[0]) & (middles < BALANCED[1])].sum(axis=1).mean())


@dataclass(frozen=True)
class Stats:
    """Two methods in the same layer after the same epoch."""

    layer: str
    epoch: int
    seed: int | str
    a: Side
    b: Side

    @property
    def bits(self) -> tuple[float, float]:
        """Entropy of both after the chosen epoch, mean over channels and seeds."""
        return tuple(float(side.entropy[:, self.epoch - 1].mean()) for side in (self.a, self.b))


@cache
def _tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    keys = ["method", "layer", "seed", "epoch"]
    signs = read_study(STUDY, "signs.csv").set_index(keys).sort_index()
    return signs, read_study(STUDY, "epochs.csv").set_index(["method", "seed", "epoch"]).sort_index()


@cache
def _side(method: str, layer: str, epoch: int, seed: int | str) -> Side:
    signs, epochs = _tables()
    seeds = list(SEEDS) if seed == ALL else [seed]
    chosen = signs.loc[(method, layer)].loc[seeds]
    now = chosen.xs(epoch, level="epoch")
    return Side(method, np.array([text.split() for text in now["share_histogram"]], dtype=int),
                chosen["entropy"].to_numpy().reshape(len(seeds), -1),
                epochs.loc[method].loc[seeds].xs(epoch, level="epoch")["test_accuracy"].to_numpy())  # fmt: skip


def compute(method_a: str, method_b: str, layer: str, epoch: int, seed: int | str = ALL) -> Stats:
    """Everything that is drawn and said, from the study's tables. Raises UsageError for what isn't in them."""
    known = {"method_a": [*BINARY], "method_b": [*BINARY], "layer": [*LAYERS], "epoch": range(1, EPOCHS + 1)}
    known["seed"] = [ALL, *SEEDS]
    for (name, values), value in zip(known.items(), (method_a, method_b, layer, epoch, seed)):
        if value not in values:
            raise UsageError(f"{name}={value!r}: the digits study has {values}")
    return Stats(layer, epoch, seed, _side(method_a, layer, epoch, seed), _side(method_b, layer, epoch, seed))


def say(stats: Stats) -> str:
    """The picture in words."""
    who = f"{len(SEEDS)} seeds" if stats.seed == ALL else f"seed {stats.seed}"
    return f"Layer {stats.layer} after epoch {stats.epoch}, {who}. " + " ".join(
        f"{side.name}: {side.balanced:.0f} of {side.channels[0].sum()} channels say +1 in {BALANCED[0]:.0%} to "
        f"{BALANCED[1]:.0%} of their outputs; {_range(side.entropy[:, stats.epoch - 1], 3)} bit per sign; "
        f"{_range(100 * side.accuracy, 1)} % of the test images right."
        for side in (stats.a, stats.b)
    ) + " " + _verdict(stats)  # fmt: skip


def _range(values: np.ndarray, digits: int) -> str:
    """Mean, and the seeds' range where there are several."""
    mean = f"{values.mean():.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ({values.min():.{digits}f} to {values.max():.{digits}f})"


def _verdict(stats: Stats) -> str:
    if stats.a.method == stats.b.method:
        return "Both sides show the same method."
    ours, theirs = (side.entropy[:, stats.epoch - 1] for side in (stats.a, stats.b))
    if ours.max() >= theirs.min() and theirs.max() >= ours.min():
        return "The seeds' entropies overlap: here the two methods can't be told apart by them."
    first, second = stats.bits
    less, more = (stats.b, stats.a) if second < first else (stats.a, stats.b)
    return f"The signs of {less.name} say {abs(first - second):.3f} bit less than those of {more.name}."


def draw(stats: Stats) -> Figure:
    """Left and middle: the channels of both methods over their share of +1. Right: the entropy over the epochs."""
    with drawing(9.6, 3.7, fixed=True) as figure:
        left, middle, right = (figure.add_axes((x, 0.16, 0.265, 0.66)) for x in (0.06, 0.37, 0.72))
        for ax, side in ((left, stats.a), (middle, stats.b)):
            _histogram(ax, side, _most(), ticks=(0, 50, 100))
            bits, correct = side.entropy[:, stats.epoch - 1].mean(), 100 * side.accuracy.mean()
            ax.set_title(f"{side.name}\n{bits:.3f} bit, {correct:.1f} % correct", y=1.02)
            ax.set_xlabel("share of +1 of a channel [%]")
        middle.set_yticks(())  # a tick takes 2 ms; the lines across say the same, and the axis on the left reads them
        left.set_ylabel(f"channels of {stats.layer} [number]")
        _course(right, stats)
    return figure


def small_multiples(methods: Sequence[str] = ("ede", "asd"), layer: str = "conv2",
                    epochs: Sequence[int] = VALUES) -> Figure:  # fmt: skip
    """The explorer without its sliders: a row per method, a column per epoch, all seeds."""
    if not len(methods) or not len(epochs):
        raise UsageError("methods, epochs: at least one of both is needed")
    every = [[compute(method, method, layer, epoch, ALL) for epoch in epochs] for method in methods]
    with drawing(2.25 * len(epochs) + 0.6, 2.2 * len(methods) + 1.1) as figure:
        axes = figure.subplots(len(methods), len(epochs), sharex=True, sharey=True, squeeze=False)
        for line, row in zip(axes, every):
            for ax, stats in zip(line, row):
                _histogram(ax, stats.a, _most(), ticks=(0, 25, 50, 75, 100))
                ax.set_title(f"epoch {stats.epoch}: {stats.bits[0]:.2f} bit", size=11, weight="normal")
            line[0].set_ylabel(f"{row[0].a.name}\nchannels [number]")
        for ax in axes[-1]:
            ax.set_xlabel("share of +1 [%]")
        bars = f"bars: mean of {len(SEEDS)} seeds, whiskers: their range; hatched: more +1 than −1"
        figure.suptitle(f"Layer {layer}; {bars}", size=11)
    return figure


@cache
def _most() -> int:
    """The largest number of channels in one bin, ever: all histograms have the same height, so that they compare."""
    return max(int(count) for text in _tables()[0]["share_histogram"] for count in text.split())


def _histogram(ax: Axes, side: Side, top: int, ticks: Sequence[int]) -> None:
    """Bars: mean number of channels over the seeds, hatched where +1 is the more frequent sign. Whiskers: range."""
    mean, middles = side.channels.mean(axis=0), 50 * (EDGES[:-1] + EDGES[1:])
    sign_bars(ax, mean, 100 * EDGES, np.arange(SHARE_BINS) >= SHARE_BINS // 2)
    if len(side.channels) > 1:
        low, high = side.channels.min(axis=0), side.channels.max(axis=0)
        ax.vlines(middles[high > low], low[high > low], high[high > low], color=BLACK, lw=1.4)
    ax.axvline(50, color=BLACK, lw=1.2, ls="--")
    ax.hlines(LINES, 0, 100, color="#cccccc", lw=1, zorder=0)
    ax.set(xlim=(0, 100), ylim=(0, top), xticks=ticks, yticks=LINES)
    ax.grid(visible=False)


def _course(ax: Axes, stats: Stats) -> None:
    """Mean entropy over the epochs, the seeds' range as a band, and the epoch that the histograms show."""
    epochs = np.arange(1, EPOCHS + 1)
    bottom = min(0.85, min(side.entropy.min() for side in (stats.a, stats.b)) - 0.02)
    bottom = np.floor(20 * bottom) / 20
    ax.axvline(stats.epoch, color=GREY, lw=3)
    for side, style, every in ((stats.a, "-", slice(0, None, 6)), (stats.b, "--", slice(3, None, 6))):
        colour = COLOURS[side.method]
        mean = side.entropy.mean(axis=0)
        if len(side.entropy) > 1:
            ax.fill_between(epochs, side.entropy.min(axis=0), side.entropy.max(axis=0), color=colour, alpha=0.3, lw=0)
        ax.plot(epochs, mean, style, color=BLACK, lw=1.2, marker=MARKERS[side.method], mfc=colour, mec=BLACK, ms=8,
                markevery=every, label=side.name)  # fmt: skip
    ax.set(xlim=(0, EPOCHS + 1), ylim=(bottom, 1.005), xticks=(1, EPOCHS // 2, EPOCHS))
    ax.set_yticks(np.arange(round(20 * bottom), 21) / 20)
    ax.set_title(f"Entropy; grey: epoch {stats.epoch}", y=1.02)
    ax.set(xlabel="epoch", ylabel="mean of the channels [bit]")
    ax.legend(loc="lower right", fontsize=9, framealpha=1)


explorer = partial(widgets.explorer, compute, draw, say, CONTROLS, PRESETS)

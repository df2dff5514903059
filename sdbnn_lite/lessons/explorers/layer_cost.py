"""Explorer: the shape of a 3×3 convolution, what it costs as floats and on bits, and how long it takes here.

products = batch · H · W · 9 · C_in · C_out;   predicted = max(products / peak, bytes / bandwidth), of one core
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...cost import roofline
from ...cost.roofline import ConvShape, Peaks, Timed
from ...errors import UsageError
from ...plots.parts import fill, finish
from ...plots.theme import BLACK, BLUE, GREY, ORANGE, drawing
from .. import widgets
from ..widgets import Control

CONTROLS = (
    Control("channels", "channels in", 64, unit="maps", min=16, max=512, step=16),
    Control("outputs", "channels out", 64, unit="maps", min=16, max=512, step=16),
    Control("side", "image side", 56, unit="pixels", min=2, max=64, step=1),
    Control("batch", "batch", 1, unit="images", min=1, max=32, step=1),
)
PRESETS = {
    "ResNet-18, first stage, one image": {"channels": 64, "outputs": 64, "side": 56, "batch": 1},
    "ResNet-18, last stage, one image": {"channels": 512, "outputs": 512, "side": 7, "batch": 1},
    "ResNet-18, first stage, 32 images": {"channels": 64, "outputs": 64, "side": 56, "batch": 32},
    "ResNet-20, first stage: a quarter of a word": {"channels": 16, "outputs": 16, "side": 32, "batch": 1},
    "80 channels: two words, not full": {"channels": 80, "outputs": 64, "side": 56, "batch": 1},
    "four pixels, many weights": {"channels": 512, "outputs": 512, "side": 2, "batch": 1},
}
VALUES = (16, 64, 128, 256, 512)  # channels in and out, in the static version
KINDS = {"float32": ("float32", ORANGE, "//"), "packed": ("on bits", BLUE, "")}


@dataclass(frozen=True)
class Stats:
    """A layer's counts, what the roofline predicts for it, and what was measured."""

    shape: ConvShape
    peaks: Peaks
    timed: Timed

    @property
    def ops(self) -> float:
        """BOPs / 64."""
        return self.shape.products / 64

    @property
    def used(self) -> float:
        """The share of the words' bits that hold a channel."""
        return self.shape.channels / (64 * self.shape.words)

    def predicted(self, kind: str) -> float:
        """Seconds."""
        return self.peaks.predict(self.shape, kind)

    def measured(self, kind: str) -> float:
        """Seconds."""
        return self.timed.seconds[kind]


def compute(channels: int, outputs: int, side: int, batch: int, whole: bool = False) -> Stats:
    """Everything that is drawn and said. The peaks are measured at the first call, each shape once.

    Large layers are timed on a part of them, for speed; ``whole``: all of it and more often, for pictures that stay.
    """
    shape = ConvShape(channels, outputs, side, side, batch)
    timed = roofline.measure(shape, 12, whole=True) if whole else roofline.measure(shape)
    return Stats(shape, roofline.measure_peaks(), timed)


def counts_in_words(stats: Stats) -> str:
    """What was counted, and so is the same on every machine."""
    shape = stats.shape
    return (f"{shape}: {number(shape.products)} products, as BOPs/64 {number(stats.ops)} OPs. Weights "
            f"{in_bytes(shape.weight_bytes('float32'))} as float32, {in_bytes(shape.weight_bytes('bits'))} on bits; "
            f"activations {in_bytes(shape.input_bytes('float32'))} and {in_bytes(shape.input_bytes('bits'))}. "
            f"{stats.used:.0%} of each word's bits hold a channel.")  # fmt: skip


def say(stats: Stats) -> str:
    """The picture in words."""
    f, p = (1000 * stats.measured(kind) for kind in KINDS)
    a, b = (1000 * stats.predicted(kind) for kind in KINDS)
    pace = "arithmetic sets" if stats.peaks.bound(stats.shape, "packed") == "arithmetic" else "bytes set"
    share = "" if stats.timed.share == 1 else f", scaled up from {stats.timed.share:.2%} of the layer"
    return (f"{counts_in_words(stats)} One core could do it in {a:.3g} ms in float32 and in {b:.3g} ms on bits, where "
            f"{pace} the pace. Measured{share}: {f:.3g} ms and {p:.3g} ms with packing, {f / p:.1f} "
            "times as fast.")  # fmt: skip


def number(value: float) -> str:
    """1.8 million, in words; below a million with commas."""
    for size, name in ((1e9, "billion"), (1e6, "million")):
        if value >= size:
            return f"{value / size:.3g} {name}"
    return f"{value:,.0f}"


def in_bytes(value: float) -> str:
    """4.5 KiB, and so on."""
    for size, name in ((2**20, "MiB"), (2**10, "KiB")):
        if value >= size:
            return f"{value / size:.3g} {name}" if value < 1000 * size else f"{value / size:,.0f} {name}"
    return f"{value:.0f} bytes"


def draw(stats: Stats) -> Figure:
    """Left: predicted and measured time. Right: what has to be kept and moved, as floats and on bits."""
    with drawing(9.4, 3.4, fixed=True) as figure:
        margins = {"left": 0.185, "right": 0.975, "bottom": 0.17, "top": 0.88, "wspace": 0.66}
        left, right = figure.subplots(1, 2, gridspec_kw=margins)
        _times(left, stats, labels=True)
        left.set_title("Time on one core", y=1.02)
        _bytes(right, stats)
    return figure


def small_multiples(values: Sequence[int] = VALUES, side: int = 14, batch: int = 1) -> Figure:
    """The explorer without its sliders: one panel per number of channels, in and out."""
    if not len(values):
        raise UsageError("values: empty; at least one number of channels is needed")
    every = [compute(c, c, side, batch, whole=True) for c in values]
    rows = -(-len(every) // 2)
    with drawing(8.3, 0.9 + 2.3 * rows) as figure:
        for i, (ax, stats) in enumerate(fill(figure.subplots(rows, 2, squeeze=False), every)):
            _times(ax, stats, labels=i % 2 == 0)
            ratio = stats.measured("float32") / stats.measured("packed")
            ax.set_title(f"{stats.shape.channels} channels: bits ×{ratio:.1f}")
        bars = "outlined: predicted by the roofline; filled: measured; ×: float32 over bits, measured"
        caption = f"{side}×{side} pixels, batch {batch}, one core; {bars}"
        return finish(figure, "One layer as floats and on bits: predicted and measured", caption)


def _times(ax: Axes, stats: Stats, labels: bool) -> None:
    """Four bars from the top: float32 predicted and measured, bits predicted and measured."""
    rows = []  # name, milliseconds and look of each bar
    for kind, (name, colour, hatch) in KINDS.items():
        filled = {"facecolor": colour, "edgecolor": "white", "hatch": hatch, "linewidth": 0}
        outlined = {"facecolor": "white", "edgecolor": BLACK, "linewidth": 1.5}
        rows.append((f"{name}, predicted", 1000 * stats.predicted(kind), outlined))
        rows.append((f"{name}, measured", 1000 * stats.measured(kind), filled))
    for row, (_, width, look) in enumerate(rows):
        ax.barh(row, width, height=0.72, **look)
        ax.annotate(f"{width:.2g}" if width < 100 else f"{width:,.0f}", (width, row), (4, 0),
                    textcoords="offset points", va="center", size=10)  # fmt: skip
    ax.set_yticks(range(len(rows)), [name for name, *_ in rows])
    ax.tick_params(labelleft=labels)  # set_yticks would empty the labels of all panels that share the axis
    ax.set(xlim=(0, 1.4 * max(width for _, width, _ in rows)), ylim=(len(rows) - 0.5, -0.5), xlabel="milliseconds")
    ax.grid(axis="y", visible=False)
    ax.locator_params(axis="x", nbins=4)


def _bytes(ax: Axes, stats: Stats) -> None:
    """Weights and activations, as float32 and on bits, on a scale of factors."""
    shape = stats.shape
    looks = (("float32", ORANGE, "s"), ("bits", BLUE, "o"))
    parts = (("weights", shape.weight_bytes), ("activations", shape.input_bytes))
    rows = [(f"{what}, {kind}", size(kind), *look) for what, size in parts for kind, *look in looks]
    for i, (_, size, colour, marker) in enumerate(rows):
        exponent = np.log10(size)  # a logarithmic axis would draw many ticks, slowly
        ax.plot([0, exponent], [i, i], color=GREY, lw=1)
        ax.plot(exponent, i, marker, ms=10, color=colour, mec=BLACK, mew=0.8)
        ax.annotate(in_bytes(size), (exponent, i), (9, 0), textcoords="offset points", va="center", size=10)
    ax.set_yticks(range(len(rows)), [name for name, *_ in rows])
    ax.set_xticks((2, 4, 6, 8), ("100", "10⁴", "10⁶", "10⁸"))
    ax.set(xlim=(1.5, 10.2), ylim=(len(rows) - 0.5, -0.5), xlabel="bytes (each step: 100 times as many)")
    ax.set_title("What has to be kept", y=1.02)
    ax.grid(axis="y", visible=False)


explorer = partial(widgets.explorer, compute, draw, say, CONTROLS, PRESETS)

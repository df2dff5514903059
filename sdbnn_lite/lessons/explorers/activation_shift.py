"""Explorer: one feature map on its way through a trained layer with ASD, and which signs its shift flips.

a  →  + shift  →  â = sign(a + shift)  →  sign(conv2d(â, ŵ));  the threshold on a is at -shift
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook

from ... import data
from ...core.layers import BinaryConv2d, binary_layers
from ...data.in_memory import ImageSet
from ...data.sets import digit_images
from ...errors import UsageError, unknown
from ...plots.theme import BLACK, GREY, MINUS, MINUS_HATCH, PLUS, PLUS_HATCH, SIGNS, drawing
from ...weights.zoo import load
from .. import widgets
from ..widgets import Control

NETWORK = "digits_asd"  # the trained network that is looked into
LAYERS = ("conv2", "conv3")
MODES = (("ASD on", "asd"), ("ASD off", "off"), ("my own shift", "own"))

CONTROLS = (
    Control("image", "test image", 4, unit="number", min=0, max=359, step=1),
    Control("layer", "binary layer", "conv2", choices=LAYERS, buttons=True),
    Control("channel", "input channel", 0, unit="number", min=0, max=63, step=1),
    Control("filter", "filter (output channel)", 0, unit="number", min=0, max=63, step=1),
    Control("mode", "shift", "asd", choices=MODES, buttons=True),
    Control("own_shift", "my own shift", 0.5, unit="added to a", min=-1.0, max=1.0, step=0.01, only=("mode", "own")),
)
PRESETS = {
    "as trained": {"mode": "asd"},
    "the same without ASD": {"mode": "off"},
    "half of what ASD can do": {"mode": "own", "own_shift": 0.5},
    "towards -1, where ASD never goes": {"mode": "own", "own_shift": -0.5},
    "so far that every sign is +1": {"mode": "own", "own_shift": 1.0},
}
VALUES = (-0.5, 0.0, 0.25, 0.5, 0.9)  # of the shift, in the static version

EDGES = np.linspace(-1.05, 1.05, 22)  # of the histogram: -1 and +1, where Hardtanh collects values, get their own bins


@dataclass(frozen=True)
class LayerInput:
    """A layer's input for N images: a (N, C, H, W), and the shift that it added, (N, C); zeros where it has none."""

    a: Tensor
    shift: Tensor

    @property
    def before(self) -> Tensor:
        """Where sign(a) is +1."""
        return self.a >= 0

    @property
    def after(self) -> Tensor:
        """Where sign(a + shift) is +1."""
        return self.a + self.shift[:, :, None, None] >= 0


@torch.no_grad()
def layer_inputs(net: nn.Module, images: Tensor) -> dict[str, LayerInput]:
    """Run ``images`` through ``net``; per binary layer, by name, what it receives and the shift that it chose."""
    names, seen = {layer: name for name, layer in binary_layers(net).items()}, {}

    def watch(layer: nn.Module, inputs: tuple[Tensor]) -> None:
        if layer in names:
            (a,) = inputs
            shift = layer.activation_shift(a)
            shift = torch.zeros(a.shape[:2]) if shift is None else shift[:, :, 0, 0].expand(a.shape[:2])
            seen[names[layer]] = LayerInput(a.detach(), shift.detach())

    with register_module_forward_pre_hook(watch):
        net.eval()(images)
    return seen


@cache
def scene() -> tuple[ImageSet, dict[str, LayerInput], dict[str, BinaryConv2d]]:
    """The digits, the trained network's layers and what they make of all test images, in 64 bits as JavaScript counts.

    Only the first call is slow.
    """
    digits, net = data.load("digits"), load(NETWORK).double()
    return digits, layer_inputs(net, digit_images().double()), binary_layers(net)


@dataclass(frozen=True)
class Stats:
    """One channel of one image. Maps are (H, W); signs are bool, True for +1."""

    image: int
    label: int
    pixels: np.ndarray
    layer: str
    channel: int
    filter: int
    mode: str
    shift: float  # of this channel
    a: np.ndarray
    usual: np.ndarray  # shares per bin of EDGES, all test images
    before: np.ndarray
    after: np.ndarray
    output_before: np.ndarray  # signs of the filter's outputs, all channels unshifted
    output_after: np.ndarray
    note: str = ""

    @property
    def flipped(self) -> np.ndarray:
        """Where the shift flips the sign."""
        return self.before != self.after

    @property
    def stuck(self) -> int:
        """How many activations sit at exactly -1, where no shift below 1 reaches them."""
        return int((self.a == -1).sum())


def compute(image: int, layer: str, channel: int, filter: int, mode: str, own_shift: float) -> Stats:
    """Everything that is drawn and said. "own" shifts every channel of the layer by ``own_shift``, "off" by nothing.

    A channel that the layer doesn't have becomes its last one, and the note says so. Raises UsageError for another
    layer or mode, and for numbers outside the controls' ranges.
    """
    if layer not in LAYERS:
        raise unknown("layer", layer, LAYERS)
    if mode not in dict(MODES).values():
        raise unknown("mode", mode, tuple(dict(MODES).values()))
    given = {"image": image, "channel": channel, "filter": filter, "own_shift": own_shift}
    if found := widgets.clamp(CONTROLS, given)[1]:
        raise UsageError(found[0])
    digits, inputs, layers = scene()
    seen, conv, note = inputs[layer], layers[layer], ""
    if channel >= conv.in_channels:
        last = conv.in_channels - 1
        note = f"Layer {layer} has {conv.in_channels} input channels, so channel {last} is shown instead of {channel}."
        channel = last
    a, every = seen.a[image], seen.a[:, channel].numpy()  # (C, H, W); (N, H, W)
    nothing = torch.zeros_like(seen.shift[image])
    shift = {"asd": seen.shift[image], "off": nothing, "own": nothing + own_shift}[mode]
    return Stats(
        image=image, label=int(digits.test_labels[image]), pixels=digits.test_images[image, 0].numpy(),
        layer=layer, channel=channel, filter=filter, mode=mode, shift=float(shift[channel]),
        a=a[channel].numpy(), usual=np.histogram(every, EDGES)[0] / every.size,
        before=(a[channel] >= 0).numpy(), after=(a[channel] + shift[channel] >= 0).numpy(),
        output_before=_output(conv, a, nothing, filter), output_after=_output(conv, a, shift, filter), note=note,
    )  # fmt: skip


@torch.no_grad()
def _output(conv: BinaryConv2d, a: Tensor, shift: Tensor, filter: int) -> np.ndarray:
    """Where one filter's output is +1, for one image's activations (C, H, W)."""
    signs = torch.where(a + shift[:, None, None] >= 0, 1.0, -1.0)
    weight = torch.where(conv.shifted_weight()[filter] >= 0, 1.0, -1.0)
    return (F.conv2d(signs[None], weight[None], padding=conv.padding)[0, 0] >= 0).numpy()


def say(stats: Stats) -> str:
    """The picture in words."""
    how = {"asd": "ASD on", "off": "ASD off", "own": "my own shift for every channel"}[stats.mode]
    up, down = int((stats.flipped & stats.after).sum()), int((stats.flipped & stats.before).sum())
    said = (f"Image {stats.image} (a {stats.label}), layer {stats.layer}, channel {stats.channel}, {how}: the shift is "
            f"{stats.shift:+.2f}, so a sign is +1 from a = {0.0 - stats.shift:.2f} up. It flips {up} of {stats.a.size} "
            f"signs to +1 and {down} to -1: {stats.before.mean():.0%} were +1, now {stats.after.mean():.0%} are. "
            f"{stats.stuck} of the activations sit at exactly -1. Of the outputs of filter {stats.filter}, "
            f"{stats.output_after.mean():.0%} are +1 ({stats.output_before.mean():.0%} without a shift).")  # fmt: skip
    return f"{stats.note} {said}".strip()


WIDTH, HEIGHT, SIDE = 10.0, 2.9, 1.65  # inches: the figure, and a map's side
BELOW, GAP = 0.58, 0.09  # inches: a map's lower edge, and from a map to its texts
IMAGE, ACTIVATIONS, HISTOGRAM, SIGN, OUTPUT = 0.12, 2.05, 4.4, 6.45, 8.23  # inches: left edges


def draw(stats: Stats) -> Figure:
    """From left to right: the image, the channel's activations, their histogram, its signs, the outputs' signs."""
    flipped = stats.output_after != stats.output_before
    with drawing(WIDTH, HEIGHT, fixed=True) as figure:
        # All maps share one empty axes, measured in inches: an axes each would take half of the time.
        board = figure.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), ylim=(0, HEIGHT))
        board.set_axis_off()
        _grey_map(board, stats.pixels, (255, 0), (IMAGE, BELOW, SIDE))
        _grey_map(board, stats.a, (-1, 1), (ACTIVATIONS, BELOW, SIDE))
        _sign_map(board, stats.after, stats.flipped, (SIGN, BELOW, SIDE))
        _sign_map(board, stats.output_after, flipped, (OUTPUT, BELOW, SIDE))
        ax = figure.add_axes((HISTOGRAM / WIDTH, BELOW / HEIGHT, 1.8 / WIDTH, SIDE / HEIGHT))
        _histogram(ax, stats)
        ax.set_xlabel("activation a", labelpad=0)
        ax.set_ylabel("share of pixels [%]", labelpad=1)
        for left, title, below in (
            (IMAGE, f"image {stats.image}:\na {stats.label}", "black: ink"),
            (ACTIVATIONS, f"activations a,\nchannel {stats.channel}", "black −1, white +1"),
            (HISTOGRAM, f"before the sign:\nshift {_signed(stats.shift)}", ""),
            (SIGN, f"its signs:\n{stats.after.mean():.0%} are +1", f"{stats.flipped.sum()} flipped (rings)"),
            (OUTPUT, f"output, filter {stats.filter}:\n{stats.output_after.mean():.0%} are +1",
             f"{flipped.sum()} flipped (rings)"),
        ):  # fmt: skip
            board.text(left, BELOW + SIDE + GAP, title, weight="bold", size=12)
            board.text(left + SIDE / 2, BELOW - GAP, below, ha="center", va="top", size=11)
    return figure


def small_multiples(values: Sequence[float] = VALUES, image: int = 4, layer: str = "conv2", channel: int = 0,
                    filter: int = 0) -> Figure:  # fmt: skip
    """The explorer without its sliders: a column per value of the shift, the same for every channel of the layer."""
    if not len(values):
        raise UsageError("values: empty; at least one shift is needed")
    every = [compute(image, layer, channel, filter, "own", value) for value in values]
    with drawing(1.6 * (len(values) + 1) + 0.4, 5.6) as figure:
        axes = figure.subplots(3, len(values) + 1)
        _grey_map(axes[0, 0], every[0].pixels, (255, 0))
        axes[0, 0].set_title(f"image: a {every[0].label}")
        _grey_map(axes[1, 0], every[0].a, (-1, 1))
        axes[1, 0].set(title=f"channel {every[0].channel}: a", xlabel="black −1, white +1")
        key = "in the maps:\n+  is +1\n−  is −1\nring: flipped\nby the shift"
        axes[2, 0].text(0.1, 0.9, key, va="top", size=11)
        for stats, (top, middle, bottom) in zip(every, axes[:, 1:].T):
            _histogram(top, stats)
            top.set(title=f"shift {_signed(stats.shift)}", xlabel="activation a")
            _sign_map(middle, stats.after, stats.flipped)
            middle.set_title(f"{stats.after.mean():.0%} are +1")
            _sign_map(bottom, stats.output_after, stats.output_after != stats.output_before)
            bottom.set_title(f"{stats.output_after.mean():.0%} are +1")
        for ax, name in zip(axes[:, 1], ("share of pixels [%]", "its signs", f"output, filter {filter}")):
            ax.set_ylabel(name)
        for ax in axes[0, 2:]:
            ax.tick_params(labelleft=False)
        for ax in (*axes[:, 0], *axes[1:, 1:].flat):
            ax.set(xlim=(0, 1), ylim=(0, 1), xticks=[], yticks=[], aspect="equal")
            ax.spines[:].set_visible(False)
    return figure


def _histogram(ax: Axes, stats: Stats) -> None:
    """Bars: this image, stacked by sign. Dotted outline: all test images. Dashed: the threshold at -shift."""
    size = stats.a.size / 100
    minus, plus = (np.histogram(stats.a[side], EDGES)[0] / size for side in (~stats.after, stats.after))
    look = {"fill": True, "edgecolor": "white", "linewidth": 0}
    ax.stairs(minus, EDGES, facecolor=MINUS, hatch=MINUS_HATCH, **look)
    ax.stairs(minus + plus, EDGES, baseline=minus, facecolor=PLUS, hatch=PLUS_HATCH, **look)
    ax.stairs(100 * stats.usual, EDGES, color=BLACK, lw=1.2, ls=":")
    ax.axvline(-stats.shift, color=BLACK, ls="--", lw=1.8)
    top = 20 * np.ceil(max((minus + plus).max(), 100 * stats.usual.max()) / 20)
    ax.set(xlim=(-1.1, 1.1), xticks=(-1, 0, 1), ylim=(0, top), yticks=(0, top / 2, top))
    ax.grid(visible=False)


Place = tuple[float, float, float]  # of a map in its axes: left edge, lower edge, side


def _grey_map(ax: Axes, values: np.ndarray, ends: tuple[float, float], place: Place = (0, 0, 1)) -> None:
    """``ends``: which value is black, which is white."""
    (black, white), (x, y, side) = ends, place
    ax.imshow(values, cmap="gray" if black < white else "gray_r", vmin=min(ends), vmax=max(ends),
              interpolation="nearest", extent=(x, x + side, y, y + side), aspect="auto")  # fmt: skip
    ax.plot((x, x + side, x + side, x, x), (y, y, y + side, y + side, y), color=GREY, lw=1, clip_on=False)


def _sign_map(ax: Axes, plus: np.ndarray, flipped: np.ndarray, place: Place = (0, 0, 1)) -> None:
    """Orange with + is +1, blue with - is -1; a ring where the shift flipped the sign."""
    x, y, side = place
    ax.imshow(plus, cmap=SIGNS, vmin=0, vmax=1, interpolation="nearest", extent=(x, x + side, y, y + side),
              aspect="auto")  # fmt: skip
    cell = side / len(plus)
    for chosen, look in (
        (plus, {"marker": "+", "color": BLACK, "ms": 5, "mew": 1}),
        (~plus, {"marker": "_", "color": "white", "ms": 5, "mew": 1}),
        (flipped & plus, {"marker": "o", "mfc": "none", "mec": BLACK, "ms": 10, "mew": 1.5}),
        (flipped & ~plus, {"marker": "o", "mfc": "none", "mec": "white", "ms": 10, "mew": 1.5}),
    ):
        row, column = np.nonzero(chosen)
        ax.plot(x + (column + 0.5) * cell, y + side - (row + 0.5) * cell, ls="", **look)


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


explorer = partial(widgets.explorer, compute, draw, say, CONTROLS, PRESETS)

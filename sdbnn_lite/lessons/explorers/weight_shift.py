"""Explorer: the latent weights of one filter, WSD's shift of them, which signs it flips, and what the outputs do.

ŵ = sign(w + shift),  shift = σ(α) · constant · mean(w);   in the published code α starts at 0, the constant is 0.01
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, partial

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from ...core.layers import binary_layers
from ...core.wsd import WSD_CONSTANT
from ...data.sets import digit_images
from ...errors import UsageError, unknown
from ...plots.parts import sign_bars
from ...plots.theme import BLACK, GREY, MINUS, PLUS, SIGNS, drawing
from ...weights.zoo import load
from .. import widgets
from ..widgets import Control
from .activation_shift import layer_inputs

NETWORK = "digits_wsd"
TRAINED, FRESH = "trained", "fresh"
NAMES = {TRAINED: "trained weights", FRESH: "fresh Kaiming weights"}
NEAREST = 16  # weights in the close-up

CONTROLS = (
    Control("weights", "latent weights", TRAINED, choices=[(name, key) for key, name in NAMES.items()]),
    Control("layer", "layer", "conv3", choices=("conv2", "conv3")),
    Control("filter", "filter", 52, unit="number", min=0, max=63, step=1),
    Control("alpha", "α, before the sigmoid", 0.0, unit="real number", min=-8.0, max=8.0, step=0.5),
    Control("constant", "the constant", WSD_CONSTANT, unit="times the mean", min=0.001, max=10.0, step=0.1, log=True),
    Control("seed", "seed of fresh weights", 0, unit="whole number", min=0, max=99, step=1),
)
_PUBLISHED = {"weights": TRAINED, "layer": "conv3", "filter": 52, "alpha": 0.0, "constant": WSD_CONSTANT}
PRESETS = {
    "as published: two signs flip": _PUBLISHED,
    "as published: another filter, no sign flips": {**_PUBLISHED, "filter": 1},
    "α as high as it goes": {**_PUBLISHED, "alpha": 8.0},
    "100 times the constant": {**_PUBLISHED, "constant": 1.0},
    "1000 times the constant: one sign takes over": {**_PUBLISHED, "constant": 10.0},
    "as published, on fresh weights": {**_PUBLISHED, "weights": FRESH, "seed": 0},
}
VALUES = (0.001, WSD_CONSTANT, 0.1, 1.0, 10.0)  # of the constant, in the static version


@dataclass(frozen=True)
class Stats:
    """One filter before and after the shift. Every sign is that of ``x >= 0``.

    w            (C, k, k) latent weights; ``mean`` of them, ``shift`` = σ(α)·constant·mean
    before, after        (C, k, k) bool: the weight's sign is +1, without and with the shift
    y_before, y_after    outputs at all places of all test images, integers, for the same inputs
    """

    weights: str
    layer: str
    filter: int
    alpha: float
    constant: float
    seed: int
    w: np.ndarray
    mean: float
    shift: float
    before: np.ndarray
    after: np.ndarray
    y_before: np.ndarray
    y_after: np.ndarray
    images: int

    @property
    def flipped(self) -> np.ndarray:
        """(C, k, k) bool: the weights whose sign the shift flips."""
        return self.before != self.after

    @property
    def flipped_outputs(self) -> int:
        """How many outputs flip their sign."""
        return int(((self.y_before >= 0) != (self.y_after >= 0)).sum())


@cache
@torch.no_grad()
def _layers() -> dict[str, tuple[Tensor, Tensor, int]]:
    """Per layer of the trained network: â over all test images (N, C, H, W), w (O, C, k, k), the padding."""
    net = load(NETWORK)
    seen = layer_inputs(net, digit_images())
    return {
        name: (layer.binary_activation(seen[name].a), layer.weight.detach(), layer.padding)
        for name, layer in binary_layers(net).items()
    }


@lru_cache(maxsize=8)
def fresh_weights(layer: str, seed: int) -> Tensor:
    """(O, C, k, k) Kaiming-normal weights in the shape of ``layer``, as a network has them before its training."""
    w = torch.empty_like(_layers()[layer][1])
    return nn.init.kaiming_normal_(w, generator=torch.Generator().manual_seed(seed))


@lru_cache(maxsize=128)
def _outputs(layer: str, plus: tuple[bool, ...]) -> np.ndarray:
    """What the filter of signs ``plus`` (C·k·k), True for +1, gives at all places of all test images."""
    inputs, w, padding = _layers()[layer]
    signs = torch.where(torch.tensor(plus), 1.0, -1.0).view_as(w[:1])
    with torch.no_grad():
        y = F.conv2d(inputs, signs, padding=padding)
    return y.flatten().round().to(torch.int64).numpy()


def compute(weights: str, layer: str, filter: int, alpha: float, constant: float, seed: int) -> Stats:
    """One filter with and without its shift. Fresh weights see what the trained network's layer sees.

    Raises UsageError for an unknown kind of weights or layer, a filter that isn't there, and a number that isn't
    finite.
    """
    if weights not in NAMES:
        raise unknown("weights", weights, NAMES)
    if layer not in _layers():
        raise unknown("layer", layer, _layers())
    every = _layers()[layer][1] if weights == TRAINED else fresh_weights(layer, seed)
    if not 0 <= filter < len(every):
        raise UsageError(f"filter={filter}: {layer} has filters 0 to {len(every) - 1}")
    if not (math.isfinite(alpha) and math.isfinite(constant)):
        raise UsageError(f"alpha={alpha}, constant={constant}: both have to be finite")
    w = every[filter]
    mean = w.mean()
    shift = torch.sigmoid(torch.tensor(float(alpha))) * constant * mean
    before, after = w >= 0, w + shift >= 0
    y_before, y_after = (_outputs(layer, tuple(plus.flatten().tolist())) for plus in (before, after))
    return Stats(weights, layer, filter, float(alpha), float(constant), seed, w.numpy(), float(mean), float(shift),
                 before.numpy(), after.numpy(), y_before, y_after, len(_layers()[layer][0]))  # fmt: skip


def say(stats: Stats) -> str:
    """The picture in words."""
    n, places = stats.w.size, stats.y_before.size
    flipped = int(stats.flipped.sum())
    seed = f", seed {stats.seed}" if stats.weights == FRESH else ""
    return (f"Filter {stats.filter} of {stats.layer} ({NAMES[stats.weights]}{seed}) has the mean {stats.mean:+.4f}; "
            f"with α = {stats.alpha:g} and the constant {stats.constant:.3g} its weights shift by {stats.shift:+.1e}, "
            f"which flips {flipped} of {n} weight signs ({flipped / n:.1%}; +1 among them: {stats.before.mean():.1%} → "
            f"{stats.after.mean():.1%}) and {stats.flipped_outputs:,} of {places:,} output signs over {stats.images} "
            f"test images ({stats.flipped_outputs / places:.1%}; +1 among them: {(stats.y_before >= 0).mean():.1%} → "
            f"{(stats.y_after >= 0).mean():.1%}).")  # fmt: skip


def draw(stats: Stats) -> Figure:
    """Above: the latent weights, and the nearest to the threshold. Below: the signs and their flips, the outputs."""
    flipped, places = stats.flipped.sum(), stats.y_before.size
    with drawing(9, 5.6, fixed=True) as figure:
        margins = {"left": 0.075, "right": 0.975, "bottom": 0.09, "top": 0.94, "wspace": 0.27, "hspace": 0.48}
        (weights, near), (signs, outputs) = figure.subplots(2, 2, gridspec_kw=margins)
        _histogram(weights, stats)
        _close_up(near, stats)
        _signs(signs, stats)
        signs.set_axis_off()
        _output_histogram(outputs, stats)
        titles = {weights: "Latent weights", near: "Close-up around zero",
                  signs: f"Signs, bright +1; × {flipped} of {stats.w.size} flipped",
                  outputs: f"Outputs; {stats.flipped_outputs / places:.1%} of the signs flipped"}  # fmt: skip
        for ax, title in titles.items():
            ax.set_title(title, y=1.02)  # a given y needs no search for a free place
    return figure


def small_multiples(values: Sequence[float] = VALUES, **others) -> Figure:
    """The explorer without its sliders: a column per value of the constant; ``others`` than the controls' values."""
    if not len(values):
        raise UsageError("values: empty; at least one constant is needed")
    start = {control.name: control.value for control in CONTROLS}
    every = [compute(**{**start, **others, "constant": value}) for value in values]
    with drawing(2 * len(values) + 0.6, 4.9) as figure:
        axes = figure.subplots(2, len(values), squeeze=False, height_ratios=(1, 0.62))
        tallest = 0.0
        for above, below, stats in zip(*axes, every):
            _histogram(above, stats, alone=False)
            above.set_title(f"constant {stats.constant:g}\n{stats.flipped.sum()} of {stats.w.size} flip", fontsize=11)
            _signs(below, stats, size=5)
            plus = f"+1: {stats.before.mean():.0%} → {stats.after.mean():.0%}"
            below.set_xlabel(f"{plus}\noutputs flipped: {stats.flipped_outputs / stats.y_before.size:.1%}")
            tallest = max(tallest, above.get_ylim()[1])
        for ax in axes[0]:
            ax.set(ylim=(0, tallest), yticks=[])
        axes[0, 0].set(yticks=[tick for tick in _ticks(tallest) if tick >= 0], ylabel="weights per bar")
        axes[1, 0].set_ylabel("signs; × flipped")
        name = f"Filter {stats.filter} of {stats.layer}, {NAMES[stats.weights]}, α = {stats.alpha:g}"
        figure.suptitle(f"{name}; dashed line: threshold; bright and hatched: +1, dark: −1", fontsize=11)
        figure.get_layout_engine().set(rect=(0, 0.02, 1, 0.98))  # the pictures' fixed shape costs it a little room
    return figure


def _histogram(ax: Axes, stats: Stats, alone: bool = True) -> None:
    """The latent weights as bars, coloured and hatched by their sign after the shift; the threshold is -shift."""
    threshold, reach = -stats.shift, float(np.abs(stats.w).max())
    width = reach / 12
    first, last = math.floor((-reach - threshold) / width), math.ceil((reach - threshold) / width + 1e-6)
    edges = threshold + width * np.arange(min(first, -1), max(last, 1) + 1)  # the threshold is one of them
    tallest = _bars(ax, stats.w.ravel(), edges, threshold)
    ax.axvline(0, color=GREY, ls=":", lw=2)
    ax.axvline(threshold, color=BLACK, ls="--", lw=1.5)
    ax.set(xlabel="latent weight w", xlim=(-1.1 * reach, 1.1 * reach), ylim=(0, 1.08 * tallest))
    ax.set(xticks=_ticks(reach), yticks=[tick for tick in _ticks(tallest) if tick >= 0])
    ax.grid(visible=False)
    if alone:
        ax.set(ylabel="weights per bar", ylim=(0, 1.22 * tallest))
        ax.text(0.5, 0.94, "hatched: +1;  dashed: threshold", **_note(ax))


def _bars(ax: Axes, values: np.ndarray, edges: np.ndarray, border: float) -> int:
    """Counts per bin, those below ``border`` (which is an edge) as -1, the others as +1; returns the highest count."""
    counts = np.histogram(values, edges)[0]
    sign_bars(ax, counts, edges, edges[:-1] >= border - 1e-9 * (edges[1] - edges[0]))
    return int(counts.max())


def _ticks(reach: float) -> np.ndarray:
    """Round places from about -reach to reach, 0 and one or two on each side: every text takes its time to draw."""
    power = 10.0 ** math.floor(math.log10(reach))
    step = max(s for s in (1, 2, 5) if s * power <= reach * (1 + 1e-9)) * power
    n = math.floor(reach / step + 1e-9)
    return step * np.arange(-n, n + 1)


def _close_up(ax: Axes, stats: Stats) -> None:
    """The weights nearest to zero, the nearest at the bottom: those in the grey band between the thresholds flip."""
    order = np.argsort(np.abs(stats.w.ravel()))
    w, flipped = stats.w.ravel()[order], stats.flipped.ravel()[order]
    reach = 1.15 * max(abs(stats.shift), abs(w[NEAREST - 1]))
    shown = np.abs(w) <= reach
    w, flipped, rank = w[shown], flipped[shown], 1 + np.arange(shown.sum())
    power = math.floor(math.log10(reach))
    scale = 10.0**power
    threshold = -stats.shift / scale
    ax.axvspan(min(0, threshold), max(0, threshold), color="#D9D9D9", lw=0)
    ax.axvline(0, color=GREY, ls=":", lw=2)
    ax.axvline(threshold, color=BLACK, ls="--", lw=1.5)
    for kind, look in (
        (~flipped & (w < 0), {"marker": "s", "mfc": MINUS, "mec": "white", "ms": 7}),
        (~flipped & (w >= 0), {"marker": "o", "mfc": PLUS, "mec": BLACK, "mew": 0.6, "ms": 7}),
        (flipped, {"marker": "X", "mfc": "white", "mec": BLACK, "mew": 1.5, "ms": 9}),
    ):
        ax.plot(w[kind] / scale, rank[kind], ls="none", zorder=3, **look)
    ax.text(0.5, 0.94, "■ −1    ● +1    ✖ flipped", **_note(ax))
    ax.set(xlim=(-reach / scale, reach / scale), ylim=(0, 1.22 * len(w)), yticks=[])
    ax.set(xticks=_ticks(reach / scale), xlabel=f"w [in units of 1e{power}]", ylabel="← nearer to zero")
    ax.grid(visible=False)


def _note(ax: Axes) -> dict:
    """The look of a line of text at the top of ``ax``: it takes a fraction of the time of a legend."""
    box = {"facecolor": "white", "edgecolor": "#CCCCCC", "boxstyle": "round"}
    return {"transform": ax.transAxes, "ha": "center", "va": "center", "fontsize": 9, "bbox": box}


def _signs(ax: Axes, stats: Stats, size: float = 7) -> None:
    """All kernels of the filter after the shift, a gap between them; a cross marks every weight that flips."""
    channels, k, _ = stats.w.shape
    columns = round((1.8 * channels) ** 0.5)  # about as wide as the panel
    rows = -(-channels // columns)
    picture = np.full((rows * (k + 1) - 1, columns * (k + 1) - 1), np.nan)
    crosses = []
    for c in range(channels):
        top, left = (c // columns) * (k + 1), (c % columns) * (k + 1)
        picture[top : top + k, left : left + k] = stats.after[c]
        crosses += [(left + j, top + i) for i, j in zip(*np.nonzero(stats.flipped[c]))]
    ax.imshow(picture, cmap=SIGNS, vmin=0, vmax=1, interpolation="nearest")
    if crosses:
        x, y = np.transpose(crosses)
        size = size if len(crosses) < 60 else 0.6 * size
        ax.plot(x, y, "x", color="white", ms=size + 1, mew=0.65 * size)
        ax.plot(x, y, "x", color=BLACK, ms=size, mew=0.32 * size)
    ax.set(xticks=[], yticks=[], frame_on=False, anchor="NW")


def _output_histogram(ax: Axes, stats: Stats) -> None:
    """All outputs over the test images: bars with the shift, by their sign; the line without it."""
    every = np.concatenate([stats.y_before, stats.y_after])
    low, high = int(every.min()), int(every.max())
    width = max(2, 2 * round((high - low) / 60))
    edges = width * np.arange(math.floor(low / width), math.ceil((high + 1) / width) + 1)
    counts = np.histogram(stats.y_before, edges)[0]
    tallest = max(_bars(ax, stats.y_after, edges, 0), int(counts.max()))
    ax.stairs(counts, edges, color=BLACK, lw=1.3)
    ax.axvline(0, color=GREY, lw=2, ls=":")
    ax.text(0.5, 0.94, "line: without WSD", **_note(ax))
    ax.set(xlim=(edges[0], edges[-1]), ylim=(0, 1.22 * tallest), xlabel="output y", ylabel="outputs per bar")
    ax.set_xticks([tick for tick in _ticks(max(-low, high)) if low <= tick <= high])
    ax.set_yticks([tick for tick in _ticks(tallest) if tick >= 0])
    ax.grid(visible=False)


explorer = partial(widgets.explorer, compute, draw, say, CONTROLS, PRESETS)

"""Explorer: the sum of random sign products, its closed form beside a simulation, and what its sign says.

y = Σ x_i·w_i over n products,  P(x_i = +1) = p,  P(w_i = +1) = q;  the output is +1 where y >= θ
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...core import signs
from ...errors import UsageError
from ...plots.parts import sign_bars
from ...plots.theme import BLACK, GREY, MINUS, drawing
from .. import widgets
from ..widgets import Control

DRAWS = 2000  # simulated sums; the standard error of a share is then 0.011 at most

CONTROLS = (
    Control("p", "inputs: p", 0.6, unit="share of +1", min=0.0, max=1.0, step=0.01),
    Control("q", "weights: q", 0.55, unit="share of +1", min=0.0, max=1.0, step=0.01),
    Control("fan_in", "fan-in: n", 288, unit="products", min=1, max=576, step=1),
    Control("threshold", "threshold: θ", 0, unit="units of y", min=-400, max=400, step=1),
    Control("seed", "simulation: seed", 0, unit="number", min=0, max=99, step=1),
)
PRESETS = {
    "fair coins": {"p": 0.5, "q": 0.5, "fan_in": 288, "threshold": 0},
    "biased inputs, fair weights": {"p": 0.9, "q": 0.5, "fan_in": 288, "threshold": 0},
    "both a little biased": {"p": 0.6, "q": 0.6, "fan_in": 288, "threshold": 0},
    "both biased: the channel is silent": {"p": 0.8, "q": 0.7, "fan_in": 288, "threshold": 0},
    "the same bias, only 9 products": {"p": 0.8, "q": 0.7, "fan_in": 9, "threshold": 0},
}
VALUES = (0.5, 0.55, 0.6, 0.7, 0.9)  # of p, in the static version


@dataclass(frozen=True)
class Stats:
    """The distribution of the sum, exact (``closed``) and drawn (``sums``), and the share of sums >= threshold."""

    p: float
    q: float
    fan_in: int
    threshold: int
    seed: int
    closed: signs.SumOfSigns
    sums: np.ndarray
    plus: float  # closed form
    plus_simulated: float

    @property
    def entropy(self) -> float:
        """Bits per output sign, closed form."""
        return float(signs.entropy(self.plus))


def simulate(p: float, q: float, fan_in: int, seed: int, draws: int = DRAWS) -> np.ndarray:
    """``draws`` sums of ``fan_in`` products of signs, each sign drawn by itself. Nothing here knows the closed form."""
    rng = np.random.default_rng(seed)
    sums = np.empty(draws, dtype=np.int64)
    rows = max(1, 2**18 // fan_in)  # so many sums at once that their signs fit into the cache
    for start in range(0, draws, rows):
        shape = (min(rows, draws - start), fan_in)
        x = rng.random(shape, dtype=np.float32) < p  # True is +1
        w = rng.random(shape, dtype=np.float32) < q
        agree = np.count_nonzero(x == w, axis=1)  # popcount of the XNOR
        sums[start : start + rows] = 2 * agree - fan_in
    return sums


def compute(p: float, q: float, fan_in: int, threshold: int, seed: int) -> Stats:
    """Everything that is drawn and said. Raises UsageError for p or q outside [0, 1] or a fan-in below 1."""
    closed = signs.random_signs(p, q, fan_in)
    sums = simulate(p, q, fan_in, seed)
    plus = min(float(closed.probability[closed.values >= threshold].sum()), 1.0)  # rounding may pass 1
    return Stats(p, q, fan_in, threshold, seed, closed, sums, plus, float((sums >= threshold).mean()))


def say(stats: Stats) -> str:
    """The picture in words."""
    n, mean = stats.fan_in, f"{stats.closed.mean + 0.0:.1f}"  # never -0.0
    return (f"Of {n} product{'s' * (n > 1)} with p = {stats.p:.2f} and q = {stats.q:.2f} the sum has mean "
            f"{_minus(mean)} and standard deviation {stats.closed.variance**0.5:.1f}. It reaches the threshold "
            f"{_minus(stats.threshold)} in {stats.plus:.1%} of all cases ({stats.plus_simulated:.1%} of {DRAWS} "
            f"simulated ones, seed {stats.seed}): the output sign carries {stats.entropy:.2f} bit. "
            f"{_verdict(stats)}")  # fmt: skip


def _minus(number: object) -> str:
    return str(number).replace("-", "−")


def _verdict(stats: Stats) -> str:
    if stats.threshold <= -stats.fan_in or stats.threshold > stats.fan_in:
        sign = "−1" if stats.threshold > 0 else "+1"
        n = stats.fan_in
        return f"The sum lies between −{n} and {n}, so every output is {sign}: the channel is dead."
    least = min(stats.plus, 1 - stats.plus)
    if least < 0.02:
        return "Nearly every output has the same sign: the channel says almost nothing."
    return "The two signs are about equally frequent." if least > 0.4 else "One sign is more frequent than the other."


def draw(stats: Stats) -> Figure:
    """Left: the distribution with its threshold. Right: the entropy of the output sign."""
    with drawing(9, 3.8, fixed=True) as figure:
        margins = {"left": 0.085, "right": 0.972, "bottom": 0.15, "top": 0.91, "wspace": 0.2}
        left, right = figure.subplots(1, 2, width_ratios=(2, 1), gridspec_kw=margins)
        _distribution(left, stats, legend=True)
        left.set_ylabel("probability per value of y")
        left.set_title("The sum and its threshold", y=1.02)  # a given y needs no search for a free place either
        _entropy(right, stats)
    return figure


def small_multiples(values: Sequence[float] = VALUES, q: float = 0.55, fan_in: int = 288, seed: int = 0) -> Figure:
    """The explorer without its sliders: one panel per value of p, threshold 0."""
    if not len(values):
        raise UsageError("values: empty; at least one p is needed")
    every = [compute(p, q, fan_in, 0, seed) for p in values]
    with drawing(2.2 * len(values) + 0.6, 3.1) as figure:
        axes = figure.subplots(1, len(values), sharex=True, sharey=True, squeeze=False)[0]
        for ax, stats in zip(axes, every):
            _distribution(ax, stats, legend=False)
            ax.set_title(f"p = {stats.p:.2f}\n+1: {stats.plus:.0%}\n{stats.entropy:.2f} bit")
            ax.set_xlabel("sum y")
        axes[0].set_ylabel("probability per value of y")
        figure.suptitle(f"q = {q}, n = {fan_in}; bars: simulation, line: closed form; hatched: output +1", fontsize=11)
    return figure


def compare(panels: dict[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Predicted against measured share of +1, a dot per channel; ``panels``: title -> (predicted, measured)."""
    every = np.concatenate([np.concatenate(pair) for pair in panels.values()])
    low, high = np.floor(10 * every.min()) / 10, np.ceil(10 * every.max()) / 10
    with drawing(3.0 * len(panels) + 0.6, 3.6) as figure:
        figure.get_layout_engine().set(w_pad=0.12)  # else the ticks of neighbours touch
        axes = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
        for ax, (title, (x, y)) in zip(axes, panels.items()):
            ax.plot([0, 1], [0, 1], color=BLACK, lw=1, ls="--", label="predicted = measured")
            ax.plot(x, y, "o", color=MINUS, mec="white", mew=0.5, ms=6, label="one channel")
            ax.set(title=title, xlabel="predicted share of +1", xlim=(low, high), ylim=(low, high), aspect="equal")
        axes[0].set_ylabel("measured share of +1")
        axes[0].legend(loc="lower right", fontsize=9)
    return figure


FAR = 3  # a threshold further off than so many half widths of the distribution is an arrow, not a line


def _window(stats: Stats) -> tuple[float, float]:
    """The values of y that are drawn: all that occur, and the threshold unless it would leave them no room."""
    seen = stats.closed.values[stats.closed.probability > stats.closed.probability.max() * 1e-4]
    low, high = min(seen.min(), stats.sums.min()) - 3, max(seen.max(), stats.sums.max()) + 3
    if abs(stats.threshold - (low + high) / 2) <= FAR * (high - low) / 2:
        low, high = min(low, stats.threshold - 1), max(high, stats.threshold + 1)
    return low, high


def _distribution(ax: Axes, stats: Stats, legend: bool) -> None:
    """Bars: simulated frequency per value of y, coloured and hatched by the sign of the output. Line: closed form."""
    values, probability = stats.closed.values, stats.closed.probability
    low, high = _window(stats)
    spread = max(stats.closed.variance**0.5, 0.5)
    width = 2 * max(1, round(spread / 6))  # y moves in steps of 2
    border = stats.threshold - 1 + (stats.threshold + stats.fan_in) % 2  # halfway below the first value that is +1
    border += width * round((np.clip(border, low, high) - border) / width)  # a far one: bars still end there
    first, last = min(stats.sums.min(), border), max(stats.sums.max(), border)
    edges = border + width * np.arange(np.floor((first - border) / width), np.ceil((last + 1 - border) / width) + 1)
    density = np.histogram(stats.sums, edges)[0] / len(stats.sums) / (width / 2)
    sign_bars(ax, density, edges, edges[:-1] >= stats.threshold - 1, "simulated, output {}")
    seen = probability > probability.max() * 1e-4
    few = seen.sum() < 25  # no line: y takes none of the values between the dots
    ax.plot(values[seen], probability[seen], color=BLACK, lw=1.5, marker="o" if few else None, ms=5,
            ls="" if few else "-", label="closed form")  # fmt: skip
    name = f"threshold θ = {_minus(stats.threshold)}"
    if low <= stats.threshold <= high:
        ax.axvline(stats.threshold, color=BLACK, ls="--", lw=1.5, label=name)
    else:
        ax.plot([], [], color=BLACK, ls="--", lw=1.5, label=f"{name}: far off")
        right = stats.threshold > high
        ax.annotate("", (1.0 if right else 0.0, 0.5), (-40 if right else 40, 0), "axes fraction", "offset points",
                    arrowprops={"arrowstyle": "-|>", "color": BLACK, "lw": 2})  # fmt: skip
    ax.set_xlabel("sum y of the products")
    ax.grid(visible=False)
    ax.locator_params(nbins=5)
    if legend:
        ax.set_xlim(low, high)
        ax.set_ylim(0, 1.45 * max(probability.max(), density.max()))
        ax.legend(loc="upper center", ncols=2, fontsize=9, framealpha=1)


def _entropy(ax: Axes, stats: Stats) -> None:
    shares = np.linspace(0, 1, 101)
    ax.plot(shares, signs.entropy(shares), color=GREY, lw=2)
    ax.plot(stats.plus, stats.entropy, "o", ms=11, color=BLACK, label="closed form", clip_on=False)
    simulated = {"mfc": "white", "mec": BLACK, "label": "simulated", "clip_on": False}
    ax.plot(stats.plus_simulated, signs.entropy(stats.plus_simulated), "D", ms=7, **simulated)
    ax.set(xlabel="share of outputs that are +1", ylabel="entropy of the sign [bit]", ylim=(0, 1.05), xlim=(0, 1))
    ax.set(xticks=(0, 0.25, 0.5, 0.75, 1), yticks=(0, 0.5, 1))
    ax.set_title("What the sign says", y=1.02)
    ax.legend(loc="lower center", fontsize=9)


explorer = partial(widgets.explorer, compute, draw, say, CONTROLS, PRESETS)

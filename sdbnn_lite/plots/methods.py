"""The figures that compare methods: data in, matplotlib ``Figure`` out. No file is read or written here."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..analysis.captions import hardware, study_line
from ..analysis.tables import summary
from ..core import signs
from ..core.methods import METHODS
from ..core.record import LayerSigns
from ..errors import UsageError
from .parts import INK, SMALL, EndNames, chosen_methods, curve, fill, finish, name_ends, note
from .theme import BLACK, COLOURS, GREY, MINUS, PLUS, drawing

STACK_BINS = 40  # dots within 2.5 points of a share stand on each other


def title_lines(method: str) -> str:
    """A method's title on two lines: its name, then what stands in brackets."""
    name, _, detail = METHODS[method].title.partition(" (")
    return f"{name}\n{detail.removesuffix(')')}" if detail else name


def method_table(runs: pd.DataFrame, facts: Mapping, title: str = "", more: str = "") -> Figure:
    """Test accuracy per method: every seed a dot, mean ± sample standard deviation as a bar and in numbers.

    ``runs`` has a row per run (``method``, ``test_accuracy`` from 0 to 1); ``facts`` is the study's study.json.
    ``title`` stands in place of the usual one, ``more`` below the caption.
    """
    methods = chosen_methods(runs["method"])
    table = summary(runs) * [1, 100, 100]
    with drawing(8.3, 1.7 + 0.38 * len(methods) + 0.2 * len(more.splitlines())) as figure:
        ax = figure.subplots()
        for row, method in enumerate(methods):
            percent = 100 * runs.loc[runs["method"] == method, "test_accuracy"].to_numpy()
            n, mean, std = table.loc[method]
            # Seeds that come out equal would hide each other: spread them over the row's height.
            height = row + np.linspace(0.22, -0.22, len(percent)) if len(percent) > 1 else np.array([row])
            ax.errorbar(mean, row, xerr=std if n > 1 else None, color=BLACK, lw=1.6, capsize=5, zorder=2)
            ax.plot(mean, row, "|", color=BLACK, ms=17, mew=2.2, zorder=2)
            ax.scatter(percent, height, s=34, c=COLOURS[method], edgecolors=BLACK, linewidths=0.8, zorder=3)
            alone = "" if table["n"].nunique() == 1 else "  (n = 1)"
            note(ax, row, f"{mean:.2f} ± {std:.2f}" if n > 1 else f"{mean:.2f}{alone}", size=11)
        note(ax, -0.75, "mean ± std (%)", color=INK)
        ax.set_yticks(range(len(methods)), [METHODS[m].title for m in methods])
        ax.set_ylim(len(methods) - 0.45, -0.55)
        ax.grid(axis="y", visible=False)
        ax.set_xlabel("test accuracy (%)")
        image = f"one image is {100 / facts['test_images']:.2f} points"
        caption = f"{study_line(facts, table['n'])}\n{hardware(facts)}; {image}"
        usual = f"How well each method does on {facts['dataset']}: each dot is one trained network"
        return finish(figure, title or usual, f"{caption}\n{more}" if more else caption)


def output_signs(net_signs: Mapping[str, Mapping[str, LayerSigns]], notes: Mapping[str, str] | None = None,
                 title: str = "How often does a channel say +1? Each dot is one channel of a trained network",
                 caption: str = "") -> Figure:  # fmt: skip
    """How often each output channel says +1, per layer, method under method; every dot is one channel.

    ``net_signs``: method -> layer -> what ``record_signs`` gave. ``notes`` stand in place of what each method does.
    """
    methods = chosen_methods(net_signs)
    layers = net_signs[methods[0]]
    for method in methods:
        if set(net_signs[method]) != set(layers):
            raise UsageError(f"{method} and {methods[0]} have other layers: draw methods of the same network")
    labels = {m: title_lines(m) for m in methods}
    labels |= {m: f"{title_lines(m).splitlines()[0]}\n{note}" for m, note in (notes or {}).items() if m in labels}
    rows = {labels[m]: {layer: net_signs[m][layer].output for layer in layers} for m in methods}
    titles = {name: f"layer {name}: {len(s.output)} channels" for name, s in layers.items()}
    return _share_rows(rows, titles, title, "share of +1 among its outputs", caption)


def sign_summary(layers: Mapping[str, LayerSigns]) -> Figure:
    """One network: per layer, how often each input channel is +1 before and after ASD, and each output channel.

    A network that doesn't shift its activations has one row of inputs.
    """
    if not layers:
        raise UsageError("nothing to draw: no layer given")
    before = {name: s.input_before for name, s in layers.items()}
    after = {name: s.input_after for name, s in layers.items()}
    shifted = any(s.input_flips > 0 for s in layers.values())
    rows = {"inputs,\nbefore the shift": before, "inputs,\nafter the shift": after} if shifted else {"inputs": before}
    rows["outputs"] = {name: s.output for name, s in layers.items()}
    titles = {name: f"layer {name}: {len(s.input_before)} → {len(s.output)} channels" for name, s in layers.items()}
    title = "How often is a sign +1? Every dot is one channel"
    return _share_rows(rows, titles, title, "share of +1")


def _share_rows(rows: Mapping[str, Mapping[str, np.ndarray]], titles: Mapping[str, str], title: str, xlabel: str,
                caption: str = "") -> Figure:  # fmt: skip
    """A panel per layer, two side by side, a row per label: shares of +1 as stacks of dots, with their mean entropy."""
    columns = min(len(titles), 2)
    bands = -(-len(titles) // columns)
    tallest = 1 + max(_stack(shares[layer])[1].max() for shares in rows.values() for layer in titles)
    with drawing(8.3, 0.9 + bands * (0.7 + 0.68 * len(rows))) as figure:
        grid = figure.subplots(bands, columns, sharex=True, sharey=True, squeeze=False)
        for ax, (layer, heading) in fill(grid, titles.items()):
            ax.axvline(50, color=BLACK, lw=1.2, ls=(0, (4, 3)), zorder=1)
            note(ax, len(rows) - 0.02, "entropy", color=INK, va="top")
            for number, shares in enumerate(rows.values()):
                _share_row(ax, len(rows) - 1 - number, shares[layer], tallest)
            ax.set_title(heading, size=11)
            ax.set(xlim=(-2, 102), ylim=(-0.12, len(rows)))
            ax.set_yticks(np.arange(len(rows)) + 0.35, list(rows)[::-1], size=10)
            ends = ("0 %\nalways −1", "", "50 %\nbalanced", "", "100 %\nalways +1")
            ax.set_xticks([0, 25, 50, 75, 100], ends, size=SMALL)
            for label, side in zip(ax.get_xticklabels()[::4], ("left", "right")):
                label.set_horizontalalignment(side)  # else neighbouring layers' labels would meet
            ax.grid(axis="y", visible=False)
            ax.tick_params(labelbottom=True)
        for ax in grid[-1]:
            ax.set_xlabel(xlabel)
        return finish(figure, title, caption)


def _stack(shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each channel's dot stands: the middle of its bin in percent, and how many are below it."""
    bins = np.minimum((np.asarray(shares) * STACK_BINS).astype(int), STACK_BINS - 1)
    below = np.array([np.sum(bins[:k] == b) for k, b in enumerate(bins)])
    return (bins + 0.5) * 100 / STACK_BINS, below


def _share_row(ax: Axes, baseline: float, shares: np.ndarray, tallest: int) -> None:
    """One row of dots. A channel that leans to +1 is a filled dot, one that leans to -1 a ring, a dead one a cross."""
    shares = np.asarray(shares)
    x, below = _stack(shares)
    y = baseline + 0.06 + below * 0.8 / max(tallest, 8)
    ax.axhline(baseline, color=GREY, lw=0.8, zorder=1)
    dead = (shares == 0) | (shares == 1)
    kinds = ((~dead & (shares >= 0.5), {"marker": "o", "s": 17, "c": PLUS, "edgecolors": BLACK, "linewidths": 0.6}),
             (~dead & (shares < 0.5), {"marker": "o", "s": 15, "c": "white", "edgecolors": MINUS, "linewidths": 1.3}),
             (dead, {"marker": "x", "s": 20, "c": BLACK, "linewidths": 1.5}))  # fmt: skip
    for chosen, look in kinds:
        if chosen.any():
            ax.scatter(x[chosen], y[chosen], clip_on=False, zorder=3, **look)
    silent = f"\n{dead.sum()} dead" if dead.any() else ""
    note(ax, baseline + 0.35, f"{np.mean(signs.entropy(shares)):.3f} bit{silent}")


def learning_curves(epochs: pd.DataFrame, facts: Mapping | None = None) -> Figure:
    """Test accuracy after each epoch: the mean over the seeds as a line, their range as a band, a label at its end.

    ``epochs`` has a row per run and epoch; more than six methods are hard to tell apart. The axis goes between
    multiples of 5 %: nothing lies above it, below it only first epochs (a tenth of the points at most).
    """
    methods = chosen_methods(epochs["method"])
    percent = epochs.assign(percent=100 * epochs["test_accuracy"]).groupby(["method", "epoch"])["percent"]
    table = percent.agg(["min", "mean", "max"])
    last = int(epochs["epoch"].max())
    ends = {m: table.loc[m, "mean"].iloc[-1] for m in methods}
    bottom, top = _limits(table, min(ends.values()))
    with drawing(8.3, 4.8) as figure:
        ax = figure.subplots()
        for number, method in enumerate(methods):
            curve(ax, table.loc[method], method, slice(number, None, max(last // 6, 1)), label=method)
        ax.set(xlim=(1, max(last, 2)), ylim=(bottom, top))
        name_ends(ax, ends, lambda m: f"{METHODS[m].short}  {ends[m]:.1f} %", EndNames(1.05, 1.08, 0.065, 10.5, 8))
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.yaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10]))  # no steps of 2.5
        ax.set(xlabel="epoch", ylabel="test accuracy (%)")
        n = epochs.groupby("method")["seed"].nunique()
        caption = f"{study_line(facts, n)}\n{hardware(facts)}" if facts else ""
        return finish(figure, "Test accuracy while learning: line = mean, band = range of the seeds", caption)


def _limits(table: pd.DataFrame, lowest_end: float) -> tuple[float, float]:
    """The accuracies in percent between which the curves are drawn, as :func:`learning_curves` says."""
    bottom = 5 * np.floor(min(table["mean"].quantile(0.1), lowest_end - 1) / 5)
    top = 5 * np.ceil(round(table["max"].max(), 6) / 5)  # rounded: 100 · 0.55 is a little more than 55
    return bottom, top + 0.02 * (top - bottom)  # room for the markers up there

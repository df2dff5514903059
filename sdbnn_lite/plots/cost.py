"""The figures of the cost of binary networks: data in, matplotlib ``Figure`` out."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, NullLocator
from matplotlib.transforms import ScaledTranslation

from ..analysis.cifar10 import TITLES
from ..core.methods import METHODS
from ..cost.pareto import COSTS, budgets, pareto_front
from ..cost.roofline import SETS, ConvShape, Peaks
from ..errors import UsageError
from .parts import INK, SMALL, finish, wrapped
from .theme import BLACK, BLUE, COLOURS, GREEN, GREY, MARKERS, ORANGE, SKY, drawing

KIND_LOOKS = {"float32": ("torch float32", ORANGE, "s"), "bits": ("popcount alone", SKY, "^"),
              "packed": ("with packing", BLUE, "o")}  # fmt: skip
BANDWIDTHS = dict(zip(SETS, ("inner caches", "outer cache", "memory")))


def roofline_plot(peaks: Peaks, measured: Sequence[tuple[ConvShape, Mapping[str, float]]], caption: str = "") -> Figure:
    """Products a second over products per byte, both logarithmic; ``measured``: layers, seconds by kind."""
    if not len(measured):
        raise UsageError("measured: empty; at least one layer is needed")
    lowest = min(shape.products / seconds[kind] for shape, seconds in measured for kind in KIND_LOOKS) / 1e9
    with drawing(8.3, 5.4) as figure:
        ax = figure.subplots()
        x = np.geomspace(1, 2000, 200)
        for (size, rate), style in zip(peaks.copied, (":", "--", "-")):
            slope = np.minimum(x * rate, peaks.products("bits"))
            ax.plot(x, slope / 1e9, color=GREY, ls=style, lw=1.6, label=f"{BANDWIDTHS[size]}: {rate / 1e9:.0f} GB/s")
        for kind, name in (("bits", "XOR + popcount + add"), ("float32", "float32 FMA")):
            peak = peaks.products(kind) / 1e9
            ax.axhline(peak, color=BLACK, lw=2)
            text = f"{name}: {peak:,.0f} billion products/s"
            box = {"facecolor": "white", "edgecolor": "none", "pad": 1}
            ax.annotate(text, (1.05, peak), (0, 5), textcoords="offset points", size=10, bbox=box)
        for kind, (name, colour, marker) in KIND_LOOKS.items():
            points = [(shape.intensity(kind), shape.products / seconds[kind] / 1e9) for shape, seconds in measured]
            ax.plot(*zip(*points), marker, ls="none", ms=9, color=colour, mec=BLACK, mew=0.8, label=name)
            if kind != "bits":
                _number(ax, points)
        ax.set(xscale="log", yscale="log", xlim=(1, 2000))
        ax.set_ylim(0.6 * lowest, 2.5 * peaks.products("bits") / 1e9)
        ax.set(xlabel="intensity [products per byte]", ylabel="billion products per second")
        ax.legend(loc="lower right", fontsize=SMALL)
        layers = "; ".join(f"{i}: {shape}".replace(" ", "\xa0") for i, (shape, _) in enumerate(measured, 1))
        layers = wrapped(layers, 105).replace("\xa0", " ")  # no line ends within a layer
        return finish(figure, "The roofs of one core, and convolutions under them", f"{layers}\n{caption}".strip())


def _number(ax: Axes, points: Sequence[tuple[float, float]]) -> None:
    """1, 2, … below the points of one kind; those that stand close together on steps."""
    before, step = 0.0, 0
    for number, (x, y) in sorted(enumerate(points, 1), key=lambda each: each[1]):
        step = step + 1 if x < 1.25 * before else 0
        before = x
        ax.annotate(str(number), (x, y), (0, -10 - 11 * step), textcoords="offset points", size=10, weight="bold",
                    ha="center", va="center", bbox={"fc": "white", "ec": "none", "pad": 0.5})  # fmt: skip


def shares(parts: Mapping[str, Mapping[str, float]], title: str, caption: str = "") -> Figure:
    """One bar of 100 % per quantity; ``parts``: quantity -> kind of layer -> amount."""
    looks = ((BLUE, ""), (ORANGE, "//"), (GREEN, ".."), (GREY, "xx"), (SKY, "\\\\"))
    kinds = list(next(iter(parts.values())))
    with drawing(8.3, 1.9 + 0.6 * len(parts)) as figure:
        ax = figure.subplots()
        for row, amounts in enumerate(parts.values()):
            start, total = 0.0, sum(amounts.values())
            for kind, (colour, hatch) in zip(kinds, looks):
                share = 100 * amounts[kind] / total
                ax.barh(row, share, left=start, height=0.66, color=colour, hatch=hatch, edgecolor="white", lw=0.5,
                        label=kind if row == 0 else None)  # fmt: skip
                if share >= 6:
                    box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
                    ax.text(start + share / 2, row, f"{share:.0f} %", ha="center", va="center", size=10, bbox=box)
                start += share
        ax.set_yticks(range(len(parts)), list(parts))
        ax.set(xlim=(0, 100), ylim=(len(parts) - 0.5, -0.5), xlabel="share (%)")
        ax.grid(visible=False)
        figure.legend(loc="outside lower center", ncols=len(kinds), fontsize=SMALL)
        return finish(figure, title, caption)


def overheads(table: Mapping[str, Mapping[str, float]], title: str, caption: str = "") -> Figure:
    """A panel per network, a bar per variant; ``table``: network -> variant -> percent added to the plain one's OPs."""
    looks = ((GREY, ""), (SKY, ""), (ORANGE, "//"), (BLUE, ".."))
    with drawing(8.3, 0.8 + 2.2 * -(-len(table) // 2)) as figure:
        axes = figure.subplots(-(-len(table) // 2), min(2, len(table)), sharey=True, squeeze=False).flat
        for ax, (network, variants) in zip(axes, table.items()):
            for row, (percent, (colour, hatch)) in enumerate(zip(variants.values(), looks)):
                ax.barh(row, percent, height=0.66, color=colour, hatch=hatch, edgecolor="white", lw=0.5)
                ax.annotate(f"{percent:.1f}" if percent else "0", (percent, row), (4, 0), textcoords="offset points",
                            va="center", size=10)  # fmt: skip
            ax.set_title(network, size=11)
            ax.set_yticks(range(len(variants)), list(variants))
            ax.set(xlim=(0, 1.3 * max(variants.values())), ylim=(len(variants) - 0.5, -0.5))
            ax.set_xlabel("added to the OPs (%)", labelpad=1)
            ax.grid(axis="y", visible=False)
            ax.locator_params(axis="x", nbins=4)
        return finish(figure, title, caption)


def pareto(table: pd.DataFrame, caption: str = "") -> Figure:
    """Accuracy over each cost, a row of panels for each of ``pareto.budgets``; ``table`` as ``zoo_table`` gives it."""
    groups = budgets(table)
    if not groups:
        raise UsageError("nothing to draw: no two networks in the table trained equally long on the same images")
    with drawing(8.3, 1.5 + 3.1 * len(groups)) as figure:
        axes = figure.subplots(len(groups), len(COSTS), squeeze=False, sharey="row")
        for row, (title, group) in zip(axes, groups.items()):
            for ax, (what, label) in zip(row, COSTS.items()):
                _front(ax, group, what)
                if group["network"].nunique() > 1:
                    _name(ax, group, what)
                ax.set_xlabel(label)
            images = " or ".join(f"{n:,}" for n in sorted(group["images"].unique()))
            row[0].set(ylabel="test accuracy (%)", title=f"{title}: {images} test images")
        handles = {}
        for ax in axes.flat:
            handles |= dict(zip(*reversed(ax.get_legend_handles_labels())))
        figure.legend(handles.values(), handles.keys(), loc="outside right center", fontsize=SMALL)
        return finish(figure, "Accuracy against cost, among networks that trained equally long", caption)


def _front(ax: Axes, group: pd.DataFrame, what: str) -> None:
    """Every network by its method's mark, those at one place side by side; those of the front ringed and joined."""
    front = group[pareto_front(group[what], group["accuracy"])].sort_values([what, "accuracy"])
    ax.step(front[what], front["accuracy"], where="post", color=BLACK, lw=1.2, zorder=1)
    ax.set_xscale("log")
    ax.set_xlim(group[what].min() / 2, group[what].max() * 2)
    for rows in _together(group, what):
        for place, row in enumerate(rows):
            aside = ScaledTranslation(10 * (place - (len(rows) - 1) / 2) / 72, 0, ax.figure.dpi_scale_trans)
            at = {"ls": "none", "mec": BLACK, "transform": ax.transData + aside}
            if row.Index in front.index:
                ax.plot(getattr(row, what), row.accuracy, "o", ms=15, mfc="none", mew=1.2, label="on the front", **at)
            ax.plot(getattr(row, what), row.accuracy, MARKERS[row.method], ms=9, color=COLOURS[row.method], mew=0.7,
                    label=METHODS[row.method].short, zorder=3, **at)  # fmt: skip
    ax.set_xticks(_ticks(*ax.get_xlim()))
    ax.xaxis.set_major_formatter(EngFormatter())
    ax.xaxis.set_minor_locator(NullLocator())
    bottom, top = group["accuracy"].min(), group["accuracy"].max()
    room = 0.15 * max(top - bottom, 0.5)
    ax.set_ylim(bottom - room, top + room)
    ax.tick_params(which="both", labelcolor=INK)


def _together(group: pd.DataFrame, what: str) -> Iterator[list]:
    """The rows, those in one list whose marks would cover each other: as accurate, and nearly as costly."""
    for _, same in group.sort_values(what, kind="stable").groupby("accuracy", sort=False):
        rows = list(same.itertuples())
        starts = [i for i, row in enumerate(rows) if i == 0 or getattr(row, what) > 1.3 * getattr(rows[i - 1], what)]
        yield from (rows[start:end] for start, end in zip(starts, [*starts[1:], len(rows)]))


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers between the two, at most five where that can be."""
    powers = [10.0**e for e in range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)]
    every = [[m * p for p in powers for m in steps if low <= m * p <= high] for steps in ((1, 2, 5), (1, 3), (1,))]
    return next((ticks for ticks in every if len(ticks) <= 5), every[-1])


def _name(ax: Axes, group: pd.DataFrame, what: str) -> None:
    """The network beside each mark, towards the middle."""
    low, high = np.log(ax.get_xlim())
    for row in group.itertuples():
        right = np.log(getattr(row, what)) < (low + high) / 2
        ax.annotate(TITLES.get(row.network, row.network), (getattr(row, what), row.accuracy),
                    (14 if right else -14, 0), textcoords="offset points", ha="left" if right else "right", va="center",
                    size=SMALL, color=INK)  # fmt: skip

"""The figures of the cost of binary networks: data in, matplotlib ``Figure`` out."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from matplotlib.transforms import ScaledTranslation

from ..analysis.cifar10 import TITLES
from ..core.methods import METHODS
from ..cost.pareto import COSTS, pareto_front
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
    with drawing(9.2, 5.2) as figure:
        ax = figure.subplots()
        x = np.geomspace(1, 20_000, 200)
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
                for number, point in enumerate(points, 1):
                    ax.annotate(str(number), point, (8, -4), textcoords="offset points", size=10, weight="bold")
        ax.set(xscale="log", yscale="log", xlim=(1, 20_000))
        ax.set_ylim(0.6 * lowest, 2.5 * peaks.products("bits") / 1e9)
        ax.set(xlabel="intensity [products per byte]", ylabel="billion products per second")
        ax.legend(loc="lower right", fontsize=SMALL)
        layers = "; ".join(f"{i}: {shape}".replace(" ", "\xa0") for i, (shape, _) in enumerate(measured, 1))
        layers = wrapped(layers, 120).replace("\xa0", " ")  # no line ends within a layer
        return finish(figure, "The roofs of one core, and convolutions under them", f"{layers}\n{caption}".strip())


def shares(parts: Mapping[str, Mapping[str, float]], title: str, caption: str = "") -> Figure:
    """One bar of 100 % per quantity; ``parts``: quantity -> kind of layer -> amount."""
    looks = ((BLUE, ""), (ORANGE, "//"), (GREEN, ".."), (GREY, "xx"), (SKY, "\\\\"))
    kinds = list(next(iter(parts.values())))
    with drawing(9.2, 1.7 + 0.55 * len(parts)) as figure:
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
        figure.legend(loc="outside right center", fontsize=SMALL)
        return finish(figure, title, caption)


def overheads(table: Mapping[str, Mapping[str, float]], title: str, caption: str = "") -> Figure:
    """A panel per network, a bar per variant; ``table``: network -> variant -> percent added to the plain one's OPs."""
    looks = ((GREY, ""), (SKY, ""), (ORANGE, "//"), (BLUE, ".."))
    with drawing(9.6, 3.4) as figure:
        axes = figure.subplots(1, len(table), sharey=True, squeeze=False)[0]
        for ax, (network, variants) in zip(axes, table.items()):
            for row, (percent, (colour, hatch)) in enumerate(zip(variants.values(), looks)):
                ax.barh(row, percent, height=0.66, color=colour, hatch=hatch, edgecolor="white", lw=0.5)
                ax.annotate(f"{percent:.1f}" if percent else "0", (percent, row), (4, 0), textcoords="offset points",
                            va="center", size=10)  # fmt: skip
            ax.set_title(network, size=11)
            ax.set_yticks(range(len(variants)), list(variants))
            ax.set(xlim=(0, 1.3 * max(variants.values())), ylim=(len(variants) - 0.5, -0.5))
            ax.set_xlabel("added to the OPs (%)")
            ax.grid(axis="y", visible=False)
            ax.locator_params(axis="x", nbins=4)
        return finish(figure, title, caption)


def pareto(table: pd.DataFrame, caption: str = "") -> Figure:
    """Accuracy over each cost, a row of panels per data set; ``table`` as ``pareto.zoo_table`` gives it."""
    if table.empty:
        raise UsageError("nothing to draw: no network is in the table")
    groups = list(table.groupby("dataset", sort=False))
    with drawing(9.6, 1.1 + 3.5 * len(groups)) as figure:
        axes = figure.subplots(len(groups), len(COSTS), squeeze=False, sharey="row")
        for row, (dataset, group) in zip(axes, groups):
            for ax, (what, label) in zip(row, COSTS.items()):
                _front(ax, group, what)
                if len(group[["network", "epochs"]].drop_duplicates()) > 1:
                    _name(ax, group, what)
                ax.set_xlabel(label)
            images = " or ".join(f"{n:,}" for n in sorted(group["images"].unique()))
            row[0].set(ylabel="test accuracy (%)", title=f"{dataset}: {images} test images")
        handles = {}
        for ax in axes.flat:
            handles |= dict(zip(*reversed(ax.get_legend_handles_labels())))
        figure.legend(handles.values(), handles.keys(), loc="outside right center", fontsize=SMALL)
        return finish(figure, "Accuracy against cost, every trained network in the package", caption)


def _front(ax: Axes, group: pd.DataFrame, what: str) -> None:
    """Every network by its method's mark, those at one place side by side; those of the front ringed and joined."""
    front = group[pareto_front(group[what], group["accuracy"])].sort_values([what, "accuracy"])
    ax.step(front[what], front["accuracy"], where="post", color=BLACK, lw=1.2, zorder=1)
    ax.plot(front[what], front["accuracy"], "o", ms=17, mfc="none", mec=BLACK, mew=1.2, zorder=1, label="on the front")
    together: dict[tuple, list] = {}  # those that would cover each other
    for row in group.sort_values(what, kind="stable").itertuples():
        together.setdefault((row.accuracy, round(5 * np.log10(getattr(row, what)))), []).append(row)
    for rows in together.values():
        for place, row in enumerate(rows):
            aside = ScaledTranslation(9 * (place - (len(rows) - 1) / 2) / 72, 0, ax.figure.dpi_scale_trans)
            ax.plot(getattr(row, what), row.accuracy, MARKERS[row.method], ls="none", ms=9, color=COLOURS[row.method],
                    mec=BLACK, mew=0.7, label=METHODS[row.method].short, zorder=2,
                    transform=ax.transData + aside)  # fmt: skip
    ax.set_xscale("log")
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlim(group[what].min() / 1.8, group[what].max() * 1.8)
    bottom, top = group["accuracy"].min(), group["accuracy"].max()
    room = 0.12 * max(top - bottom, 0.5)
    ax.set_ylim(bottom - room, top + room)
    ax.tick_params(which="both", labelcolor=INK)


def _name(ax: Axes, group: pd.DataFrame, what: str) -> None:
    """Network and epochs beside each mark, towards the middle: accuracies of other lengths can't be compared."""
    low, high = np.log(ax.get_xlim())
    for row in group.itertuples():
        right = np.log(getattr(row, what)) < (low + high) / 2
        ax.annotate(f"{TITLES.get(row.network, row.network)},\n{row.epochs} epochs", (getattr(row, what), row.accuracy),
                    (14 if right else -14, 0), textcoords="offset points", ha="left" if right else "right", va="center",
                    size=SMALL, color=INK)  # fmt: skip

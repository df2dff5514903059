"""A small picture for each of the paper's five claims, drawn from the numbers that ``analysis.claims`` measured."""

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..analysis.claims import COUNTED, Claim
from ..core.methods import METHODS
from ..errors import UsageError
from .theme import BLACK, BLUE, COLOURS, GREY, MARKERS, ORANGE, drawing

Numbers = Mapping[str, float]
WIDTH = 6.4  # inches: a phone shows it at half this size
COSTS = {"asd": "ASD", "two_sided_scale": "XNOR-Net's K, scale", "scale": "scale per filter", "folded_scale": "folded"}


def _by_method(n: Numbers, ending: str) -> dict[str, float]:
    return {m: n[f"{m}_{ending}"] for m in METHODS if f"{m}_{ending}" in n}


def _name_rows(ax: Axes, names: list[str]) -> None:
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.grid(axis="y", visible=False)


def _factors(ax: Axes, n: Numbers) -> None:
    lowest, highest = _by_method(n, "lowest"), _by_method(n, "highest")
    for row, m in enumerate(lowest):
        ax.plot([lowest[m], highest[m]], [row, row], "|-", color=BLACK, lw=3, ms=14, mew=3)
    _name_rows(ax, [METHODS[m].short for m in lowest])
    ax.axvspan(-0.3, 0, color=ORANGE, alpha=0.35, lw=0)
    ax.set(xlim=(-0.3, None), xlabel="scaling factors, lowest to highest\n(shaded: would flip signs)")


def _fits(ax: Axes, n: Numbers) -> None:
    layers = {layer: _by_method(n, f"{layer}_r") for layer in ("conv2", "conv3")}
    for (layer, found), marker, colour in zip(layers.items(), "os", (ORANGE, BLUE)):
        ax.plot(list(found.values()), range(len(found)), marker, color=colour, mec=BLACK, label=layer, clip_on=False)
    _name_rows(ax, [METHODS[m].short for m in found])
    ax.legend(loc="lower left")
    ax.set(xlim=(0, 1), xlabel="r of predicted and measured share of +1")


def _entropies(ax: Axes, n: Numbers) -> None:
    rows = [(layer, m) for layer in ("conv2", "conv3") for m in ("ede", "asd")]
    for row, (layer, m) in enumerate(rows):
        bits = [value for key, value in n.items() if key.startswith(f"{layer}_{m}_")]
        ax.plot(bits, [row] * len(bits), MARKERS[m], color=COLOURS[m], mec=BLACK, ms=9, ls="")
    _name_rows(ax, [f"{layer}, {METHODS[m].short}" for layer, m in rows])
    ax.set(xlabel="entropy of the output signs [bit], a marker per seed")


def _flips(ax: Axes, n: Numbers) -> None:
    low, high = 100 * n["flips_lowest"], 100 * n["flips_highest"]
    ax.plot(100 * n["flips_at_init"], 0, "o", color=BLUE, mec=BLACK, ms=9)
    ax.plot([low, high], [1, 1], "|-", color=BLACK, lw=3, ms=14, mew=3)
    _name_rows(ax, ["untrained ResNet-18", "trained on the digits"])
    ax.set(xscale="log", xlabel="weight signs that WSD flips [%]")
    ax.set_xticks([0.001, 0.01, 0.1, 1, 10, 100], ["0.001", "0.01", "0.1", "1", "10", "100"])


def _accuracies(ax: Axes, n: Numbers) -> None:
    mean, std = _by_method(n, "mean"), _by_method(n, "std")
    for row, m in enumerate(mean):
        ax.errorbar(100 * mean[m], row, xerr=100 * std[m], color=BLACK, capsize=4)
        ax.plot(100 * mean[m], row, MARKERS[m], color=COLOURS[m], mec=BLACK, ms=8)
    _name_rows(ax, [METHODS[m].short for m in mean])
    ax.set(xlabel="accuracy on the digits [%]\nmean ± standard deviation")


def _costs(ax: Axes, n: Numbers) -> None:
    network = [*COUNTED][-1]
    ax.barh(range(len(COSTS)), [n[f"{network}_{key}"] / 1e6 for key in COSTS], color=GREY, edgecolor=BLACK)
    _name_rows(ax, list(COSTS.values()))
    ax.set(xlabel=f"extra operations in\n{network} [million]")


PARTS = {  # by the claim's number: what is drawn, from top to bottom; height in inches; alt text
    1: ([_factors], 1.9, "Lowest and highest scaling factor of each method that has one, on an axis with 0."),
    2: ([_fits], 3.9, "Correlation of predicted and measured shares of +1, a marker per method and layer."),
    3: ([_entropies], 2.3, "Entropy of the output signs with ASD and with its control, by layer and seed."),
    4: ([_flips], 1.6, "Share of weight signs that WSD flips, before and after training, on a logarithmic axis."),
    5: ([_accuracies, _costs], 6.2, "Accuracy of each binary method on the digits, and extra operations of ASD and of "
        "scaling factors in a ResNet-18."),
}  # fmt: skip


def picture(claim: Claim) -> tuple[Figure, str]:
    """The claim's picture and its alt text. Raises UsageError for numbers of another claim."""
    draw, height, alt = PARTS[claim.number]
    with drawing(WIDTH, height) as figure:
        axes = figure.subplots(len(draw), 1, squeeze=False, height_ratios=[2, 1][: len(draw)])[:, 0]
        for part, ax in zip(draw, axes):
            try:
                part(ax, claim.numbers)
            except KeyError as error:
                raise UsageError(f"claim {claim.number}: its numbers have no {error}") from error
    return figure, f"Claim {claim.number}. {alt}"

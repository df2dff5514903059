"""Pictures for notebook 06: data in, ``Figure`` out."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from ..core.binarize import binarize, ede_k
from ..errors import UsageError
from ..training.recipe import Recipe
from .parts import INK, SMALL, finish
from .theme import BLACK, BLUE, GREEN, GREY, ORANGE, RED, drawing

PALE = {GREEN: "#E3F3EC", ORANGE: "#FBEFD6", BLUE: "#DDEBF5", GREY: "#EFEFEF"}
_LOOKS = {"stage1": (ORANGE, "s", "--"), "stage2": (BLUE, "o", "-")}
_NAMES = {"stage1": "stage 1: real weights", "stage2": "stage 2: both binary"}


def recipe_chain(one: Recipe, two: Recipe, teacher: str, results: Sequence[str] = ("", ""),
                 caption: str = "") -> Figure:  # fmt: skip
    """The stages side by side, the ``teacher`` above them, their images below; ``results``: a line below each stage."""
    with drawing(8.3, 5.6) as figure:
        ax = figure.subplots()
        ax.set(xlim=(0, 100), ylim=(-1, 71))
        ax.axis("off")
        _box(ax, (1, 59, 98, 11), GREEN, f"Teacher: real-valued, frozen\n{teacher}")
        _box(ax, (8, 24, 41, 20), ORANGE, _stage_text("Stage 1", one, "real"), results[0])
        _box(ax, (58, 24, 41, 20), BLUE, _stage_text("Stage 2", two, "±1"), results[1])
        _box(ax, (1, 0, 98, 11), GREY, f"The same images for teacher and student\n{augmentation_text(two)}")
        for x in (28.5, 78.5):
            _arrow(ax, (x, 59), (x, 44.4), GREEN)
            ax.text(x + 1.5, 52, "its softmax r:\nthe target of KL", va="center", size=SMALL)
            _arrow(ax, (x, 11), (x, 23.6 - 4.6 * any(results)), GREY)
        _arrow(ax, (49.4, 34), (57.6, 34), BLACK)
        ax.text(53.5, 38, "all its\nweights", ha="center", va="center", size=SMALL)
        _arrow(ax, (4, 11), (4, 58.6), GREY)
        return finish(figure, "Two stages, one teacher: only the last network is binary throughout", caption)


def _stage_text(name: str, recipe: Recipe, weights: str) -> str:
    rate = {"linear": "straight down to 0", "cosine": "along a cosine to 0"}[recipe.schedule]
    m = recipe.distill
    loss = {0.0: "cross-entropy", 1.0: "KL(r‖p) alone"}.get(m, f"{1 - m:g}·CE + {m:g}·KL(r‖p)")
    return (f"{name}: activations ±1, weights {weights}\n"
            f"{recipe.epochs} epochs, {recipe.batch_size} images a step\n"
            f"{recipe.optimizer.capitalize()}, rate {recipe.lr:g}, {rate}\n"
            f"loss: {loss}")  # fmt: skip


def augmentation_text(recipe: Recipe) -> str:
    """How the recipe's training images are augmented, in words."""
    said = [f"a random box, resized to {recipe.image_size}×{recipe.image_size}"] if recipe.resized else []
    said += ["mirrored half the time"] * recipe.flip
    said += [f"colours jittered ({recipe.jitter:g})"] * bool(recipe.jitter)
    said += [f"light varied ({recipe.lighting:g})"] * bool(recipe.lighting)
    return ", ".join(said)


def _box(ax: Axes, place: tuple, colour: str, text: str, below: str = "") -> None:
    x, y, width, height = place
    look = {"boxstyle": "round,pad=0,rounding_size=1.6", "fc": PALE[colour], "ec": colour, "lw": 2}
    ax.add_patch(FancyBboxPatch((x, y), width, height, zorder=2, **look))
    first, _, rest = text.partition("\n")
    lines = rest.count("\n") + 1
    middle = y + height / 2
    ax.text(x + width / 2, middle + 2.1 * lines, first, ha="center", va="center", size=11, weight="bold", zorder=3)
    ax.text(x + width / 2, middle - 2.3, rest, ha="center", va="center", size=10.5, zorder=3, linespacing=1.35)
    if below:
        ax.text(x + width / 2, y - 2.8, below, ha="center", va="center", size=SMALL, color=INK, zorder=3,
                bbox={"fc": "white", "ec": "none", "pad": 1})  # fmt: skip


def _arrow(ax: Axes, start: tuple, end: tuple, colour: str) -> None:
    look = {"arrowstyle": "-|>", "mutation_scale": 17, "shrinkA": 0, "shrinkB": 0, "lw": 2, "color": colour}
    ax.add_patch(FancyArrowPatch(start, end, zorder=1, **look))


def soft_targets(image: np.ndarray, rows: Mapping[str, Sequence[float]], classes: Sequence[str], right: int,
                 caption: str = "") -> Figure:  # fmt: skip
    """One image, and beside it the probabilities of the ``classes`` that each of ``rows`` (heading -> p) gives it."""
    looks = ((GREY, ""), (GREEN, "//"), (BLUE, ""), (ORANGE, ".."))
    with drawing(8.3, 3.4) as figure:
        axes = figure.subplots(1, len(rows) + 1, width_ratios=[0.9] + [1.3] * len(rows))
        axes[0].imshow(image, cmap="gray_r", interpolation="nearest")
        axes[0].set(xticks=[], yticks=[])
        axes[0].set_title(f"a test image:\n“{classes[right]}”", size=SMALL + 0.5)
        for ax, (heading, p), (colour, hatch) in zip(axes[1:], rows.items(), looks):
            if len(p) != len(classes):
                raise UsageError(f"{heading}: {len(p)} probabilities for {len(classes)} classes")
            ax.bar(range(len(p)), p, color=colour, hatch=hatch, edgecolor="white", lw=0.5)
            ax.set_title(heading, size=SMALL + 0.5)
            ax.set(ylim=(0, 1.04), yticks=[0, 0.5, 1], xlabel="class")
            ax.set_xticks(range(len(classes)), classes, size=SMALL)
            ax.grid(axis="x", visible=False)
        axes[1].set_ylabel("probability")
        return finish(figure, "What an answer is compared with: the label, or what a teacher says", caption)


def derivative(x: np.ndarray, gradient: str, t: float = 1.0) -> np.ndarray:
    """The surrogate gradient of the sign at ``x``, as autograd gives it; ``t`` matters to "ede" alone."""
    points = torch.tensor(x, requires_grad=True)
    binarize(points, gradient, ede_k(t), t).sum().backward()
    return points.grad.numpy()


def surrogate_gradients(recipes: Sequence[Recipe], caption: str = "") -> Figure:
    """Left: the polynomial, the clipped identity and EDE at three t. Right: the rates of ``recipes``, in a row."""
    x = np.linspace(-2, 2, 801)
    with drawing(8.3, 4.4) as figure:
        left, right = figure.subplots(1, 2, width_ratios=[1.25, 1])
        left.plot(x, derivative(x, "polynomial"), color=RED, lw=2.8, label="polynomial (activations)")
        left.plot(x, derivative(x, "ste"), color=BLACK, lw=1.8, ls="-.", label="clipped identity (weights)")
        for t, style in ((0.1, ":"), (1, "--"), (2, "-")):
            left.plot(x, derivative(x, "ede", t), color=BLUE, lw=1.6, ls=style, label=f"EDE, t = {t:g}")
        left.set(xlim=(-2, 2), xticks=range(-2, 3), ylim=(0, 3.4))
        left.set(xlabel="x: what the sign is taken of", ylabel="stands in for dsign/dx")
        left.legend(loc="upper center", ncols=2, fontsize=SMALL, columnspacing=1, facecolor="white", edgecolor="none",
                    framealpha=1)  # fmt: skip
        left.set_title("gradients", size=11)
        start = 0
        for recipe, (colour, _, style), name in zip(recipes, _LOOKS.values(), ("stage 1", "stage 2")):
            epochs = np.arange(recipe.epochs)
            right.plot(start + epochs, [1000 * recipe.lr_at(int(e)) for e in epochs], color=colour, lw=2.2, ls=style)
            right.text(start + recipe.epochs / 2, 1100 * recipe.lr, name, ha="center", size=10.5)
            start += recipe.epochs
        right.set(xlim=(0, start), ylim=(0, 1300 * max(r.lr for r in recipes)), xlabel="epoch, both stages in a row")
        right.set_ylabel("learning rate [thousandths]")
        right.set_title("learning rate", size=11)
        return finish(figure, "How ImageNet's stages learn: the gradient of a sign, and how large a step", caption)


def stage_profile(signs: pd.DataFrame, caption: str = "") -> Figure:
    """Through the layers, a line a stage: share of +1 among the inputs after ASD, and entropy of the output signs.

    ``signs``: part ("stage1", "stage2"), layer (in the network's order), input_before, input_after, entropy.
    """
    parts = [part for part in _LOOKS if part in set(signs["part"])]
    if not parts:
        raise UsageError("signs: neither stage1 nor stage2 is in the table")
    with drawing(8.3, 5.6) as figure:
        top, bottom = figure.subplots(2, 1, sharex=True)
        for part in parts:
            mine, (colour, marker, style) = signs[signs["part"] == part], _LOOKS[part]
            places = np.arange(1, len(mine) + 1)
            look = {"color": colour, "marker": marker, "ls": style, "mec": BLACK, "mew": 0.8, "ms": 7, "lw": 1.8}
            top.plot(places, 100 * mine["input_after"], label=f"{_NAMES[part]}, after ASD", **look)
            top.plot(places, 100 * mine["input_before"], **{**look, "ls": ":", "marker": "", "lw": 1.4},
                     label=f"{_NAMES[part]}, before")  # fmt: skip
            bottom.plot(places, mine["entropy"], label=_NAMES[part], **look)
            top.set_xticks(places)
        top.axhline(50, color=BLACK, lw=1, ls=(0, (4, 3)))
        top.set(ylabel="+1 among the inputs (%)", ylim=(0, 100))
        bottom.set(ylabel="entropy of the outputs'\nsigns [bit]", xlabel="binary layer, from the first to the last")
        top.legend(loc="lower center", ncols=2, fontsize=SMALL, frameon=False, bbox_to_anchor=(0.5, 1.0))
        return finish(figure, "Signs through the depth of the network, stage by stage", caption)


def silent_channels(table: pd.DataFrame, caption: str = "") -> Figure:
    """Layer by layer: the share of channels that are dead or nearly so, and the entropy predicted and measured; see
    ``analysis.silent_channels.layer_table``."""
    with drawing(8.3, 5.6) as figure:
        top, bottom = figure.subplots(2, 1, sharex=True)
        outer, dead = (100 * table[column] / table["channels"] for column in ("one_sided", "dead"))
        top.bar(table["layer"], outer, color=ORANGE, hatch="//", edgecolor="white", lw=0.5,
                label="one sign in 95 % of the outputs or more")  # fmt: skip
        top.bar(table["layer"], dead, color=BLACK, label="one sign always: dead")
        for place, count in zip(table["layer"], table["dead"]):
            if count:
                top.annotate(f"{count}", (place, 0), (0, 3), textcoords="offset points", ha="center", size=SMALL,
                             bbox={"fc": "white", "ec": "none", "pad": 1})  # fmt: skip
        bottom.plot(table["layer"], table["predicted"], "D", color="white", mec=BLACK, mew=1.4, ms=8,
                    label="predicted from p, q and n")  # fmt: skip
        bottom.plot(table["layer"], table["entropy"], "o-", color=BLUE, mec=BLACK, mew=0.8, label="measured, mean")
        top.set(ylabel="channels (%)", ylim=(0, 100), xticks=table["layer"])
        bottom.set(ylabel="entropy of the outputs'\nsigns [bit]", ylim=(-0.05, 1.05))
        bottom.set_xlabel("binary layer, from the first to the last")
        for ax in (top, bottom):
            ax.legend(loc="lower center", ncols=2, fontsize=SMALL, frameon=False, bbox_to_anchor=(0.5, 1.0))
        return finish(figure, "Channels that say next to nothing", caption)

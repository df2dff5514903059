"""Notebook 04: methods side by side. ``*_table`` give what ``table`` takes, the others what ``outcome`` takes: the
right choice's index and what was measured, in words."""

from collections.abc import Mapping, Sequence
from math import comb
from typing import Any

import numpy as np
import pandas as pd

from ..analysis import ablation, claims, input_shares
from ..analysis.ablation import CONTROL
from ..analysis.captions import spread
from ..analysis.rank_test import rank_correlation
from ..analysis.tables import read_study
from ..core import signs
from ..core.methods import METHODS
from ..core.record import LayerSigns
from ..cost.fold_scale import extra_operations

STUDY = claims.STUDY
LAYERS = ("conv2", "conv3")
BIG = "cifar10_resnet18"
Table = tuple[list[tuple[Any, ...]], Sequence[str]]
Recorded = Mapping[str, Mapping[str, LayerSigns]]


def sides_table(recorded: Recorded) -> Table:
    """By layer and method: mean and lowest entropy, sign difference, channels with less than 0.9 bit."""
    rows = [(layer, m, s.entropy.mean(), s.entropy.min(), s.sign_difference.mean(), int((s.entropy < 0.9).sum()))
            for layer in LAYERS for m in recorded for s in [recorded[m][layer]]]  # fmt: skip
    return rows, ("layer", "method", "entropy [bit]", "lowest channel", "sign difference", "channels below 0.9 bit")


def leaning(recorded: Recorded, pairs: Sequence[set[str]]) -> tuple[int, str]:
    """Which of ``pairs`` of methods has the lowest mean entropy in conv2."""
    bits = {m: layers["conv2"].entropy.mean() for m, layers in recorded.items()}
    lowest = min(range(len(pairs)), key=lambda k: np.mean([bits[m] for m in pairs[k]]))
    others = [bits[m] for m in bits if m not in pairs[lowest]]
    said = " and ".join(f"{bits[m]:.2f} bit ({METHODS[m].short})" for m in sorted(pairs[lowest]))
    return lowest, f"Mean entropy in conv2: {said}; all others {min(others):.2f} to {max(others):.2f} bit."


def _on_the_way(layers: Mapping[str, LayerSigns]) -> list[float]:
    return [signs.entropy(share).mean() for share in
            (layers["conv2"].output, layers["conv3"].input_before, layers["conv3"].input_after)]  # fmt: skip


def way_table(recorded: Recorded) -> Table:
    """Mean entropy over the channels: out of conv2, into conv3 before its shift, and after it."""
    rows = [(m, *_on_the_way(layers)) for m, layers in recorded.items()]
    return rows, ("method", "out of conv2 [bit]", "into conv3, before shift", "as conv3 reads it")


def gap_left(recorded: Recorded) -> tuple[int, str]:
    """How much of the gap between ASD and its control is left where conv3 reads: 0 under a third, 2 over two thirds."""
    gaps = np.subtract(_on_the_way(recorded[CONTROL]), _on_the_way(recorded["asd"]))
    left = gaps[2] / gaps[0]
    return int(left >= 1 / 3) + int(left >= 2 / 3), (
        f"ASD's signs say less than its control's by {', '.join(f'{gap:.2f}' for gap in gaps)} bit: out of conv2, "
        f"into conv3, after its shift. About {round(100 * left, -1):.0f} % of the gap is left.")  # fmt: skip


def gap_in_training(by_epoch: pd.DataFrame) -> tuple[int, str]:
    """Whether the gap between ASD and its control in conv3 grows (0), stays (1) or shrinks (2) in training."""
    means = by_epoch.groupby(["method", "layer", "epoch"])["entropy"].mean()
    gaps = {layer: (means[CONTROL, layer] - means["asd", layer]).iloc[[0, -1]].tolist() for layer in LAYERS}
    said = "; ".join(f"{layer}: {first:.3f} bit after the first epoch, {last:.3f} after the last"
                     for layer, (first, last) in gaps.items())  # fmt: skip
    first, last = gaps["conv3"]
    return int(last < 1.25 * first) + int(last < 0.8 * first), f"The gap to the control in {said}."


def _starred(last: pd.DataFrame) -> dict[tuple[str, str], str]:
    """(layer, method): "above" or "below" where all its seeds are above or below all of the control's."""
    ends, found = last.groupby(["layer", "method"])["entropy"].agg(["min", "max"]), {}
    for layer, m in ends.index:
        own, control = ends.loc[(layer, m)], ends.loc[(layer, CONTROL)]
        if own["min"] > control["max"] or own["max"] < control["min"]:
            found[layer, m] = "above" if own["min"] > control["max"] else "below"
    return found


def stars_table(last: pd.DataFrame) -> Table:
    """Entropy by method, mean ± standard deviation over the seeds; a star where all seeds are apart."""
    stars, bits = _starred(last), dict(iter(last.groupby(["layer", "method"])["entropy"]))
    rows = [(m, len(bits[LAYERS[0], m]), *(f"{spread(bits[layer, m])}{' *' * ((layer, m) in stars)}"
             for layer in LAYERS)) for m in claims.BINARY]  # fmt: skip
    return rows, ("method", "seeds", *(f"{layer}: entropy [bit]" for layer in LAYERS))


def stars(last: pd.DataFrame) -> tuple[int, str]:
    """How many stars: 0 up to 2, 1 up to 5, else 2; whose, and how many chance alone would give."""
    found, of, seeds = _starred(last), len(LAYERS) * (len(claims.BINARY) - 1), last["seed"].nunique()
    said = ", ".join(f"{METHODS[m].short} in {layer} ({way})" for (layer, m), way in found.items())
    by_chance = 2 / comb(2 * seeds, seeds)  # all above or all below, of all ways to deal the runs to two methods
    return int(len(found) > 2) + int(len(found) > 5), (
        f"{len(found)} of {of}: {said}. Where nothing differs, chance gives a star in {by_chance:.0%}: about "
        f"{by_chance * of:.0f} of {of}.")  # fmt: skip


def follows(runs: pd.DataFrame) -> tuple[int, str]:
    """ρ of entropy and accuracy over the last epochs of all runs: 0 below -0.4 in every layer, 2 above 0.4, else 1."""
    found = [rank_correlation(rows["entropy"], rows["test_accuracy"]) for _, rows in runs.groupby("layer")]
    rho, clear = [r.rho for r in found], sum(r.p < 0.05 for r in found)
    return 1 + (min(rho) > 0.4) - (max(rho) < -0.4), (
        f"ρ = {min(rho):+.2f} to {max(rho):+.2f}; p < 0.05 in {clear} of {len(found)} layers. Over {found[0].n} runs "
        f"only |ρ| of {found[0].visible:.2f} and more would have been noticed: a weaker one could hide.")  # fmt: skip


def trap(by_epoch: pd.DataFrame) -> tuple[int, str]:
    """ρ of entropy and accuracy over the epochs in conv3, for ASD and its control: 0 if one isn't clear, 1 if both
    have the same sign, 2 if they contradict each other."""
    joined = by_epoch.merge(read_study(STUDY, "epochs.csv"), on=["method", "seed", "epoch"])
    joined, found = joined[joined["layer"] == "conv3"], {}
    for m in (CONTROL, "asd"):
        means = joined[joined["method"] == m].groupby("epoch")[["entropy", "test_accuracy"]].mean()
        found[m] = rank_correlation(means["entropy"], means["test_accuracy"])
    one, other = found.values()
    said = " and ".join(f"ρ = {r.rho:+.1f} (p = {r.p:.0e}) for {m}" for m, r in found.items())
    return 0 if max(one.p, other.p) > 0.05 else 1 + int(one.rho * other.rho < 0), f"{said}, over {one.n} epochs."


def photographs() -> tuple[int, str]:
    """In how many layers of the CIFAR-10 networks ASD lowers the sign difference: 0 a tenth at most, 2 nine tenths."""
    table, _ = ablation.signs_and_accuracy()
    lower = np.mean(pd.concat(ablation.asd_pairs(table).values()) < 0)
    return int(lower >= 0.1) + int(lower > 0.9), (
        f"{ablation.asd_in_words(table)}\n\n{input_shares.in_words(input_shares.ends())}")  # fmt: skip


def cost() -> tuple[int, str]:
    """How many of a scale per filter and XNOR-Net's two cost less than ASD in the ResNet-18."""
    e = extra_operations(BIG, claims.COUNTED[BIG])
    return int(e.asd > e.scale) + int(e.asd > e.two_sided_scale), (
        f"In the ResNet-18 ASD takes {100 * e.asd / e.two_sided_scale:.0f} % of the operations of XNOR-Net's own "
        f"scaling, and {100 * e.asd / e.scale:.0f} % of those of a scale per filter, which is free once it is folded. "
        f"{100 * e.asd_mean / e.asd:.0f} % of ASD's are its means. Its real weights take as much memory as "
        f"{100 * e.asd_bytes / e.packed_bytes:.0f} % of all packed binary ones.")  # fmt: skip


def verdict(claim: claims.Claim) -> tuple[int, str]:
    """The claim's place among ``claims.VERDICTS``, and its one number."""
    return claims.VERDICTS.index(claim.holds), f"**{claim.headline}**"

"""The ablation on CIFAR-10 in numbers and in words: which part earns what, and whether accuracy follows the signs.

From the study's committed tables; a sentence never says more than so few runs can carry.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np
import pandas as pd

from ..core.methods import METHODS
from .captions import span
from .cifar10 import COMPRESSED, STUDY, TITLES
from .final_signs import last_signs
from .rank_test import FEWEST, RankTest, rank_test
from .tables import has_study, read_study, study_facts, summary

MEASURES = ["entropy", "sign_difference", "test_accuracy"]
HEADS = ("what it adds", "methods", "seeds", "points", "verdict")  # of contrast_rows
CONTROL = "ede"  # ASD's, WSD's and SD-BNN's: the same gradient without a shift
PARTS = (  # what two methods differ in: (the part, with it, without it)
    ("ASD alone", "asd", CONTROL),
    ("WSD alone", "wsd", CONTROL),
    ("ASD and WSD together", "sdbnn", CONTROL),
    ("ASD, with WSD in both", "sdbnn", "wsd"),
    ("WSD, with ASD in both", "sdbnn", "asd"),
    ("ASD instead of a fixed shift", "asd", "rsign"),
    ("ASD, WSD and EDE together", "sdbnn", "bnn"),
    ("a scaling factor", "xnor", "bnn"),
)


def means_in_words() -> str:
    """All methods' accuracies at one length, the highest first; empty where there is no ablation yet."""
    if not has_study(STUDY):
        return ""
    means, facts = summary(read_study(STUDY)), study_facts(STUDY)
    ordered = means.sort_values("mean", ascending=False).itertuples()
    said = ", ".join(f"{METHODS[row.Index].short} {100 * row.mean:.1f}" for row in ordered)
    length = f"{TITLES[facts['network']]}, {facts['epochs']} epochs, n = {span(means['n'])} each"
    own = ", by its own learning rate" if "tuned" in facts else ""
    return f"At equal length ({length}{own}) the methods reach {said} %."


@dataclass(frozen=True)
class Contrast:
    """Two methods that differ in one ``part``: accuracy with it minus without it, in points.

    noise: two standard errors of the difference that the choice of test images alone makes (binomial, taken as if the
    two networks erred independently, which is more than they do).
    """

    part: str
    one: str
    other: str
    n: tuple[int, int]  # seeds with and without it
    points: float  # difference of the two means
    noise: float
    apart: bool  # every seed with it is on the same side of every seed without it
    by_chance: float  # how often that happens where nothing differs: 1 for one seed each

    @property
    def firm(self) -> bool:
        """Whether it is larger than the images' noise and all seeds are apart, two or more on each side."""
        return self.apart and min(self.n) > 1 and abs(self.points) >= self.noise

    @property
    def verdict(self) -> str:
        """In a few words what may be concluded."""
        if abs(self.points) < self.noise:
            return "within the images' noise"
        if min(self.n) < 2:
            return "one seed: may be its luck"
        if not self.apart:
            return "seeds overlap"
        return f"seeds apart (by chance: {self.by_chance:.0%})"


def contrasts(runs: pd.DataFrame, test_images: int) -> list[Contrast]:
    """Every comparison of ``PARTS`` whose two methods are in ``runs``."""
    there = set(runs["method"])
    return [contrast(runs, *parts, test_images) for parts in PARTS if there.issuperset(parts[1:])]


def contrast(runs: pd.DataFrame, part: str, one: str, other: str, test_images: int) -> Contrast:
    """The methods ``one`` and ``other`` of ``runs`` (columns method, test_accuracy), which differ in ``part``."""
    a, b = (100 * runs.loc[runs["method"] == method, "test_accuracy"].to_numpy() for method in (one, other))
    n, points, (p, q) = (len(a), len(b)), float(a.mean() - b.mean()), (a.mean() / 100, b.mean() / 100)
    noise = 200 * float(np.sqrt((p * (1 - p) + q * (1 - q)) / test_images))
    apart = bool(a.min() > b.max() or a.max() < b.min())
    return Contrast(part, one, other, n, points, noise, apart, by_chance=2 / comb(sum(n), n[0]))


def contrast_rows(runs: pd.DataFrame, test_images: int) -> list[tuple[str, ...]]:
    """A row for each of :func:`contrasts`: part, methods, seeds, points, verdict."""
    return [(c.part, f"{c.one} − {c.other}", "{} and {}".format(*c.n), f"{c.points:+.2f}", c.verdict)
            for c in contrasts(runs, test_images)]  # fmt: skip


def contrasts_in_words(found: Sequence[Contrast]) -> str:
    """What the comparisons show together, and no more."""
    if not found:
        return "No two methods that differ in one part are there yet, so nothing can be compared."
    firm = [c for c in found if c.firm]
    if firm:
        said = "; ".join(f"{c.part}: {c.points:+.2f} points" for c in firm)
        rest = len(found) - len(firm)
        open_ones = f" The other {'one' if rest == 1 else rest} can't be told from chance." if rest else ""
        seeds = min(min(c.n) for c in firm)
        careful = f" With {seeds} seeds each this is a hint, no proof." if seeds < 4 else ""
        return f"All seeds are apart, by more than the test images' noise, in: {said}.{open_ones}{careful}"
    if max(min(c.n) for c in found) < 2:
        return ("With a single seed on one side, how far two of its seeds lie apart isn't known here, so none of these "
                "differences is a finding yet, however large it looks.")  # fmt: skip
    return "None of these differences is clear of the seeds' spread and of the test images' noise."


def schedules_in_words() -> str:
    """How methods and differences change from the compressed schedule, one for all, to rates of their own."""
    studies = {name: read_study(name) for name in (STUDY, COMPRESSED)}
    own, same = ({c.part: c for c in contrasts(t, study_facts(s)["test_images"])} for s, t in studies.items())
    means = pd.DataFrame({name: 100 * summary(runs)["mean"] for name, runs in studies.items()}).dropna()
    more, ranks = means[STUDY] - means[COMPRESSED], means.rank(ascending=False, method="min").astype(int)
    places = ", ".join(f"{METHODS[m].short} {row[COMPRESSED]} → {row[STUDY]}" for m, row in ranks.iterrows())
    turned = [f"{part} ({same[part].points:+.1f} → {own[part].points:+.1f})" for part in own
              if part in same and same[part].points * own[part].points < 0]  # fmt: skip
    least, most = METHODS[more.idxmin()].short, METHODS[more.idxmax()].short
    return ("From the compressed schedule to the evening recipe and rates of their own the methods gain "
            f"{span(more, 1)} points (least {least}, most {most}). Places: {places}. "
            f"Differences with another sign: {', '.join(turned) or 'none'}.")  # fmt: skip


def signs_and_accuracy(name: str = STUDY) -> tuple[pd.DataFrame, str]:
    """Final signs beside accuracy, a row per run and layer, and on which images the signs were measured."""
    signs, about = last_signs(name)
    runs = read_study(name)[["method", "seed", "test_accuracy"]]
    return signs.merge(runs, on=["method", "seed"], validate="many_to_one"), about


def over_layers(table: pd.DataFrame) -> pd.DataFrame:
    """A row per run: the mean of each measure over the layers, every layer counting the same."""
    return table.groupby(["method", "seed"], sort=False)[MEASURES].mean().reset_index()


def over_seeds(table: pd.DataFrame) -> pd.DataFrame:
    """A row per method: the mean over its seeds, in the order of ``METHODS``."""
    means = table.groupby("method")[MEASURES].mean()
    return means.reindex([m for m in METHODS if m in means.index])


def layers_title(table: pd.DataFrame, measure: str = "sign_difference") -> str:
    """In how many layers which methods' mean is below the ``CONTROL``'s: the most and the fewest."""
    means = table.groupby(["method", "layer"], sort=False)[measure].mean().unstack(0)
    lower = means.drop(columns=CONTROL).lt(means[CONTROL], axis=0).sum()
    (most, fewest), what = (lower.idxmax(), lower.idxmin()), measure.replace("_", " ").capitalize()
    others = f", {METHODS[fewest].short} in {lower[fewest]}" if len(lower) > 1 else ""
    return (f"{what} below {METHODS[CONTROL].short}'s: {METHODS[most].short} in {lower[most]} of {len(means)} "
            f"layers{others}")  # fmt: skip


def extremes_in_words(methods: pd.DataFrame, measure: str = "sign_difference") -> str:
    """Which of ``methods`` (:func:`over_seeds`) is the most accurate, and where its ``measure`` stands among theirs."""
    if len(methods) < 2:
        return f"One method alone has no {measure.replace('_', ' ')} to be compared with"
    best, place = methods["test_accuracy"].idxmax(), methods[measure].rank(method="min").astype(int)
    ordinal = {2: "second", 3: "third"}.get(place[best], f"{place[best]}th")
    stands = {1: "lowest", len(methods): "highest"}.get(place[best], f"{ordinal} lowest")
    return f"The highest accuracy goes with the {stands} {measure.replace('_', ' ')}: {METHODS[best].short}"


def correlation(points: pd.DataFrame, measure: str) -> RankTest | None:
    """Spearman's rho of ``measure`` and accuracy; None where there are too few points or nothing differs."""
    return rank_test(points[measure], points["test_accuracy"])


def by_layer(table: pd.DataFrame, measure: str) -> pd.DataFrame:
    """A row per layer, in the network's order: rho over the methods' means, p, n, visible; NaN where it is too few."""
    rows = []
    for layer in table["layer"].unique():
        points = over_seeds(table[table["layer"] == layer])
        found = correlation(points, measure) or RankTest(np.nan, np.nan, len(points), np.nan)
        rows.append({"layer": layer, **found._asdict()})
    return pd.DataFrame(rows, columns=["layer", "n", "rho", "p", "visible"])


def correlation_in_words(r: RankTest | None, n: int, over: str, measure: str = "sign difference") -> str:
    """Whether accuracy follows ``measure``, as far as ``n`` ``over`` (methods, runs) can show it."""
    if r is None:
        return f"{n} {over} are too few for a rank correlation: {FEWEST} are needed."
    if r.p < 0.05:
        way = "higher" if r.rho > 0 else "lower"
        return (f"Over {n} {over}, a higher {measure} goes with a {way} accuracy: ρ = {r.rho:+.2f}, p = {r.p:.3f}. "
                "That says what goes together, not what causes what: the methods differ in more "
                "than their signs.")  # fmt: skip
    return (f"Over {n} {over}, ρ = {r.rho:+.2f} (p = {r.p:.2f}): no relation that we could see, but with so few only "
            f"|ρ| ≥ {r.visible:.2f} would have been noticed.")  # fmt: skip


def layers_in_words(found: pd.DataFrame) -> str:
    """What the correlations of all layers say, minding that many were tried."""
    known = found.dropna(subset=["rho"])
    if known.empty:
        return "There are too few methods yet for a correlation in any layer."
    n, positive, below = len(known), (known["rho"] > 0).sum(), (known["p"] < 0.05).sum()
    return (f"ρ is positive in {positive} of {n} layers. {below} of {n} have p < 0.05; chance alone would give about "
            f"{0.05 * n:.0f}, and more at a time, since the layers belong to the same networks.")  # fmt: skip


def signs_in_words(table: pd.DataFrame) -> str:
    """Which sign difference the most accurate method has, the correlation over the methods, and that of each layer."""
    methods = over_seeds(table)
    over = correlation_in_words(correlation(methods, "sign_difference"), len(methods), "methods")
    return f"{extremes_in_words(methods)}. {over}\n\n{layers_in_words(by_layer(table, 'sign_difference'))}"


SHIFTED = (("sdbnn", "wsd"), ("asd", "ede"))  # with ASD, and without


def asd_pairs(table: pd.DataFrame) -> dict[tuple[str, str], pd.Series]:
    """By pair of methods, with ASD and without: the difference of their mean sign differences in each layer."""
    means = table.groupby(["method", "layer"])["sign_difference"].mean()
    return {(one, other): means[one] - means[other] for one, other in SHIFTED if {one, other} <= set(table["method"])}


def asd_in_words(table: pd.DataFrame) -> str:
    """Whether ASD lowers the sign difference of the outputs here too, as it does on the digits; layer by layer."""
    pairs = asd_pairs(table)
    if not pairs:
        return "No two networks that differ in ASD are there yet, so nothing can be said about it."
    means, said = table.groupby(["method", "layer"])["sign_difference"].mean(), []
    for (one, other), gap in pairs.items():
        n = min(table.loc[table["method"] == m, "seed"].nunique() for m in (one, other))
        said.append(f"`{one}` against `{other}`: {means[one].mean():.3f} and {means[other].mean():.3f}, lower in "
                    f"{(gap < 0).sum()} of {len(gap)} layers (n = {n} seed{'s' * (n > 1)} each)")  # fmt: skip
    lower = pd.concat(pairs.values()) < 0
    if lower.mean() > 0.9:
        so = "As on the digits, outputs differ less with ASD"
    elif lower.mean() < 0.1:
        so = "Other than on the digits, outputs differ more with ASD, as the paper says"
    else:
        so = "It depends on the layer: in some the outputs differ less with ASD, in others more"
    return f"{so}. Mean sign difference over the layers, {'; '.join(said)}."

"""Accuracy against cost, for every network that comes with the package: who gets more for less?

What a network costs is counted by ``cost``; its accuracy is that of its card in the zoo, so of the file as stored.
Only networks that trained for as many epochs on the same images are compared.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..errors import UsageError
from ..weights import cards
from ..weights.zoo import ZOO
from .count import cost

COSTS = {"ops": "operations for one image", "bytes": "bytes of weights"}
COLUMNS = ["name", "dataset", "network", "method", "epochs", "accuracy", "images", *COSTS]


def zoo_table() -> pd.DataFrame:
    """A row per trained network in the package, by data set; accuracy in percent, of so many ``images``."""
    rows = []
    for name, card in cards.cards_in(ZOO).items():
        counted = cost(card["network"], card["method"])
        of_card = (card[key] for key in ("dataset", "network", "method", "epochs"))
        scored = 100 * card["test_accuracy"], card["test_images"]
        rows.append((name, *of_card, *scored, *map(counted.total, COSTS)))
    return pd.DataFrame(rows, columns=COLUMNS).sort_values(["dataset", "network"], kind="stable", ignore_index=True)


def budgets(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows of ``zoo_table`` that may be compared: title -> those of one data set that trained equally long."""
    groups = {f"{dataset}, {epochs} epochs": group for (dataset, epochs), group in table.groupby(["dataset", "epochs"])}
    return {title: group for title, group in groups.items() if len(group) > 1}


def budgets_in_words(table: pd.DataFrame) -> str:
    """What is on the front of each of ``budgets``, by both costs, and which networks have nothing to compare with."""
    said, compared = [], budgets(table)
    for title, group in compared.items():
        names = group["name" if group["network"].nunique() > 1 else "method"]
        fronts = [", ".join(names[pareto_front(group[what], group["accuracy"])]) for what in COSTS]
        both = " by operations, by bytes ".join(dict.fromkeys(fronts))
        said.append(f"{title}, {len(group)} networks: on the front {both}.")
    alone = table.drop(index=[i for group in compared.values() for i in group.index])
    if len(alone):
        left = ", ".join(f"{name} ({epochs} epochs)" for name, epochs in zip(alone["name"], alone["epochs"]))
        said.append(f"Nothing else trained as long on the same images, so nothing to compare with: {left}.")
    return " ".join(said)


def rounding_in_words() -> list[str]:
    """Of each file in the zoo: why the accuracy here isn't the one that its run reached, where it isn't."""
    return [said for name, card in cards.cards_in(ZOO).items() if (said := cards.stored_in_words(name, card))]


def pareto_front(costs: Sequence[float], accuracies: Sequence[float]) -> np.ndarray:
    """(n,) bool, the Pareto front: no other is at most as costly and at least as accurate, and better in one of both.

    Raises UsageError where the two differ in length.
    """
    c, a = np.asarray(costs, float), np.asarray(accuracies, float)
    if c.shape != a.shape or c.ndim != 1:
        raise UsageError(f"{c.size} costs and {a.size} accuracies: as many of one as of the other are needed")
    no_worse = (c[None] <= c[:, None]) & (a[None] >= a[:, None])  # [i, j]: j is as good as i in both
    better = (c[None] < c[:, None]) | (a[None] > a[:, None])
    return ~(no_worse & better).any(axis=1)

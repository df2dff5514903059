"""Accuracy against cost, for every network that comes with the package: who gets more for less?

What a network costs is counted by ``cost``; its accuracy is that of its card in the zoo.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..errors import UsageError
from ..system.files import read_json
from ..weights.zoo import ZOO
from .count import cost

COSTS = {"ops": "operations for one image", "bytes": "bytes of weights"}
COLUMNS = ["name", "dataset", "network", "method", "epochs", "accuracy", "images", *COSTS]


def zoo_table() -> pd.DataFrame:
    """A row per trained network in the package, by data set; accuracy in percent, of so many ``images``."""
    rows = []
    for path in sorted(ZOO.glob("*.json")):
        card = read_json(path)
        counted = cost(card["network"], card["method"])
        of_card = (card[key] for key in ("dataset", "network", "method", "epochs"))
        scored = 100 * card["test_accuracy"], card["test_images"]
        rows.append((path.stem, *of_card, *scored, *map(counted.total, COSTS)))
    return pd.DataFrame(rows, columns=COLUMNS).sort_values(["dataset", "network"], kind="stable", ignore_index=True)


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

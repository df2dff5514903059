"""Spearman's rank correlation of a handful of pairs, with an exact p.

The usual p of a rank correlation comes from a t distribution. With seven methods it is too small, with four it is 0 for
a perfect order that comes about by chance in one of twelve cases. So up to ``EXACT`` pairs every order is counted.
"""

from collections.abc import Sequence
from functools import cache
from itertools import permutations
from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata

from ..errors import UsageError
from ..plots.signs import rank_correlation

FEWEST = 5  # with 4 pairs even a perfect order has p = 0.08
EXACT = 8  # 40,320 orders


class RankTest(NamedTuple):
    """rho from -1 to +1, two-sided p, number of pairs, and ``visible``: the smallest |rho| that has p < 0.05."""

    rho: float
    p: float
    n: int
    visible: float


def rank_test(x: Sequence[float], y: Sequence[float]) -> RankTest | None:
    """Do large ``x`` go with large ``y``? None for fewer than ``FEWEST`` pairs, NaN, or a list that never changes."""
    try:
        found = rank_correlation(x, y)
    except UsageError:
        return None
    if found.n < FEWEST:
        return None
    if found.n > EXACT:
        return RankTest(found.rho, found.p, found.n, found.visible)
    by_chance = _correlations(rankdata(x), rankdata(y))
    return RankTest(found.rho, float(np.mean(by_chance >= abs(found.rho) - 1e-9)), found.n, _visible(found.n))


@cache
def _orders(n: int) -> np.ndarray:
    return np.array(list(permutations(range(n))))


def _correlations(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """|rho| of the ranks ``a`` with every order of the ranks ``b``."""
    a, b = a - a.mean(), b - b.mean()
    return np.abs(b[_orders(len(b))] @ a) / np.sqrt((a @ a) * (b @ b))


@cache
def _visible(n: int) -> float:
    """The smallest |rho| of ``n`` pairs without ties that at most 5 % of all orders reach."""
    found = np.sort(_correlations(np.arange(n), np.arange(n)))
    reached = [rho for rho in np.unique(found.round(9)) if np.mean(found >= rho - 1e-9) < 0.05]
    return float(reached[0])

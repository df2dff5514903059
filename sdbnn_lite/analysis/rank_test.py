"""Spearman's rank correlation, with an exact p where there is only a handful of pairs.

The usual p of a rank correlation comes from a t distribution. With seven methods it is too small, with four it is 0 for
a perfect order that comes about by chance in one of twelve cases. So up to ``EXACT`` pairs every order is counted.
"""

from collections.abc import Sequence
from functools import cache
from itertools import permutations
from typing import NamedTuple

import numpy as np
from scipy import stats

from ..errors import UsageError

FEWEST = 5  # with 4 pairs even a perfect order has p = 0.08
EXACT = 8  # 40,320 orders


class RankTest(NamedTuple):
    """rho from -1 to +1, two-sided p, number of pairs, and ``visible``: the smallest |rho| that has p < 0.05."""

    rho: float
    p: float
    n: int
    visible: float


def rank_test(x: Sequence[float], y: Sequence[float]) -> RankTest | None:
    """:func:`rank_correlation`; None for fewer than ``FEWEST`` pairs, NaN, or a list that never changes."""
    try:
        found = rank_correlation(x, y)
    except UsageError:
        return None
    return found if found.n >= FEWEST else None


def rank_correlation(x: Sequence[float], y: Sequence[float]) -> RankTest:
    """Do large ``x`` go with large ``y``? rho is +1: always, -1: never, 0: no relation.

    Raises UsageError for fewer than 4 pairs, unequal lengths, NaN, or an x or y that never changes.
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if x.shape != y.shape or x.ndim != 1 or len(x) < 4:
        raise UsageError(f"x {x.shape}, y {y.shape}: two lists of the same length are needed, at least 4 long")
    if np.isnan(x).any() or np.isnan(y).any() or np.ptp(x) == 0 or np.ptp(y) == 0:
        raise UsageError("x, y: NaN, or a list whose values are all the same; ranks need differences")
    n, (rho, p) = len(x), map(float, stats.spearmanr(x, y))
    if n <= EXACT:
        by_chance = _correlations(stats.rankdata(x), stats.rankdata(y))
        return RankTest(rho, float(np.mean(by_chance >= abs(rho) - 1e-9)), n, _visible(n))
    t = stats.t.ppf(0.975, n - 2)
    return RankTest(rho, p, n, float(t / np.sqrt(n - 2 + t * t)))


@cache
def _orders(n: int) -> np.ndarray:
    return np.array(list(permutations(range(n))))


def _correlations(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """|rho| of the ranks ``a`` with every order of the ranks ``b``."""
    a, b = a - a.mean(), b - b.mean()
    return np.abs(b[_orders(len(b))] @ a) / np.sqrt((a @ a) * (b @ b))


@cache
def _visible(n: int) -> float:
    """The smallest |rho| of ``n`` pairs without ties that at most 5 % of all orders reach; infinity for 4 pairs."""
    found = np.sort(_correlations(np.arange(n), np.arange(n)))
    reached = [rho for rho in np.unique(found.round(9)) if np.mean(found >= rho - 1e-9) < 0.05]
    return float(min(reached, default=np.inf))

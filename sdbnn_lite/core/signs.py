"""Statistics of signs: pure functions, no network needed.

p is a share of +1, between 0 and 1. All functions take NumPy arrays or numbers and return the same.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import binom

from ..errors import UsageError

Array = np.ndarray | float


def _share(name: str, p: Array) -> np.ndarray:
    shares = np.asarray(p, dtype=float)
    if not ((shares >= 0) & (shares <= 1)).all():
        raise UsageError(f"{name}={shares}: a share of +1 lies between 0 and 1")
    return shares


def entropy(p: Array) -> Array:
    """H(p) = -p·log2(p) - (1-p)·log2(1-p), in bits per sign: 1 at p = 1/2, 0 where all signs agree.
    >>> entropy(np.array([0.0, 0.25, 0.5])).round(2)
    array([0.  , 0.81, 1.  ])
    """
    q = _share("p", p)
    with np.errstate(divide="ignore", invalid="ignore"):
        h = -q * np.log2(q) - (1 - q) * np.log2(1 - q)
    return np.where((q == 0) | (q == 1), 0.0, h)[()]


def sign_difference(p: Array) -> Array:
    """2p(1-p): the probability that two outputs drawn at random differ in sign; 1/2 at most."""
    q = _share("p", p)
    return (2 * q * (1 - q))[()]


@dataclass(frozen=True)
class SumOfSigns:
    """The distribution of y = Σ x_i·w_i over n products of signs: its values, their probabilities, and what follows.

    ``values`` -n, -n+2, …, n and ``probability`` of each; ``mean`` and ``variance`` of y;
    ``positive`` = P(y > 0), ``zero`` = P(y = 0), so that P(sign(y) = +1) = ``plus`` = positive + zero.
    """

    values: np.ndarray
    probability: np.ndarray
    mean: float
    variance: float

    @property
    def positive(self) -> float:
        return float(self.probability[self.values > 0].sum())

    @property
    def zero(self) -> float:
        return float(self.probability[self.values == 0].sum())

    @property
    def plus(self) -> float:
        return self.positive + self.zero


def random_signs(p: float, q: float, n: int) -> SumOfSigns:
    """The closed form for random signs: P(x_i = +1) = p, P(w_i = +1) = q, all independent, fan-in n.

    A product is +1 with r = pq + (1-p)(1-q), so y = 2B - n with B ~ Binomial(n, r) (the popcount of the XNOR):

        mean = n(2p-1)(2q-1)        variance = 4n·r(1-r) = n(1 - (2p-1)²(2q-1)²)        P(y > 0) = P(B > n/2)

    Raises UsageError for p or q outside [0, 1] or n < 1.
    >>> round(random_signs(p=0.7, q=0.6, n=9).plus, 3)
    0.598
    """
    _check(p, q, n)
    r = p * q + (1 - p) * (1 - q)
    ones = np.arange(n + 1)
    bias = (2 * p - 1) * (2 * q - 1)
    return SumOfSigns(2 * ones - n, binom.pmf(ones, n, r), n * bias, n * (1 - bias**2))


def fixed_filter(p: float, q: float, n: int) -> SumOfSigns:
    """The same for *one* filter, whose weights don't change from output to output: round(qn) of its n are +1.

    With m = round(qn): y = (2A - m) - (2B - (n-m)), A ~ Binomial(m, p), B ~ Binomial(n-m, p):

        mean = (2m - n)(2p-1)        variance = 4n·p(1-p)

    The mean is as for random signs; the spread is smaller wherever the inputs are biased, since only they vary.
    """
    _check(p, q, n)
    m = round(q * n)
    plus = binom.pmf(np.arange(m + 1), m, p)  # +1 inputs under +1 weights
    minus = binom.pmf(np.arange(n - m + 1), n - m, 1 - p)  # -1 inputs under -1 weights: products of +1 as well
    values = 2 * np.arange(n + 1) - n
    return SumOfSigns(values, np.convolve(plus, minus), (2 * m - n) * (2 * p - 1), 4 * n * p * (1 - p))


def _check(p: float, q: float, n: int) -> None:
    _share("p", p), _share("q", q)
    if int(n) != n or n < 1:
        raise UsageError(f"n={n!r}: the fan-in is a whole number from 1 up")

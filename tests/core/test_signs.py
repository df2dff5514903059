"""Statistics of signs against loops, and the closed forms against enumeration of all cases and simulation."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdbnn_lite.core.signs import entropy, fixed_filter, random_signs, sign_difference
from sdbnn_lite.errors import UsageError

SHARES = st.integers(0, 10**6).map(lambda i: i / 10**6)


# ------------------------------------------------------------------------------------------------- shares and entropies


@given(p=SHARES)
def test_entropy_and_sign_difference_by_their_definitions(p):
    """H = Σ p·log2(1/p) over both signs; 2p(1-p) is the chance that two independent signs differ."""
    shares = [s for s in (p, 1 - p) if s > 0]
    assert entropy(p) == pytest.approx(sum(s * math.log2(1 / s) for s in shares), abs=1e-12)
    differ = sum(x * y for (i, x), (j, y) in itertools.product(enumerate((p, 1 - p)), repeat=2) if i != j)
    assert sign_difference(p) == pytest.approx(differ, abs=1e-12)


def test_entropy_at_known_shares():
    """1 bit at 1/2, 0 at 0 and 1 (no NaN), 0.811 at 1/4; arrays go in and come out."""
    np.testing.assert_allclose(entropy(np.array([0, 0.25, 0.5, 0.75, 1])), [0, 0.811278, 1, 0.811278, 0], atol=1e-6)
    np.testing.assert_allclose(sign_difference(np.array([0, 0.25, 0.5, 1])), [0, 0.375, 0.5, 0])
    assert np.ndim(entropy(0.5)) == 0 and np.ndim(sign_difference(0.5)) == 0


def test_sign_difference_by_counting_pairs():
    """All ordered pairs, with replacement, of a channel with 3 of 8 positive outputs."""
    outputs = [1, 1, 1, -1, -1, -1, -1, -1]
    pairs = list(itertools.product(outputs, repeat=2))
    assert sign_difference(3 / 8) == sum(x != y for x, y in pairs) / len(pairs)


@pytest.mark.parametrize("function", [entropy, sign_difference])
@pytest.mark.parametrize("p", [-0.01, 1.01, math.nan])
def test_a_share_lies_between_0_and_1(function, p):
    with pytest.raises(UsageError, match="p="):
        function(p)
    with pytest.raises(UsageError, match="p="):
        function(np.array([0.5, p]))


# --------------------------------------------------------------------------------------------------------- closed forms


def bias(p, sign):
    return p if sign > 0 else 1 - p


def enumerate_random(p, q, n):
    """{y: probability} over all 4^n inputs and weights."""
    table = dict.fromkeys(range(-n, n + 1, 2), 0.0)
    for x in itertools.product((1, -1), repeat=n):
        for w in itertools.product((1, -1), repeat=n):
            probability = math.prod(bias(p, s) for s in x) * math.prod(bias(q, s) for s in w)
            table[sum(a * b for a, b in zip(x, w, strict=True))] += probability
    return table


def enumerate_fixed(p, plus, n):
    """{y: probability} over all 2^n inputs of one filter with ``plus`` weights of +1."""
    w = [1] * plus + [-1] * (n - plus)
    table = dict.fromkeys(range(-n, n + 1, 2), 0.0)
    for x in itertools.product((1, -1), repeat=n):
        table[sum(a * b for a, b in zip(x, w, strict=True))] += math.prod(bias(p, s) for s in x)
    return table


def check(ours, table):
    """Values, probabilities and everything that follows from them, against an enumerated distribution."""
    assert ours.values.tolist() == list(table)
    np.testing.assert_allclose(ours.probability, list(table.values()), atol=1e-12)
    mean = sum(y * probability for y, probability in table.items())
    assert ours.mean == pytest.approx(mean, abs=1e-9)
    assert ours.variance == pytest.approx(sum((y - mean) ** 2 * pr for y, pr in table.items()), abs=1e-9)
    assert ours.positive == pytest.approx(sum(pr for y, pr in table.items() if y > 0), abs=1e-12)
    assert ours.zero == pytest.approx(table.get(0, 0.0), abs=1e-12)
    assert ours.plus == pytest.approx(sum(pr for y, pr in table.items() if y >= 0), abs=1e-12)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("p, q", [(0.5, 0.5), (0.3, 0.8), (0.9, 0.9), (0.0, 0.4), (1.0, 1.0), (0.7, 0.5)])
def test_random_signs_equal_the_enumeration(p, q, n):
    check(random_signs(p, q, n), enumerate_random(p, q, n))


@pytest.mark.parametrize("n", [1, 2, 5, 8, 9])
@pytest.mark.parametrize("p, q", [(0.5, 0.5), (0.3, 0.8), (0.9, 0.1), (0.0, 0.4), (1.0, 1.0), (0.7, 0.0)])
def test_fixed_filter_equals_the_enumeration(p, q, n):
    """The filter has the nearest whole number of +1 weights; at a half, either neighbour."""
    ours = fixed_filter(p, q, n)
    below = math.floor(q * n)
    nearest = [plus for plus in (below, below + 1) if abs(plus - q * n) <= 0.5]
    for plus in nearest:
        table = enumerate_fixed(p, plus, n)
        if np.allclose(ours.probability, list(table.values())):
            return check(ours, table)
    raise AssertionError(f"none of {nearest} weights of +1 fits")


@pytest.mark.parametrize("p, q, n", [(0.6, 0.55, 576), (0.5, 0.5, 288), (0.8, 0.52, 144)])
def test_closed_forms_equal_simulation(p, q, n):
    """A real layer's fan-in, 20,000 draws: mean, variance and P(y > 0), within five standard errors."""
    rng, draws = np.random.default_rng(0), 20_000
    x = rng.random((draws, n)) < p
    w = rng.random((draws, n)) < q
    filter_ = np.arange(n) < round(q * n)
    for ours, agree in ((random_signs(p, q, n), x == w), (fixed_filter(p, q, n), x == filter_)):
        y = 2 * agree.sum(axis=1) - n
        assert abs(y.mean() - ours.mean) < 5 * math.sqrt(ours.variance / draws)
        assert y.var() == pytest.approx(ours.variance, rel=5 * math.sqrt(2 / draws))
        for share, expected in (((y > 0).mean(), ours.positive), ((y >= 0).mean(), ours.plus)):
            assert abs(share - expected) < 5 * math.sqrt(max(expected * (1 - expected), 1e-4) / draws)


@given(p=SHARES, q=SHARES, n=st.integers(1, 300))
def test_distributions_are_distributions(p, q, n):
    """Probabilities sum to 1 and give the stated mean and variance; inputs alone vary less than both together."""
    random, fixed = random_signs(p, q, n), fixed_filter(p, q, n)
    for ours in (random, fixed):
        assert ours.probability.sum() == pytest.approx(1)
        assert (ours.probability >= 0).all() and len(ours.values) == len(ours.probability) == n + 1
        mean = ours.probability @ ours.values
        assert ours.mean == pytest.approx(mean, abs=1e-6)
        assert ours.variance == pytest.approx(ours.probability @ (ours.values - mean) ** 2, abs=1e-6)
    assert fixed.variance <= random.variance + 1e-9
    assert abs(fixed.mean - random.mean) <= abs(2 * p - 1) + 1e-9, "rounding moves at most half a weight"


@pytest.mark.parametrize("function", [random_signs, fixed_filter])
@pytest.mark.parametrize(
    "arguments", [(-0.1, 0.5, 9), (0.5, 1.1, 9), (0.5, 0.5, 0), (0.5, 0.5, 2.5), (math.nan, 0.5, 9)]
)
def test_closed_forms_refuse(function, arguments):
    with pytest.raises(UsageError):
        function(*arguments)

"""Rank correlations of a handful of pairs: exact p by shuffling, and what so few can show at all."""

from math import factorial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from sdbnn_lite.analysis.rank_test import EXACT, FEWEST, rank_correlation, rank_test
from sdbnn_lite.errors import UsageError


@pytest.mark.parametrize("n", [5, 7, 8])
def test_a_perfect_order_comes_about_in_two_of_all_orders(n):
    up, down = rank_test(range(n), range(n)), rank_test(range(n), range(n)[::-1])
    assert (up.rho, down.rho) == pytest.approx((1, -1)) and up.n == n
    assert up.p == down.p == pytest.approx(2 / factorial(n))


@pytest.mark.parametrize("n, smallest", [(5, 1.0), (6, 0.886), (7, 0.786), (8, 0.738)])
def test_the_smallest_visible_rho_is_the_one_of_the_tables(n, smallest):
    """Critical values of Spearman's rho, two-sided 0.05, as every table of them has it."""
    assert rank_test(range(n), range(n)).visible == pytest.approx(smallest, abs=5e-4)


def test_p_against_shuffling():
    random = np.random.default_rng(0)
    x, y = random.normal(size=6), random.integers(0, 4, 6)  # with ties
    found = rank_test(x, y)
    assert found.rho == pytest.approx(spearmanr(x, y).statistic)
    shuffled = [abs(spearmanr(x, random.permutation(y)).statistic) for _ in range(1000)]
    assert found.p == pytest.approx(np.mean(np.array(shuffled) >= abs(found.rho) - 1e-9), abs=0.05)


def test_below_five_percent_means_visible():
    random = np.random.default_rng(1)
    for _ in range(50):
        found = rank_test(random.normal(size=7) + np.arange(7), np.arange(7))
        assert (found.p < 0.05) == (abs(found.rho) >= found.visible - 1e-9)


def test_many_pairs_have_the_usual_p_and_few_or_equal_ones_none():
    x = np.random.default_rng(2).normal(size=EXACT + 1)
    assert rank_test(x, x**2).p == pytest.approx(spearmanr(x, x**2).pvalue)
    assert rank_test(range(FEWEST - 1), range(FEWEST - 1)) is None
    assert rank_test([1] * 7, range(7)) is None and rank_test([np.nan] * 7, range(7)) is None


# --- rank_correlation -----------------------------------------------------------------------------------------------


def naive_spearman(x, y):
    """Pearson's correlation of ranks, equal values sharing the mean of theirs."""

    def ranks(values):
        return np.array([sum(v < u for v in values) + (sum(v == u for v in values) + 1) / 2 for u in values])

    return np.corrcoef(ranks(x), ranks(y))[0, 1]


@given(st.integers(0, 2**32 - 1))
def test_rank_correlation_against_a_naive_one(seed):
    random = np.random.default_rng(seed)
    x, y = random.integers(0, 9, 15), random.normal(size=15)
    found = rank_correlation(x, y)
    assert found.rho == pytest.approx(naive_spearman(x, y)) and found.n == 15 and 0 <= found.p <= 1


def test_p_values_are_those_of_shuffled_pairs():
    random = np.random.default_rng(0)
    x, y = random.normal(size=20), random.normal(size=20)
    y += 0.4 * x
    found = rank_correlation(x, y)
    shuffled = [abs(naive_spearman(x, random.permutation(y))) for _ in range(1000)]
    assert found.p == pytest.approx(np.mean(np.array(shuffled) >= abs(found.rho)), abs=0.03)


@pytest.mark.parametrize("n", [10, 30])
def test_the_smallest_visible_correlation_is_where_p_is_five_percent(n):
    random = np.random.default_rng(1)
    for _ in range(200):
        found = rank_correlation(random.normal(size=n) + np.arange(n) / 8, np.arange(n))
        assert (found.p < 0.05) == (abs(found.rho) > found.visible)


@pytest.mark.parametrize(
    ("x", "y"),
    [([1, 2, 3], [1, 2, 3]), ([1, 2, 3, 4], [1, 2, 3]), ([1, 1, 1, 1], [1, 2, 3, 4]), ([1, 2, 3, np.nan],) * 2],
)
def test_ranks_of_nothing_are_refused(x, y):
    with pytest.raises(UsageError):
        rank_correlation(x, y)

"""The claims' pictures, read back from their artists."""

from dataclasses import replace

import pytest
from measured import claims_once
from pictures import assert_apart

from sdbnn_lite.analysis import claims
from sdbnn_lite.core.methods import METHODS
from sdbnn_lite.plots import cards
from sdbnn_lite.plots.theme import png_bytes


@pytest.fixture(scope="module")
def pictures():
    return {claim.number: (claim.numbers, *cards.picture(claim)) for claim in claims_once()}


def named(ax):
    return [label.get_text() for label in ax.get_yticklabels()]


def xs(ax):
    return [sorted(map(float, line.get_xdata())) for line in ax.lines]


@pytest.mark.parametrize("number", range(1, 6))
def test_every_text_can_be_read_and_bytes_stay_the_same(pictures, number):
    _, figure, alt = pictures[number]
    assert alt.startswith(f"Claim {number}. ") and alt.endswith(".")
    assert figure.get_figwidth() <= 6.5  # on a phone 390 pixels wide its letters are still 7 pixels high
    first = png_bytes(figure)
    assert_apart(figure)
    claim = claims_once()[number - 1]
    assert png_bytes(cards.picture(claim)[0]) == first


def test_factors_lie_right_of_zero(pictures):
    n, figure, _ = pictures[1]
    (ax,) = figure.axes
    assert named(ax) == [METHODS[m].short for m in claims.SCALED]
    assert xs(ax) == [[n[f"{m}_lowest"], n[f"{m}_highest"]] for m in claims.SCALED]
    assert ax.get_xlim()[0] < 0


def test_every_layer_s_correlation_is_drawn(pictures):
    n, figure, _ = pictures[2]
    (ax,) = figure.axes
    drawn = sorted(x for line in xs(ax) for x in line)
    assert drawn == sorted(n[f"{m}_{layer}_r"] for m in claims.BINARY for layer in ("conv2", "conv3"))
    assert (drawn[0], drawn[-1]) == (n["r_lowest"], n["r_highest"]) and len(drawn) == n["layers"]


def test_every_seed_s_entropy_is_drawn(pictures):
    n, figure, _ = pictures[3]
    (ax,) = figure.axes
    rows = dict(zip(named(ax), xs(ax)))
    assert {len(row) for row in rows.values()} == {3}
    ours, control = rows["conv2, ASD"], rows["conv2, EDE alone"]
    assert sum(ours) / 3 - sum(control) / 3 == pytest.approx(n["conv2_difference"])


def test_flips_are_in_percent(pictures):
    n, figure, _ = pictures[4]
    (ax,) = figure.axes
    assert xs(ax) == [[100 * n["flips_at_init"]], [100 * n["flips_lowest"], 100 * n["flips_highest"]]]


def test_accuracies_and_costs(pictures):
    n, figure, _ = pictures[5]
    above, below = figure.axes
    assert named(above) == [METHODS[m].short for m in claims.BINARY]
    means = [100 * n[f"{m}_mean"] for m in claims.BINARY]
    assert [max(means), min(means)] == [100 * n["highest"], 100 * n["lowest"]]
    assert all([mean] in xs(above) for mean in means)
    bars = dict(zip(named(below), [1e6 * bar.get_width() for bar in below.patches]))
    assert bars["ASD"] == pytest.approx(690_688) and bars["folded"] == 0
    assert bars["XNOR-Net's K, scale"] == pytest.approx(1_580_864)


def test_a_method_that_was_not_measured_has_no_row():
    first = claims_once()[0]
    numbers = {key: value for key, value in first.numbers.items() if not key.startswith("xnor_")}
    (ax,) = cards.picture(replace(first, numbers=numbers))[0].axes
    assert named(ax) == ["IR-Net"]

"""The explorer of sums of signs: against the closed form and a naive simulation."""

import random

import numpy as np
import pytest
from scipy.stats import norm

from sdbnn_lite.core import signs
from sdbnn_lite.errors import UsageError
from sdbnn_lite.lessons.exercises.notebook_01 import EXERCISES
from sdbnn_lite.lessons.explorers import sum_of_signs as explored


def naive(p, q, fan_in, threshold, seed, draws=3000):
    """Share of sums >= threshold, one sign after the other."""
    draw = random.Random(seed)
    reached = 0
    for _ in range(draws):
        total = 0
        for _ in range(fan_in):
            x = 1 if draw.random() < p else -1
            w = 1 if draw.random() < q else -1
            total += x * w
        reached += total >= threshold
    return reached / draws


CASES = [(0.5, 0.5, 9, 0), (0.6, 0.6, 40, 0), (0.8, 0.7, 30, 5), (0.3, 0.9, 25, -7), (0.5, 0.5, 1, 1), (1, 0.2, 12, 0)]


@pytest.mark.parametrize(("p", "q", "fan_in", "threshold"), CASES)
def test_closed_form_and_simulation_agree_with_a_naive_one(p, q, fan_in, threshold):
    stats = explored.compute(p, q, fan_in, threshold, seed=3)
    expected = naive(p, q, fan_in, threshold, seed=4)
    assert stats.plus == pytest.approx(expected, abs=0.04)
    assert stats.plus_simulated == pytest.approx(stats.plus, abs=0.05)
    assert stats.sums.mean() == pytest.approx(fan_in * (2 * p - 1) * (2 * q - 1), abs=0.1 * fan_in**0.5 + 1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_the_simulation_is_of_the_right_size_parity_and_seed(seed):
    for fan_in in (1, 2, 9, 576):
        sums = explored.simulate(0.4, 0.7, fan_in, seed)
        assert len(sums) == explored.DRAWS and abs(sums).max() <= fan_in and (sums % 2 == fan_in % 2).all()
        assert (sums == explored.simulate(0.4, 0.7, fan_in, seed)).all()
    assert (explored.simulate(0.5, 0.5, 288, seed) != explored.simulate(0.5, 0.5, 288, seed + 1)).any()


def test_the_share_at_a_threshold_is_that_of_a_normal_for_many_products():
    for threshold in (-40, 0, 20, 70):
        stats = explored.compute(0.8, 0.7, 576, threshold, seed=0)
        expected = norm.sf((threshold - 1 - stats.closed.mean) / stats.closed.variance**0.5)
        assert stats.plus == pytest.approx(expected, abs=0.005)
        assert stats.entropy == pytest.approx(signs.entropy(stats.plus))


def test_certain_signs_leave_nothing_to_chance():
    stats = explored.compute(1.0, 1.0, 576, 400, seed=0)
    assert stats.plus == stats.plus_simulated == 1 and stats.entropy == 0
    assert (stats.sums == 576).all()
    assert explored.compute(1.0, 0.0, 9, -9, seed=0).plus == 1


@pytest.mark.parametrize("wrong", [{"p": 1.2}, {"q": -0.1}, {"fan_in": 0}])
def test_wrong_values_are_refused(wrong):
    with pytest.raises(UsageError):
        explored.compute(**{"p": 0.5, "q": 0.5, "fan_in": 9, "threshold": 0, "seed": 0, **wrong})


def test_the_sentence_says_the_numbers():
    said = explored.say(explored.compute(0.8, 0.7, 288, 0, seed=5))
    for part in ("288 products", "p = 0.80", "q = 0.70", "mean 69.1", "deviation 16.5", "100.0%", "seed 5", "0.00 bit"):
        assert part in said
    assert said.endswith("the channel says almost nothing.")
    assert "equally frequent" in explored.say(explored.compute(0.8, 0.7, 288, 69, seed=5))
    assert "more frequent than the other" in explored.say(explored.compute(0.6, 0.6, 288, 0, seed=5))


EDGES = [(0.5, 0.5, 1, 0), (1, 1, 576, 400), (0, 1, 576, 400), (1, 0, 576, -400), (0.5, 0.5, 288, -400), (0.3, 1, 2, 9)]


@pytest.mark.parametrize(("p", "q", "fan_in", "threshold"), EDGES)
def test_every_corner_of_the_sliders_can_be_drawn(p, q, fan_in, threshold):
    figure = explored.draw(explored.compute(p, q, fan_in, threshold, seed=0))
    left, right = figure.axes
    assert left.get_xlabel() and left.get_ylabel() and "bit" in right.get_ylabel() and right.get_xlabel()
    low, high = left.get_xlim()
    far = not low <= threshold <= high
    arrows = [note for note in left.texts if getattr(note, "arrow_patch", None)]
    assert len(arrows) == far and any("far off" in text.get_text() for text in left.get_legend().get_texts()) == far
    if far:
        assert arrows[0].xy[0] == (threshold > high), "it points to where the threshold lies"


@pytest.mark.parametrize(("p", "q", "fan_in", "threshold"), [*EDGES, (0.6, 0.55, 1, -400), (0.6, 0.55, 576, 400)])
def test_the_distribution_has_room_wherever_the_threshold_is(p, q, fan_in, threshold):
    left = explored.draw(explored.compute(p, q, fan_in, threshold, seed=0)).axes[0]
    low, high = left.get_xlim()
    filled = [edge for patch in left.patches for height, edge in zip(*patch.get_data()[:2]) if height > 0]
    assert low <= min(filled) and max(filled) <= high
    assert (max(filled) + 2 - min(filled)) / (high - low) > 0.08, "no more than a hair"


@pytest.mark.parametrize("fan_in", [1, 2, 9, 576])
def test_no_line_runs_through_values_that_the_sum_cant_take(fan_in):
    left = explored.draw(explored.compute(0.5, 0.5, fan_in, 0, seed=0)).axes[0]
    closed = next(line for line in left.lines if line.get_label() == "closed form")
    assert (closed.get_linestyle() == "None") == (fan_in < 24) and (closed.get_marker() == "o") == (fan_in < 24)


def test_the_sentence_is_true_at_the_ends_of_the_sliders():
    below, above = (explored.say(explored.compute(0.6, 0.55, 1, threshold, seed=0)) for threshold in (-400, 400))
    assert below.startswith("Of 1 product with") and "threshold −400 in 100.0% of all cases" in below
    assert below.endswith("The sum lies between −1 and 1, so every output is +1: the channel is dead.")
    assert above.endswith("so every output is −1: the channel is dead.")
    assert "is dead" not in explored.say(explored.compute(0.6, 0.55, 1, 1, seed=0))
    assert "is dead" in explored.say(explored.compute(0.6, 0.55, 1, 2, seed=0))


@pytest.mark.parametrize(("fan_in", "threshold"), [(9, 0), (9, 1), (10, 0), (10, 1), (288, 7)])
def test_the_bars_hold_every_sum_and_part_at_the_threshold(fan_in, threshold):
    stats = explored.compute(0.55, 0.5, fan_in, threshold, seed=1)
    (minus, plus) = explored.draw(stats).axes[0].patches
    shares = []
    for patch in (minus, plus):
        heights, edges, _ = patch.get_data()
        shares.append((heights * np.diff(edges)).sum() / 2)
    assert shares == pytest.approx([1 - stats.plus_simulated, stats.plus_simulated])
    assert minus.get_data().edges[-1] == plus.get_data().edges[0] and minus.get_hatch() != plus.get_hatch()


def test_the_static_picture_has_a_panel_per_value():
    figure = explored.small_multiples((0.5, 0.9), q=0.6, fan_in=64)
    assert [ax.get_title("left").splitlines()[0] for ax in figure.axes] == ["p = 0.50", "p = 0.90"]


def test_compare_draws_a_dot_per_channel():
    predicted, measured = np.linspace(0.3, 0.6, 7), np.linspace(0.2, 0.75, 7)
    figure = explored.compare({"a": (predicted, measured), "b": (measured, measured)})
    for ax, x in zip(figure.axes, (predicted, measured)):
        dots = ax.lines[1]
        assert (dots.get_xdata() == x).all() and (dots.get_ydata() == measured).all()
        assert ax.get_xlim() == ax.get_ylim() == pytest.approx((0.2, 0.8))


def test_presets_do_what_their_names_say():
    said = {name: explored.say(explored.compute(seed=0, **values)) for name, values in explored.PRESETS.items()}
    silent = [name for name, sentence in said.items() if "says almost nothing" in sentence]
    assert silent == ["both biased: the channel is silent"]


def test_no_preset_gives_the_exercise_away():
    """Exercise 01/threshold asks for the threshold that lets a biased channel say the most."""
    tested = EXERCISES["threshold"].test
    assert not any(tested(values["threshold"]) for values in explored.PRESETS.values())
    assert all(values["threshold"] == 0 for values in explored.PRESETS.values())

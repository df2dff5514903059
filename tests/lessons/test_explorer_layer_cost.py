"""The explorer of a layer's cost: its counts by hand, its sentences, its pictures."""

import time

import numpy as np
import pytest
from pictures import assert_readable

from sdbnn_lite.cost.roofline import ConvShape
from sdbnn_lite.lessons.explorers import layer_cost as explored

pytestmark = pytest.mark.usefixtures("same_machine")


def test_counts_and_predictions_by_hand():
    stats = explored.compute(64, 128, 10, 2)
    assert stats.shape == ConvShape(64, 128, 10, 10, 2)
    assert stats.shape.products == 2 * 100 * 9 * 64 * 128 and stats.ops == stats.shape.products / 64 and stats.used == 1
    assert stats.predicted("float32") == pytest.approx(stats.shape.products / 4e10)
    assert stats.measured("packed") == 0.0004
    assert explored.compute(80, 16, 4, 1).used == 80 / 128


def test_the_counts_are_said_and_are_the_same_on_every_machine():
    said = explored.counts_in_words(explored.compute(64, 64, 56, 1))
    for part in ("64 → 64 channels, 56×56, batch 1", "116 million products", "1.81 million OPs", "144 KiB as float32",
                 "4.5 KiB on bits", "784 KiB and 24.5 KiB", "100% of each word"):  # fmt: skip
        assert part in said
    assert " ms" not in said and "62% of each word" in explored.counts_in_words(explored.compute(80, 64, 5, 1))


def test_times_are_said():
    said = explored.say(explored.compute(64, 64, 56, 1))
    assert "4 ms and 0.4 ms with packing, 10.0 times as fast" in said and "arithmetic sets the pace" in said
    assert "scaled up" not in said and "2.89 ms in float32" in said
    assert "bytes set the pace" in explored.say(explored.compute(512, 16, 56, 8))
    assert "scaled up from 50.00% of the layer" in explored.say(explored.compute(64, 64, 56, 9))


@pytest.mark.parametrize(("value", "text"), [(999_999, "999,999"), (1.25e6, "1.25 million"), (3.7e9, "3.7 billion")])
def test_large_numbers(value, text):
    assert explored.number(value) == text


@pytest.mark.parametrize(("value", "text"), [(12, "12 bytes"), (2048, "2 KiB"), (1023 * 1024, "1,023 KiB"),
                                             (36 * 2**20, "36 MiB")])  # fmt: skip
def test_sizes_in_words(value, text):
    assert explored.in_bytes(value) == text


def bars(ax):
    """Their lengths, top to bottom."""
    return [bar.get_width() for bar in sorted(ax.patches, key=lambda bar: bar.get_y())]


def test_the_picture_shows_what_was_computed():
    stats = explored.compute(64, 64, 56, 1)
    left, right = explored.draw(stats).axes
    expected = [1000 * value for kind in explored.KINDS for value in (stats.predicted(kind), stats.measured(kind))]
    assert bars(left) == pytest.approx(expected)
    assert [tick.get_text() for tick in left.get_yticklabels()][0] == "float32, predicted"
    dots = [line.get_xdata()[0] for line in right.lines if len(line.get_xdata()) == 1]
    sizes = [stats.shape.weight_bytes(k) for k in ("float32", "bits")]
    sizes += [stats.shape.input_bytes(k) for k in ("float32", "bits")]
    assert dots == pytest.approx(np.log10(sizes))
    assert left.get_xlabel() == "milliseconds" and "bytes" in right.get_xlabel()


def test_float_and_bits_differ_by_more_than_colour():
    left, right = explored.draw(explored.compute(64, 64, 56, 1)).axes
    assert len({bar.get_hatch() for bar in left.patches}) > 1
    assert len({line.get_marker() for line in right.lines if len(line.get_xdata()) == 1}) == 2


CORNERS = [(16, 16, 2, 1), (512, 512, 64, 32), (16, 512, 64, 1), (512, 16, 2, 32)]


@pytest.mark.parametrize("sizes", CORNERS)
def test_every_corner_of_the_sliders_can_be_drawn(sizes):
    stats = explored.compute(*sizes)
    left, right = explored.draw(stats).axes
    assert max(bars(left)) < left.get_xlim()[1]
    low, high = right.get_xlim()
    for kind in ("float32", "bits"):
        assert low < np.log10(stats.shape.weight_bytes(kind)) < high
        assert low < np.log10(stats.shape.input_bytes(kind)) < high


def test_the_static_version():
    figure = explored.small_multiples((16, 64))
    assert [ax.get_title("left") for ax in figure.axes] == ["16 channels: bits ×10.0", "64 channels: bits ×10.0"]


def test_every_bar_of_the_static_version_has_its_name():
    """The last panel once emptied the labels of all: which bar is float32?"""
    figure = explored.small_multiples()
    assert len(figure.axes) == 5
    for ax in figure.axes[::2]:  # on the left of each row
        names = [label.get_text() for label in ax.get_yticklabels() if label.get_visible()]
        assert names == ["float32, predicted", "float32, measured", "on bits, predicted", "on bits, measured"]
    assert_readable(figure)


def test_really_measured(monkeypatch):
    """Without the stand-ins: a few layers, each quick enough for a hand on a slider."""
    pytest.importorskip("numba")
    monkeypatch.undo()
    explored.compute(16, 16, 4, 1)  # compiles and measures the peaks
    for sizes in ((64, 64, 56, 1), (512, 512, 64, 32), (16, 512, 64, 32)):
        begin = time.process_time()
        stats = explored.compute(*sizes)
        assert time.process_time() - begin < 2  # a slow machine's: some 50 ms here
        assert stats.measured("float32") > 0 and stats.timed.share <= 1

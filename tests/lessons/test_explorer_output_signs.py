"""The explorer of output signs: against the study's tables, read row by row."""

import csv

import numpy as np
import pytest

from sdbnn_lite.analysis import tables
from sdbnn_lite.errors import UsageError
from sdbnn_lite.lessons.explorers import output_signs as explored


def rows(file, **wanted):
    with open(tables.study_folder("digits") / file, encoding="utf-8") as opened:
        return [r for r in csv.DictReader(opened) if all(r[k] == str(v) for k, v in wanted.items())]


CASES = [("ede", "conv2", 40, "all"), ("asd", "conv3", 1, "all"), ("irnet", "conv2", 17, 2), ("bireal", "conv3", 40, 0)]


@pytest.mark.parametrize(("method", "layer", "epoch", "seed"), CASES)
def test_every_number_is_in_the_tables(method, layer, epoch, seed):
    side = explored.compute(method, "bnn", layer, epoch, seed).a
    seeds = range(3) if seed == "all" else [seed]
    assert len(side.channels) == len(side.entropy) == len(side.accuracy) == len(seeds)
    for k, s in enumerate(seeds):
        (row,) = rows("signs.csv", method=method, seed=s, layer=layer, epoch=epoch)
        assert side.channels[k].tolist() == [int(v) for v in row["share_histogram"].split()]
        assert side.channels[k].sum() == 64
        curve = [float(r["entropy"]) for r in rows("signs.csv", method=method, seed=s, layer=layer)]
        assert side.entropy[k].tolist() == curve and len(curve) == explored.EPOCHS
        (row,) = rows("epochs.csv", method=method, seed=s, epoch=epoch)
        assert side.accuracy[k] == float(row["test_accuracy"])


def test_both_sides_are_the_methods_asked_for():
    stats = explored.compute("ede", "asd", "conv2", 40)
    assert (stats.a.method, stats.b.method) == ("ede", "asd")
    assert stats.bits == pytest.approx((stats.a.entropy[:, 39].mean(), stats.b.entropy[:, 39].mean()))
    assert stats.bits[0] > stats.bits[1]
    again = explored.compute("asd", "ede", "conv2", 40)
    assert again.bits == stats.bits[::-1]


def test_balanced_counts_the_four_bins_in_the_middle():
    side = explored.compute("ede", "asd", "conv2", 40, 1).b
    assert side.balanced == side.channels[0][8:12].sum()


@pytest.mark.parametrize(
    "wrong",
    [{"method_a": "float"}, {"method_b": "nothing"}, {"layer": "conv1"}, {"epoch": 0}, {"epoch": 41}, {"seed": 3}],
)
def test_what_the_study_has_not_is_refused(wrong):
    (name,) = wrong
    with pytest.raises(UsageError, match=name):
        explored.compute(
            **{"method_a": "ede", "method_b": "asd", "layer": "conv2", "epoch": 40, "seed": "all", **wrong}
        )


def test_the_sentence_says_the_numbers():
    stats = explored.compute("ede", "asd", "conv2", 40)
    said = explored.say(stats)
    for part in (
        "Layer conv2 after epoch 40, 3 seeds",
        "EDE alone: ",
        "ASD: ",
        f"{stats.bits[1]:.3f} (",
        "of 64 channels",
    ):
        assert part in said
    assert said.endswith(f"The signs of ASD say {stats.bits[0] - stats.bits[1]:.3f} bit less than those of EDE alone.")
    assert "can't be told apart" in explored.say(explored.compute("ede", "bnn", "conv2", 40))
    assert "the same method" in explored.say(explored.compute("asd", "asd", "conv2", 40))
    assert "seed 1" in explored.say(explored.compute("ede", "asd", "conv2", 40, 1))


# --- the picture -----------------------------------------------------------------------------------------------------


def test_the_bars_are_the_seeds_mean_and_the_signs_differ_in_more_than_colour():
    stats = explored.compute("ede", "asd", "conv2", 40)
    for ax, side in zip(explored.draw(stats).axes, (stats.a, stats.b)):
        minus, plus = ax.patches
        heights = np.concatenate([minus.get_data().values, plus.get_data().values])
        assert heights == pytest.approx(side.channels.mean(axis=0))
        assert minus.get_data().edges[-1] == plus.get_data().edges[0] == 50
        assert minus.get_hatch() != plus.get_hatch()
        assert side.name in ax.get_title("left") and f"{100 * side.accuracy.mean():.1f} % correct" in ax.get_title(
            "left"
        )


def test_the_course_marks_the_epoch_of_the_histograms():
    ax = explored.draw(explored.compute("ede", "asd", "conv2", 7)).axes[2]
    assert ax.lines[0].get_xdata() == [7, 7] and "epoch 7" in ax.get_title("left")
    assert "[bit]" in ax.get_ylabel()


def test_the_static_picture_has_a_column_per_epoch():
    figure = explored.small_multiples(("bnn",), "conv3", (1, 40))
    assert [ax.get_title("left").split(":")[0] for ax in figure.axes] == ["epoch 1", "epoch 40"]

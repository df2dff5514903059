"""What is said of ASD follows the committed tables, counted a second time from the CSV files, and changes with them."""

import csv

import pandas as pd
import pytest

from sdbnn_lite.analysis import claims, final_signs, shift_words
from sdbnn_lite.analysis.tables import RESULTS
from sdbnn_lite.core.record import record_signs
from sdbnn_lite.data.sets import digit_images
from sdbnn_lite.weights.zoo import load


@pytest.fixture(scope="module")
def last():
    return final_signs.last_signs("digits")[0]


@pytest.fixture(scope="module")
def entropy():
    """(method, layer) -> entropies of the three seeds after epoch 40, straight from the file."""
    found = {}
    with open(RESULTS / "digits" / "signs.csv", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["epoch"] == "40":
                found.setdefault((row["method"], row["layer"]), []).append(float(row["entropy"]))
    return found


def test_it_is_the_sigmoid_that_lowers_the_entropy(last, entropy):
    """Three seeds of ``asd_tanh`` are committed; with them nearly all of what ASD costs is there again."""
    mean = {key: sum(values) / len(values) for key, values in entropy.items()}
    assert {len(values) for values in entropy.values()} == {3}
    cost = {m: sum(mean["ede", layer] - mean[m, layer] for layer in ("conv2", "conv3")) for m in ("asd", "asd_tanh")}
    left = shift_words.remaining_loss(last)
    assert left == pytest.approx(cost["asd_tanh"] / cost["asd"]) and left < 0.25
    said = shift_words.tanh_in_words(last)
    assert said.endswith("what lowers it is that σ is positive, not that the shift adapts to the image.")
    for layer in ("conv2", "conv3"):
        assert f"{layer} {mean['asd_tanh', layer]:.3f} ± " in said and f"{mean['asd', layer]:.3f} ± " in said
    nothing = record_signs(load("digits_asd"), digit_images()[:4])
    assert said in claims._asd(last, nothing, 0.0, "digits").measured


def test_tanh_flips_signs_either_way(last):
    rows = last[last["method"] == "asd_tanh"]
    assert (rows["input_flips"] > (rows["input_after"] - rows["input_before"]).abs() + 1e-4).all()
    sigma = last[last["method"] == "asd"]
    assert (sigma["input_flips"] - (sigma["input_after"] - sigma["input_before"])).abs().max() < 1e-5


@pytest.mark.parametrize(
    "tanh, sigma, end",
    [
        (0.91, 0.91, "σ costs: the shift that adapts lowers it too, with either function alike."),
        (0.95, 0.91, "the shift that adapts lowers it too."),
        (0.99, 0.91, "not that the shift adapts to the image."),
        (0.90, 0.99, "(n = 3 seeds). σ lowers nothing here."),
    ],
)  # fmt: skip
def test_the_sentence_follows_the_numbers(last, tanh, sigma, end):
    made = last.copy()
    for method, value in (("asd_tanh", tanh), ("asd", sigma), ("ede", 0.98)):
        made.loc[made["method"] == method, "entropy"] = value
    assert shift_words.tanh_in_words(made).endswith(end)


def test_what_is_said_of_the_outputs_follows_the_numbers(last):
    assert shift_words.outputs_in_words(last).endswith("the opposite of what the paper expects.")
    made = last.copy()
    made.loc[made["method"] == "asd", "entropy"] = 1.0
    assert shift_words.outputs_in_words(made).endswith("as the paper expects, outputs differ more with ASD.")
    made.loc[(made["method"] == "asd") & (made["layer"] == "conv2"), "entropy"] = 0.5
    assert shift_words.outputs_in_words(made).endswith("it depends on the layer.")


def test_before_and_after_come_from_the_tables():
    """Not everywhere are most inputs +1 behind ASD: CIFAR-10's longest run ends far from it, Imagenette's don't."""
    rows = shift_words.before_and_after().set_index("run")
    with open(RESULTS / "runs" / "cifar10_resnet20_compressed" / "signs.csv", newline="", encoding="utf-8") as file:
        end = [row for row in csv.DictReader(file) if row["epoch"] == "100"]
    for column in ("before", "after"):
        mean = sum(float(row[f"input_{column}"]) for row in end) / len(end)
        assert rows.loc["cifar10_resnet20_compressed, 100 epochs", column] == pytest.approx(mean, abs=0.002)
    assert rows.loc["cifar10_resnet20_compressed, 100 epochs", "after"] < 0.5 < rows.loc["digits, 40 epochs", "after"]
    assert rows.filter(like="imagenette", axis=0)["after"].min() > 0.88
    said = shift_words.before_and_after_in_words()
    assert "digits, 40 epochs: 47 → 64 %" in said and "cifar10_resnet20_compressed, 100 epochs: 18 → 37 %" in said
    all_plus = pd.DataFrame({"run": ["a, 1 epochs", "b, 2 epochs"], "before": [0.4, 0.5], "after": [0.6, 0.7]})
    assert shift_words.before_and_after_in_words(all_plus).endswith("most inputs are +1 behind ASD in all of them.")


def test_accuracy_in_words():
    said = shift_words.accuracy_in_words(["ede", "asd"])
    assert said.startswith("Accuracy: ede 97.8 ± 1.3 %, asd 98.6 ± 0.8 %. ASD - ede: +0.8 points (")

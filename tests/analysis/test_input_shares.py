"""Shares of +1 before and after ASD's shift: against a recount of the files, and sentences against the numbers."""

import csv
from statistics import mean

import numpy as np
import pandas as pd
import pytest
import torch
from standin import write_ablation, write_run

import sdbnn_lite as sd
from sdbnn_lite.analysis import claims, input_shares, tables
from sdbnn_lite.plots import gallery_cifar10

SHOWN = {  # label: (files of its last epoch, its epoch)
    "ResNet-20, 15 epochs": "cifar10-resnet20", "ResNet-20, 100 epochs": "runs/cifar10_resnet20_compressed",
    "ResNet-18, 20 epochs, Adam, t from 2.5 to 8": "runs/cifar10_resnet18",
    "Imagenette, ResNet-18, 30 epochs": "runs/imagenette_resnet18",
}  # fmt: skip


@pytest.fixture(scope="module")
def ends():
    return input_shares.ends()


@pytest.mark.parametrize("label", SHOWN)
def test_the_ends_are_the_files_means(ends, label):
    (row,) = ends[ends["label"] == label].to_dict("records")
    with open(tables.RESULTS / SHOWN[label] / "final_signs.csv", encoding="utf-8") as file:
        rows = [line for line in csv.DictReader(file) if line.get("method", "sdbnn") == "sdbnn"]
    assert row["before"] == pytest.approx(100 * mean(float(line["input_before"]) for line in rows))
    assert row["after"] == pytest.approx(100 * mean(float(line["input_after"]) for line in rows))


def test_batch_norm_compensates_the_shift_with_time(ends):
    """The finding: on CIFAR-10 the shares fall with the epochs, in the end below a half; without ASD they don't."""
    published = (ends["dataset"] == "cifar10") & ~ends["label"].str.contains("t from")  # by its schedule
    after = ends[published].groupby("epochs")["after"].mean()
    assert len(after) > 1 and after.is_monotonic_decreasing and after.iloc[-1] < 40
    courses = input_shares.over_epochs()
    assert courses["ResNet-20, 15 epochs"]["input_after"].iloc[0] > 55
    without = courses["ResNet-20, 15 epochs, no ASD (`ede`)"]["input_after"]
    assert abs(without.iloc[-1] - 50) < 5 and courses["ResNet-20, 15 epochs"]["input_after"].iloc[-1] < 48
    longest = ends.set_index("label").loc["ResNet-20, 100 epochs"]
    assert longest["beta"] < -0.1 and longest["below"] > 60 and abs(longest["after"] - 37) < 1


def test_beta_is_the_mean_over_all_channels(ends):
    state = sd.load("cifar10_resnet20_compressed").state_dict()
    wanted = torch.cat([value for key, value in state.items() if ".bn" in f".{key}" and key.endswith("bias")
                        and key != "bn2.bias"])  # the classifier's own norm is no convolution's  # fmt: skip
    row = ends.set_index("label").loc["ResNet-20, 100 epochs"]
    assert row["beta"] == pytest.approx(wanted.mean().item(), abs=1e-6)
    assert row["below"] == pytest.approx(100 * (wanted < 0).double().mean().item())
    assert input_shares.betas("no_such_network") == {}


def test_the_sentences_say_the_numbers():
    rows = [("A, 3 epochs", "cifar10", 51.2, 68.4, 0.01, 50.0), ("B, 9 epochs", "cifar10", 18.0, 37.4, -0.17, 72.0),
            ("C", "digits", 10, 20, np.nan, np.nan)]  # fmt: skip
    found = pd.DataFrame(rows, columns=["label", "dataset", "before", "after", "beta", "below"])
    said = input_shares.in_words(found)
    assert "A, 3 epochs: 51 → 68 %; B, 9 epochs: 18 → 37 %. In 1 of these 2 fewer than half" in said and "C" not in said
    assert "most of them +1 in all of these" in input_shares.in_words(found[:1])
    assert input_shares.in_words(found[2:]) == ""
    assert input_shares.betas_in_words(found) == (
        "Batch norm's β in the mean: A, 3 epochs: +0.01, 50 % of the channels below 0; B, 9 epochs: -0.17, 72 % of the "
        "channels below 0."
    )
    shares = pd.DataFrame({"input_before": [50.0, 30.0], "input_after": [70.0, 45.0]}, index=[1, 15])
    assert input_shares.course_in_words({"run": shares}) == "run: 50 → 70 % in epoch 1, 30 → 45 % in epoch 15."


def test_claim_three_says_it_too(ends):
    assert claims._compensated() == f"\n\n{input_shares.in_words(ends)}"


def test_without_results_nothing_is_said_and_with_some_it_is_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    assert input_shares.ends().empty and input_shares.over_epochs() == {} and claims._compensated() == ""
    assert gallery_cifar10.one("cifar10_inputs")[0] is None
    write_ablation(tmp_path)
    write_run(tmp_path, "any", "cifar10-resnet20-evening", 30, 0.8)
    assert "ResNet-20, 30 epochs, Adam, t from 2.5 to 8" in set(input_shares.ends()["label"])
    assert "ResNet-20, 15 epochs, no ASD (`ede`)" in input_shares.over_epochs()  # the control, where it was run
    figure, said = gallery_cifar10.one("cifar10_inputs")
    left, right = figure.axes[:2]
    assert len(left.lines) == 8 and len(right.lines) == 4  # before, after; the control's one; the half, twice
    assert said.startswith("Left: share of +1 over the epochs")

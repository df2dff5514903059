"""WSD's flips: the closed form against a simulation, counts against the committed files, words against both."""

import copy
import csv
import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
from standin import write_run

import sdbnn_lite as sd
from sdbnn_lite.analysis import tables
from sdbnn_lite.analysis import weight_flips as wf
from sdbnn_lite.analysis.tables import RESULTS
from sdbnn_lite.core.record import record_signs
from sdbnn_lite.errors import UsageError


@pytest.fixture(scope="module")
def net():
    return sd.load("digits_wsd")


@pytest.fixture(scope="module")
def table():
    return wf.committed()


@pytest.mark.parametrize(("fan_in", "share"), [(9, 0.5), (9, 5.0), (288, 0.5), (288, 50.0), (576, 5.0)])
def test_expected_flips_against_a_simulation(fan_in, share):
    w = np.random.default_rng(0).standard_normal((2_000_000 // fan_in, fan_in))
    turned = (w >= 0) != (w + share * w.mean(axis=1, keepdims=True) >= 0)
    assert turned.mean() == pytest.approx(wf.expected_flips(fan_in, share), rel=0.02)


def test_expected_flips_where_it_is_known():
    assert wf.expected_flips(288, 0) == 0
    assert wf.expected_flips(1, 100) == 0  # a weight alone only grows
    assert wf.expected_flips(576) == pytest.approx(0.005 / (math.pi * 24), rel=2e-3)
    # A huge share leaves only the sign of the mean: they differ as w and its filter's mean do.
    assert wf.expected_flips(4, 1e12) == pytest.approx(math.acos(1 / 2) / math.pi)
    for wrong in ((0, 1.0), (9, -1.0), (9, math.nan)):
        with pytest.raises(UsageError, match="at least"):
            wf.expected_flips(*wrong)


def test_a_crowd_is_counted_against_the_bell_curve():
    values = torch.randn(1_000_000, generator=torch.Generator().manual_seed(0))
    assert wf.crowd(values, 0.05) == pytest.approx(1, abs=0.03)
    some = values[values.abs() < 0.01]
    assert wf.crowd(torch.cat([values, some])) == pytest.approx(2 * wf.crowd(values), rel=0.01)


def test_explain_counts_what_a_plain_loop_counts(net):
    for name, fresh, means, crowd, together, found, towards in wf.explain(net):
        layer = getattr(net, name)
        w = layer.weight.detach().double().numpy()
        shares = 1 / (1 + np.exp(-layer.wsd.alpha.detach().double().numpy()))
        hits = along = 0
        for one, share in zip(w, shares):
            after = one + share * 0.01 * one.mean()
            hits += int(((one >= 0) != (after >= 0)).sum())
            along += int((((one >= 0) != (after >= 0)) & ((after >= 0) == (one.mean() >= 0))).sum())
        assert (found, towards) == (hits, along) and found > 0
        size = np.abs(w.reshape(64, -1).mean(axis=1)).mean() / w.std(ddof=1)
        assert means == pytest.approx(size / math.sqrt(2 / (math.pi * w[0].size)), rel=1e-4)
        assert fresh == pytest.approx(w.size * 0.005 / (math.pi * math.sqrt(w[0].size)), rel=0.01)
        assert together == pytest.approx(fresh * means * crowd)


def test_changed_networks_are_copies(net):
    before = copy.deepcopy(net.state_dict())
    off, most = wf.with_wsd(net, constant=0), wf.with_wsd(net, alpha=50)
    w = net.conv3.weight
    assert torch.equal(off.conv3.binary_weight() >= 0, w >= 0)
    assert torch.equal(most.conv3.shifted_weight(), w + 0.01 * w.mean(dim=(1, 2, 3), keepdim=True))
    other = wf.with_random_flips(net, torch.Generator().manual_seed(0))
    for name, *_, found, _ in wf.explain(net):
        changed = getattr(other, name).weight != getattr(net, name).weight
        assert changed.sum() == found
        assert torch.equal(getattr(other, name).weight[changed], -getattr(net, name).weight[changed])
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


# --- committed runs ---------------------------------------------------------------------------------------------------


def test_photographs_are_in_it_and_every_number_is_the_files(table):
    assert {"digits", "CIFAR-10", "Imagenette"} == set(table["data"])
    runs = ("cifar10_resnet20_compressed", "CIFAR-10", 18), ("imagenette_resnet18", "Imagenette", 16)
    for name, data, layers in runs:
        with (RESULTS / "runs" / name / "final_signs.csv").open() as file:
            lines = list(csv.DictReader(file))
        mine = table[(table["data"] == data) & (table["run"] == name)]
        assert dict(zip(mine["layer"], mine["flips"])) == {line["layer"]: float(line["weight_flips"]) for line in lines}
        assert len(mine) == layers and (mine["n"] == 1).all()


def test_stage_one_and_methods_without_wsd_are_not(table):
    assert set(table["method"]) == {"WSD", "WSD by Adam", "SD-BNN", "SD-BNN by Adam"}
    assert (table.groupby(["data", "run", "method"]).size() <= 20).all()
    assert table[table["data"] == "Imagenette"]["flips"].gt(0).all()  # stage 1's are all 0


def test_fan_in_and_number_of_weights_are_the_networks(table):
    mine = table[table["run"] == "cifar10_resnet20"]
    for name, layer in sd.binary_layers(sd.build("cifar10_resnet20", "wsd")).items():
        (row,) = mine[mine["layer"] == name].to_dict("records")
        assert row["weights"] == layer.weight.numel()
        assert row["fresh"] == pytest.approx(0.005 / (math.pi * math.sqrt(layer.in_channels * 9)), rel=0.01)


def test_a_study_is_the_mean_of_its_seeds(table, net):
    with (RESULTS / "digits" / "signs.csv").open() as file:
        lines = [line for line in csv.DictReader(file) if (line["method"], line["epoch"]) == ("wsd", "40")]
    for layer in ("conv2", "conv3"):
        values = [float(line["weight_flips"]) for line in lines if line["layer"] == layer]
        (row,) = table.query("data == 'digits' and method == 'WSD' and layer == @layer").to_dict("records")
        assert row["n"] == len(values) and row["flips"] == pytest.approx(sum(values) / len(values))
    seed0 = {line["layer"]: float(line["weight_flips"]) for line in lines if line["seed"] == "0"}
    recorded = record_signs(net, torch.zeros(1, 1, 8, 8))
    assert seed0 == pytest.approx({name: signs.weight_flips for name, signs in recorded.items()}, abs=1e-6)


def made(flips, weights, epochs=5, **about):
    return {"run": f"run{epochs}", "data": "CIFAR-10", "network": "ResNet-20", "epochs": epochs, "method": "WSD",
            "n": 1, **about, "layer": str(flips), "weights": weights, "flips": flips, "fresh": 0.0001}  # fmt: skip


def test_runs_are_weighted_by_their_weights_and_said_in_percent():
    rows = [made(0.001, 300, epochs=9), made(0.005, 100, epochs=9), made(0.0, 50)]
    runs = wf.by_run(pd.DataFrame(rows))
    assert list(runs["epochs"]) == [5, 9]
    assert runs.iloc[1][["fresh", "flips", "lowest", "highest"]].tolist() == pytest.approx([0.01, 0.2, 0.1, 0.5])
    assert wf.run_in_words(runs.iloc[1]) == (
        "ResNet-20, 9 epochs of WSD on CIFAR-10 (n = 1): WSD flips 0.2 % of the weight signs, 20.0 times what is "
        "expected before training; from layer to layer 0.1 to 0.5 %."
    )


def test_runs_of_two_recipes_stay_two_and_seeds_of_one_are_one(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    names = ("a", "cifar10-resnet20"), ("b", "cifar10-resnet20-evening"), ("b1", "cifar10-resnet20-evening")
    for seed, (name, recipe) in enumerate(names):
        write_run(tmp_path, name, recipe, 5, 0.5, seed)
    runs = wf.by_run(wf.committed())
    assert list(runs["n"]) == [1, 2] and set(runs["epochs"]) == {5}
    signs = pd.concat(tables.read_table(tmp_path / "runs" / name / "signs.csv") for name in ("b", "b1"))
    last = signs[signs["epoch"] == signs["epoch"].max()].groupby("layer")["weight_flips"].mean()
    assert dict(wf.committed().query("run == 'b'").set_index("layer")["flips"]) == pytest.approx(dict(last))
    file = tmp_path / "runs" / "b1" / "run.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "teacher": "another"}))
    assert list(wf.by_run(wf.committed())["n"]) == [1, 1, 1]


def test_the_verdict_follows_the_entropy(monkeypatch):
    said = wf.verdict_in_words()
    assert said[0] == "**Claim 4 holds in part.**" and "the same within the seeds' spread" in said[3]
    assert any("CIFAR-10 (n = 1): WSD flips" in text for text in said)
    assert sum(text.startswith("Accuracy on ") for text in said) >= 3
    real = wf.last_signs

    def higher(study):
        signs, about = real(study)
        return signs.assign(entropy=signs["entropy"] - 0.1 * (signs["method"] == "ede")), about

    monkeypatch.setattr(wf, "last_signs", higher)
    said = wf.verdict_in_words()
    assert said[0] == "**Claim 4 holds here.**" and "they differ by more than the seeds' spread" in said[3]

"""A study trains what it says, gathers it without changing a number, and can be stopped."""

import dataclasses

import pandas as pd
import pytest

from sdbnn_lite import study
from sdbnn_lite.errors import UsageError
from sdbnn_lite.files import read_csv
from sdbnn_lite.recipes import RECIPES

TINY = dataclasses.replace(RECIPES["digits"], epochs=1, batch_size=512)


def test_a_study_from_training_to_tables(tmp_path, capsys):
    rows = study.run_study(TINY, tmp_path / "runs", ["bnn", "float"], 2, progress=False, command="the command")
    assert [(r["method"], r["seed"]) for r in rows] == [("bnn", 0), ("bnn", 1), ("float", 0), ("float", 1)]
    log = read_csv(tmp_path / "runs" / "bnn-seed1" / "log.csv")
    assert rows[1]["test_accuracy"] == float(log[-1]["test_accuracy"])
    assert f"{100 * rows[1]['test_accuracy']:.2f} %" in capsys.readouterr().out

    before = (tmp_path / "runs" / "bnn-seed0" / "weights.safetensors").read_bytes()
    again = study.run_study(TINY, tmp_path / "runs", ["bnn", "float"], 2, progress=False)
    assert again == rows  # nothing is trained twice
    assert (tmp_path / "runs" / "bnn-seed0" / "weights.safetensors").read_bytes() == before

    study.gather(tmp_path / "runs", rows, tmp_path / "tables", "the command")
    assert len(read_csv(tmp_path / "tables" / "epochs.csv")) == 4
    signs = pd.read_csv(tmp_path / "tables" / "signs.csv")
    assert set(signs.method) == {"bnn"} and len(signs) == 2 * 2  # the float twin has no signs; two layers, two seeds
    assert sum(map(int, signs.share_histogram[0].split())) == 64

    study.publish(tmp_path / "runs", rows, tmp_path / "zoo", "digits")
    assert sorted(p.name for p in (tmp_path / "zoo").iterdir()) == [
        "digits_bnn.safetensors",
        "digits_float.safetensors",
    ]


def test_summary_is_mean_and_sample_deviation():
    table = pd.DataFrame({"method": ["sdbnn", "bnn", "bnn", "bnn"], "test_accuracy": [0.5, 0.1, 0.2, 0.6]})
    result = study.summary(table)
    assert list(result.index) == ["bnn", "sdbnn"]
    assert result.loc["bnn", "n"] == 3 and result.loc["bnn", "mean"] == pytest.approx(0.3)
    assert result.loc["bnn", "std"] == pytest.approx(((0.04 + 0.01 + 0.09) / 2) ** 0.5)


def test_committed_results_are_whole():
    """Every method, three seeds, all test images, and the accuracy of the log's last epoch."""
    runs, epochs = study.read_study("digits"), study.read_study("digits", "epochs.csv")
    facts = study.study_facts("digits")
    assert len(runs) == len(facts["methods"]) * len(facts["seeds"]) == 11 * 3
    assert (runs.test_images == 360).all()
    last = epochs[epochs.epoch == facts["epochs"]].set_index(["method", "seed"]).test_accuracy
    assert (runs.set_index(["method", "seed"]).test_accuracy == last).all()


def test_wrong_use(tmp_path):
    with pytest.raises(UsageError, match="seeds=0"):
        study.run_study(TINY, tmp_path, ["bnn"], 0)
    with pytest.raises(UsageError, match="unknown method 'bn'"):
        study.run_study(TINY, tmp_path, ["bn"], 1)
    with pytest.raises(UsageError, match="no results cifar/runs.csv in the package"):
        study.read_study("cifar")

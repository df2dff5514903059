"""A study in which each method has the settings that its own search found, all by the same budget."""

import json
import shutil

import pandas as pd
import pytest
import torch

from sdbnn_lite import cli
from sdbnn_lite.analysis import tables
from sdbnn_lite.analysis.tuned import read_tuned
from sdbnn_lite.errors import UsageError
from sdbnn_lite.training.recipes import RECIPES

METHODS = ["bnn", "float"]
SHORT = RECIPES["digits"].with_epochs(2)


@pytest.fixture(scope="module")
def searches(tmp_path_factory):
    """The folders of a search for each of ``METHODS``; to be read only."""
    folder = tmp_path_factory.mktemp("searches")
    torch.set_num_threads(1)
    (folder / "space.toml").write_text("lr = {low = 0.001, high = 0.3, log = true}\nema = [0.5]\n")
    for method in METHODS:
        typed = f"search digits --method {method} --trials 2 --epochs 1 --validation 900 --quiet"
        assert cli.main([*typed.split(), "--space", str(folder / "space.toml"), "--out", str(folder / method)]) == 0
    return folder


def test_each_method_trains_with_its_own_best_settings(searches, tmp_path, capsys):
    """The chosen values by pandas, from the files; what was trained, from each run's own run.json."""
    out = tmp_path / "out"
    typed = ["study", "digits", "--methods", "bnn,float", "--seeds", "1", "--epochs", "2", "--quiet"]
    typed += ["--out", str(out), "--searches", str(searches)]
    assert cli.main(typed) == 0
    facts, trials = tables.read_facts(out), pd.read_csv(out / "trials.csv")
    assert len(trials) == 4 and facts["searches"]["trials"] == 2 and facts["searches"]["epochs"] == 1
    assert facts["lr"] == SHORT.lr and facts["command"].endswith("--searches SEARCHES")
    for method in METHODS:
        tried = pd.read_csv(searches / method / "trials.csv")
        best = tried.loc[tried["validation_accuracy"].idxmax(), "lr"]
        run = json.loads((out / f"{method}-seed0" / "run.json").read_text())
        mine = tables.facts_of(facts, {"method": method, "seed": 0})
        assert run["lr"] == mine["lr"] == facts["tuned"][method]["lr"] == best and run["ema"] == mine["ema"] == 0.5
        assert set(trials.loc[trials["method"] == method, "lr"]) == set(tried["lr"])
    capsys.readouterr()
    assert cli.main([*typed, "--partial"]) == 0 and "left out" not in capsys.readouterr().out
    assert cli.main([*typed[:-2], "--partial"]) == 2 and "no finished run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda about: about | {"epochs": 3}, r"bnn and float didn't get the same: epochs 1 and 3"),
        (lambda about: about | {"lr": 0.7, "batch_size": 32}, "a search with other settings; batch_size is 32 there"),
        (lambda about: about | {"method": "bnn"}, "method is 'bnn' there, 'float' here"),
        (lambda about: about | {"space": 3}, "search.json: space=3: a table is needed"),
        (lambda about: about | {"space": {"pad": 1}}, "trials.csv: damaged"),
        (lambda about: {k: v for k, v in about.items() if k != "teacher"} | {"epochs": 3}, "the same: epochs 1 and 3$"),
    ],
)
def test_searches_that_can_t_be_compared(searches, tmp_path, change, said):
    shutil.copytree(searches, tmp_path / "all")
    file = tmp_path / "all" / "float" / "search.json"
    file.write_text(json.dumps(change(json.loads(file.read_text()))))
    with pytest.raises(UsageError, match=said):
        read_tuned(tmp_path / "all", SHORT, METHODS)


def test_searches_without_a_result(searches, tmp_path):
    with pytest.raises(UsageError, match="asd: no search of asd; make it first: sdbnn-lite search digits --method asd"):
        read_tuned(searches, SHORT, ["bnn", "asd"])
    shutil.copytree(searches, tmp_path / "all")
    trials = tmp_path / "all" / "float" / "trials.csv"
    trials.write_text(trials.read_text().replace("complete", "failed"))
    with pytest.raises(UsageError, match="no complete trial among 2"):
        read_tuned(tmp_path / "all", SHORT, METHODS)


def test_nothing_is_added_to_a_tuned_study(tmp_path, capsys, monkeypatch):
    """Neither a tuned method to the package's study, nor another to a tuned one."""
    monkeypatch.chdir(tmp_path)
    typed = ["study", "digits", "--methods", "bnn", "--publish", "--add", "--quiet"]
    assert cli.main([*typed, "--searches", "here"]) == 2
    assert "--add with --searches" in capsys.readouterr().err
    shutil.copytree(tables.RESULTS / "digits", tmp_path / "digits")
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    file = tmp_path / "digits" / "study.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"tuned": {"bnn": {"lr": 0.1}}}))
    assert cli.main(typed) == 2 and "its methods were tuned" in capsys.readouterr().err

"""A study trains what it says, gathers it without changing a number, and can be stopped."""

import dataclasses
import json

import pandas as pd
import pytest

from sdbnn_lite import cli
from sdbnn_lite.analysis import captions, study, tables
from sdbnn_lite.errors import UsageError
from sdbnn_lite.system.files import read_csv
from sdbnn_lite.training.options import RunOptions
from sdbnn_lite.training.recipes import RECIPES
from sdbnn_lite.training.trainer import Trainer

TINY = dataclasses.replace(RECIPES["digits"], epochs=1, batch_size=512)


def test_a_study_from_training_to_tables(tmp_path, capsys):
    rows = study.run_study(
        TINY, tmp_path / "runs", ["bnn", "float"], 2, RunOptions(progress=False, command="the command")
    )
    assert [(r["method"], r["seed"]) for r in rows] == [("bnn", 0), ("bnn", 1), ("float", 0), ("float", 1)]
    log = read_csv(tmp_path / "runs" / "bnn-seed1" / "log.csv")
    assert rows[1]["test_accuracy"] == float(log[-1]["test_accuracy"])
    assert f"{100 * rows[1]['test_accuracy']:.2f} %" in capsys.readouterr().out

    before = (tmp_path / "runs" / "bnn-seed0" / "weights.safetensors").read_bytes()
    again = study.run_study(TINY, tmp_path / "runs", ["bnn", "float"], 2, RunOptions(progress=False))
    assert again == rows  # nothing is trained twice
    assert (tmp_path / "runs" / "bnn-seed0" / "weights.safetensors").read_bytes() == before

    study.gather(tmp_path / "runs", rows, tmp_path / "tables", "the command")
    assert len(read_csv(tmp_path / "tables" / "epochs.csv")) == 4
    signs = pd.read_csv(tmp_path / "tables" / "signs.csv")
    assert set(signs.method) == {"bnn"} and len(signs) == 2 * 2  # the float twin has no signs; two layers, two seeds
    assert sum(map(int, signs.share_histogram[0].split())) == 64

    facts = json.loads((tmp_path / "tables" / "study.json").read_text())
    assert "elsewhere" not in facts and tables.facts_of(facts, rows[1]) == facts
    path = tmp_path / "runs" / "bnn-seed1" / "run.json"
    run = json.loads(path.read_text())
    del run["digest"]  # as in earlier versions: nothing tells that the rest was edited
    path.write_text(json.dumps({**run, "machine": {**run["machine"], "cpu": "another"}}))
    study.gather(tmp_path / "runs", rows, tmp_path / "tables", "the command")
    facts = json.loads((tmp_path / "tables" / "study.json").read_text())
    assert list(facts["elsewhere"]) == ["bnn-seed1"] and facts["machine"]["cpu"] != "another"
    assert tables.facts_of(facts, rows[1])["machine"]["cpu"] == "another"
    assert tables.facts_of(facts, rows[0])["machine"] == facts["machine"]
    assert captions.hardware(facts).endswith("; elsewhere: 1 of the runs")

    study.publish(tmp_path / "runs", rows, tmp_path / "zoo", "digits")
    assert sorted(p.name for p in (tmp_path / "zoo").iterdir()) == [
        "digits_bnn.safetensors",
        "digits_float.safetensors",
    ]


def test_summary_is_mean_and_sample_deviation():
    table = pd.DataFrame({"method": ["sdbnn", "bnn", "bnn", "bnn"], "test_accuracy": [0.5, 0.1, 0.2, 0.6]})
    result = tables.summary(table)
    assert list(result.index) == ["bnn", "sdbnn"]
    assert result.loc["bnn", "n"] == 3 and result.loc["bnn", "mean"] == pytest.approx(0.3)
    assert result.loc["bnn", "std"] == pytest.approx(((0.04 + 0.01 + 0.09) / 2) ** 0.5)


def test_committed_results_are_whole():
    """Every method, three seeds, all test images, and the accuracy of the log's last epoch."""
    runs, epochs = tables.read_study("digits"), tables.read_study("digits", "epochs.csv")
    facts = tables.study_facts("digits")
    assert len(runs) == len(facts["methods"]) * len(facts["seeds"]) == 12 * 3
    assert (runs.test_images == 360).all()
    last = epochs[epochs.epoch == facts["epochs"]].set_index(["method", "seed"]).test_accuracy
    assert (runs.set_index(["method", "seed"]).test_accuracy == last).all()


def test_wrong_use(tmp_path):
    with pytest.raises(UsageError, match="seeds=0"):
        study.run_study(TINY, tmp_path, ["bnn"], 0)
    with pytest.raises(UsageError, match="unknown method 'bn'"):
        study.run_study(TINY, tmp_path, ["bn"], 1)
    with pytest.raises(UsageError, match="no results cifar/runs.csv in the package"):
        tables.read_study("cifar")


def test_a_shorter_study_never_replaces_a_longer_one(tmp_path):
    there, planned = tmp_path / "tables", [("bnn", 0), ("float", 0)]
    study.check_replaces(there, 1, planned)  # nothing is there yet
    rows = study.run_study(TINY, tmp_path / "runs", ["bnn", "float"], 1, RunOptions(progress=False))
    study.gather(tmp_path / "runs", rows, there, "the command")
    study.check_replaces(there, 1, planned)  # the same again
    study.check_replaces(there, 1, [*planned, ("bnn", 1)])
    study.check_replaces(there, 2, [("bnn", 0)])  # longer
    with pytest.raises(UsageError, match="as many epochs that this study lacks: float seed 0"):
        study.check_replaces(there, 1, [("bnn", 0), ("bnn", 1)])
    with pytest.raises(UsageError, match="holds a study of 40 epochs, which one of 15 doesn't replace"):
        study.check_replaces(tables.RESULTS / "digits", 15, planned)


def test_runs_are_added_to_a_study_whose_others_stay_as_they_are(tmp_path):
    """The tables keep every character; the added runs bring their own command and, where it differs, their machine."""
    runs, there, new = tmp_path / "runs", tmp_path / "tables", tmp_path / "new"
    tables_of = ("runs.csv", "epochs.csv", "signs.csv")
    quiet = RunOptions(progress=False)
    study.gather(runs, study.run_study(TINY, runs, ["bnn", "asd"], 1, quiet), there, "the first command")
    before = {name: (there / name).read_text() for name in tables_of}
    rows = study.run_study(TINY, runs, ["asd_tanh"], 2, quiet)
    study.gather(runs, rows, new, "the second command")
    study.check_adds(there, TINY)
    for _ in range(2):  # twice is as good as once
        study.add(new, there)
        for name, text in before.items():
            added = (new / name).read_text().partition("\n")[2]
            assert (there / name).read_text() == text + added
        facts = json.loads((there / "study.json").read_text())
        assert facts["methods"] == ["bnn", "asd", "asd_tanh"] and facts["seeds"] == [0, 1]
        assert tables.facts_of(facts, rows[1])["command"] == "the second command"
        assert facts["command"] == tables.facts_for(facts, ["bnn", "asd"])["command"] == "the first command"
    own = tables.facts_for(facts, ["asd_tanh"])
    assert own["command"] == "the second command" and "elsewhere" not in own
    assert list(tables.facts_for(facts, ["bnn", "asd_tanh"])["elsewhere"]) == ["asd_tanh-seed0", "asd_tanh-seed1"]
    with pytest.raises(UsageError, match="epochs is 1 there, 2 here"):
        study.check_adds(there, dataclasses.replace(TINY, epochs=2))
    with pytest.raises(UsageError, match="no study to add runs to"):
        study.check_adds(tmp_path / "nowhere", TINY)


def test_adding_needs_publish_and_the_packages_settings(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["study", "digits", "--methods", "bnn", "--add", "--quiet"]) == 2
    assert "--add: adds to the package's runs; it needs --publish" in capsys.readouterr().err
    assert cli.main(["study", "digits", "--methods", "bnn", "--epochs", "50", "--publish", "--add", "--quiet"]) == 2
    assert "epochs is 40 there, 50 here" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_publishing_a_shorter_study_is_refused_before_anything_is_trained(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["study", "digits", "--epochs", "2", "--methods", "bnn", "--publish", "--quiet"]) == 2
    assert "holds a study of 40 epochs" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_stopped_study_gathers_what_is_finished(tmp_path, capsys, monkeypatch):
    """One run is finished, one was stopped after its first epoch, one has another length, one was never begun."""
    two = dataclasses.replace(TINY, epochs=2)
    out, there = tmp_path / "runs", tmp_path / "tables"
    study.run_study(two, out, ["bnn"], 1, RunOptions(progress=False))
    study.run_study(TINY, out, ["float"], 1, RunOptions(progress=False))
    save, saves = Trainer.save, []

    def stop_after_the_first_epoch(self, folder):
        save(self, folder)
        saves.append(folder)
        if len(saves) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "save", stop_after_the_first_epoch)
    with pytest.raises(KeyboardInterrupt):
        study.run_study(two, out, ["bnn", "xnor"], 1, RunOptions(progress=False))
    monkeypatch.undo()

    rows, left_out = study.finished(two, out, ["bnn", "xnor", "float", "asd"], 1)
    assert [(r["method"], r["seed"]) for r in rows] == [("bnn", 0)]
    assert [r["method"] + ": " + r["why"] for r in left_out] == [
        "xnor: 1 of 2 epochs",
        "float: epochs is 1 there, 2 here",
        "asd: not begun",
    ]
    study.gather(out, rows, there, "the command", left_out)
    facts = json.loads((there / "study.json").read_text())
    assert facts["methods"] == ["bnn"] and facts["epochs"] == 2 and facts["left_out"] == left_out
    assert len(read_csv(there / "epochs.csv")) == 2
    with pytest.raises(UsageError, match="no finished run of recipe digits with 2 epochs"):
        study.finished(two, out, ["asd"], 1)


def test_the_command_line_gathers_a_part(tmp_path, capsys):
    out = tmp_path / "runs"
    options = ["study", "digits", "--epochs", "1", "--batch-size", "512", "--seeds", "1", "--out", str(out), "--quiet"]
    assert cli.main([*options, "--methods", "bnn"]) == 0
    assert cli.main([*options, "--methods", "bnn,float", "--partial"]) == 0
    printed = capsys.readouterr().out
    assert "left out: float seed 0 (not begun)" in printed
    facts = json.loads((out / "study.json").read_text())
    again = "sdbnn-lite study digits --seeds 1 --methods bnn,float --epochs 1 --batch-size 512"
    assert facts["command"] == again and facts["batch_size"] == 512 and not facts["published"]


def test_another_length_has_a_folder_of_its_own():
    assert str(study.default_folder(RECIPES["digits"])) == "runs/digits-study"
    assert str(study.default_folder(RECIPES["digits"].with_epochs(7))) == "runs/digits-study-7-epochs"

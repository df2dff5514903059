"""A search of the digits: what it writes, what it goes on with, what it refuses; and that it sees no test image."""

import dataclasses
import json
import sys

import children
import optuna
import pytest
import torch
from optuna.trial import FrozenTrial, TrialState, create_trial
from tiny_runs import QUIET, SEARCHED, quiet, search_tiny

from sdbnn_lite import data
from sdbnn_lite.errors import UsageError
from sdbnn_lite.system.files import read_csv
from sdbnn_lite.system.locks import hold
from sdbnn_lite.training import run_folder
from sdbnn_lite.training.confirm import CONFIRMED, confirm
from sdbnn_lite.training.search import ABOUT, STORAGE, TRIALS, Search
from sdbnn_lite.training.train import train

SPACE = "lr = {low = 0.01, high = 0.3, log = true}\nbatch_size = [256, 512]\n"


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """The folder of a search with three trials; to be read only."""
    folder = tmp_path_factory.mktemp("search") / "out"
    search_tiny(folder, SPACE, 3)
    return folder


def test_what_a_search_leaves(out):
    rows = read_csv(out / TRIALS)
    assert [row["trial"] for row in rows] == ["0", "1", "2"]
    assert list(rows[0]) == ["trial", "state", "lr", "batch_size", "epochs", "validation_accuracy", "seconds"]
    for row in rows:
        assert (row["state"], row["epochs"]) == ("complete", "2") and 0.01 <= float(row["lr"]) <= 0.3
        assert 0.05 < float(row["validation_accuracy"]) <= 1 and row["batch_size"] in ("256", "512")
    about = json.loads((out / ABOUT).read_text())
    assert (about["recipe"], about["method"], about["epochs"], about["seed"]) == ("digits", "bnn", 2, 0)
    assert (about["validation_images"], about["split_seed"]) == (700, 0)
    assert about["data"].endswith("700 training images held out") and about["machine"]["versions"]["torch"]
    assert about["space"] == {"lr": {"low": 0.01, "high": 0.3, "log": True}, "batch_size": [256, 512]}


def test_the_same_call_adds_nothing_and_a_larger_one_what_is_missing(out, tmp_path):
    before = (out / TRIALS).read_bytes()
    search_tiny(out, SPACE, 2)
    assert (out / TRIALS).read_bytes() == before
    again = search_tiny(tmp_path / "again", SPACE, 1)  # the seed and what was tried decide what is tried next
    assert again.rows()[0]["lr"] == float(read_csv(out / TRIALS)[0]["lr"])
    again.run(2)
    first = [row["lr"] for row in read_csv(out / TRIALS)[:2]]
    assert [row["lr"] for row in read_csv(tmp_path / "again" / TRIALS)] == first


def test_a_trial_is_a_run_on_the_training_images(tmp_path):
    """The same numbers as the trainer's own on this split, and no test image among them."""
    search = search_tiny(tmp_path / "out", "lr = 0.1", 1)
    whole = data.load("digits")
    images = {bytes(image) for image in whole.train_images.flatten(1).numpy()}
    used = torch.cat([search.images.train_images, search.images.test_images]).flatten(1).numpy()
    assert len(used) == whole.num_train and {bytes(image) for image in used} == images
    options = quiet(validation=700)
    result = train(SEARCHED, tmp_path / "run", method="bnn", options=options)
    assert search.best()[0].value == result.score.top1 and result.score.images == 700
    assert list(search.best()[0].intermediate_values.values()) == [row["test_accuracy"] for row in result.log]
    assert json.loads((tmp_path / "run" / run_folder.RUN).read_text())["result"]["protocol"].endswith(
        "held-out training images"
    )


def test_a_trial_that_fails_is_counted(tmp_path, capsys):
    search = search_tiny(tmp_path / "out", "lr = 1e30\noptimizer = 'sgd'", 2)
    assert [(row["state"], row["epochs"], row["validation_accuracy"]) for row in search.rows()] == [
        ("failed", 0, None)
    ] * 2
    assert capsys.readouterr().out.count("failed (") == 2 and search.best() == []
    assert (tmp_path / "out" / TRIALS).read_text().count("failed") == 2


def test_what_falls_behind_is_pruned(tmp_path):
    search = search_tiny(tmp_path / "out", "lr = 0.1", 0)
    search.recipe = dataclasses.replace(SEARCHED, epochs=4)
    better = create_trial(params={"lr": 0.1}, distributions=search.space, value=1.0,
                          intermediate_values={epoch: 1.0 for epoch in range(1, 5)})  # fmt: skip
    for _ in range(8):
        search.study.add_trial(better)
    search.run(9)
    last = search.rows()[-1]
    assert (last["state"], last["epochs"]) == ("pruned", 2) and last["validation_accuracy"] < 1


def test_what_ctrl_c_stopped_is_tried_again(out, tmp_path, interrupt_after):
    """And then what an undisturbed search tries."""
    interrupt_after(4)
    with pytest.raises(KeyboardInterrupt):
        search_tiny(tmp_path / "out", SPACE, 3)
    (stopped,) = optuna.load_study(study_name="search", storage=f"sqlite:///{tmp_path / 'out' / STORAGE}").trials
    search = search_tiny(tmp_path / "out", SPACE, 1)
    (row,) = search.rows()
    assert (row["trial"], row["lr"]) == (1, stopped.params["lr"]) and row["state"] == "complete"
    assert [t.state for t in search.study.trials] == [TrialState.FAIL, TrialState.COMPLETE]
    search.run(3)
    assert [row["lr"] for row in search.rows()] == [float(row["lr"]) for row in read_csv(out / TRIALS)]


def test_processes_share_the_trials(tmp_path):
    processes = [children.start(search_tiny, tmp_path / "out", SPACE, 3) for _ in range(2)]
    for process in processes:
        process.join(600)
    assert [process.exitcode for process in processes] == [0, 0]
    rows = read_csv(tmp_path / "out" / TRIALS)
    assert [row["trial"] for row in rows] == ["0", "1", "2"] and len({row["lr"] for row in rows}) == 3


def test_a_trial_that_ends_while_another_process_counts_is_counted_once(tmp_path, monkeypatch):
    """Else the next two trials would have the same seed, and settings."""
    search = search_tiny(tmp_path / "out", SPACE, 0)
    trial, held = search.next_trial(0)
    running, asked = search.running, []

    def ends_then():
        found = running()
        search.study.tell(trial, 0.5)
        held.close()
        return found

    monkeypatch.setattr(search, "running", ends_then)
    monkeypatch.setattr(search, "next_trial", lambda count: asked.append(count) or sys.exit())
    with pytest.raises(SystemExit):
        search.run(3)
    assert asked == [1]


def test_a_trial_that_ends_while_another_process_looks_is_not_tried_again(tmp_path, monkeypatch):
    search = search_tiny(tmp_path / "out", SPACE, 0)
    trial, read = search.study.ask(search.space), search.study.get_trials

    def ended_meanwhile(**which):
        found = read(**which)
        monkeypatch.undo()
        search.study.tell(trial, 0.5)
        return found

    monkeypatch.setattr(search.study, "get_trials", ended_meanwhile)
    assert search.running() == []
    assert [(t.state, t.value) for t in search.study.trials] == [(TrialState.COMPLETE, 0.5)]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"method": "sdbnn"}, "holds another search: method is 'bnn' there, 'sdbnn' here"),
        ({"seed": 1}, "seed is 0 there, 1 here"),
        ({"recipe": dataclasses.replace(SEARCHED, epochs=5)}, "epochs is 2 there, 5 here"),
        ({"recipe": dataclasses.replace(SEARCHED, name="other")}, "recipe is 'digits' there, 'other' here"),
        ({"options": quiet(validation=100)}, "data is '.*700 training .*' there, '.*100 training .*' here"),
        (
            {"space": {}},
            r"space's batch_size is \[256, 512\] there, None here; space's lr is {'low'.*} there, None here",
        ),
        ({"options": QUIET}, "validation=5000: .* 1437 training images; 10 to 1427 of them can be held out"),
        ({"options": quiet(validation=700, teacher="x")}, "--teacher x: recipe digits learns without one"),
        ({"space": {"distill": optuna.distributions.FloatDistribution(0, 1)}}, "learns from a teacher: give --teacher"),
    ],
)
def test_a_folder_of_another_search_is_refused(out, change, message):
    before = {path: path.read_bytes() for path in out.iterdir()}
    space = {"lr": optuna.distributions.FloatDistribution(0.01, 0.3, log=True),
             "batch_size": optuna.distributions.CategoricalDistribution([256, 512])}  # fmt: skip
    same = {"recipe": SEARCHED, "space": space, "out": out, "method": "bnn", "options": quiet(validation=700)}
    Search(**same)
    with pytest.raises(UsageError, match=message) as caught:
        Search(**same | change)
    assert "\n" not in str(caught.value) and {path: path.read_bytes() for path in out.iterdir()} == before


def test_a_file_that_is_no_storage(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / STORAGE).write_text("something else, longer than a header" * 9)
    with pytest.raises(UsageError, match="search.db: not the storage of a search .*file is not a database"):
        search_tiny(tmp_path / "out", SPACE, 1)


def test_the_best_are_trained_anew(tmp_path, capsys):
    search = search_tiny(tmp_path / "out", SPACE, 2)
    best, second = search.best()
    assert isinstance(best, FrozenTrial) and best.value >= second.value
    runs = tmp_path / "out" / "confirmed"
    runs.mkdir()
    with hold(runs / f"trial{best.number}-1epochs-seed5.lock", ""):
        (row,) = confirm(search, 1, 1, [4, 5])
    assert (row["n"], row["seed_5"], row["std"]) == (1, None, None) and row["mean"] == row["seed_4"]
    assert f"trial {best.number}, seed 5: another process is training it" in capsys.readouterr().out
    changed = (runs / f"trial{best.number}-1epochs-seed4" / "weights.safetensors").stat().st_mtime_ns
    (row,) = confirm(search, 1, 1, [4, 5])
    assert row["n"] == 2 and row["mean"] == pytest.approx((row["seed_4"] + row["seed_5"]) / 2)
    assert row["std"] == pytest.approx(abs(row["seed_4"] - row["seed_5"]) / 2**0.5)
    assert (runs / f"trial{best.number}-1epochs-seed4" / "weights.safetensors").stat().st_mtime_ns == changed
    assert read_csv(tmp_path / "out" / CONFIRMED)[0]["mean"] == str(row["mean"])
    about = json.loads((runs / f"trial{best.number}-1epochs-seed4" / run_folder.RUN).read_text())
    assert (about["lr"], about["epochs"], about["seed"]) == (best.params["lr"], 1, 4) and "held out" in about["data"]

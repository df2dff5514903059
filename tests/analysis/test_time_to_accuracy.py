"""When a committed run first reached an accuracy, against logs written by hand."""

import json

import pytest
from standin import facts as run_facts

from sdbnn_lite.analysis import tables, time_to_accuracy

MACHINE = {"cpu": "Some CPU", "gpu": None, "cores": 4, "threads": 1, "versions": {}}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Adds a published run of which only the accuracies and the seconds an epoch are told."""
    monkeypatch.setattr(tables, "RESULTS", tmp_path)

    def add(name, accuracies, seconds, **facts):
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        result = {"protocol": "last epoch", "test_accuracy": 0, "test_top5": 0, "test_loss": 0, "test_images": 10000}
        about = {**run_facts("cifar10-resnet20", epochs=len(accuracies)), "recipe": name, "machine": MACHINE,
                 "result": result}  # fmt: skip
        (folder / "run.json").write_text(json.dumps(about | facts))
        lines = [f"{i},{a},{seconds}" for i, a in enumerate(accuracies, 1)]
        (folder / "log.csv").write_text("\n".join(["epoch,test_accuracy,seconds", *lines]) + "\n")

    return add


def test_the_first_epoch_counts_and_all_seconds_up_to_it(run):
    run("up-and-down", [0.5, 0.7, 0.69, 0.75], 90)
    run("other-network", [0.9], 1, network="cifar10_resnet18")
    run("other-images", [0.9], 1, dataset="digits")
    run("unfinished", [0.9], 1, result=None)
    rows = time_to_accuracy.rows(targets=(60, 70, 75.5))
    assert {row["run"] for row in rows} == {"up-and-down"}
    assert [(r["target_%"], r["epoch"], r["minutes"]) for r in rows] == [(60, 2, 3), (70, 2, 3), (75.5, None, None)]


def test_the_sentence_names_the_quickest_run_to_the_highest_target_and_what_none_reaches(run):
    assert time_to_accuracy.in_words() == ""
    run("slow", [0.6, 0.7, 0.75], 600)
    run("quick", [0.76], 120)
    run("low", [0.7], 1)
    said = time_to_accuracy.in_words()
    assert "first reaches 75 % of the test images after 1 epochs, 2 minutes (Some CPU" in said and "`quick`" in said
    assert said.endswith("no committed run reaches 80 %.")
    run("best", [0.81], 6000)
    assert "reaches 80 % of the test images after 1 epochs, 100 minutes" in time_to_accuracy.in_words()
    assert "no committed run" not in time_to_accuracy.in_words()

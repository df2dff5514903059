"""Two methods side by side: the words against the table, and against a table of our own."""

import csv
from statistics import mean, stdev

import pytest

from sdbnn_lite.analysis import tables, two_methods


def accuracies(study, method):
    with open(tables.RESULTS / study / "runs.csv", encoding="utf-8") as opened:
        return [100 * float(row["test_accuracy"]) for row in csv.DictReader(opened) if row["method"] == method]


@pytest.mark.parametrize("study", two_methods.STUDIES)
def test_the_sentence_holds_the_tables_numbers(study):
    said = two_methods.side_by_side(study, ("xnor", "bnn"))
    ours, plain = accuracies(study, "xnor"), accuracies(study, "bnn")
    for name, found in (("XNOR-Net", ours), ("plain BNN", plain)):
        spread = f" ± {stdev(found):.1f}" if len(found) > 1 else ""
        assert f"{name} {mean(found):.1f}{spread} % (n = {len(found)})" in said
    gap = f"differ by {abs(mean(ours) - mean(plain)):.1f} points, the seeds of one of them by ± "
    assert said.endswith(f"{gap}{max(stdev(found) for found in (ours, plain) if len(found) > 1):.1f}.")


def test_both_studies_are_in_the_answer_about_scaling_factors():
    said = two_methods.scale_in_training()
    assert all(two_methods.side_by_side(study, ("xnor", "bnn")) in said for study in two_methods.STUDIES)


def test_a_study_that_isnt_there_is_left_out(monkeypatch):
    monkeypatch.setattr(two_methods, "has_study", lambda name: name == "digits")
    assert "CIFAR" not in two_methods.scale_in_training()

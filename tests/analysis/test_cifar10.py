"""The paper's table beside ours: each number from the files, none of the paper's in our columns."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from standin import DATA, write_all, write_run, write_study

from sdbnn_lite.analysis import cifar10, claims, tables
from sdbnn_lite.training.recipes import RECIPES


@pytest.fixture
def results(tmp_path, monkeypatch):
    """An empty results folder that the package takes for its own."""
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    return tmp_path


def row_of(title, epochs=None):
    """The only one of that length, not counting the ablation's."""
    rows = cifar10.table()
    rows = rows[(rows["title"] == title) & (rows["epochs"].isna() if epochs is None else rows["epochs"] == epochs)]
    (row,) = (row for row in rows.to_dict("records") if row["source"] != f"results/{cifar10.STUDY}")
    return row


def test_the_paper_s_figures_and_lengths():
    assert cifar10.PAPER == {"cifar10_resnet18": 92.5, "cifar10_resnet20": 86.9, "cifar10_vgg_small": 90.8}
    assert {n: r.epochs for n, r in cifar10.PUBLISHED.items()} == {
        "cifar10_resnet20": 500, "cifar10_resnet18": 600, "cifar10_vgg_small": 400}  # fmt: skip


def test_with_nothing_run_every_network_says_so(results):
    rows = cifar10.table()
    assert list(rows["n"]) == [0, 0, 0] and rows[["mean", "best_mean", "std"]].isna().all(axis=None)
    text = cifar10.markdown()
    assert text.count("not run yet") == 3 and "± " not in text and "Nothing of ours was run" in text
    for command in re.findall(r"`sdbnn-lite train (\S+)", text):
        assert RECIPES[command].published
    assert cifar10.in_words() == ""
    assert "Nothing was run" in cifar10.protocol_in_words(rows)
    assert "not run yet" in cifar10.gap_in_words(rows.iloc[0])


def test_mean_and_spread_are_those_of_the_runs(results):
    write_all(results)
    row = row_of("ResNet-20", 100)
    logs = [pd.read_csv(results / "runs" / n / "log.csv")["test_accuracy"] for n in ("cifar10_resnet20",
                                                                                    "cifar10_resnet20_1")]  # fmt: skip
    last, best = ([100 * f(log) for log in logs] for f in (lambda log: log.iloc[-1], max))
    assert (
        row["n"] == 2
        and row["mean"] == pytest.approx(np.mean(last))
        and row["best_mean"] == pytest.approx(np.mean(best))
    )
    assert row["std"] == pytest.approx(np.std(last, ddof=1)) and row["best_std"] == pytest.approx(np.std(best, ddof=1))
    single = row_of("VGG-Small", 10)
    assert single["n"] == 1 and np.isnan(single["std"])
    of_study = row_of("ResNet-20", 15)
    runs = tables.read_study("cifar10-resnet20").query("method == 'sdbnn'")
    assert of_study["mean"] == pytest.approx(100 * runs["test_accuracy"].mean()) and of_study["n"] == 2
    assert "study" in of_study["command"]
    assert list(cifar10.table()["title"]) == ["ResNet-18", *["ResNet-20"] * 3, "VGG-Small"]


def test_best_is_never_below_last_and_the_paper_s_numbers_stay_in_their_column(results):
    write_all(results)
    rows = cifar10.table()
    there = rows[rows["n"] > 0]
    assert (there["best_mean"] >= there["mean"]).all()
    ours = there[["mean", "best_mean"]].to_numpy().ravel()
    assert not set(np.round(ours, 1)) & set(cifar10.PAPER.values())
    for line in cifar10.markdown(rows).splitlines():
        if line.startswith(("| ResNet", "| VGG")):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            title = cells[0].partition(",")[0]
            paper = next(f"{p} %" for n, p in cifar10.PAPER.items() if cifar10.TITLES[n] == title)
            assert cells[5] == paper and paper not in (cells[3], cells[4])


def test_everything_that_has_to_be_said_is_said(results):
    write_all(results)
    text = cifar10.markdown()
    for fact in (DATA, "last epoch", "all 10,000 test images", "mean ± standard deviation over n seeds", "9,984",
                 "best epoch on the test set", "Intel Xeon Processor @ 2.80GHz, 1 thread",
                 "`sdbnn-lite train cifar10-resnet20 --epochs 100 --data DIR`"):  # fmt: skip
        assert fact in text
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines}) == 1


def test_one_seed_has_no_spread(results):
    write_run(results, "cifar10_resnet20", "cifar10-resnet20", 100, 0.85)
    text = cifar10.markdown()
    assert "±" not in text and "n = 1: a single seed" in text
    assert "n = 1, so its spread isn't known" in cifar10.gap_in_words(row_of("ResNet-20", 100))


def test_a_run_that_is_in_the_study_too_counts_once(results):
    write_study(results, ("sdbnn",), seeds=2)
    write_run(results, "cifar10_resnet20", "cifar10-resnet20", 15, 0.8)
    row = row_of("ResNet-20", 15)
    assert row["n"] == 2 and "results/runs/cifar10_resnet20; results/cifar10-resnet20" in row["source"]


def test_other_methods_and_unfinished_runs_and_other_data_are_no_row(results):
    write_run(results, "a", "cifar10-resnet20", 5, 0.8, method="bnn")
    write_run(results, "b", "cifar10-resnet20", 5, 0.8)
    run = (results / "runs" / "b" / "run.json").read_text()
    (results / "runs" / "b" / "run.json").write_text(re.sub(r'"result": \{.*?\}', '"result": null', run))
    assert cifar10.table()["n"].sum() == 0
    write_run(results, "c", "digits", 5, 0.8)
    assert cifar10.table()["n"].sum() == 0


def test_runs_that_differ_in_any_setting_are_no_row_together(results):
    write_run(results, "a", "cifar10-resnet20", 15, 0.5)
    write_run(results, "b", "cifar10-resnet20", 15, 0.6)
    path = results / "runs" / "b" / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"pad": 2}))
    assert list(cifar10.table().query("network == 'cifar10_resnet20'")["n"]) == [1, 1]


def test_our_own_recipe_is_a_row_of_its_own_and_named(results):
    write_run(results, "a", "cifar10-resnet20", 100, 0.85)
    write_run(results, "b", "cifar10-resnet20-evening", 100, 0.87)
    assert "| ResNet-20, recipe `cifar10-resnet20-evening` (ours) |" in cifar10.markdown()
    assert len(cifar10.table()) == 4
    write_run(results, "c", "cifar10-resnet20", 15, 0.5)
    path = results / "runs" / "c" / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"ede": [0.001, 1.0]}))
    assert "| ResNet-20, t from 0.001 to 1 | 15 |" in cifar10.markdown()


@pytest.mark.parametrize("end, side", [(0.8, "below"), (0.95, "above")])
def test_the_gap_in_words(results, end, side):
    write_run(results, "a", "cifar10-resnet20", 500, end)
    row = row_of("ResNet-20", 500)
    said = cifar10.gap_in_words(row)
    assert f"{abs(row['mean'] - 86.9):.2f} points {side} the paper's 86.9 %" in said and "the published length" in said


def test_other_settings_are_another_row(results):
    """A run with EDE's t below 1 isn't a second seed of the recipe's, and doesn't take its place."""
    write_run(results, "a", "cifar10-resnet20", 100, 0.8)
    write_run(results, "b", "cifar10-resnet20", 100, 0.7)
    path = results / "runs" / "b" / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "ede": [0.001, 1.0]}))
    rows = cifar10.table().query("epochs == 100")
    assert rows["n"].tolist() == [1, 1]


def test_the_csv_has_two_decimals_and_nothing_for_nothing(results):
    write_all(results)
    rows = cifar10.csv_rows(cifar10.table())
    assert rows[0]["mean"] == "" and rows[0]["epochs"] == "" and rows[0]["n"] == 0
    assert re.fullmatch(r"\d\d\.\d\d", rows[1]["mean"]) and rows[1]["epochs"] == "100"


def test_claim_five_says_what_was_run(results):
    assert claims._elsewhere() == "CIFAR-10 hasn't been run here yet. ImageNet hasn't been run here yet."
    write_all(results)
    assert f"On {DATA}" in claims._elsewhere() and claims._elsewhere().endswith("ImageNet hasn't been run here yet.")
    assert "VGG-Small 80" in cifar10.in_words() and "(n = 2)" in cifar10.in_words()


def test_how_it_fits_is_said_in_numbers(results):
    write_run(results, "a", "cifar10-resnet20", 10, 0.8)
    last = tables.run_log("a").iloc[-1]
    said = cifar10.fit_in_words("a")
    assert f"{100 * last['train_accuracy']:.1f} %" in said and "hasn't learnt the training images by heart" in said
    log = pd.read_csv(results / "runs" / "a" / "log.csv").assign(train_accuracy=0.99)
    log.to_csv(results / "runs" / "a" / "log.csv", index=False)
    assert f"{99 - 100 * last['test_accuracy']:.1f} points better" in cifar10.fit_in_words("a")


@pytest.mark.parametrize("end, side", [(0.6, "below"), (0.9, "above")])
def test_the_evening_recipe_stands_beside_the_longest_run_of_the_published_one(results, end, side):
    for epochs, suffix, accuracy in ((15, "", 0.5), (100, "-evening", end), (200, "", 0.77), (201, "-evening", 0.8)):
        write_run(results, f"of_{epochs}", f"cifar10-resnet20{suffix}", epochs, accuracy)
    short, own, longest, more = (row_of("ResNet-20", epochs)["mean"] for epochs in (15, 100, 200, 201))
    words = cifar10.recipes_in_words(cifar10.table())
    said = (f"{short:.2f} % after 15 epochs (n = 1); {own:.2f} % after 100 epochs, recipe `cifar10-resnet20-evening` "
            f"(ours) (n = 1); {longest:.2f} % after 200 epochs (n = 1); {more:.2f} % after 201 epochs, "
            f"recipe `cifar10-resnet20-evening` (ours) (n = 1). Ours after 100 epochs is {abs(own - longest):.2f} "
            f"points {side} the longest run of the published schedule, in 50 % of its epochs.")  # fmt: skip
    assert words == f"ResNet-20: {said}"

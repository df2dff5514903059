"""Silent channels on Imagenette: predictions against SciPy's binomial distribution, counts made again line by line."""

import csv
import shutil

import pandas as pd
import pytest
from scipy.stats import binom, norm

from sdbnn_lite.analysis import imagenet, tables
from sdbnn_lite.analysis.silent_channels import (
    formula_in_words,
    layer_table,
    predicted_in_words,
    silent_channels,
    silent_in_words,
)


@pytest.fixture(scope="module")
def found():
    return silent_channels()


@pytest.fixture(scope="module")
def rows():
    with open(tables.RESULTS / "runs/imagenette_resnet18/final_signs.csv", encoding="utf-8") as opened:
        return list(csv.DictReader(opened))


def test_counts_are_those_of_the_table(found, rows):
    shares = [[int(count) for count in row["share_histogram"].split()] for row in rows]
    assert found.counts == {
        "channels": sum(map(sum, shares)), "dead": sum(int(row["dead_channels"]) for row in rows),
        "one_sided": sum(counts[0] + counts[-1] for counts in shares), "layers": len(rows),
        "below_half": sum(float(row["entropy"]) < 0.5 for row in rows)}  # fmt: skip
    assert list(found.layers.index) == list(range(1, len(rows) + 1)) and found.layers["shares"].tolist() == shares
    assert found.layers["p"].tolist() == [float(row["input_after"]) for row in rows]
    table, images = layer_table(imagenet.longest()["stage2"])
    assert table.equals(found.layers) and images.startswith("500 validation images")
    assert found.counts["one_sided"] >= found.counts["dead"]


def test_the_problem_is_real_there(found):
    """What the paper starts from: were this to change, 01's text would have to."""
    counts, layers, row = found.counts, found.layers, found.layers.loc[8]
    assert counts["dead"] > 0.045 * counts["channels"] and counts["one_sided"] > 0.15 * counts["channels"]
    assert layers["entropy"].loc[3:4].max() < 0.25
    assert row.dead > 0.4 * row.channels and row.one_sided > 0.6 * row.channels and row.entropy < 0.3
    assert layers["entropy"].min() < 0.1 and (layers["one_sided"] > 0.25 * layers["channels"]).sum() > 5


def test_the_formula_of_01_says_so_beforehand(found):
    row = found.layers.loc[8]
    n, bias = 1152, (2 * row.p - 1) * (2 * row.q - 1)
    assert norm.cdf((n * bias + 1) / (n * (1 - bias**2)) ** 0.5) > 0.99
    assert "P = 0.99; 81 of 128 channels" in formula_in_words(found, 8)
    errors = found.layers["predicted"] - found.layers["entropy"]
    assert errors.min() < -0.5 and errors.max() > 0.5, "01 says that it errs both ways"


def test_the_sentences_hold_the_numbers(found):
    said, c = silent_in_words(found), found.counts
    assert said.startswith(f"{c['dead']:,} of {c['channels']:,} channels are dead, {c['one_sided']:,} have one sign")
    assert f"in {c['below_half']} of 16 layers" in said
    assert "(Imagenette, ResNet-18 at 64 pixels, SD-BNN, 30 epochs, 500 validation images, n = 1 seed)" in said
    part = formula_in_words(found, 2)
    assert f"{found.layers['one_sided'].loc[2:4].sum()} of 192 are" in part and part.endswith(f"{said}.")


def test_another_table_gives_other_words(monkeypatch, tmp_path):
    shutil.copytree(tables.RESULTS / "runs", tmp_path / "runs")
    table = tmp_path / "runs/imagenette_resnet18/final_signs.csv"
    head, first, *rest = table.read_text().splitlines()
    table.write_text("\n".join([head, first.rsplit(",", 2)[0] + ",3,5 " + "0 " * 18 + "4", *rest, ""]))
    before = silent_channels().counts
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    now = silent_channels().counts
    assert now["dead"] == before["dead"] + 3 and now["channels"] == before["channels"] - 64 + 9


def test_without_a_run_there_is_nothing_to_count(monkeypatch, tmp_path):
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    assert silent_channels() is None


def test_the_formula_by_scipy(found):
    table = found.layers
    assert list(table["n"][[1, 6, 16]]) == [576, 1152, 4608] and list(table["layer"]) == list(range(1, 17))
    for row in table.itertuples():
        r = row.p * row.q + (1 - row.p) * (1 - row.q)
        assert row.P == pytest.approx(binom.sf(row.n / 2 - 0.5, row.n, r), abs=1e-9)


def test_words_of_the_prediction_follow_the_numbers():
    table = pd.DataFrame({"layer": [1, 2, 3], "predicted": [0.9, 0.0, 0.0], "entropy": [0.8, 0.1, 0.3],
                          "channels": [64, 64, 64], "dead": [0, 7, 0], "one_sided": [1, 20, 3]})  # fmt: skip
    said = predicted_in_words(table, "9 images")
    assert "7 of 192 channels have one sign on all of 9 images, in layers 2 (7); 24 have one sign in 95% of" in said
    assert "2 layers that the formula calls silent: 0.20 bit an output sign (0.10 to 0.30)" in said
    assert "the 1 layer that it doesn't: 0.80 bit" in said
    none = predicted_in_words(table.assign(dead=0, predicted=0.0), "9 images")
    assert "in layers" not in none and "it doesn't" not in none

"""Channels that say nothing: predictions against SciPy's binomial distribution, counts against the committed table."""

import pandas as pd
import pytest
from scipy.stats import binom

from sdbnn_lite.analysis import imagenet, tables
from sdbnn_lite.analysis.predicted_signs import predicted_in_words, predicted_signs

NAME = "imagenette_resnet18"


@pytest.fixture(scope="module")
def found():
    return predicted_signs(imagenet.longest()["stage2"])


def test_the_formula_by_scipy(found):
    table, _ = found
    assert list(table["n"][[0, 5, 15]]) == [576, 1152, 4608] and list(table["layer"]) == list(range(1, 17))
    for row in table.itertuples():
        r = row.p * row.q + (1 - row.p) * (1 - row.q)
        assert row.P == pytest.approx(binom.sf(row.n / 2 - 0.5, row.n, r), abs=1e-9)


def test_counts_are_those_of_the_committed_table(found):
    table, images = found
    committed = pd.read_csv(tables.results_of(imagenet.longest()["stage2"]) / tables.FINAL_SIGNS)
    assert table["dead"].sum() == committed["dead_channels"].sum() and images.startswith("500 validation images")
    bins = committed["share_histogram"].str.split(expand=True).astype(int)
    assert (table["channels"].to_numpy() == bins.sum(axis=1)).all()
    assert table["outer"].sum() == (bins[0] + bins[19]).sum() >= table["dead"].sum()


def test_words_follow_the_numbers():
    table = pd.DataFrame({"layer": [1, 2, 3], "predicted": [0.9, 0.0, 0.0], "entropy": [0.8, 0.1, 0.3],
                          "channels": [64, 64, 64], "dead": [0, 7, 0], "outer": [1, 20, 3]})  # fmt: skip
    said = predicted_in_words(table, "9 images")
    assert "7 of 192 channels have one sign on all of 9 images, in layers 2 (7); 24 have one sign in 95% of" in said
    assert "2 layers that the formula calls silent: 0.20 bit an output sign (0.10 to 0.30)" in said
    assert "the 1 layer that it doesn't: 0.80 bit" in said
    none = predicted_in_words(table.assign(dead=0, predicted=0.0), "9 images")
    assert "in layers" not in none and "it doesn't" not in none

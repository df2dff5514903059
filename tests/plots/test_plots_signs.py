"""The pictures of output signs, read back from their artists; ranks and p-values against a second way."""

import numpy as np
import pandas as pd
import pytest
from pictures import assert_apart, contrast_to_white, visible_texts

from sdbnn_lite.analysis.rank_test import rank_correlation
from sdbnn_lite.analysis.tables import read_study
from sdbnn_lite.core.methods import METHODS
from sdbnn_lite.errors import UsageError
from sdbnn_lite.plots import signs as ps
from sdbnn_lite.plots.theme import png_bytes

METHODS_DRAWN = ("bnn", "xnor", "irnet", "ede", "asd", "wsd", "sdbnn")


def made_table(methods=("bnn", "ede", "asd", "sdbnn"), layers=("conv2", "conv3"), seeds=3, epochs=12):
    """What signs.csv holds, as far as these figures read it."""
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {"method": m, "seed": s, "epoch": e + 1, "layer": layer, "entropy": random.uniform(0.9, 1),
         "sign_difference": random.uniform(0.4, 0.5)}
        for m in methods for s in range(seeds) for e in range(epochs) for layer in layers
    )  # fmt: skip


def made_runs(methods=("bnn", "ede", "asd", "sdbnn"), seeds=3):
    random = np.random.default_rng(1)
    return pd.DataFrame(
        {"method": m, "seed": s, "test_accuracy": random.uniform(0.9, 1)} for m in methods for s in range(seeds)
    )


DRAWN = {
    "over_epochs": lambda: ps.over_epochs(read_study("digits", "signs.csv"), METHODS_DRAWN),
    "over_epochs of the sign difference": lambda: ps.over_epochs(made_table(), ("bnn", "asd"), "sign_difference"),
    "against_accuracy": lambda: ps.against_accuracy(
        ps.final_runs(read_study("digits", "signs.csv"), read_study("digits"))
    ),
}


@pytest.mark.parametrize("name", DRAWN)
def test_every_text_can_be_read(drawn, name):
    assert_apart(drawn[name])
    for text in visible_texts(drawn[name]):
        assert contrast_to_white(text.get_color()) >= 4.5, text


@pytest.mark.parametrize("name", DRAWN)
def test_bytes_are_the_same_each_time(name):
    assert png_bytes(DRAWN[name]()) == png_bytes(DRAWN[name]())  # no "drawn" figure: these have no final layout


# --- epochs ----------------------------------------------------------------------------------------------------------


def test_lines_are_means_and_bands_ranges_over_the_seeds():
    table = made_table()
    figure = ps.over_epochs(table, ("ede", "asd"))
    for ax, layer in zip(figure.axes, ("conv2", "conv3")):
        curves = [line for line in ax.lines if len(line.get_xdata()) == 12]
        for curve, band, method in zip(curves, ax.collections, ("ede", "asd")):
            mine = table[(table["method"] == method) & (table["layer"] == layer)]
            seeds = mine.pivot(index="epoch", columns="seed", values="entropy")
            np.testing.assert_allclose(curve.get_ydata(), seeds.mean(axis=1))
            outline = band.get_paths()[0].vertices[:, 1]
            assert outline.min() == pytest.approx(seeds.min().min()) and outline.max() == pytest.approx(
                seeds.max().max()
            )
        assert any(METHODS["asd"].short in text.get_text() for text in ax.texts)


@pytest.mark.parametrize(
    ("methods", "measure", "match"),
    [(("bnn",), "accuracy", "choose one of entropy, sign_difference"), (("float",), "entropy", "none of float"),
     ((), "entropy", "no method given")],
)  # fmt: skip
def test_what_the_table_does_not_hold_is_refused(methods, measure, match):
    with pytest.raises(UsageError, match=match):
        ps.over_epochs(made_table(), methods, measure)


# --- accuracy --------------------------------------------------------------------------------------------------------


def test_runs_are_paired_with_their_own_accuracy():
    signs, runs = made_table(), made_runs()
    table = ps.final_runs(signs, runs)
    assert len(table) == 4 * 3 * 2 and set(table["epoch"]) == {12}
    for row in table.itertuples():
        mine = runs[(runs["method"] == row.method) & (runs["seed"] == row.seed)]
        assert row.test_accuracy == mine["test_accuracy"].item()


def test_the_scatter_shows_every_run_and_says_the_correlation():
    table = ps.final_runs(made_table(), made_runs())
    figure = ps.against_accuracy(table)
    for ax, layer in zip(figure.axes, ("conv2", "conv3")):
        rows = table[table["layer"] == layer]
        points = {(x, y) for line in ax.lines for x, y in zip(line.get_xdata(), line.get_ydata())}
        assert points == set(zip(rows["entropy"], 100 * rows["test_accuracy"]))
        found = rank_correlation(rows["entropy"], rows["test_accuracy"])
        assert f"ρ = {found.rho:+.2f}, n = 12 runs, p = {found.p:.2f}" in ax.get_title("left")
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == [METHODS[m].short for m in METHODS if m in set(table["method"])]


def test_what_the_digits_say_of_accuracy_and_signs():
    """Notebook 04 says in words that accuracy doesn't follow the signs here."""
    table = ps.final_runs(read_study("digits", "signs.csv"), read_study("digits"))
    for layer in ("conv2", "conv3"):
        for measure in ("entropy", "sign_difference"):
            rows = table[table["layer"] == layer]
            found = rank_correlation(rows[measure], rows["test_accuracy"])
            assert found.n == 33 and found.p > 0.05

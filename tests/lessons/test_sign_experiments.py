"""Notebook 04's answers against a second way of counting, and each choice against made-up measurements."""

import csv
from statistics import mean

import numpy as np
import pandas as pd
import pytest
from made_results import made_layer
from scipy.stats import spearmanr

from sdbnn_lite.analysis import claims, tables
from sdbnn_lite.cost.fold_scale import ExtraOperations
from sdbnn_lite.lessons import sign_experiments as experiments


@pytest.fixture(scope="module")
def by_epoch():
    return tables.read_study("digits", "signs.csv")


@pytest.fixture(scope="module")
def rows():
    with open(tables.RESULTS / "digits/signs.csv", encoding="utf-8") as opened:
        return list(csv.DictReader(opened))


def recorded(out, into, read):
    """Two channels a layer, with these shares of +1: (control's, ASD's) at each place."""
    return {m: {"conv2": made_layer(output=[out[k], 0.5]),
                "conv3": made_layer(output=[0.5, 0.5], before=[into[k], 0.5], after=[read[k], 0.5])}
            for k, m in enumerate(("ede", "asd"))}  # fmt: skip


def test_the_pair_that_leans_most_is_found():
    made = recorded((0.5, 0.9), (0.5, 0.5), (0.5, 0.5))
    made |= {"bnn": made["ede"], "sdbnn": made["asd"]}
    place, said = experiments.leaning(made, [{"bnn", "ede"}, {"asd", "sdbnn"}])
    assert place == 1 and "0.73 bit (ASD)" in said and "all others 1.00 to 1.00 bit" in said
    assert experiments.leaning(made, [{"asd", "sdbnn"}, {"bnn", "ede"}])[0] == 0
    table, header = experiments.sides_table(made)
    assert len(table) == 2 * len(made) and {len(row) for row in table} == {len(header)}
    assert [row[-1] for row in table if row[:2] == ("conv2", "asd")] == [1]


@pytest.mark.parametrize(("read", "place"), [(0.5, 0), (0.7, 0), (0.8, 1), (0.9, 2)])
def test_what_is_left_of_the_gap(read, place):
    """Entropies of 0.9, 0.8 and 0.7: 0.47, 0.72 and 0.88 bit, so 1, a half and a quarter of the gap."""
    made = recorded((0.5, 0.9), (0.5, 0.85), (0.5, read))
    assert experiments.gap_left(made)[0] == place
    table, header = experiments.way_table(made)
    assert [row[0] for row in table] == ["ede", "asd"] and len(table[0]) == len(header)


@pytest.mark.parametrize(("first", "last", "place"), [(0.01, 0.05, 0), (0.05, 0.05, 1), (0.05, 0.01, 2)])
def test_the_gap_in_training(first, last, place):
    rows = [{"method": m, "layer": layer, "epoch": epoch, "entropy": 1 - gap * (m == "asd")}
            for m in ("ede", "asd") for layer in ("conv2", "conv3")
            for epoch, gap in ((1, first), (9, last))]  # fmt: skip
    found, said = experiments.gap_in_training(pd.DataFrame(rows))
    assert found == place and f"conv3: {first:.3f} bit after the first epoch, {last:.3f} after the last" in said


def test_stars_counted_without_pandas(by_epoch, rows):
    seeds = {}
    for row in rows:
        if row["epoch"] == "40":
            seeds.setdefault((row["layer"], row["method"]), []).append(float(row["entropy"]))
    starred = {key for key, own in seeds.items() for control in [seeds[key[0], "ede"]]
               if min(own) > max(control) or max(own) < min(control)}  # fmt: skip
    last = by_epoch[by_epoch["epoch"] == 40]
    place, said = experiments.stars(last)
    assert place == sum(len(starred) > limit for limit in (2, 5))
    assert said.startswith(f"{len(starred)} of {2 * (len(claims.BINARY) - 1)}: ") and "10%: about 2 of 20" in said
    table, header = experiments.stars_table(last)
    cells = {(layer, row[0]): cell for row in table for layer, cell in zip(("conv2", "conv3"), row[2:])}
    assert {key for key, cell in cells.items() if "*" in cell} == starred
    assert f"{mean(seeds['conv2', 'asd']):.3f} ± " in str(table) and len(table[0]) == len(header)


@pytest.mark.parametrize(("sign", "place"), [(1, 2), (-1, 0)])
def test_a_clear_relation_is_seen(sign, place):
    runs = pd.DataFrame({"layer": ["conv2", "conv3"] * 8, "entropy": np.arange(16.0)})
    found, said = experiments.follows(runs.assign(test_accuracy=sign * runs["entropy"]))
    assert found == place and "p < 0.05 in 2 of 2 layers. Over 8 runs" in said


def test_the_trap_by_another_road(by_epoch):
    scores = tables.read_study("digits", "epochs.csv").groupby(["method", "epoch"])["test_accuracy"].mean()
    bits = by_epoch[by_epoch["layer"] == "conv3"].groupby(["method", "epoch"])["entropy"].mean()
    rho = {m: spearmanr(bits[m], scores[m]).statistic for m in ("ede", "asd")}
    place, said = experiments.trap(by_epoch)
    assert rho["ede"] < -0.5 and rho["asd"] > 0.5 and place == 2
    assert all(f"ρ = {value:+.1f} " in said for value in rho.values()) and said.endswith("over 40 epochs.")


def test_photographs_say_what_batch_norm_does_too():
    place, said = experiments.photographs()
    assert {0: "Other than", 1: "It depends", 2: "As on"}[place] == " ".join(said.split()[:2])
    assert "before → after ASD's shift" in said and "ResNet-20, 100 epochs" in said


@pytest.mark.parametrize(("matrices", "place"), [(10, 0), (200, 1), (2000, 2)])
def test_the_place_of_asd_s_cost(matrices, place, monkeypatch):
    made = ExtraOperations(matrices, 50, scale=100, two_sided_scale=1000, asd_bytes=4 * matrices, packed_bytes=4000)
    monkeypatch.setattr(experiments, "extra_operations", lambda network, size: made)
    found, said = experiments.cost()
    assert found == place and f"ASD takes {(matrices + 50) / 10:.0f} % of" in said


def test_a_verdict_is_its_claim_s_place():
    claim = claims.Claim(1, "c", "p", "w", headline="7 signs.", measured="m", holds="partly", numbers={})
    assert experiments.verdict(claim) == (1, "**7 signs.**")

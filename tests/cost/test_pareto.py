"""Accuracy against cost: the front by hand and against its definition; the zoo's table against cards and ledger."""

import numpy as np
import pytest

from sdbnn_lite.cost import pareto
from sdbnn_lite.cost.count import cost
from sdbnn_lite.errors import UsageError
from sdbnn_lite.weights.zoo import zoo_names


def test_a_front_by_hand():
    costs, accuracies = [1, 2, 3, 3, 4], [50, 60, 55, 70, 70]
    assert pareto.pareto_front(costs, accuracies).tolist() == [True, True, False, True, False]
    assert pareto.pareto_front([1, 1], [5, 5]).all()  # equals don't push each other out
    assert pareto.pareto_front([], []).tolist() == []


def test_the_front_is_what_nothing_dominates():
    rng = np.random.default_rng(0)
    points = [tuple(map(int, rng.integers(0, 9, 2))) for _ in range(60)]
    front = pareto.pareto_front(*zip(*points))
    for (cost_i, accuracy_i), on_front in zip(points, front):
        dominated = any(c <= cost_i and a >= accuracy_i and (c, a) != (cost_i, accuracy_i) for c, a in points)
        assert on_front != dominated


def test_lengths_have_to_agree():
    with pytest.raises(UsageError, match="3 costs and 2 accuracies"):
        pareto.pareto_front([1, 2, 3], [1, 2])


def test_every_network_of_the_zoo_is_in_the_table():
    table = pareto.zoo_table()
    assert sorted(table["name"]) == sorted(zoo_names())
    assert list(table.columns) == pareto.COLUMNS and table["accuracy"].between(0, 100).all()
    row = table.set_index("name").loc["digits_sdbnn"]
    ledger = cost("digits_convnet", "sdbnn")
    assert (row["ops"], row["bytes"], row["images"]) == (ledger.total("ops"), ledger.total("bytes"), 360)


def test_budgets_are_equal_epochs_on_the_same_images():
    table = pareto.zoo_table()
    for group in pareto.budgets(table).values():
        assert group["epochs"].nunique() == group["dataset"].nunique() == 1 < len(group)
    compared = {name for group in pareto.budgets(table).values() for name in group["name"]}
    said = pareto.budgets_in_words(table)
    for row in table[~table["name"].isin(compared)].itertuples(name=None):
        assert f"{row[1]} ({row[5]} epochs)" in said.partition("nothing to compare with: ")[2]
    front = table[pareto.pareto_front(table["ops"], table["accuracy"]) & (table["dataset"] == "digits")]
    assert all(method in said for method in front["method"])


def test_a_table_without_equals_says_only_that():
    table = pareto.zoo_table().drop_duplicates(["dataset", "epochs"])
    assert pareto.budgets(table) == {} and pareto.budgets_in_words(table).startswith("Nothing else trained as long")


def test_what_a_file_rounds_is_said():
    said = pareto.rounding_in_words()
    reasons = ["its run on cuda" if name == "cifar10_vgg_small" else "16-bit steps" for name in
               (sentence.partition(":")[0] for sentence in said)]  # fmt: skip
    assert len(said) == 3 and all(why in sentence for why, sentence in zip(reasons, said))
    assert any("78.24 %" in sentence and "78.19 %" in sentence for sentence in said)

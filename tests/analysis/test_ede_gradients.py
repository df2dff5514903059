"""EDE's gradients over its temperature: against its formula, the network left as found, words from the tables."""

import dataclasses

import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from standin import gradient_rows, write_study

import sdbnn_lite as sd
from sdbnn_lite import data
from sdbnn_lite.analysis import ede_gradients, study, tables
from sdbnn_lite.core.layers import binary_layers
from sdbnn_lite.errors import UsageError
from sdbnn_lite.plots import gallery_cifar10
from sdbnn_lite.training.options import RunOptions
from sdbnn_lite.training.recipes import RECIPES
from sdbnn_lite.training.train import train


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


def rows_of(net, digits, temperatures, count=64):
    images, labels = digits.test_sample(count), digits.test_labels[digits.sampled_places(count)]
    return pd.DataFrame(ede_gradients.gradient_rows(net, images, labels, temperatures)).set_index(["layer", "t"])


def test_in_the_last_binary_layer_it_is_the_formula(digits):
    """No sign comes after it, so dL/dW = dL/dŵ · k·t·(1 - tanh²(t·w)), and dL/dŵ doesn't depend on t."""
    net = sd.load("digits_ede").train()
    name, layer = list(binary_layers(net).items())[-1]
    found = rows_of(net, digits, (0.25, 3.0))
    signs = torch.where(layer.weight >= 0, 1.0, -1.0).requires_grad_()
    layer.binary_weight = lambda: signs
    images, labels = digits.test_sample(64), digits.test_labels[digits.sampled_places(64)]
    (upstream,) = torch.autograd.grad(F.cross_entropy(net(images), labels), signs)
    for t, k in ((0.25, 4.0), (3.0, 1.0)):
        expected = (upstream * k * t * (1 - torch.tanh(t * layer.weight) ** 2)).norm().item()
        assert found.loc[(name, t), "gradient"] == pytest.approx(expected, rel=1e-4)
        assert found.loc[(name, t), "inside"] == ((t * layer.weight).abs() < 1).double().mean().item()
        assert found.loc[(name, t), "weight"] == pytest.approx(layer.weight.detach().norm().item(), rel=1e-6)


def test_without_ede_t_changes_nothing_and_the_float_twin_has_no_rows(digits):
    found = rows_of(sd.load("digits_bnn"), digits, (0.1, 10.0))["gradient"]
    assert (found.xs(0.1, level="t") == found.xs(10.0, level="t")).all() and (found > 0).all()
    net = sd.load("digits_float")
    assert ede_gradients.gradient_rows(net, digits.test_sample(8), digits.test_labels[:8], (1.0,)) == []


@pytest.mark.parametrize("temperatures", [(1.0, 2.0), (1.0, -1.0)])
def test_the_network_is_left_as_it_was_also_after_an_error(digits, temperatures):
    net = sd.load("digits_sdbnn")
    before, mode = {name: value.clone() for name, value in net.state_dict().items()}, net.training
    if min(temperatures) < 0:
        with pytest.raises(UsageError, match="t=-1.0"):
            rows_of(net, digits, temperatures)
    else:
        rows_of(net, digits, temperatures)
    assert net.training == mode and all(p.grad is None for p in net.parameters())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_a_study_s_file_has_a_row_per_run_layer_and_t(digits, tmp_path):
    tiny = dataclasses.replace(RECIPES["digits"], epochs=2, batch_size=256)
    for method in ("sdbnn", "float"):
        train(
            tiny,
            tmp_path / f"{method}-seed0",
            method=method,
            options=RunOptions(progress=False, command="sdbnn-lite train digits"),
        )
    rows = [{"method": m, "seed": 0, **study.final_row(tmp_path / f"{m}-seed0")} for m in ("sdbnn", "float")]
    ede_gradients.write_study_gradients(tmp_path, rows, tmp_path / "tables", digits)
    table = pd.read_csv(tmp_path / "tables" / tables.FINAL_GRADIENTS)
    last = 0.01 * 1000**0.5  # the second of two epochs, from 0.01 towards 10
    assert sorted(set(table["t"])) == pytest.approx(sorted([*ede_gradients.TEMPERATURES, last]))
    assert len(table) == 2 * (len(ede_gradients.TEMPERATURES) + 1) and set(table["method"]) == {"sdbnn"}
    study.gather(tmp_path, rows, tmp_path / "tables", "command")
    assert not (tmp_path / "tables" / tables.FINAL_GRADIENTS).exists()  # they were of the runs before


def made(**methods):
    """final_gradients.csv of two seeds and two layers, for each method (growth of the gradients, share inside)."""
    return pd.concat([
        gradient_rows(grows, inside, ("a", "b")).assign(method=method, seed=seed)
        for method, (grows, inside) in methods.items() for seed in (0, 1)
    ])  # fmt: skip


def logs(**ends):
    """epochs.csv of four epochs; accuracy changes by ``points`` from the third, where t passes 1, to the fourth."""
    return pd.DataFrame([
        {"method": method, "seed": 0, "epoch": epoch, "ede_t": t, "train_accuracy": a, "test_accuracy": a}
        for method, points in ends.items()
        for epoch, t, a in ((1, 0.01, 0.3), (2, 0.1, 0.4), (3, 1.5, 0.5), (4, 5.4, 0.5 + points / 100))
    ])  # fmt: skip


def test_the_summary_by_hand():
    found = ede_gradients.over_layers(made(bnn=(1, 0.9)))
    assert found["relative"].tolist() == pytest.approx([0.1] * 12)  # 0.1·(3, 4) over (3, 4)
    table = made(bnn=(1, 0.9), irnet=(20, 0.1), wsd=(700, 0.85), sdbnn=(2000, 0.86))
    found = ede_gradients.summary(table, logs(bnn=1, irnet=0.5, wsd=-1, sdbnn=-3)).set_index("method")
    assert list(found.index) == ["irnet", "wsd", "sdbnn"]  # bnn has no t
    assert found["grows"].tolist() == pytest.approx([20, 700, 2000])
    assert found["train"].tolist() == pytest.approx([0.5, -1, -3]) and found["t"].tolist() == [5.4] * 3
    said = ede_gradients.in_words(found.reset_index(), found.reset_index()[2:], 100)
    assert said.startswith(
        "`wsd`, `sdbnn` lost training accuracy after t had passed 1; there gradients grow 700 to 2,000 "
        "times from t = 1 to the last epoch's 5.4. "
    )
    assert "`irnet` kept or gained training accuracy after t had passed 1; there gradients grow 20 times" in said
    assert (
        "In the run of 100 epochs, `sdbnn`'s gradients grow 2,000 times from t = 1 to its last 5.4, and its training "
        "accuracy changed by -3.00 points" in said
    )


def test_what_was_not_measured_at_its_last_t_is_left_out():
    table = made(wsd=(700, 0.85), sdbnn=(2000, 0.86))
    table = table[(table["method"] != "wsd") | (table["t"] != 5.4)]
    assert ede_gradients.summary(table, logs(wsd=-1, sdbnn=-3))["method"].tolist() == ["sdbnn"]
    assert ede_gradients.summary(made(bnn=(1, 0.9)), logs(wsd=-1)).empty


def test_where_no_run_came_so_far_nothing_is_said():
    short = logs(sdbnn=-3)
    found = ede_gradients.summary(made(sdbnn=(2000, 0.9)), short[short["epoch"] < 3])
    assert ede_gradients.in_words(found, found, 0).startswith("No network that learns with EDE has come")


def test_the_figure_is_drawn_or_says_what_it_lacks(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    assert gallery_cifar10.one("cifar10_gradients")[0] is None
    write_study(tmp_path, ("irnet", "sdbnn"))
    figure, said = gallery_cifar10.one("cifar10_gradients")
    left, right = figure.axes[:2]
    assert len(right.lines) == 4 and left.get_xscale() == right.get_yscale() == "log"
    assert said.startswith("Left: relative gradient against t, a line per method.")
    (tmp_path / "cifar10-resnet20" / tables.FINAL_GRADIENTS).unlink()
    figure, said = gallery_cifar10.one("cifar10_gradients")
    assert figure is None and said == "The gradients of the ablation's networks aren't in this package yet."

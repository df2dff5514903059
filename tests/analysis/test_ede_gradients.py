"""EDE's gradients over its temperature: against its formula, the network left as found, words from the tables."""

import dataclasses
import json
import math
import re

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from standin import gradient_rows, write_run, write_study

import sdbnn_lite as sd
from sdbnn_lite import data
from sdbnn_lite.analysis import ede_gradients, study, tables
from sdbnn_lite.core.layers import binary_layers, set_ede
from sdbnn_lite.core.models import build
from sdbnn_lite.errors import UsageError
from sdbnn_lite.plots import gallery_cifar10
from sdbnn_lite.system.files import read_csv
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


SGD = {"optimizer": "sgd"}


def logs(lr=(0.4, 0.3, 0.2, 0.02), **ends):
    """epochs.csv of four epochs; accuracy changes by ``points`` from the third, where t passes 1, to the fourth."""
    return pd.DataFrame([
        {"method": method, "seed": 0, "epoch": epoch, "ede_t": t, "lr": rate, "train_accuracy": a, "test_accuracy": a}
        for method, points in ends.items()
        for epoch, t, rate, a in zip((1, 2, 3, 4), (0.01, 0.1, 1.5, 5.4), lr, (0.3, 0.4, 0.5, 0.5 + points / 100))
    ])  # fmt: skip


def found_in(table, epochs, facts=SGD, schedule="4 epochs"):
    return ede_gradients.summary(ede_gradients.courses_of(table, epochs, facts, schedule))


def test_the_summary_by_hand():
    found = ede_gradients.over_layers(made(bnn=(1, 0.9)))
    assert found["relative"].tolist() == pytest.approx([0.1] * 12)  # 0.1·(3, 4) over (3, 4)
    table = made(bnn=(1, 0.9), irnet=(2, 0.1), wsd=(700, 0.85), sdbnn=(2000, 0.86))
    found = found_in(table, logs(bnn=1, irnet=0.5, wsd=-1, sdbnn=-3))
    assert list(found["method"]) == ["irnet", "wsd", "sdbnn"]  # bnn has no t
    assert found["grows"].tolist() == pytest.approx([2, 700, 2000])
    assert found["train"].tolist() == pytest.approx([0.5, -1, -3]) and found["t"].tolist() == [5.4] * 3
    slower = (found["step"] / found["grows"]).tolist()  # lr falls to 0.02 from somewhere between 0.2 and 0.3
    assert slower == pytest.approx([slower[0]] * 3) and 0.02 / 0.3 < slower[0] < 0.02 / 0.2
    said = ede_gradients.in_words(found)
    assert said.startswith("`wsd`, `sdbnn` (4 epochs): from t = 1 to the last epoch gradients grow 700 to 2,000 times")
    assert "above t = 1 training accuracy changed by -3.00 to -1.00 points. `irnet` (4 epochs): from t = 1" in said
    assert "in 3 of 3 cases" in said


def test_where_accuracy_does_not_follow_the_step_it_is_said():
    found = found_in(made(wsd=(700, 0.85), sdbnn=(2000, 0.86)), logs(wsd=1, sdbnn=-3))
    assert "Training accuracy fell where that product, the step, grew, and didn't where it shrank, in 1 of 2 cases" in (
        ede_gradients.in_words(found)
    )


def test_a_step_is_lr_times_gradient_over_that_at_t_1():
    """A gradient of c·t² above t = 1 and a half cosine, for which both can be written down."""
    e, epochs = np.arange(200), 200
    t, lr = 0.001 * 10_000 ** (e / epochs), 0.11 * (1 + np.cos(np.pi * e / epochs)) / 2
    log = pd.DataFrame({"epoch": e + 1, "ede_t": t, "lr": lr, "train_accuracy": 0.5, "test_accuracy": 0.5})
    known = np.array([0.01, 1.0, 2.0, 5.0, t[-1], 10.0])
    relative = pd.Series(0.002 * np.maximum(known, 1) ** 2, index=known)
    at_one = 0.11 * (1 + np.cos(np.pi * 0.75)) / 2
    course = ede_gradients.Course("sdbnn", "200 epochs", "sgd", relative, log)
    assert course.steps()["step"].to_numpy() == pytest.approx(np.maximum(t, 1) ** 2 * lr / at_one, rel=1e-4)
    adam = dataclasses.replace(course, optimizer="adam")  # divides by the gradient's size
    assert adam.steps()["step"].to_numpy() == pytest.approx(lr / at_one, rel=1e-4)
    below = dataclasses.replace(course, log=log.assign(ede_t=0.001 * 1000 ** (e / epochs)))
    assert below.steps()["step"].to_numpy() == pytest.approx(lr / at_one, rel=1e-4)  # it never comes to 1


def test_what_the_committed_runs_say():
    """Independently, from the files as text: the step grew in the runs that lost training accuracy, and in no other."""
    found = ede_gradients.summary(ede_gradients.courses()).set_index(["method", "schedule"])
    for (method, schedule), row in found.iterrows():
        epochs = int(schedule.split()[0])
        if row["optimizer"] == "adam":  # whose step is the rate alone, falling evenly after the warm-up, a 30th of all
            low, high = map(float, re.search("t from (.+) to (.+)", schedule).groups())
            warm = round(epochs / 30)
            rate = [1 - (epoch - warm) / (epochs - warm)
                    for epoch in (epochs * math.log(1 / low) / math.log(high / low), epochs - 1)]  # fmt: skip
            rate[0] = 1 / (warm + 1) if low > 1 else rate[0]  # the warm-up's, where t starts above 1
            assert row["step"] == pytest.approx(rate[1] / rate[0], rel=2e-3)
        if "," in schedule:
            continue
        study = tables.RESULTS / "cifar10-resnet20"
        folder = study if epochs == 15 else tables.RESULTS / "runs" / "cifar10_resnet20_compressed"
        rows = [r for r in read_csv(folder / "final_gradients.csv") if r.get("method", method) == method]
        last, size = max(float(r["t"]) for r in rows if float(r["t"]) < 10), {}
        for t in (1.0, last):
            mine = [r for r in rows if float(r["t"]) == t]
            ratios = []
            for seed in sorted({r.get("seed") or "0" for r in mine}):
                of_seed = [r for r in mine if (r.get("seed") or "0") == seed]
                norms = [sum(float(r[key]) ** 2 for r in of_seed) ** 0.5 for key in ("gradient", "weight")]
                ratios.append(norms[0] / norms[1])
            size[t] = sum(ratios) / len(ratios)
        cosine = 1 + math.cos(math.pi * (epochs - 1) / epochs), 1 + math.cos(math.pi * 0.75)
        assert row["step"] == pytest.approx(size[last] / size[1.0] * cosine[0] / cosine[1], rel=2e-3)
        assert (row["step"] > 1) == (row["train"] < 0)
    measured = [round(float(found["step"][m, "15 epochs"]), 1) for m in ("irnet", "wsd", "rsign", "asd", "sdbnn")]
    assert measured == [0.5, 2.9, 3.0, 3.3, 4.2] and round(float(found["step"]["sdbnn", "100 epochs"]), 2) == 0.05


def test_what_was_not_measured_at_its_last_t_is_left_out():
    table = made(wsd=(700, 0.85), sdbnn=(2000, 0.86))
    table = table[(table["method"] != "wsd") | (table["t"] != 5.4)]
    assert found_in(table, logs(wsd=-1, sdbnn=-3))["method"].tolist() == ["sdbnn"]
    assert found_in(made(bnn=(1, 0.9)), logs(wsd=-1)).empty


def test_where_no_run_came_so_far_nothing_is_said():
    short = logs(sdbnn=-3)
    found = found_in(made(sdbnn=(2000, 0.9)), short[short["epoch"] < 3])
    assert ede_gradients.in_words(found).startswith("No network that learns with EDE has come")


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A study and a longer run; a published run of other settings is added by ``control``."""
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    write_study(tmp_path, ("irnet", "sdbnn"))
    return tmp_path


def control(results, name, seed=0, **settings):
    write_run(results, name, "cifar10-resnet20", 15, 0.8, seed=seed)
    path = results / "runs" / name
    run = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps({**run, **settings}))
    log = pd.read_csv(path / "log.csv").assign(ede_t=np.geomspace(*run["ede"], 15))
    if "ede" in settings:
        log["ede_t"] = np.geomspace(*settings["ede"], 15)
    log.to_csv(path / "log.csv", index=False)
    gradient_rows(900, 0.9, last=log["ede_t"].iloc[-1]).to_csv(path / "final_gradients.csv", index=False)


def test_runs_of_other_settings_stand_beside_the_ablation_whatever_their_names(results):
    control(results, "some_name", ede=[0.001, 1.0])
    control(results, "another", seed=1, ede=[0.001, 1.0])
    courses = {course.schedule: course for course in ede_gradients.courses()}
    assert "15 epochs, t from 0.001 to 1" in courses  # two seeds are one
    said = gallery_cifar10.one("cifar10_steps")[1]
    assert "sdbnn (15 epochs, t from 0.001 to 1)" in said and "Adam divides" not in said
    control(results, "evening", optimizer="adam", ede=[0.852, 4.61])
    figure, said = gallery_cifar10.one("cifar10_steps")
    assert "Adam divides" in said and "15 epochs, Adam, t from 0.852 to 4.61" in said
    labels = [text.get_text() for ax in figure.axes if ax.get_legend() for text in ax.get_legend().get_texts()]
    assert "SD-BNN, 15 epochs, t from 0.001 to 1" in labels
    figure, said = gallery_cifar10.one("cifar10_schedules")
    assert "15 epochs, Adam, t from 0.852 to 4.61: " in said and "under 3 schedules" in figure.get_suptitle()
    tests = {label: line.get_ydata()[-1] for label, line in zip(courses | {"evening": 0}, figure.axes[0].lines[::2])}
    assert len(tests) == 3 and all(f": {end:.1f} %" in said for end in tests.values())  # what is drawn is said


def test_at_the_start_it_is_the_growth_block_by_block():
    """Against the same network block by block: values that Hardtanh clips, and vector-Jacobian products."""
    found = ede_gradients.at_start((1.0, 0.15), 2.5, images=8)
    for gamma, clipped, grows in found:
        torch.manual_seed(0)
        net, x = build("cifar10_resnet20"), torch.randn(8, 3, 32, 32)
        for name, module in net.named_modules():
            if "bn" in name and "layers" in name:
                module.weight.data.fill_(gamma)
        set_ede(net, 2.5)
        blocks, inputs, out = [block for stage in net.layers for block in stage], [], F.hardtanh(net.bn1(net.conv1(x)))
        for block in blocks:
            inputs.append(out.detach().requires_grad_())
            out = block(inputs[-1])
        last = out.detach().requires_grad_()
        F.cross_entropy(net.linear(net.bn2(last.mean((2, 3)))), torch.arange(8) % 10).backward()
        gradient = last.grad
        for block, before in list(zip(blocks, inputs))[:0:-1]:
            (gradient,) = torch.autograd.grad(block(before), before, gradient)
        maps = [*inputs[1:], last]
        share = np.mean([100 * (y.abs() == 1).double().mean().item() for y in maps])
        assert clipped == f"{share:.0f} %"
        assert grows == f"{(gradient.norm() / last.grad.norm()).item():.2g}"
    assert float(found[0][2]) > 1 > float(found[1][2])


def test_a_seed_of_the_ablation_that_is_published_too_is_no_second_schedule(results):
    control(results, "same")
    assert {course.schedule for course in ede_gradients.courses()} == {"15 epochs"}


def test_the_figure_is_drawn_or_says_what_it_lacks(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    for name in ("cifar10_gradients", "cifar10_steps"):
        assert gallery_cifar10.one(name)[0] is None
    write_study(tmp_path, ("irnet", "sdbnn"))
    write_run(tmp_path, "long", "cifar10-resnet20", 100, 0.85)
    gradient_rows(50, 0.9).to_csv(tmp_path / "runs" / "long" / "final_gradients.csv", index=False)
    figure, said = gallery_cifar10.one("cifar10_gradients")
    left, right = figure.axes[:2]
    assert "SD-BNN, 100 epochs" in [line.get_label() for line in left.lines]  # the long run
    assert len(right.lines) == 4 and left.get_xscale() == right.get_yscale() == "log"
    assert said.startswith("Left: relative gradient against t, a line per method")
    (tmp_path / "cifar10-resnet20" / tables.FINAL_GRADIENTS).unlink()
    figure, said = gallery_cifar10.one("cifar10_gradients")
    assert figure is None and "study cifar10-resnet20's gradients isn't" in said

"""Training: it learns, the same every time, and leaves what it says."""

import dataclasses
import json
import math

import pytest
import torch
from safetensors.torch import load_file
from tiny_runs import QUIET, TINY, quiet, same_run

from sdbnn_lite.data import load
from sdbnn_lite.data.augment import Augmentation
from sdbnn_lite.system.files import read_csv
from sdbnn_lite.training import run_folder
from sdbnn_lite.training.evaluate import evaluate
from sdbnn_lite.training.optimizers import make_optimizer
from sdbnn_lite.training.steps.readable import Step
from sdbnn_lite.training.train import train
from sdbnn_lite.weights.files import CHECKPOINT, WEIGHTS, read_tensors
from sdbnn_lite.weights.zoo import load as load_network


def test_a_run_leaves_what_it_says(tiny_run):
    log = read_csv(tiny_run / run_folder.LOG)
    assert [row["epoch"] for row in log] == ["1", "2", "3"]
    for i, row in enumerate(log):
        assert float(row["lr"]) == pytest.approx(0.1 * (1 + math.cos(math.pi * i / 3)) / 2)
        assert float(row["ede_t"]) == pytest.approx(0.01 * 1000 ** (i / 3))
    assert float(log[-1]["train_loss"]) < float(log[0]["train_loss"])
    assert len(read_csv(tiny_run / run_folder.SIGNS)) == 3 * 2  # two binary layers
    run = json.loads((tiny_run / run_folder.RUN).read_text())
    assert run["method"] == "sdbnn" and run["seed"] == 0 and run["epochs"] == 3
    assert run["result"]["test_images"] == run["test_images"] == 360
    assert run["result"]["test_accuracy"] == float(log[-1]["test_accuracy"])
    assert set(run["machine"]["versions"]) >= {"torch", "torchvision", "python", "sdbnn_lite"}
    weights = load_file(tiny_run / WEIGHTS)
    assert float(weights["conv2.ede_t"]) == pytest.approx(float(log[-1]["ede_t"]))
    assert float(weights["conv2.ede_k"]) == pytest.approx(max(1 / float(log[-1]["ede_t"]), 1))


def test_the_loop_is_plain_pytorch(tmp_path, monkeypatch):
    """One epoch, by the readable path, equals the dozen lines anyone would write with torch's own optimizer."""
    import torch.nn.functional as F

    import sdbnn_lite as sd

    recipe = dataclasses.replace(TINY, epochs=1)
    monkeypatch.setattr("sdbnn_lite.training.trainer.pick_forward", lambda net, device, bits: net)
    result = train(recipe, tmp_path / "run", seed=5, options=QUIET)
    assert json.loads((tmp_path / "run" / run_folder.RUN).read_text())["path"] == "readable"

    torch.manual_seed(5)
    net = sd.build("digits_convnet")
    sd.set_ede(net, recipe.ede[0])
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4, fused=True)
    for x, y in load("digits").epoch(256, torch.Generator().manual_seed(5), Augmentation(1, False)):
        optimizer.zero_grad()
        F.cross_entropy(net(x), y).backward()
        optimizer.step()
    for (name, ours), theirs in zip(result.net.named_parameters(), net.parameters(), strict=True):
        assert torch.equal(ours, theirs), name


def test_the_same_seed_gives_the_same_run_and_another_another(tmp_path):
    recipe = dataclasses.replace(TINY, epochs=1)
    for name, seed in (("one", 0), ("again", 0), ("other", 1)):
        train(recipe, tmp_path / name, seed=seed, options=QUIET)
    same_run(tmp_path / "one", tmp_path / "again")
    assert (tmp_path / "one" / WEIGHTS).read_bytes() != (tmp_path / "other" / WEIGHTS).read_bytes()


def test_the_callers_random_numbers_stay_as_they_were(tmp_path):
    torch.manual_seed(3)
    state = torch.get_rng_state()
    train(dataclasses.replace(TINY, epochs=1), tmp_path / "run", options=QUIET)
    assert torch.equal(torch.get_rng_state(), state)


def test_stage_2_starts_from_stage_1(tmp_path):
    stage1 = dataclasses.replace(TINY, epochs=1, stage=1)
    first = train(stage1, tmp_path / "one", options=QUIET)
    recipe = dataclasses.replace(TINY, epochs=1, lr=1e-12)
    second = train(recipe, tmp_path / "two", options=quiet(init=str(tmp_path / "one")))
    assert not first.net.conv2.binary_weights and second.net.conv2.binary_weights
    assert torch.allclose(first.net.conv2.weight, second.net.conv2.weight, atol=1e-9)


def test_adam_and_linear(tmp_path):
    recipe = dataclasses.replace(TINY, optimizer="adam", schedule="linear", lr=1e-3)
    result = train(recipe, tmp_path / "run", options=QUIET)
    assert isinstance(make_optimizer(result.net, recipe), torch.optim.Adam)
    assert [float(row["lr"]) for row in result.log] == pytest.approx([1e-3, 2e-3 / 3, 1e-3 / 3])


@pytest.mark.parametrize("rule, k", [("published", 1.0), ("peak", 0.25)])
def test_ede_s_k_is_the_recipe_s(tmp_path, rule, k):
    train(dataclasses.replace(TINY, epochs=1, ede=(4.0, 8.0), ede_k=rule), tmp_path / "run", options=QUIET)
    weights = load_file(tmp_path / "run" / WEIGHTS)
    assert (float(weights["conv2.ede_t"]), float(weights["conv2.ede_k"])) == (4.0, k)


def test_the_average_is_what_is_scored_and_saved(tmp_path):
    """Against the mean of the weights after every step, kept by hand; the checkpoint holds both."""
    recipe = dataclasses.replace(TINY, epochs=2, ema=0.999)  # 12 steps: still the plain mean of all of them
    seen = []
    step = Step.__call__

    def watched(self, images, labels):
        step(self, images, labels)
        seen.append([p.detach().double().clone() for p in self.average.source.parameters()])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Step, "__call__", watched)
        result = train(recipe, tmp_path / "run", options=QUIET)
    assert len(seen) == 12
    saved, checkpoint = load_file(tmp_path / "run" / WEIGHTS), read_tensors(tmp_path / "run" / CHECKPOINT)[0]
    for (name, p), values in zip(result.net.named_parameters(), zip(*seen)):
        assert torch.allclose(p.double(), torch.stack(values).mean(0), rtol=1e-4, atol=1e-6), name
        assert torch.equal(saved[name], p) and torch.equal(checkpoint[f"average/{name}"], p)
        assert torch.equal(checkpoint[f"model/{name}"].double(), values[-1])
    again = evaluate(load_network(tmp_path / "run"), load("digits"))
    assert again == result.score and again.top1 == float(result.log[-1]["test_accuracy"])
    assert float(saved["conv2.ede_t"]) == pytest.approx(float(result.log[-1]["ede_t"]))


def test_looking_seldom_changes_no_number(tmp_path, tiny_run, monkeypatch, interrupt_after):
    """Steps whose loss nobody looked at before Ctrl-C came are in the checkpoint, too."""
    monkeypatch.setattr(Step, "look_every", 50)
    interrupt_after(9)
    train(TINY, tmp_path / "run", options=QUIET)
    monkeypatch.undo()
    assert read_tensors(tmp_path / "run" / CHECKPOINT)[1]["progress"]["step"] == 3
    monkeypatch.setattr(Step, "look_every", 50)
    train(TINY, tmp_path / "run", resume=True, options=QUIET)
    same_run(tiny_run, tmp_path / "run")


def test_the_path_that_trains_never_gives_the_result(tmp_path, monkeypatch):
    """``pick_forward``'s computes every step and the epochs' scores; the last score comes from the network itself."""
    used = []

    def pick(net, device, bits):
        def forward(x):
            used.append((len(x), net.training))
            return net(x)

        return forward

    monkeypatch.setattr("sdbnn_lite.training.trainer.pick_forward", pick)
    recipe = dataclasses.replace(TINY, epochs=2)
    train(recipe, tmp_path / "run", options=QUIET)
    assert [n for n, training in used if training] == ([256] * 5 + [157]) * 2
    assert [n for n, training in used if not training] == [360]  # after the first of the two epochs

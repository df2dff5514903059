"""Training: it learns, it is the same to the last bit however often it is stopped, and it loses no finished epoch."""

import dataclasses
import errno
import json
import math
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from interrupts import epoch_with_ctrl_c
from safetensors.torch import load_file

from sdbnn_lite import runs
from sdbnn_lite.augment import Augmentation
from sdbnn_lite.checkpoints import CHECKPOINT, WEIGHTS, read_tensors, write_tensors
from sdbnn_lite.checkpoints import load as load_network
from sdbnn_lite.data import load
from sdbnn_lite.errors import RunError, UsageError
from sdbnn_lite.evaluate import evaluate
from sdbnn_lite.files import read_csv
from sdbnn_lite.guards import OutOfMemory
from sdbnn_lite.imageset import ImageSet
from sdbnn_lite.optimizers import make_optimizer
from sdbnn_lite.recipes import RECIPES
from sdbnn_lite.step import Step
from sdbnn_lite.train import train

TINY = dataclasses.replace(RECIPES["digits"], epochs=3, batch_size=256)
EXACT = ("epoch", "ede_t", "lr", "train_loss", "train_accuracy", "test_loss", "test_accuracy")


def log_of(folder):
    """The log's columns that don't depend on the clock."""
    return [{key: row[key] for key in EXACT} for row in read_csv(folder / runs.LOG)]


def same_run(a, b):
    """The same network, bit for bit, and the same logs."""
    assert (a / WEIGHTS).read_bytes() == (b / WEIGHTS).read_bytes()
    assert log_of(a) == log_of(b)
    assert (a / runs.SIGNS).read_bytes() == (b / runs.SIGNS).read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted run of the tiny recipe."""
    out = tmp_path_factory.mktemp("whole") / "run"
    assert train(TINY, out, progress=False).finished
    return out


@pytest.fixture
def interrupt_after(monkeypatch):
    """interrupt_after(n): Ctrl-C while the n-th batch from now on is being prepared."""

    def arm(batches):
        monkeypatch.setattr(ImageSet, "epoch", epoch_with_ctrl_c(batches))

    yield arm


def test_a_run_leaves_what_it_says(whole):
    log = read_csv(whole / runs.LOG)
    assert [row["epoch"] for row in log] == ["1", "2", "3"]
    for i, row in enumerate(log):
        assert float(row["lr"]) == pytest.approx(0.1 * (1 + math.cos(math.pi * i / 3)) / 2)
        assert float(row["ede_t"]) == pytest.approx(0.01 * 1000 ** (i / 3))
    assert float(log[-1]["train_loss"]) < float(log[0]["train_loss"])
    assert len(read_csv(whole / runs.SIGNS)) == 3 * 2  # two binary layers
    run = json.loads((whole / runs.RUN).read_text())
    assert run["method"] == "sdbnn" and run["seed"] == 0 and run["epochs"] == 3
    assert run["result"]["test_images"] == run["test_images"] == 360
    assert run["result"]["test_accuracy"] == float(log[-1]["test_accuracy"])
    assert set(run["machine"]["versions"]) >= {"torch", "torchvision", "python", "sdbnn_lite"}
    weights = load_file(whole / WEIGHTS)
    assert float(weights["conv2.ede_t"]) == pytest.approx(float(log[-1]["ede_t"]))
    assert float(weights["conv2.ede_k"]) == pytest.approx(max(1 / float(log[-1]["ede_t"]), 1))


def test_the_loop_is_plain_pytorch(tmp_path, monkeypatch):
    """One epoch, by the readable path, equals the dozen lines anyone would write with torch's own optimizer."""
    import torch.nn.functional as F

    import sdbnn_lite as sd

    recipe = dataclasses.replace(TINY, epochs=1)
    monkeypatch.setattr("sdbnn_lite.train.pick_forward", lambda net, device: net)
    result = train(recipe, tmp_path / "run", seed=5, progress=False)
    assert json.loads((tmp_path / "run" / runs.RUN).read_text())["path"] == "readable"

    torch.manual_seed(5)
    net = sd.build("digits_convnet")
    sd.set_ede(net, recipe.ede[0])
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    for x, y in load("digits").epoch(256, torch.Generator().manual_seed(5), Augmentation(1, False)):
        optimizer.zero_grad()
        F.cross_entropy(net(x), y).backward()
        optimizer.step()
    for (name, ours), theirs in zip(result.net.named_parameters(), net.parameters(), strict=True):
        assert torch.equal(ours, theirs), name


def test_the_same_seed_gives_the_same_run_and_another_another(whole, tmp_path):
    train(TINY, tmp_path / "again", progress=False)
    same_run(whole, tmp_path / "again")
    train(TINY, tmp_path / "other", seed=1, progress=False)
    assert (whole / WEIGHTS).read_bytes() != (tmp_path / "other" / WEIGHTS).read_bytes()


def test_the_callers_random_numbers_stay_as_they_were(tmp_path):
    torch.manual_seed(3)
    state = torch.get_rng_state()
    train(dataclasses.replace(TINY, epochs=1), tmp_path / "run", progress=False)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("batches", [1, 4, 6, 9, 12])  # 6 a epoch: in the first, at a seam, in the second, …
def test_ctrl_c_saves_and_resume_is_exact(batches, whole, tmp_path, interrupt_after, monkeypatch):
    out = tmp_path / "run"
    interrupt_after(batches)
    stopped = train(TINY, out, progress=False)
    assert not stopped.finished and stopped.score is None
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    at = read_tensors(out / CHECKPOINT)[1]["progress"]
    steps = 6
    finished_epochs = at["epoch"] * steps + at["step"]
    assert finished_epochs == batches
    monkeypatch.undo()
    assert train(TINY, out, resume=True, progress=False).finished
    same_run(whole, out)


def test_stopped_twice_is_exact_too(whole, tmp_path, interrupt_after, monkeypatch):
    out = tmp_path / "run"
    interrupt_after(2)
    train(TINY, out, progress=False)
    interrupt_after(3)
    train(TINY, out, resume=True, progress=False)
    monkeypatch.undo()
    train(TINY, out, resume=True, progress=False)
    same_run(whole, out)


def test_sigkill_at_any_moment_loses_nothing(whole, tmp_path):
    """A real process, killed for good three times at different moments, then resumed to the end."""
    out = tmp_path / "run"
    code = (
        f"import dataclasses, sys, torch; torch.set_num_threads({torch.get_num_threads()})\n"
        "from sdbnn_lite.recipes import RECIPES; from sdbnn_lite.train import train; from pathlib import Path\n"
        "recipe = dataclasses.replace(RECIPES['digits'], epochs=3, batch_size=256)\n"
        "out = Path(sys.argv[1])\n"
        "train(recipe, out, resume=(out / 'checkpoint.safetensors').exists(), progress=False)\n"
    )
    for delay in (0.0, 0.15, 0.4):
        process = subprocess.Popen([sys.executable, "-c", code, str(out)])
        deadline = time.monotonic() + 60
        while not (out / CHECKPOINT).exists() and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.01)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run([sys.executable, "-c", code, str(out)], check=True)
    same_run(whole, out)
    assert not list(out.glob(".*.tmp"))


def test_rows_of_an_unfinished_epoch_are_cut_off(tmp_path, whole, interrupt_after, monkeypatch):
    """Killed after the log was written, before the checkpoint was: the epoch is run again, its row isn't doubled."""
    out = tmp_path / "run"
    interrupt_after(8)  # in the second epoch
    train(TINY, out, progress=False)
    monkeypatch.undo()
    log = out / runs.LOG
    log.write_text(log.read_text() + log.read_text().splitlines()[-1].replace("1,", "2,", 1) + "\n")
    train(TINY, out, resume=True, progress=False)
    same_run(whole, out)


def test_a_full_disk_keeps_the_last_good_checkpoint(tmp_path, whole, monkeypatch):
    out, fsync, calls = tmp_path / "run", os.fsync, [0]

    def full(descriptor):
        calls[0] += 1
        if calls[0] == 8:  # run.json, then 3 files at the start, 3 after epoch 1, and in those after epoch 2
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match="No space left on device.*last good one is kept"):
        train(TINY, out, progress=False)
    monkeypatch.undo()
    assert not [p for p in out.iterdir() if p.name.endswith(".tmp")]
    assert read_tensors(out / CHECKPOINT)[1]["progress"]["epoch"] == 1
    train(TINY, out, resume=True, progress=False)
    same_run(whole, out)


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    wild = dataclasses.replace(TINY, lr=1e30)
    message = r"became (nan|inf) in epoch 1, step \d \(lr 1e\+30\); the checkpoint of epoch 0 is kept; .*smaller --lr"
    with pytest.raises(RunError, match=message):
        train(wild, tmp_path / "run", method="float", progress=False)
    assert read_tensors(tmp_path / "run" / CHECKPOINT)[1]["progress"]["epoch"] == 0


def test_wrong_use_is_said_before_anything_is_written(whole, tmp_path):
    before = {p: p.read_bytes() for p in whole.iterdir()}
    cases = {
        "holds a run already": {"out": whole},
        "nothing to resume": {"out": tmp_path / "empty", "resume": True},
        "seed is 0 there, 1 here": {"out": whole, "resume": True, "seed": 1},
        "method is 'sdbnn' there, 'bnn' here": {"out": whole, "resume": True, "method": "bnn"},
        "unknown method 'sbnn'": {"out": tmp_path / "a", "method": "sbnn"},
        "unknown device 'gpu'": {"out": tmp_path / "b", "device": "gpu"},
        "seed=-1": {"out": tmp_path / "c", "seed": -1},
    }
    for message, arguments in cases.items():
        with pytest.raises(UsageError, match=message):
            train(TINY, progress=False, **arguments)
    with pytest.raises(UsageError, match="epochs is 3 there, 4 here"):
        train(TINY.with_epochs(4), whole, resume=True, progress=False)
    with pytest.raises(UsageError, match="epochs=0"):
        TINY.with_epochs(0)
    assert {p: p.read_bytes() for p in whole.iterdir()} == before


def test_a_finished_run_resumed_says_its_result_again(whole):
    weights = (whole / WEIGHTS).read_bytes()
    result = train(TINY, whole, resume=True, progress=False)
    assert result.finished and result.score.images == 360
    assert (whole / WEIGHTS).read_bytes() == weights


def test_stage_2_starts_from_stage_1(tmp_path):
    stage1 = dataclasses.replace(TINY, epochs=1, stage=1)
    first = train(stage1, tmp_path / "one", progress=False)
    recipe = dataclasses.replace(TINY, epochs=1, lr=1e-12)
    second = train(recipe, tmp_path / "two", init=str(tmp_path / "one"), progress=False)
    assert not first.net.conv2.binary_weights and second.net.conv2.binary_weights
    assert torch.allclose(first.net.conv2.weight, second.net.conv2.weight, atol=1e-9)
    with pytest.raises(UsageError, match="weights of another network"):
        train(recipe, tmp_path / "three", method="rsign", init=str(tmp_path / "one"), progress=False)


def test_adam_and_linear(tmp_path):
    recipe = dataclasses.replace(TINY, optimizer="adam", schedule="linear", lr=1e-3)
    result = train(recipe, tmp_path / "run", progress=False)
    assert isinstance(make_optimizer(result.net, recipe), torch.optim.Adam)
    assert [float(row["lr"]) for row in result.log] == pytest.approx([1e-3, 2e-3 / 3, 1e-3 / 3])


def test_adam_resumes_exactly(tmp_path, interrupt_after, monkeypatch):
    recipe = dataclasses.replace(TINY, optimizer="adam", lr=1e-3, epochs=2)
    train(recipe, tmp_path / "whole", progress=False)
    interrupt_after(3)
    train(recipe, tmp_path / "run", progress=False)
    monkeypatch.undo()
    train(recipe, tmp_path / "run", resume=True, progress=False)
    same_run(tmp_path / "whole", tmp_path / "run")


RICH = dataclasses.replace(
    TINY, warmup_epochs=1, label_smoothing=0.1, decay_all=False, ema=0.8, reflect=True, cutout=2, alternate_flip=True,
    flip=True, distill=0.5,
)  # fmt: skip


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    out = tmp_path_factory.mktemp("teacher") / "run"
    train(dataclasses.replace(TINY, epochs=1), out, method="float", progress=False)
    return str(out)


@pytest.mark.parametrize("batches", [3, 6, 8, 13])  # in an epoch, at its very end, in the second and the third
def test_with_all_that_best_adds_it_resumes_to_the_last_bit(batches, teacher, tmp_path, interrupt_after, monkeypatch):
    """Averaged weights, warm-up, two decay groups, a teacher and every augmentation; batch norm estimated anew."""
    train(RICH, tmp_path / "whole", teacher=teacher, progress=False)
    interrupt_after(batches)
    out = tmp_path / "run"
    assert not train(RICH, out, teacher=teacher, progress=False).finished
    monkeypatch.undo()
    assert train(RICH, out, resume=True, teacher=teacher, progress=False).finished
    same_run(tmp_path / "whole", out)
    before = (out / WEIGHTS).read_bytes()
    assert train(RICH, out, resume=True, teacher=teacher, progress=False).score.images == 360  # said again
    assert (out / WEIGHTS).read_bytes() == before


def test_the_average_is_what_is_scored_and_saved(tmp_path):
    """Against the mean of the weights after every step, kept by hand; the checkpoint holds both."""
    recipe = dataclasses.replace(TINY, ema=0.999)  # 18 steps: still the plain mean of all of them
    seen = []
    step = Step.__call__

    def watched(self, images, labels):
        step(self, images, labels)
        seen.append([p.detach().double().clone() for p in self.average.source.parameters()])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Step, "__call__", watched)
        result = train(recipe, tmp_path / "run", progress=False)
    assert len(seen) == 18
    saved, checkpoint = load_file(tmp_path / "run" / WEIGHTS), read_tensors(tmp_path / "run" / CHECKPOINT)[0]
    for (name, p), values in zip(result.net.named_parameters(), zip(*seen)):
        assert torch.allclose(p.double(), torch.stack(values).mean(0), rtol=1e-4, atol=1e-6), name
        assert torch.equal(saved[name], p) and torch.equal(checkpoint[f"average/{name}"], p)
        assert torch.equal(checkpoint[f"model/{name}"].double(), values[-1])
    again = evaluate(load_network(tmp_path / "run"), load("digits"))
    assert again == result.score and again.top1 == float(result.log[-1]["test_accuracy"])
    assert float(saved["conv2.ede_t"]) == pytest.approx(float(result.log[-1]["ede_t"]))


def test_another_teacher_is_another_run(teacher, tmp_path):
    recipe = RICH.with_epochs(1)
    train(recipe, tmp_path / "run", teacher=teacher, progress=False)
    run = json.loads((tmp_path / "run" / runs.RUN).read_text())
    assert run["distill"] == 0.5 and len(run["teacher"]) == 16 and run["path"]
    other = train(dataclasses.replace(TINY, epochs=1), tmp_path / "other", method="float", seed=1, progress=False)
    with pytest.raises(UsageError, match="teacher is '[0-9a-f]{16}' there, '[0-9a-f]{16}' here"):
        train(recipe, tmp_path / "run", resume=True, teacher=other.out, progress=False)


def test_the_new_settings_are_part_of_a_runs_identity(whole):
    for change in ({"ema": 0.9}, {"label_smoothing": 0.1}, {"warmup_epochs": 1}, {"decay_all": False}, {"cutout": 2}):
        (field,) = change
        with pytest.raises(UsageError, match=f"{field} is .* there, {change[field]!r} here"):
            train(dataclasses.replace(TINY, **change), whole, resume=True, progress=False)


def test_a_run_of_an_earlier_version_is_resumed(tmp_path, whole, interrupt_after, monkeypatch):
    """Its checkpoint doesn't name the settings that came later: they were as published."""
    out = tmp_path / "run"
    interrupt_after(8)
    train(TINY, out, progress=False)
    monkeypatch.undo()
    tensors, about = read_tensors(out / CHECKPOINT)
    later = ("warmup_epochs", "label_smoothing", "distill", "decay_all", "ema", "reflect", "cutout", "alternate_flip")
    for field in (*later, "teacher"):
        del about["identity"][field]
    write_tensors(out / CHECKPOINT, tensors, about)
    train(TINY, out, resume=True, progress=False)
    same_run(whole, out)


def test_weights_that_are_not_finite_are_never_saved(tmp_path, monkeypatch):
    """The loss of the last step was finite, its gradient wasn't: the epoch isn't scored, nor saved."""
    step, steps = Step.__call__, [0]

    def overflows(self, images, labels):
        step(self, images, labels)
        steps[0] += 1
        if steps[0] == 12:  # the last of the second epoch
            weight = next(p for p in self.optimizer.param_groups[0]["params"] if p.shape == (64, 32, 3, 3))
            with torch.no_grad():
                weight[0, 0, 0, 0] = float("nan")

    monkeypatch.setattr(Step, "__call__", overflows)
    with pytest.raises(
        RunError, match="conv2.weight is no longer finite in epoch 2, step 6 .*checkpoint of epoch 1 is"
    ):
        train(TINY, tmp_path / "run", progress=False)
    tensors, about = read_tensors(tmp_path / "run" / CHECKPOINT)
    assert about["progress"]["epoch"] == 1 and all(
        t.isfinite().all() for t in tensors.values() if t.is_floating_point()
    )
    assert len(read_csv(tmp_path / "run" / runs.LOG)) == 1


def test_a_loss_that_is_looked_at_seldom_still_stops_the_epoch(tmp_path, monkeypatch):
    """As on a GPU: at every 4th step, and at the epoch's end before anything is saved."""
    wild = dataclasses.replace(TINY, lr=1e30)
    monkeypatch.setattr(Step, "look_every", 4)
    with pytest.raises(RunError, match=r"in epoch 1, by step 4 \(lr 1e\+30\); the checkpoint of epoch 0 is kept"):
        train(wild, tmp_path / "four", method="float", progress=False)
    monkeypatch.setattr(Step, "look_every", 50)
    with pytest.raises(RunError, match="in epoch 1, by step 6"):
        train(wild, tmp_path / "fifty", method="float", progress=False)


def test_looking_seldom_changes_no_number(tmp_path, whole, monkeypatch, interrupt_after):
    monkeypatch.setattr(Step, "look_every", 50)
    train(TINY, tmp_path / "run", progress=False)
    same_run(whole, tmp_path / "run")
    interrupt_after(3)
    train(TINY, tmp_path / "two", progress=False)
    monkeypatch.undo()
    assert read_tensors(tmp_path / "two" / CHECKPOINT)[1]["progress"]["step"] == 3
    train(TINY, tmp_path / "two", resume=True, progress=False)
    same_run(whole, tmp_path / "two")


def test_a_gpu_that_is_full(tmp_path, whole, monkeypatch):
    """In the second epoch's first step: the batch size to try is named, the first epoch is kept, the run goes on."""
    step, steps = Step.__call__, [0]

    def full(self, images, labels):
        steps[0] += 1
        if steps[0] == 7:
            raise OutOfMemory("CUDA out of memory. Tried to allocate 2.00 GiB")
        step(self, images, labels)

    monkeypatch.setattr(Step, "__call__", full)
    message = "memory ran out in epoch 2 with batch size 256; .*--batch-size 128 .*; the checkpoint of epoch 1 is kept"
    with pytest.raises(RunError, match=message):
        train(TINY, tmp_path / "run", progress=False)
    monkeypatch.undo()
    train(TINY, tmp_path / "run", resume=True, progress=False)
    same_run(whole, tmp_path / "run")


def test_a_gpu_that_is_full_before_training_or_while_scoring(tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OutOfMemory("CUDA out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(ImageSet, "to", full)
        with pytest.raises(RunError, match="ran out while images and network were copied to it; .*nothing was written"):
            train(TINY, tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()
    monkeypatch.setattr("sdbnn_lite.train.evaluate", full)
    with pytest.raises(RunError, match="ran out while the test images were scored; .*checkpoint of epoch 0 is kept"):
        train(TINY, tmp_path / "run", progress=False)


def test_the_path_that_trains_never_gives_the_result(tmp_path, monkeypatch):
    """``pick_forward``'s computes every step and the epochs' scores; the last score comes from the network itself."""
    used = []

    def pick(net, device):
        def forward(x):
            used.append((len(x), net.training))
            return net(x)

        return forward

    monkeypatch.setattr("sdbnn_lite.train.pick_forward", pick)
    recipe = dataclasses.replace(TINY, epochs=2)
    train(recipe, tmp_path / "run", progress=False)
    assert [n for n, training in used if training] == ([256] * 5 + [157]) * 2
    assert [n for n, training in used if not training] == [360]  # after the first of the two epochs

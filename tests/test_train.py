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
from safetensors.torch import load_file

from sdbnn_lite import runs
from sdbnn_lite.augment import Augmentation
from sdbnn_lite.checkpoints import CHECKPOINT, WEIGHTS, read_tensors
from sdbnn_lite.data import load
from sdbnn_lite.errors import RunError, UsageError
from sdbnn_lite.files import read_csv
from sdbnn_lite.imageset import ImageSet
from sdbnn_lite.recipes import RECIPES
from sdbnn_lite.train import make_optimizer, train

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
        epoch, left = ImageSet.epoch, [batches]

        def counted(self, *args, **kwargs):
            for batch in epoch(self, *args, **kwargs):
                left[0] -= 1
                if left[0] == 0:
                    signal.raise_signal(signal.SIGINT)
                yield batch

        monkeypatch.setattr(ImageSet, "epoch", counted)

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


def test_the_loop_is_plain_pytorch(tmp_path):
    """One epoch equals the dozen lines anyone would write with torch's own optimizer and schedule."""
    import torch.nn.functional as F

    import sdbnn_lite as sd

    recipe = dataclasses.replace(TINY, epochs=1)
    result = train(recipe, tmp_path / "run", seed=5, progress=False)

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

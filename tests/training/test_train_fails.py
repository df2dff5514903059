"""A run that can't go on says why and keeps the last good checkpoint; wrong use is said before anything is written."""

import dataclasses
import errno
import os

import pytest
import torch
from tiny_runs import QUIET, TINY, quiet, same_run

from sdbnn_lite.data.in_memory import ImageSet
from sdbnn_lite.errors import RunError, UsageError
from sdbnn_lite.system.files import read_csv
from sdbnn_lite.training import run_folder
from sdbnn_lite.training.guards import OutOfMemory
from sdbnn_lite.training.steps.readable import Step
from sdbnn_lite.training.train import train
from sdbnn_lite.weights.files import CHECKPOINT, read_tensors


def test_a_full_disk_keeps_the_last_good_checkpoint(tmp_path, tiny_run, monkeypatch):
    out, fsync, calls = tmp_path / "run", os.fsync, [0]

    def full(descriptor):
        calls[0] += 1
        if calls[0] == 8:  # run.json, then 3 files at the start, 3 after epoch 1, and in those after epoch 2
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match="No space left on device.*last good one is kept"):
        train(TINY, out, options=QUIET)
    monkeypatch.undo()
    assert not [p for p in out.iterdir() if p.name.endswith(".tmp")]
    assert read_tensors(out / CHECKPOINT)[1]["progress"]["epoch"] == 1
    train(TINY, out, resume=True, options=QUIET)
    same_run(tiny_run, out)


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    wild = dataclasses.replace(TINY, lr=1e30)
    message = r"became (nan|inf) in epoch 1, step \d \(lr 1e\+30\); the checkpoint of epoch 0 is kept; .*smaller --lr"
    with pytest.raises(RunError, match=message):
        train(wild, tmp_path / "run", method="float", options=QUIET)
    assert read_tensors(tmp_path / "run" / CHECKPOINT)[1]["progress"]["epoch"] == 0


def test_wrong_use_is_said_before_anything_is_written(tiny_run, tmp_path):
    before = {p: p.read_bytes() for p in tiny_run.iterdir()}
    cases = {
        "holds a run already": {"out": tiny_run},
        "nothing to resume": {"out": tmp_path / "empty", "resume": True},
        "seed is 0 there, 1 here": {"out": tiny_run, "resume": True, "seed": 1},
        "method is 'sdbnn' there, 'bnn' here": {"out": tiny_run, "resume": True, "method": "bnn"},
        "unknown method 'sbnn'": {"out": tmp_path / "a", "method": "sbnn"},
        "unknown device 'gpu'": {"out": tmp_path / "b", "options": quiet(device="gpu")},
        "seed=-1": {"out": tmp_path / "c", "seed": -1},
    }
    for message, arguments in cases.items():
        with pytest.raises(UsageError, match=message):
            train(TINY, **{"options": QUIET, **arguments})
    with pytest.raises(UsageError, match="epochs is 3 there, 4 here"):
        train(TINY.with_epochs(4), tiny_run, resume=True, options=QUIET)
    with pytest.raises(UsageError, match="epochs=0"):
        TINY.with_epochs(0)
    assert {p: p.read_bytes() for p in tiny_run.iterdir()} == before


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
        train(TINY, tmp_path / "run", options=QUIET)
    tensors, about = read_tensors(tmp_path / "run" / CHECKPOINT)
    assert about["progress"]["epoch"] == 1 and all(
        t.isfinite().all() for t in tensors.values() if t.is_floating_point()
    )
    assert len(read_csv(tmp_path / "run" / run_folder.LOG)) == 1


def test_a_loss_that_is_looked_at_seldom_still_stops_the_epoch(tmp_path, monkeypatch):
    """As on a GPU: at every 4th step, and at the epoch's end before anything is saved."""
    wild = dataclasses.replace(TINY, lr=1e30)
    monkeypatch.setattr(Step, "look_every", 4)
    with pytest.raises(RunError, match=r"in epoch 1, by step 4 \(lr 1e\+30\); the checkpoint of epoch 0 is kept"):
        train(wild, tmp_path / "four", method="float", options=QUIET)
    monkeypatch.setattr(Step, "look_every", 50)
    with pytest.raises(RunError, match="in epoch 1, by step 6"):
        train(wild, tmp_path / "fifty", method="float", options=QUIET)


def test_a_gpu_that_is_full(tmp_path, tiny_run, monkeypatch):
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
        train(TINY, tmp_path / "run", options=QUIET)
    monkeypatch.undo()
    train(TINY, tmp_path / "run", resume=True, options=QUIET)
    same_run(tiny_run, tmp_path / "run")


def test_a_gpu_that_is_full_before_training_or_while_scoring(tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OutOfMemory("CUDA out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(ImageSet, "to", full)
        with pytest.raises(RunError, match="ran out while images and network were copied to it; .*nothing was written"):
            train(TINY, tmp_path / "run", options=QUIET)
    assert not (tmp_path / "run").exists()
    monkeypatch.setattr("sdbnn_lite.training.trainer.evaluate", full)
    with pytest.raises(RunError, match="ran out while the test images were scored; .*checkpoint of epoch 0 is kept"):
        train(TINY, tmp_path / "run", options=QUIET)

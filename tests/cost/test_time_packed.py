"""``sdbnn-lite bench packed``: that both sides compute the same and every row is whole; not how fast."""

import platform
import re
from types import SimpleNamespace

import numpy as np
import torch
import torch.nn.functional as F

from sdbnn_lite.cost import time_packed


def test_rows_of_small_shapes():
    rows = time_packed.bench_packed(rounds=2, shapes=((64, 6), (70, 5)), batches=(1, 3),
                                     networks=(("cifar10_resnet20", 16),))  # fmt: skip
    assert [(row["what"], row["batch"]) for row in rows] == [
        ("64@6", 1), ("70@5", 1), ("64@6", 3), ("70@5", 3), ("cifar10_resnet20", 1), ("cifar10_resnet20", 3),
    ]  # fmt: skip
    assert all(row["equal"] for row in rows[:4])
    for row in rows:
        assert row["packed_ms"] > 0 and row["float32_ms"] > 0
        assert row["float32"] in ("NCHW", "channels_last", "prepacked")
        middle, low, high = map(float, re.findall(r"[\d.]+", row["float32/packed"]))
        assert low <= middle <= high
        goal = time_packed.goal(row["what"], row["batch"])
        assert row["goal"] == goal and row["equal"] == (True if "@" in row["what"] else None)
        assert row["met"] is None if goal is None else row["met"] == (middle >= goal) or abs(middle - goal) < 0.1


def test_prepacked_weights_are_used_and_give_the_same():
    """It once failed in silence, and float32 had one chance less."""
    draw = torch.Generator().manual_seed(0)
    x, w = (torch.randint(-3, 4, shape, generator=draw).float() for shape in ((2, 5, 6, 7), (4, 5, 3, 3)))
    found = time_packed.prepacked(x.contiguous(memory_format=torch.channels_last), w)
    if torch.backends.mkldnn.is_available() and platform.machine() == "x86_64":
        assert found
    for run in found.values():
        assert torch.equal(run(), F.conv2d(x, w, padding=1))


def test_goals_are_of_the_target(monkeypatch):
    asked = [("64@56", 32), ("512@7", 32), ("256@14", 1), ("cifar10_vgg_small", 32), ("digits_convnet", 1)]
    for vector, goals in ((64, [9, 12, 8, 7, None]), (32, [4, 4, 4, None, None])):
        monkeypatch.setattr(time_packed, "target", lambda vector=vector: SimpleNamespace(vector=vector))
        assert [time_packed.goal(*row) for row in asked] == goals


def test_ratios_are_taken_round_by_round():
    assert time_packed.ratio(np.array([2.0, 40.0, 6.0]), np.array([1.0, 20.0, 3.0])) == "2.0 (2.0-2.0)"

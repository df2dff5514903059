"""The parts of a training step: counts against the cost table and against plain sums over the shapes; no times."""

import pytest
import torch
import torch.nn.functional as F

from sdbnn_lite.cost import step_roofline
from sdbnn_lite.cost.count import cost
from sdbnn_lite.errors import UsageError
from sdbnn_lite.system.target import target

BATCH = 40  # two blocks of 32 images, one of them not full
pytestmark = pytest.mark.skipif(not target().compiled, reason="no kernels for this processor")


@pytest.fixture(scope="module")
def rows():
    return step_roofline.bench_roofline("digits_convnet", batch=BATCH, rounds=1)


def test_every_convolution_has_three_passes(rows):
    """In the order of the step: forward from the first layer on, then back from the last one; multiply-adds are the
    cost table's BOPs, which the modules of the readable path are counted for."""
    bops = {row.name: BATCH * row.bops for row in cost("digits_convnet").layers if row.bops}
    found = [(row["part"], row["pass"], row["multiply_adds"]) for row in rows if row["pass"]]
    assert found == [(name, "forward", bops[name]) for name in bops] + [
        (name, kind, bops[name]) for name in reversed(bops) for kind in ("input gradient", "weight gradient")
    ]


def test_multiply_adds_are_the_entries_of_the_unfolded_images(rows):
    """The second way: each filter meets all that ``unfold`` cuts out of conv2's input, on padding too."""
    (row,) = (row for row in rows if (row["part"], row["pass"]) == ("conv2", "forward"))
    o, c = step_roofline.plain("digits_convnet").conv2.weight.shape[:2]
    assert row["multiply_adds"] == o * F.unfold(torch.ones(BATCH, c, 8, 8), 3, padding=1).numel()


def test_bytes_of_a_weight_gradient(rows):
    """Two blocks of 32 images: 16-bit gradients, 16-bit signs with a border, scratch, weights and result."""
    (row,) = (row for row in rows if (row["part"], row["pass"]) == ("conv2", "weight gradient"))
    o, c = step_roofline.plain("digits_convnet").conv2.weight.shape[:2]
    gradient, signs = 2 * 2 * 32 * o * 8 * 8, 2 * 2 * 32 * c * 10 * 10
    scratch, result = 8 * 9 * o * c, 4 * 9 * o * c
    assert row["bytes"] == gradient + signs + scratch + 2 * result


def test_the_parts_make_the_step(rows):
    *parts, whole = rows
    assert len({(row["part"], row["pass"]) for row in rows}) == len(rows)
    for key in ("multiply_adds", "bytes", "ms", "step_share_%"):
        assert sum(row[key] for row in parts) == pytest.approx(whole[key])
    assert whole["step_share_%"] == pytest.approx(100)
    names = {row["part"] for row in parts}
    assert {"signs", "stem", "pooling", "optimizer", step_roofline.REST} <= names
    assert all((row["peak_share_%"] is not None) == bool(row["pass"]) for row in rows)


def test_a_share_of_the_peak_is_what_was_reached_over_it(rows):
    peaks = step_roofline.step_peaks()  # measured once a process
    for row in (row for row in rows if row["pass"]):
        reached = row["multiply_adds"] / (row["ms"] / 1000)
        peak = peaks["signs" if row["pass"] == "forward" else "pairs"]
        assert row["peak_share_%"] == pytest.approx(100 * reached / peak)


def test_networks_without_fused_layers_are_refused():
    with pytest.raises(UsageError, match="imagenet_resnet18: no training step of fused layers"):
        step_roofline.bench_roofline("imagenet_resnet18")

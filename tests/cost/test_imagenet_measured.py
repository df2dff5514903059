"""What the plan takes from measurements: bytes counted another way, parameters, and that a CPU's speed is one."""

import pytest

import sdbnn_lite as sd
from sdbnn_lite.core.models import BiRealBlock
from sdbnn_lite.cost import imagenet_measured


def test_the_first_half_of_the_bytes_by_hand():
    """At 64 px: the stem and the first block's tensors are at least those that its arithmetic needs."""
    kept = imagenet_measured.kept_per_image(image_size=64)
    stem = 4 * 64 * 32 * 32 * 1  # the first batch norm's input
    assert 1.2 * stem < kept < 40 * stem
    assert imagenet_measured.kept_per_image(image_size=128) == pytest.approx(4 * kept, rel=0.01)  # all of it are pixels


def test_more_binary_parts_keep_no_less():
    plain, both = (imagenet_measured.kept_per_image(image_size=64, method=m) for m in ("float", "sdbnn"))
    assert plain < both
    assert imagenet_measured.kept_per_image(image_size=64, half=True) < both  # ±1 in 16 bits


def test_parameters_are_those_of_the_networks():
    student, teacher = imagenet_measured.parameter_counts()
    assert student == sum(p.numel() for p in sd.build("imagenet_resnet18").parameters())
    assert teacher == 21_797_672  # torchvision's own table: 21.8 M
    assert sum(isinstance(m, BiRealBlock) for m in sd.build("imagenet_resnet18").modules()) == 16

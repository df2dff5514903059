"""What the networks and ``build`` refuse: the message names the argument, what was given and what is allowed."""

import re

import pytest
import torch

import sdbnn_lite as sd
from sdbnn_lite.core.methods import METHODS
from sdbnn_lite.core.models import NETWORKS
from sdbnn_lite.errors import UsageError


@pytest.mark.parametrize(
    "images, why",
    [
        (torch.zeros(3, 32, 32), "(3, 32, 32)"),
        (torch.zeros(1, 1, 3, 32, 32), "(1, 1, 3, 32, 32)"),
        (torch.zeros(2, 1, 32, 32), "(2, 1, 32, 32)"),
        (torch.zeros(2, 4, 32, 32), "(N, 3, H, W)"),
        (torch.zeros(0, 3, 32, 32), "(0, 3, 32, 32)"),
        (torch.zeros(2, 3, 0, 32), "(2, 3, 0, 32)"),
        (torch.zeros(2, 3, 32, 32, dtype=torch.uint8), "torch.uint8"),
        (torch.zeros(2, 3, 32, 32, dtype=torch.float64), "torch.float64"),
        (torch.zeros(2, 3, 32, 32, dtype=torch.bfloat16), "torch.bfloat16"),
        (torch.full((2, 3, 32, 32), float("nan")), "NaN"),
        (torch.zeros(2, 3, 32, 32).index_fill(0, torch.tensor(1), float("inf")), "infinite"),
        (torch.zeros(2, 3, 32, 32).index_fill(0, torch.tensor(1), -float("inf")), "infinite"),
    ],
)
def test_images_that_do_not_fit_are_refused_by_name(images, why):
    """Rank, channels, emptiness, dtype, NaN and infinity: the message names ``images`` and what was given."""
    net = sd.build("cifar10_resnet20")
    with pytest.raises(UsageError, match=f"^images: .*{re.escape(why)}"):
        net(images)


def test_one_nan_pixel_is_enough():
    images = torch.zeros(2, 1, 8, 8)
    images[1, 0, 3, 4] = float("nan")
    with pytest.raises(UsageError, match="^images: NaN"):
        sd.build("digits_convnet")(images)


@pytest.mark.parametrize(
    "arguments, options, message",
    [
        (("cifar10_resnet2",), {}, "unknown network 'cifar10_resnet2': .*" + ", ".join(NETWORKS)),
        (("cifar10_resnet2",), {}, "did you mean 'cifar10_resnet20'"),
        (("digits_convnet", "xnorr"), {}, "unknown method 'xnorr'.*" + ", ".join(METHODS) + ".*mean 'xnor'"),
        (("digits_convnet",), {"num_classes": 0}, "num_classes=0"),
        (("digits_convnet",), {"num_classes": 2.5}, "num_classes=2.5"),
        (("digits_convnet",), {"in_channels": -1}, "in_channels=-1"),
        (("digits_convnet",), {"stage": 3}, "stage=3"),
        (("digits_convnet",), {"stage": 0}, "stage=0"),
        (("digits_convnet",), {"image_size": 10}, "image_size=10.*multiple of 4"),
        (("digits_convnet",), {"image_size": 0}, "image_size=0: a whole number from 1"),
        (("cifar10_vgg_small",), {"image_size": 20}, "image_size=20.*multiple of 8"),
    ],
)
def test_build_refuses_by_name(arguments, options, message):
    with pytest.raises(UsageError, match=message):
        sd.build(*arguments, **options)

"""What ``imagenet_plan`` needs of ImageNet's networks and can be measured without a GPU, on any machine.

Bytes are counted, so they are the same on every machine.
"""

import torch

from ..core.models import BinaryNet, build
from ..training.steps.half_precision import twin_of
from ..weights.torchvision_nets import Teacher
from .time_steps import kept_bytes

NETWORK = "imagenet_resnet18"


def kept_per_image(stage: int = 2, image_size: int = 224, method: str = "sdbnn", half: bool = False) -> int:
    """Bytes that autograd keeps for one image more in the batch: what two images leave, less what one leaves.

    ``half``: with the ±1 convolutions as a GPU computes them (``half_precision``), which takes a CPU half a minute.
    """
    forward = twin_of(_network(stage, method).train(), half).classify
    one, two = (kept_bytes(forward, torch.zeros(n, 3, image_size, image_size)) for n in (1, 2))
    return two - one


def parameter_counts() -> tuple[int, int]:
    """How many parameters the student and torchvision's ResNet-34 have."""
    with torch.device("meta"):
        nets = build(NETWORK), Teacher("resnet34", 1000)
    return tuple(sum(p.numel() for p in net.parameters()) for net in nets)


def _network(stage: int, method: str) -> BinaryNet:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build(NETWORK, method, stage=stage)

"""What ``imagenet_plan`` needs of ImageNet's networks and can be measured without a GPU, on any machine.

Bytes are counted, so they are the same on every machine. Seconds are this one's processor time, which hardly depends
on what else it does.
"""

import time

import torch

from ..core.models import BinaryNet, build
from ..system.devices import one_thread
from ..training.losses import TrainingLoss
from ..training.optimizers import make_optimizer
from ..training.recipes import get_recipe
from ..training.steps.half_precision import twin_of
from ..training.steps.readable import Step
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


def core_seconds(images: int = 4, rounds: int = 2, image_size: int = 224) -> float:
    """Seconds of one core that stage 2 needs for one image, its teacher's answer included.

    The fastest of ``rounds`` steps, with one thread, after one that isn't measured. Random pixels and weights: neither
    changes the time.
    """
    recipe = get_recipe("imagenet-resnet18-stage2")
    net = _network(recipe.stage, "sdbnn").train()
    with torch.random.fork_rng():
        teacher = Teacher("resnet34", 1000).eval().requires_grad_(False)
        x, y = torch.randn(images, 3, image_size, image_size), torch.randint(1000, (images,))
    step = Step(net, make_optimizer(net, recipe), TrainingLoss(distill=recipe.distill, teacher=teacher.classify))
    step.begin(0.0, 0)
    seconds = []
    with one_thread():
        for _ in range(rounds + 1):
            begin = time.process_time()
            step(x, y)
            seconds.append(time.process_time() - begin)
    return min(seconds[1:]) / images


def _network(stage: int, method: str) -> BinaryNet:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build(NETWORK, method, stage=stage)

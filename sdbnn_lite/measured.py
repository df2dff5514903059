"""What ``plan`` needs of ImageNet's networks and can be measured without a GPU, on any machine.

    kept_per_image     bytes that one image leaves for the backward pass
    parameter_counts   of student and teacher
    cpu_images_s       distilled training on this machine's CPU

Bytes are counted, so they are the same on every machine; seconds are this one's.
"""

import time

import torch

from .bench_train import kept_bytes
from .half import twin_of
from .losses import TrainingLoss
from .models import BinaryNet, build
from .optimizers import make_optimizer
from .recipes import get_recipe
from .step import Step
from .teachers import Teacher

NETWORK = "imagenet_resnet18"


def kept_per_image(stage: int = 2, image_size: int = 224, method: str = "sdbnn", half: bool = False) -> int:
    """Bytes that autograd keeps for one image more in the batch: what two images leave, less what one leaves.

    ``half``: with the ±1 convolutions as a GPU computes them (``half``), which takes a CPU half a minute.
    """
    forward = twin_of(_network(stage, method).train(), half).classify
    one, two = (kept_bytes(forward, torch.zeros(n, 3, image_size, image_size)) for n in (1, 2))
    return two - one


def parameter_counts() -> tuple[int, int]:
    """How many parameters the student and torchvision's ResNet-34 have."""
    with torch.device("meta"):
        nets = build(NETWORK), Teacher("resnet34", 1000)
    return tuple(sum(p.numel() for p in net.parameters()) for net in nets)


def cpu_images_s(images: int = 4, rounds: int = 2, image_size: int = 224) -> float:
    """Images a second of stage 2 on this CPU, a teacher's answers included: the fastest of ``rounds`` steps after one.

    Random pixels and weights: neither changes the time.
    """
    recipe = get_recipe("imagenet-resnet18-stage2")
    net = _network(recipe.stage, "sdbnn").train()
    with torch.random.fork_rng():
        teacher = Teacher("resnet34", 1000).eval().requires_grad_(False)
    loss = TrainingLoss(distill=recipe.distill, teacher=teacher.classify)
    step = Step(net, make_optimizer(net, recipe), loss, None, torch.device("cpu"))
    step.begin(0.0, 0)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(images, 3, image_size, image_size, generator=generator)
    y = torch.randint(1000, (images,), generator=generator)
    seconds = []
    for _ in range(rounds + 1):
        begin = time.perf_counter()
        step(x, y)
        seconds.append(time.perf_counter() - begin)
    return images / min(seconds[1:])


def _network(stage: int, method: str) -> BinaryNet:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build(NETWORK, method, stage=stage)

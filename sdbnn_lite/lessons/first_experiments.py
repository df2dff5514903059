"""Notebook 01's experiments, where a cell would be too short for them."""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..core import signs
from ..core.binarize import sign
from ..core.layers import binary_layers
from ..core.models import BinaryNet
from ..core.record import LayerSigns, evaluation_mode, record_signs
from ..data.augment import Augmentation
from ..data.in_memory import ImageSet

NEARLY = 0.02  # share of the rarer sign below which a channel or unit is nearly dead


def learn_nine_signs(binarize: Callable[[Tensor], Tensor], steps: int = 100, lr: float = 0.01) -> tuple[int, int]:
    """A neuron with nine latent weights learns a teacher's signs through ``binarize``: how many agree, before, after.

    Gradient descent on the mean of (x·binarize(latent) - x·teacher)² over 200 inputs x of nine signs.
    """
    draw = torch.Generator().manual_seed(6)
    x, teacher = sign(torch.randn(200, 9, generator=draw)), sign(torch.randn(9, generator=draw))
    latent = (0.1 * torch.randn(9, generator=draw)).requires_grad_()
    before = int((sign(latent) == teacher).sum())
    for _ in range(steps):
        loss = (x @ binarize(latent) - x @ teacher).square().mean()
        (slope,) = torch.autograd.grad(loss, latent)
        with torch.no_grad():
            latent -= lr * slope
    return before, int((sign(latent) == teacher).sum())


def weight_gradients(net: BinaryNet, images: Tensor, labels: Tensor, batch_norm: bool = True) -> dict[str, Tensor]:
    """dL/dw of every convolution of a ``digits_convnet`` in training, L the cross-entropy; ``batch_norm=False``: with
    the batch norms behind the binary layers taken out. The network itself stays as it was."""
    net = copy.deepcopy(net).train()
    if not batch_norm:
        net.bn2 = net.bn3 = nn.Identity()
    weights = {name: getattr(net, name).weight for name in ("conv1", "conv2", "conv3")}
    found = torch.autograd.grad(F.cross_entropy(net(images), labels), [*weights.values()])
    return dict(zip(weights, found))


def gradient_ratios(net: BinaryNet, other: BinaryNet, images: Tensor, labels: Tensor) -> list[tuple]:
    """(batch norm behind the layer or not, layer, |dL/dw| of ``net`` over that of ``other``, cosine between them)."""
    rows = []
    for batch_norm in (True, False):
        ours, theirs = (weight_gradients(n, images, labels, batch_norm) for n in (net, other))
        for name in ours:
            a, b = ours[name].flatten(), theirs[name].flatten()
            rows.append(("with" if batch_norm else "without", name, (a.norm() / b.norm()).item(),
                         F.cosine_similarity(a, b, dim=0).item()))  # fmt: skip
    return rows


def silence(shares: np.ndarray) -> tuple[int, int, int, float, float, float]:
    """Of shares of +1: their number, how many are dead and how many nearly dead (the dead among them), the lowest, the
    highest, and the mean entropy [bit]."""
    least = np.minimum(shares, 1 - shares)
    return (shares.size, int((least == 0).sum()), int((least < NEARLY).sum()), float(shares.min()),
            float(shares.max()), float(signs.entropy(shares).mean()))  # fmt: skip


@torch.no_grad()
def unit_shares(net: BinaryNet, images: Tensor) -> dict[str, np.ndarray]:
    """By binary layer, (O, H, W): the share of the images in which that pixel of that channel has y >= 0."""
    shares, hooks = {}, []
    for name, layer in binary_layers(net).items():
        hooks.append(layer.register_forward_hook(
            lambda _, given, y, name=name: shares.update({name: (y >= 0).double().mean(0).numpy()})))  # fmt: skip
    with evaluation_mode(net):
        net(images)
    for hook in hooks:
        hook.remove()
    return shares


@dataclass(frozen=True)
class Pushed:
    """conv3 after c was added to all of its inputs: its signs, and the accuracy in percent, with batch norm's
    statistics ``as_trained`` and ``measured_again`` on the training images."""

    c: float
    signs: LayerSigns
    as_trained: float
    measured_again: float

    @property
    def row(self) -> tuple:
        """c, p, mean entropy [bit], dead channels, both accuracies in whole percent."""
        s = self.signs
        return (self.c, s.input_after.mean(), s.entropy.mean(), int(s.dead.sum()), round(self.as_trained),
                round(self.measured_again))  # fmt: skip

    @property
    def always(self) -> tuple[int, int]:
        """How many channels always say +1, and how many always -1."""
        return int((self.signs.output == 1).sum()), int((self.signs.output == 0).sum())


@torch.no_grad()
def push(net: BinaryNet, c: float, digits: ImageSet) -> Pushed:
    """Add ``c`` to all inputs of conv3, before the sign, in a copy of a trained ``digits_convnet``."""
    pushed = copy.deepcopy(net).eval()
    pushed.conv3.register_forward_pre_hook(lambda module, inputs: (inputs[0] + c,))
    images, labels = next(iter(digits.test_batches(digits.num_test)))

    def accuracy() -> float:
        return 100 * (pushed(images).argmax(1) == labels).double().mean().item()

    seen, before = record_signs(pushed, images)["conv3"], accuracy()
    once = torch.Generator().manual_seed(0)
    training_images, _ = next(iter(digits.epoch(digits.num_train, once, Augmentation(pad=0, flip=False))))
    pushed.bn3.reset_running_stats()
    pushed.bn3.momentum = None  # a plain mean over what it is shown
    pushed.bn3.train()
    pushed(training_images)
    pushed.bn3.eval()
    return Pushed(c, seen, before, accuracy())

"""Experiments of notebooks 01 and 02, where a cell would be too short for them."""

import copy
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..core import signs
from ..core.asd import StaticShift
from ..core.binarize import sign
from ..core.layers import binary_layers
from ..core.models import BinaryNet, DigitsConvNet
from ..core.record import record_signs
from ..data.augment import Augmentation
from ..data.in_memory import ImageSet
from .explorers.activation_shift import layer_inputs


def training_images(digits: ImageSet) -> Tensor:
    """All training images, normalised and unchanged, in a random order that is always the same."""
    unchanged = Augmentation(pad=0, flip=False)
    return next(iter(digits.epoch(digits.num_train, torch.Generator().manual_seed(0), unchanged)))[0]


def to_bits(values: Iterable[float]) -> int:
    """Signs as one Python integer, a bit each, the first the highest: 1 where the value is at least 0."""
    return int("".join("1" if value >= 0 else "0" for value in values), 2)


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
        latent.data -= lr * torch.autograd.grad(loss, latent)[0]
    return before, int((sign(latent) == teacher).sum())


def gradient_ratios(net: BinaryNet, other: BinaryNet, images: Tensor, labels: Tensor) -> list[tuple]:
    """(case, layer, |dL/dw| of ``net`` over that of ``other``, cosine between them) of two ``digits_convnet`` in
    training, L the cross-entropy; case: "with" the batch norms behind the binary layers, or "without" them."""
    rows, names = [], ("conv1", "conv2", "conv3")
    for case in ("with", "without"):
        found = []
        for twin in map(copy.deepcopy, (net, other)):
            if case == "without":
                twin.bn2 = twin.bn3 = nn.Identity()
            loss = F.cross_entropy(twin.train()(images), labels)
            found.append(torch.autograd.grad(loss, [getattr(twin, name).weight for name in names]))
        for name, a, b in zip(names, *found):
            rows.append((case, name, (a.norm() / b.norm()).item(), F.cosine_similarity(a.ravel(), b.ravel(), 0).item()))
    return rows


def silence(shares: np.ndarray) -> tuple[int, int, int, float, float, float]:
    """Of shares of +1: how many there are, are dead (one sign alone), are nearly dead (the rarer sign below 2 %; the
    dead among them); the lowest, the highest, and the mean entropy [bit]."""
    rarer = np.minimum(shares, 1 - shares)
    return (shares.size, int((rarer == 0).sum()), int((rarer < 0.02).sum()), float(shares.min()), float(shares.max()),
            float(signs.entropy(shares).mean()))  # fmt: skip


@torch.no_grad()
def unit_shares(net: BinaryNet, images: Tensor) -> dict[str, np.ndarray]:
    """By binary layer, (O, H, W): the share of the images in which that pixel of that channel has y >= 0."""
    net, shares = copy.deepcopy(net).eval(), {}
    for name, layer in binary_layers(net).items():
        layer.register_forward_hook(
            lambda _, given, y, name=name: shares.update({name: (y >= 0).double().mean(0).numpy()}))  # fmt: skip
    net(images)
    return shares


class Pushed(NamedTuple):
    """conv3 after c was added to its inputs: their share p of +1; its outputs' mean entropy [bit], dead channels, those
    of them that always say +1; accuracy in whole percent, with batch norm as trained and ``measured_again``."""

    c: float
    p: float
    entropy: float
    dead: int
    always_plus: int
    accuracy: int
    measured_again: int


@torch.no_grad()
def push(net: BinaryNet, c: float, digits: ImageSet) -> Pushed:
    """Add ``c`` to all inputs of conv3, before the sign, in a copy of a trained ``digits_convnet``; on test images, but
    batch norm's statistics are measured again on the training images."""
    net = copy.deepcopy(net).eval()
    net.conv3.register_forward_pre_hook(lambda module, inputs: (inputs[0] + c,))
    images, labels = next(iter(digits.test_batches(digits.num_test)))

    def accuracy() -> int:
        return round(100 * (net(images).argmax(1) == labels).double().mean().item())

    seen, before = record_signs(net, images)["conv3"], accuracy()
    net.bn3.reset_running_stats()
    net.bn3.momentum = None  # a plain mean over what it is shown
    net.bn3.train()
    net(training_images(digits))
    net.bn3.eval()
    return Pushed(c, seen.input_after.mean(), seen.entropy.mean(), int(seen.dead.sum()), int((seen.output == 1).sum()),
                  before, accuracy())  # fmt: skip


def without_static_shift(network: DigitsConvNet) -> DigitsConvNet:
    """A copy with every static shift moved into the bias of the batch norm in front of its layer."""
    plain = copy.deepcopy(network)
    for conv, bn in ((plain.conv2, plain.bn1), (plain.conv3, plain.bn2)):
        bn.bias.data += conv.rsign.beta.data
        conv.rsign.beta.data.zero_()
    return plain


def with_static_shifts(network: nn.Module, shifts: dict[str, Tensor]) -> nn.Module:
    """A copy in which ``shifts``, (C,) per layer, stand in ASD's place."""
    frozen = copy.deepcopy(network)
    for name, layer in binary_layers(frozen).items():
        layer.asd, layer.rsign = None, StaticShift(layer.in_channels)
        layer.rsign.beta.data = shifts[name]
    return frozen


@torch.no_grad()
def freeze(network: nn.Module, digits: ImageSet) -> dict[str, tuple]:
    """Static shifts in ASD's place: each channel's mean over the training images, ½ everywhere, none at all.

    Per version, "ASD as trained" first: the share of each layer's input signs that differ from ASD's, given the same
    activations, and how many test images are right.
    """
    images, labels = next(digits.test_batches(digits.num_test))
    mean = {name: seen.shift.mean(0) for name, seen in layer_inputs(network, training_images(digits)).items()}
    versions = {"mean per channel": mean}
    for version, value in (("1/2 for all", 0.5), ("no shift", 0.0)):
        versions[version] = {name: torch.full_like(m, value) for name, m in mean.items()}
    here, found = layer_inputs(network, images), {}

    def right(net: nn.Module) -> int:
        return (net(images).argmax(1) == labels).sum().item()

    for version, shifts in versions.items():
        signs = {name: s.a + shifts[name][:, None, None] >= 0 for name, s in here.items()}
        differ = [(s.after != signs[name]).double().mean().item() for name, s in here.items()]
        found[version] = (*differ, right(with_static_shifts(network, shifts)))
    return {"ASD as trained": (*[0.0] * len(here), right(network)), **found}

"""Experiments of notebook 02 on trained networks: a static shift moved into batch norm, ASD's shifts frozen."""

import copy

import torch
from torch import Tensor, nn

from ..core.asd import StaticShift
from ..core.layers import binary_layers
from ..core.models import DigitsConvNet
from ..data.augment import Augmentation
from ..data.in_memory import ImageSet
from .explorers.activation_shift import layer_inputs


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
    unchanged = Augmentation(pad=0, flip=False)
    training, _ = next(digits.epoch(digits.num_train, torch.Generator().manual_seed(0), unchanged))
    mean = {name: seen.shift.mean(0) for name, seen in layer_inputs(network, training).items()}
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

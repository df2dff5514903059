"""Experiments of notebook 02 on trained networks: a static shift moved into batch norm, ASD's shifts frozen."""

import copy

import torch
from torch import Tensor, nn

from ..core.asd import StaticShift
from ..core.layers import binary_layers
from ..core.models import DigitsConvNet
from .explorers.activation_shift import layer_inputs


def without_static_shift(network: DigitsConvNet) -> DigitsConvNet:
    """A copy with every static shift moved into the bias of the batch norm in front of its layer."""
    plain = copy.deepcopy(network)
    for conv, bn in ((plain.conv2, plain.bn1), (plain.conv3, plain.bn2)):
        bn.bias.data += conv.rsign.beta.data
        conv.rsign.beta.data.zero_()
    return plain


def frozen_shifts(network: nn.Module, training_images: Tensor) -> dict[str, dict[str, Tensor]]:
    """Static shifts (C,) in ASD's place, per version and layer: each channel's mean shift over the training images, ½
    everywhere, none."""
    mean = {name: seen.shift.mean(0) for name, seen in layer_inputs(network, training_images).items()}
    constant = {value: {name: torch.full_like(m, value) for name, m in mean.items()} for value in (0.5, 0.0)}
    return {"mean per channel": mean, "1/2 for all": constant[0.5], "no shift": constant[0.0]}


def with_static_shifts(network: nn.Module, shifts: dict[str, Tensor]) -> nn.Module:
    """A copy in which ``shifts``, (C,) per layer, stand in ASD's place."""
    frozen = copy.deepcopy(network)
    for name, layer in binary_layers(frozen).items():
        layer.asd, layer.rsign = None, StaticShift(layer.in_channels)
        layer.rsign.beta.data = shifts[name]
    return frozen


@torch.no_grad()
def freeze(network: nn.Module, images: Tensor, labels: Tensor, training_images: Tensor) -> dict[str, tuple]:
    """Per version of :func:`frozen_shifts`, "ASD as trained" first: the share of each layer's input signs that differ
    from ASD's, given the same activations, and how many ``images`` are right."""
    here = layer_inputs(network, images)

    def right(net: nn.Module) -> int:
        return (net(images).argmax(1) == labels).sum().item()

    found = {"ASD as trained": (*[0.0] * len(here), right(network))}
    for version, shifts in frozen_shifts(network, training_images).items():
        differ = [(s.after != (s.a + shifts[name][:, None, None] >= 0)).double().mean().item()
                  for name, s in here.items()]  # fmt: skip
        found[version] = (*differ, right(with_static_shifts(network, shifts)))
    return found

"""Notebook 01's experiments on the digits' networks that would take a cell too many lines."""

import copy
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..core.layers import binary_layers
from ..core.models import BinaryNet
from ..core.record import LayerSigns, evaluation_mode, record_signs
from ..data.augment import Augmentation
from ..data.in_memory import ImageSet


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


def weight_gradients(net: BinaryNet, images: Tensor, labels: Tensor, batch_norm: bool = True) -> dict[str, Tensor]:
    """dL/dw of every convolution of a ``digits_convnet`` in training, L the cross-entropy; ``batch_norm=False``: with
    the batch norms behind the binary layers taken out. The network itself stays as it was."""
    net = copy.deepcopy(net).train()
    if not batch_norm:
        net.bn2 = net.bn3 = nn.Identity()
    weights = {name: getattr(net, name).weight for name in ("conv1", "conv2", "conv3")}
    found = torch.autograd.grad(F.cross_entropy(net(images), labels), [*weights.values()])
    return dict(zip(weights, found))


@dataclass(frozen=True)
class Pushed:
    """conv3 after c was added to all of its inputs: its signs, and the accuracy in percent, with batch norm's
    statistics ``as_trained`` and ``measured_again`` on the training images."""

    c: float
    signs: LayerSigns
    as_trained: float
    measured_again: float


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

"""What a method adds to the binary convolutions, in operations and bytes; and how scaling factors fold away."""

import copy
from dataclasses import dataclass, replace

import torch
from torch import nn

from ..core.layers import binary_layers
from ..core.models import BinaryNet, build
from ..errors import UsageError


@dataclass(frozen=True)
class ExtraOperations:
    """What a method adds to the binary convolutions of a network, for one image; ±1 operations aren't counted.

    asd_macs          2·C·max(C//r, 1) a layer: the two small matrices
    asd_mean          C·H·W additions a layer: the mean over the image. The shift itself folds into the threshold,
                      sign(a + s) = [a >= -s]
    scale             C_out·H'·W' multiplications a layer: a factor per filter, not folded into batch norm
    folded_scale      0: batch norm multiplies by a number per filter anyway
    two_sided_scale   XNOR-Net's own, with the input's scale K, which ``method="xnor"`` leaves out: the mean of |a| over
                      the channels (C·H·W), a k×k mean of it (k²·H'·W'), two multiplications per output
    asd_bytes         of ASD's real weights, float32; ``packed_bytes`` of the binary weights, one bit each
    """

    asd_macs: int
    asd_mean: int
    scale: int
    two_sided_scale: int
    asd_bytes: int
    packed_bytes: int
    folded_scale: int = 0

    @property
    def asd(self) -> int:
        return self.asd_macs + self.asd_mean


def extra_operations(network: str, image_size: int) -> ExtraOperations:
    """Counted layer by layer while one image of ``image_size`` pixels a side goes through ``network``."""
    with torch.random.fork_rng():
        net = build(network, "sdbnn").eval()
    count = dict.fromkeys(("asd_macs", "asd_mean", "scale", "two_sided_scale", "asd_bytes", "packed_bytes"), 0)

    def watch(layer, inputs, output):
        small = layer.asd.squeeze.weight.numel() + layer.asd.expand.weight.numel()
        kernel = layer.weight.shape[2] * layer.weight.shape[3]
        values, outputs, pixels = inputs[0].numel(), output.numel(), output[0, 0].numel()
        count["asd_macs"] += small  # each weight is used once an image
        count["asd_mean"] += values
        count["scale"] += outputs
        count["two_sided_scale"] += values + kernel * pixels + 2 * outputs
        count["asd_bytes"] += 4 * small
        count["packed_bytes"] += layer.weight.numel() // 8

    for layer in binary_layers(net).values():
        layer.register_forward_hook(watch)
    with torch.no_grad():
        net(torch.zeros(1, net.conv1.weight.shape[1], image_size, image_size))
    return ExtraOperations(**count)


def fold_scale(net: BinaryNet) -> BinaryNet:
    """A copy of a ``digits_convnet`` without its factors s: BN(s·y) = BN'(y), its mean divided and its weight
    multiplied by s.

    The max-pooling in between doesn't mind, since s > 0. Raises UsageError for a network without such factors.
    """
    net = copy.deepcopy(net)
    for name, layer in binary_layers(net).items():
        scale, bn = layer.scale(), getattr(net, name.replace("conv", "bn"), None)
        if scale is None or not isinstance(bn, nn.BatchNorm2d):
            raise UsageError(f"net: its layer {name} has no scaling factor with a batch norm after it to fold it into")
        with torch.no_grad():
            bn.running_mean /= scale
            bn.weight *= scale
        layer.method = replace(layer.method, scale=None)
    return net

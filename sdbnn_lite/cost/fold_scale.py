"""What a method adds to the binary convolutions, in operations and bytes; and how scaling factors fold away."""

import copy
from dataclasses import dataclass, replace

import torch
from torch import nn

from ..core.layers import binary_layers
from ..core.models import BinaryNet
from ..errors import UsageError
from .count import cost


@dataclass(frozen=True)
class ExtraOperations:
    """What a method adds to the binary convolutions of a network, for one image; ±1 operations aren't counted.

    The formulas are those of ``count``: ASD's two matrices (asd_macs) and its mean over the image (asd_mean); a factor
    per filter (scale), which is 0 once it is folded into batch norm; XNOR-Net's own scales of inputs and filters
    (two_sided_scale), which ``method="xnor"`` leaves out. asd_bytes: ASD's real weights as float32; packed_bytes: the
    binary weights, one bit each.
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
    """Sums over the binary convolutions of :func:`cost`, for one image of ``image_size`` pixels a side."""
    rows = [row for row in cost(network, "sdbnn", image_size=image_size).layers if row.kind == "binary conv"]
    matrices = sum(row.real_params for row in rows)  # each weight is used once an image
    return ExtraOperations(asd_macs=matrices, asd_mean=sum(row.stays for row in rows) - matrices,
                           scale=cost(network, "xnor", image_size=image_size).total("folds"),
                           two_sided_scale=sum(row.input_scale for row in rows), asd_bytes=4 * matrices,
                           packed_bytes=sum(row.binary_params // 8 for row in rows))  # fmt: skip


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

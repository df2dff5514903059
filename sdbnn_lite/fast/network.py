"""A whole network through fused layers: the same modules and parameters, other loops.

What is small (weights, shifts, scales, classifier, the real 1×1 convolutions) is left to the modules and to autograd.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..core.binarize import GRADIENTS
from ..core.layers import BinaryConv2d, binary_layers
from ..core.models import BinaryNet, CifarResNet, DigitsConvNet, ResNet18Block, ResNet20Block, VGGSmall
from .layer import FusedLayer, Plan, Workspace, from_blocks, to_blocks
from .rows import BLOCK
from .stem import Stem

Tensors = tuple[Tensor, ...]
_NETWORKS = (CifarResNet, VGGSmall, DigitsConvNet)


def supports(net: nn.Module) -> bool:
    """Whether ``net`` can be trained here through fused layers."""
    if type(net) not in _NETWORKS or not net.method.binary:
        return False
    weight = net.conv1.weight
    ours = all(layer.binary_weights and layer.own_shift is None for layer in binary_layers(net).values())
    return ours and weight.device.type == "cpu" and weight.dtype == torch.float32


class FastForward:
    """Call it like the network; the network's mode, parameters and statistics are used and updated."""

    def __init__(self, net: BinaryNet, bits: int = 16):
        self.net, self.bits = net, bits
        self.workspace = Workspace()
        self.path = f"fused layers: bits forward, {bits}-bit integers backward"

    def __call__(self, images: Tensor) -> Tensor:
        self.net.check(images)
        self.images = len(images)
        return self.resnet(images) if isinstance(self.net, CifarResNet) else self.chain(images)

    def layer(self, conv: BinaryConv2d, bn: nn.BatchNorm2d, blocks: Tensors, shortcut: Tensor | None = None,
              **how: bool) -> Tensors:  # fmt: skip
        """(out, its mean over the pixels) of ``blocks``: x and its mean (G, C, 32). ``how``: what ``Plan`` has besides;
        with give_few, few follows."""
        x, mean = blocks
        gradients = map(GRADIENTS.index, (conv.method.activation_gradient, conv.method.weight_gradient))
        plan = Plan(conv.stride[0], *gradients, self.images, self.bits, self.workspace, **how)
        shift = None
        if conv.asd is not None:
            shift = conv.asd.shift_of(mean.transpose(1, 2)).transpose(1, 2).contiguous()
        elif conv.rsign is not None:
            shift = conv.rsign.beta[None, :, None].expand_as(mean).contiguous()
        args = (x, shift, conv.shifted_weight(), conv.scale(), bn.weight, bn.bias, shortcut)
        return FusedLayer.apply(*args, bn, conv.ede_k, conv.ede_t, plan)[: 2 + plan.give_few]

    def stem(self, images: Tensor) -> tuple[Tensor, Tensor]:
        net = self.net
        bn = net.bns[0] if isinstance(net, VGGSmall) else net.bn1
        return Stem.apply(images, net.conv1.weight, bn.weight, bn.bias, bn, self.workspace)

    def resnet(self, images: Tensor) -> Tensor:
        net = self.net
        x, mean = self.stem(images)
        for stage in net.layers:
            for block in stage:
                run = self.block20 if isinstance(block, ResNet20Block) else self.block18
                x, mean = run(block, x, mean)
        return net.linear(net.bn2(from_blocks(mean, self.images)))

    def block20(self, block: ResNet20Block, x: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
        x, mean = self.layer(block.conv1, block.bn1, (x, mean), add_input=True)  # PadShortcut too
        return self.layer(block.conv2, block.bn2, (x, mean), add_input=True)

    def block18(self, block: ResNet18Block, x: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
        y, mean, around = self.layer(block.conv1, block.bn1, (x, mean), give_few=True)
        if not isinstance(block.shortcut, nn.Identity):
            around = self.real_shortcut(*block.shortcut, around)
        return self.layer(block.conv2, block.bn2, (y, mean), shortcut=around)

    def real_shortcut(self, conv: nn.Conv2d, bn: nn.BatchNorm2d, few: Tensor) -> Tensor:
        """A real 1×1 convolution and batch norm. It mixes no pixels, so blocks serve as images of H × 32·W, but where
        images are missing behind the last one: batch norm would count them."""
        if self.images % BLOCK:
            return to_blocks(bn(F.conv2d(from_blocks(few, self.images), conv.weight)))
        # dilation means nothing to 1×1, but for few "images" it makes torch choose oneDNN's kernel, twice as fast
        return bn(F.conv2d(few.flatten(3), conv.weight, dilation=2)).unflatten(3, few.shape[3:])

    def chain(self, images: Tensor) -> Tensor:
        """VGG-Small and the digits' network: consecutive convolutions, some with a 2×2 maximum behind them."""
        net = self.net
        if isinstance(net, VGGSmall):
            layers = zip(net.convs, net.bns[1:], net.pooled[1:], strict=True)
        else:
            layers = (net.conv2, net.bn2, True), (net.conv3, net.bn3, True)
        x, mean = self.stem(images)
        for conv, bn, pooled in layers:
            x, mean = self.layer(conv, bn, (x, mean), pooled=pooled)
        return net.linear(from_blocks(x, self.images).flatten(1))

"""The ±1 convolution in half precision, for GPUs: integers forward, gradients with 8 bits and float32's range.

    forward     y = conv2d(â, ŵ) in float16, summed in float32, rounded once to float16
    backward    dâ, dŵ from dy rounded to bfloat16, summed in float32, rounded once to bfloat16

**Exact forward.** â and ŵ are ±1, so y is a sum of taps·C_in odd numbers, |y| <= 9·C_in: even wherever C_in is even, as
in all our networks. float16 holds every integer up to 2048 and every even one up to 4096; so y is exact up to
C_in = 455. With 512 channels only |y| > 4096 (of at most 4608: 94 % of all products agree) is rounded, to a multiple
of 4; its sign stays. Padded taps add 0.

**Backward.** bfloat16 has float32's exponents, so no gradient underflows and no loss scale is needed, which float16
would ask for; ±1 are exact in it. Errors are 2⁻⁹ relative per value. Master weights, shifts, EDE (which differentiates
â and ŵ after this), scales, batch norm and the real-valued layers stay in float32.
"""

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from ...core.layers import BinaryConv2d
from ...core.models import BinaryNet

Pair = tuple[int, int]


class _HalfConv(Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, w: Tensor, stride: Pair, padding: Pair) -> Tensor:
        half_a, half_w = a.half(), w.half()
        ctx.save_for_backward(half_a, half_w)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(half_a, half_w, stride=stride, padding=padding).to(a.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
        a, w = (x.bfloat16() for x in ctx.saved_tensors)
        grad_a, grad_w, _ = torch.ops.aten.convolution_backward(
            grad.bfloat16(), a, w, None, ctx.stride, ctx.padding, [1, 1], False, [0, 0], 1, [True, True, False]
        )
        return grad_a.to(grad.dtype), grad_w.to(grad.dtype), None, None


def half_conv(a: Tensor, w: Tensor, stride: Pair, padding: Pair) -> Tensor:
    """conv2d of ``a`` (N, C, H, W) and ``w`` (O, C, k, k), both ±1, zero-padded: (N, O, H', W') in their own dtype."""
    return _HalfConv.apply(a, w, stride, padding)


class HalfConv2d(BinaryConv2d):
    """The binary convolution with :func:`half_conv`; where weights are real (float twin, stage 1), as it was."""

    def unscaled(self, a: Tensor) -> Tensor:
        """conv2d(â, ŵ), before any scaling factor."""
        if not (self.method.binary and self.binary_weights):
            return super().unscaled(a)
        a, w = self.binary_activation(a), self.binary_weight()
        return half_conv(a, w, self.stride, self.padding)  # type: ignore[arg-type]  # both are pairs


def twin_of(net: BinaryNet, half: bool) -> BinaryNet:
    """The same network, with ``half`` in half precision, sharing *every* parameter and buffer with ``net``."""
    shared = {id(tensor): tensor for tensor in (*net.parameters(), *net.buffers())}
    twin = copy.deepcopy(net, shared)  # what deepcopy finds in its memo it takes, and doesn't copy
    for module in twin.modules():
        if half and type(module) is BinaryConv2d:
            module.__class__ = HalfConv2d
    return twin


class GpuForward:
    """``forward(images)``: the logits of ``net``, in the mode (training or evaluation) that ``net`` is in.

    Without the checks of ``BinaryNet.forward``, one of which would make the CPU wait for the GPU at every step.
    ``half`` is for GPUs with bfloat16 (NVIDIA: Ampere, 2020, and newer); others compute in float32.
    """

    def __init__(self, net: BinaryNet, half: bool):
        self.net, self.twin = net, twin_of(net, half)
        self.path = "float16 forward, bfloat16 backward" if half else "float32"

    def follow(self) -> None:
        """Take over the mode of ``net``."""
        if self.twin.training != self.net.training:
            self.twin.train(self.net.training)

    def __call__(self, images: Tensor) -> Tensor:
        self.follow()
        return self.twin.classify(images.contiguous(memory_format=torch.channels_last))


def gpu_forward(net: BinaryNet, device: torch.device) -> GpuForward:
    """The forward pass for ``device``, a CUDA device that holds ``net``."""
    return GpuForward(net, half=torch.cuda.get_device_capability(device) >= (8, 0))


def on_device(net: BinaryNet, device: torch.device) -> BinaryNet:
    """``net`` moved to ``device``; on a GPU with its 4-d tensors in ``channels_last``, as half precision wants them."""
    if device.type != "cuda":
        return net.to(device)
    return net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # a form that torch forgot

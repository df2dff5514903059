"""The one binary convolution that every network and every method uses; SD-BNN's is arXiv:2103.02394, section 3."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .asd import ActivationSelfDistribution, StaticShift
from .binarize import binarize, ede_k
from .methods import Method
from .scaling import LearnedScale, analytic_scale, power_of_two_scale
from .wsd import WeightSelfDistribution, balance


class BinaryConv2d(nn.Module):
    """A convolution whose activations and weights are ±1:

        â = sign(a + activation_shift(a))        a  (N, C, H, W)
        ŵ = sign(w + weight_shift(w))            w  (O, C, k, k), the latent weights
        y = scale · conv2d(â, ŵ)                 y  (N, O, H', W')

    Zero-padded *after* the sign (a padded tap adds 0), no bias; batch norm follows it in every network. The
    ``method`` says which shifts, surrogate gradients and scale; for the float twin it is a plain convolution.
    ``binary_weights=False`` keeps real weights under binary activations (stage 1 on ImageNet): WSD's α exists
    there, so that stage 2 can start from it, but takes no part.

    Buffers ``ede_k`` and ``ede_t`` (scalars) are part of the state dict; see :func:`set_ede`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        padding: int = 1,
        *,
        method: Method,
        reduction: int = 16,
        binary_weights: bool = True,
    ):
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.stride, self.padding = stride, padding
        self.method = method
        self.binary_weights = binary_weights
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, kernel_size, kernel_size))
        nn.init.kaiming_normal_(self.weight)

        self.asd = ActivationSelfDistribution(in_channels, reduction) if method.activation_shift == "asd" else None
        self.rsign = StaticShift(in_channels) if method.activation_shift == "static" else None
        self.wsd = WeightSelfDistribution(out_channels) if method.weight_shift == "wsd" else None
        self.learned_scale = LearnedScale(out_channels) if method.scale == "learned" else None
        self.register_buffer("ede_k", torch.tensor(1.0))
        self.register_buffer("ede_t", torch.tensor(1.0))

    def activation_shift(self, a: Tensor) -> Tensor | None:
        """What is added to ``a`` before the sign, broadcastable to it: (N or 1, C, 1, 1); None where nothing is."""
        shift = self.asd if self.asd is not None else self.rsign
        return None if shift is None else shift(a)

    def binary_activation(self, a: Tensor) -> Tensor:
        """â = sign(a + shift): ±1 of the shape of ``a``."""
        shift = self.activation_shift(a)
        x = a if shift is None else a + shift
        return binarize(x, self.method.activation_gradient, self.ede_k, self.ede_t)

    def shifted_weight(self) -> Tensor:
        """What the sign of the weights is taken of: w, w + WSD's shift, or IR-Net's balanced w."""
        if self.method.weight_shift == "balance":
            return balance(self.weight)
        return self.weight if self.wsd is None else self.weight + self.wsd(self.weight)

    def binary_weight(self) -> Tensor:
        """ŵ = sign(shifted w): ±1, (O, C, k, k)."""
        return binarize(self.shifted_weight(), self.method.weight_gradient, self.ede_k, self.ede_t)

    def scale(self) -> Tensor | None:
        """The positive factor per filter, (O,), or None."""
        if not self.binary_weights or self.method.scale is None:
            return None
        if self.method.scale == "learned":
            return self.learned_scale()
        if self.method.scale == "analytic":
            return analytic_scale(self.weight)
        return power_of_two_scale(self.shifted_weight())

    def unscaled(self, a: Tensor) -> Tensor:
        """conv2d(â, ŵ), before any scaling factor: integers where both are binary."""
        if self.method.binary:
            w = self.binary_weight() if self.binary_weights else self.weight
            a = self.binary_activation(a)
        else:
            w = self.weight
        return F.conv2d(a, w, stride=self.stride, padding=self.padding)

    def forward(self, a: Tensor) -> Tensor:
        y = self.unscaled(a)
        scale = self.scale()
        return y if scale is None else y * scale[None, :, None, None]

    def extra_repr(self) -> str:
        o, c, k, _ = self.weight.shape
        return f"{c}, {o}, kernel_size={k}, stride={self.stride}, padding={self.padding}, method={self.method.name}"


def binary_layers(net: nn.Module) -> dict[str, BinaryConv2d]:
    """The binary convolutions of ``net`` by their dotted name, in order; empty for the float twin."""
    return {
        name: layer for name, layer in net.named_modules() if isinstance(layer, BinaryConv2d) and layer.method.binary
    }


def set_ede(net: nn.Module, t: float, k: float | None = None) -> None:
    """Set EDE's t and k (None: max(1/t, 1)) in every binary layer of ``net`` (buffers, so checkpoints keep them).

    Raises UsageError unless t is finite and > 0.
    """
    published = ede_k(t)
    k = published if k is None else k
    for layer in net.modules():
        if isinstance(layer, BinaryConv2d):
            layer.ede_t.fill_(t)
            layer.ede_k.fill_(k)

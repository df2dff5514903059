"""The binary layers that every network and every method uses; SD-BNN's are arXiv:2103.02394, section 3."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UsageError, check_whole
from .asd import ActivationSelfDistribution, StaticShift, own_shift
from .binarize import binarize, check_ede, ede_k
from .methods import Method, get_method
from .scaling import LearnedScale, analytic_scale, power_of_two_scale
from .wsd import WeightSelfDistribution, balance


class BinaryLayer(nn.Module):
    """What binary layers share: how a ``method`` makes ±1 of activations a and of latent weights w (O, …).

        â = sign(a + activation_shift(a))
        ŵ = sign(w + weight_shift(w))
        y = scale · product(â, ŵ) + bias        the product is a convolution or a matrix's

    The ``method`` says which shifts, surrogate gradients and scale; "float" has no signs: y is the product of a and w.
    ``binary_weights=False`` keeps real weights under binary activations (stage 1 on ImageNet): WSD's α exists there,
    for stage 2, but takes no part. Buffers ``ede_k`` and ``ede_t`` (scalars) are in the state dict: :func:`set_ede`.
    """

    weight: Tensor
    bias: Tensor | None
    ede_k: Tensor
    ede_t: Tensor
    product: Callable[[Tensor, Tensor], Tensor]  # of a and w, each layer's own
    pixel_dims = 0  # dimensions behind the channels'

    def add_parts(self, sizes: tuple[int, int], method: Method | str, reduction: int, binary_weights: bool) -> None:
        """What the method needs beside the weights: parameters of shifts and scale, EDE's buffers; ``sizes`` (O, C)."""
        self.method, self.binary_weights, self.channels = get_method(method), binary_weights, sizes
        (filters, channels), shift = sizes, self.method.activation_shift
        asd = shift in ("asd", "asd_tanh")
        self.asd = ActivationSelfDistribution(channels, reduction, shift == "asd_tanh") if asd else None
        self.rsign = StaticShift(channels) if shift == "static" else None
        self.own_shift = shift(channels) if callable(shift) else None
        self.wsd = WeightSelfDistribution(filters) if self.method.weight_shift == "wsd" else None
        self.learned_scale = LearnedScale(filters) if self.method.scale == "learned" else None
        self.register_buffer("ede_k", torch.tensor(1.0))
        self.register_buffer("ede_t", torch.tensor(1.0))
        self.to(self.weight)

    def reset_parameters(self) -> None:
        """Latent weights from Kaiming's normal distribution, a bias of zeros."""
        nn.init.kaiming_normal_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def activation_shift(self, a: Tensor) -> Tensor | None:
        """What is added to ``a`` before the sign, broadcastable to it: (N or 1, C, 1, 1); None where nothing is."""
        if self.own_shift is not None:
            return own_shift(self.own_shift, a)
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
        """ŵ = sign(shifted w): ±1 of the shape of w."""
        return binarize(self.shifted_weight(), self.method.weight_gradient, self.ede_k, self.ede_t)

    def scale(self) -> Tensor | None:
        """The positive factor per filter, (O,), or None."""
        if not self.binary_weights or self.method.scale is None:
            return None
        if self.learned_scale is not None:
            return self.learned_scale()
        analytic = self.method.scale == "analytic"
        return analytic_scale(self.weight) if analytic else power_of_two_scale(self.shifted_weight())

    def unscaled(self, a: Tensor) -> Tensor:
        """The product of â and ŵ, before any scaling factor: integers where both are binary."""
        if not self.method.binary:
            return self.product(a, self.weight)
        w = self.binary_weight() if self.binary_weights else self.weight
        return self.product(self.binary_activation(a), w)

    def forward(self, a: Tensor) -> Tensor:
        y = self.unscaled(a)
        pixels, scale = (1,) * self.pixel_dims, self.scale()
        y = y if scale is None else y * scale.view(-1, *pixels)
        return y if self.bias is None else y + self.bias.view(-1, *pixels)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, method={self.method.name}"


class BinaryConv2d(BinaryLayer, nn.Conv2d):
    """A convolution whose activations and weights are ±1, with ``nn.Conv2d``'s arguments (but no bias by default).

        y = scale · conv2d(â, ŵ) + bias        a (N, C, H, W) or (C, H, W)        w (O, C / groups, kh, kw)

    It is padded *after* the sign; with zeros, a padded tap adds 0. ``method``: a name or a :class:`Method`;
    ``reduction``: r of ASD. Raises UsageError for arguments and inputs that it can't take.
    >>> BinaryConv2d(16, 32, 3, padding=1)(torch.randn(1, 16, 8, 8)).shape
    torch.Size([1, 32, 8, 8])
    """

    pixel_dims = 2

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int | tuple[int, int] = 3,
                 stride: int | tuple[int, int] = 1, padding: int | str | tuple[int, int] = 0,
                 dilation: int | tuple[int, int] = 1, groups: int = 1, bias: bool = False, padding_mode: str = "zeros",
                 device: torch.device | str | None = None, dtype: torch.dtype | None = None, *,
                 method: Method | str = "sdbnn", reduction: int = 16, binary_weights: bool = True):  # fmt: skip
        check_whole(in_channels=in_channels, out_channels=out_channels, groups=groups)
        check_whole(kernel_size=kernel_size, stride=stride, dilation=dilation)
        if not isinstance(padding, str):
            check_whole(0, padding=padding)
        try:
            super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias,
                             padding_mode, device, dtype)  # type: ignore[arg-type]  # another is refused  # fmt: skip
        except ValueError as error:  # channels that groups doesn't divide, an unknown padding
            raise UsageError(f"BinaryConv2d: {error}") from error
        self.add_parts((out_channels, in_channels), method, reduction, binary_weights)

    def product(self, a: Tensor, w: Tensor) -> Tensor:
        """conv2d(a, w)"""
        return self._conv_forward(a, w, None)

    def forward(self, a: Tensor) -> Tensor:
        if a.ndim not in (3, 4) or a.shape[-3] != self.in_channels:
            c = self.in_channels
            raise UsageError(f"input: shape {tuple(a.shape)} given, (N, {c}, H, W) or ({c}, H, W) needed")
        return super().forward(a) if a.ndim == 4 else super().forward(a[None])[0]


class BinaryLinear(BinaryLayer, nn.Linear):  # type: ignore[misc]  # whose bias may be None, too
    """As :class:`BinaryConv2d`, with ``nn.Linear``'s arguments: a (…, I), w (O, I). ASD's mean is a itself."""

    def __init__(self, in_features: int, out_features: int, bias: bool = False,
                 device: torch.device | str | None = None, dtype: torch.dtype | None = None, *,
                 method: Method | str = "sdbnn", reduction: int = 16, binary_weights: bool = True):  # fmt: skip
        check_whole(in_features=in_features, out_features=out_features)
        super().__init__(in_features, out_features, bias, device, dtype)
        self.add_parts((out_features, in_features), method, reduction, binary_weights)

    def activation_shift(self, a: Tensor) -> Tensor | None:
        """What is added to ``a``: (…, I) or (I,); None where nothing is."""
        if self.own_shift is not None:
            x = a.reshape(-1, self.in_features, 1, 1)
            return own_shift(self.own_shift, x).expand_as(x).reshape(a.shape)
        return self.asd.shift_of(a) if self.asd is not None else None if self.rsign is None else self.rsign.beta

    def product(self, a: Tensor, w: Tensor) -> Tensor:
        """ŵ â"""
        return F.linear(a, w)

    def forward(self, a: Tensor) -> Tensor:
        if a.ndim < 1 or a.shape[-1] != self.in_features:
            raise UsageError(f"input: shape {tuple(a.shape)} given, (…, {self.in_features}) needed")
        return super().forward(a)


def binary_layers(net: nn.Module) -> dict[str, BinaryLayer]:
    """The binary layers of ``net`` by their dotted name, in order; empty for the float twin."""
    if not isinstance(net, nn.Module):
        raise UsageError(f"net: {type(net).__name__} given, an nn.Module is needed")
    return {name: m for name, m in net.named_modules() if isinstance(m, BinaryLayer) and m.method.binary}


def set_ede(net: nn.Module, t: float, k: float | None = None) -> None:
    """Set EDE's t and k (None: max(1/t, 1)) in every binary layer of ``net`` (buffers, so checkpoints keep them).

    Raises UsageError, before any layer is changed, unless t is finite and > 0 and the layers' dtype holds t, k and k·t,
    and for a ``net`` without such layers.
    """
    k = ede_k(t) if k is None else k
    layers = [layer for layer in getattr(net, "modules", list)() if isinstance(layer, BinaryLayer)]
    if not layers:
        raise UsageError(f"net: {type(net).__name__} given, which has no binary layer whose EDE could be set")
    for layer in layers:
        check_ede(t, k, layer.ede_t.dtype)
    for layer in layers:
        layer.ede_t.fill_(t), layer.ede_k.fill_(k)

"""Any network with binary layers, packed for inference: these layers compute on bits, everything else stays torch's.

    x = a + shift               the layer's own shift, so that every sign is the float layer's
    y = product(â, ŵ)           on words of 64 signs, exact: in float32 the float layer's sums up to 2^24
    scale · y + bias            by the layer itself

A convolution with a square kernel, one stride, the same zeros on all sides, no dilation and no groups runs on the
engine's kernels, as does a linear layer, which is a 1×1 convolution of one pixel. The others run on NumPy.
"""

from collections.abc import Callable
from types import MethodType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..core.layers import BinaryConv2d, BinaryLayer, BinaryLinear
from ..errors import UsageError
from ..system.threads import one_torch_thread
from ..weights.bits import packable_layers
from .base import Packed, widened
from .network import BareLayer, PackedNet, fuses
from .words import Window, convolve_groups, pack_weights, pack_words

_AS_GIVEN = ("unscaled", "product", "binary_activation", "activation_shift")  # methods of a layer that bits stand for


class OnBits:
    """One binary layer's product on bits, called in the place of its ``unscaled``; the layer does the rest.

    ``kernels``: the layer as the engine's kernels know it; None where only NumPy computes it.
    """

    def __init__(self, layer: Any, engine: Any):
        self.layer, self.engine = layer, engine
        w = layer.binary_weight().detach().numpy()
        if isinstance(layer, BinaryLinear):
            self.kernels: Any = BareLayer(w[:, :, None, None], padding=0)
            return
        around = layer._reversed_padding_repeated_twice  # left, right, above, below; what "same" means, too
        self.border = None if layer.padding_mode == "zeros" else around  # copied signs, put there before
        left, right, above, below = around if self.border is None else (0, 0, 0, 0)
        self.words, self.window = pack_weights(w), Window(layer.stride, ((above, below), (left, right)), layer.dilation)
        alike = all(len({*sizes}) == 1 for sizes in (w.shape[2:], layer.stride, (left, right, above, below)))
        plain = alike and layer.groups == 1 and (layer.dilation == (1, 1) or w.shape[2] == 1)
        self.kernels = BareLayer(w, layer.stride[0], left) if plain else None

    def __deepcopy__(self, memo: dict[int, Any]) -> Callable[[Tensor], Tensor]:
        """In a copy of its layer stands what it stands for."""
        return MethodType(type(self.layer).unscaled, memo[id(self.layer)])

    @torch.no_grad()
    def __call__(self, a: Tensor) -> Tensor:
        """The product of signs of a (N, C, H, W), or of a linear layer's (…, I): integers of a's type, or float32."""
        shift, x = self.layer.activation_shift(a), widened(a)
        shift = x.new_zeros(()) if shift is None else shift.to(x.dtype)
        if isinstance(self.layer, BinaryLinear):  # an image of one pixel each
            x, shift = (part.reshape(-1, 1, 1, a.shape[-1]) for part in (x, shift.expand_as(x)))
            return self._sums(x, shift[:, 0, 0]).view(*a.shape[:-1], self.kernels.outputs).to(x.dtype)
        shift = shift.expand(len(x), x.shape[1], 1, 1)[:, :, 0, 0]
        x = x if self.border is None else F.pad(x, self.border, self.layer.padding_mode)
        y = self._sums(x.permute(0, 2, 3, 1), shift).permute(0, 3, 1, 2)
        formats = torch.contiguous_format, torch.channels_last  # torch's own choice, so that later sums are equal too
        last = any(t.is_contiguous(memory_format=formats[1]) and not t.is_contiguous() for t in (x, self.layer.weight))
        return y.to(x.dtype, memory_format=formats[last])

    def _sums(self, x: Tensor, shift: Tensor) -> Tensor:
        """y (N, H', W', O) of x (N, H, W, C) and a shift (N, C)."""
        images, shifts, do = x.contiguous().numpy(), shift.contiguous().numpy(), self.engine
        if self.kernels is not None:
            return torch.from_numpy(do.convolve(do.sign_words(images, shifts, self.kernels.padding), self.kernels))
        groups, (*sizes, channels) = self.layer.groups, x.shape
        signs = (images + shifts[:, None, None] >= 0).reshape(*sizes, groups, channels // groups)
        parts = [signs[i : i + 1] for i in range(len(x))] or [signs]  # one image's words and sums at a time
        sums = [convolve_groups(pack_words(p), self.words, channels // groups, self.window) for p in parts]
        return torch.from_numpy(np.concatenate(sums))


class PackedModule(Packed):
    """What :func:`pack` gives for a network of your own: call it as the network, get what the network gives.

    ``net`` computes; ``layers``: its layers that do so on bits, by name, each an :class:`OnBits`.
    """

    def _pack(self) -> None:
        self.layers = {name: OnBits(layer, self.engine) for name, layer in on_bits(self.net).items()}
        for compute in self.layers.values():
            compute.layer.unscaled = compute

    @torch.no_grad()
    def forward(self, *inputs: object, **named: object) -> object:
        """What ``net`` makes of the inputs."""
        with one_torch_thread(quiet=False):
            return self.net(*map(widened, inputs), **{name: widened(value) for name, value in named.items()})


def on_bits(net: nn.Module) -> dict[str, BinaryLayer]:
    """The layers of ``net`` that :class:`OnBits` can stand for: binary ones whose class has changed no step of it."""
    return {name: layer for name, layer in packable_layers(net).items() for kind in (BinaryConv2d, BinaryLinear)
            if all(getattr(type(layer), method) is getattr(kind, method) for method in _AS_GIVEN)}  # fmt: skip


def check(net: nn.Module) -> None:
    """Raise UsageError unless ``net`` is a module with a layer to pack, on the CPU."""
    if not isinstance(net, nn.Module) or isinstance(net, Packed):
        packed = ", which is packed" if isinstance(net, Packed) else ""
        raise UsageError(f"net: {type(net).__name__} given{packed}; a network (torch.nn.Module) is needed")
    if not on_bits(net):
        raise UsageError(f"net: {getattr(net, 'name', type(net).__name__)} has real weights; only binary weights and "
                         f"activations, of BinaryConv2d and BinaryLinear, can be packed")  # fmt: skip
    if any(p.device.type != "cpu" for p in net.parameters()):
        raise UsageError("net: it lies on a GPU; packed inference runs on the CPU: pack(net.cpu())")


def pack(net: nn.Module, engine: str | None = None) -> PackedNet | PackedModule:
    """The bit-packed network, for inference on the CPU: ``net``'s output for its inputs, without gradients.

    ``net``: any with binary layers; its others stay torch's. Its own ``forward`` runs, in a :class:`PackedModule`: the
    output is equal as far as torch repeats its own floats. What ``build`` made becomes a faster :class:`PackedNet`:
    logits equal to 1e-9 in float64 and to 1e-4 in float32, where an activation within rounding of its threshold may
    rarely take the other sign. ``engine``: "numba" (fast) or "numpy" (readable); None: numba where it compiles.

    It is a copy: ``net`` stays in its mode, and may be trained on. Half types become float32, of images too.
    Raises UsageError for a network without a layer to pack (the float twin, stage 1), or on a GPU.
    >>> pack(sd.load("digits_bnn"), engine="numpy")(torch.zeros(1, 1, 8, 8)).shape
    torch.Size([1, 10])
    """
    net = getattr(net, "_orig_mod", net)  # what torch.compile wraps: NumPy isn't to be traced
    check(net)
    return PackedNet(net, engine) if fuses(net) else PackedModule(net, engine)

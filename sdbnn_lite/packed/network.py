"""A trained network, bit-packed for inference: weights packed once, activations after every sign.

    every binary convolution      ŵ in bits; batch norm and any scaling factor as one factor and offset per filter
    activation shifts             ASD's two matrices (its shift becomes a threshold per image and channel), RSign's β
    first convolution, classifier, 1×1 shortcuts    as they are, in floats, computed by torch

Real activations stay where a shortcut or ASD's mean needs them; elsewhere a layer's sums become the next one's signs
by one comparison (see :mod:`.thresholds`).
"""

from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache, reduce
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.special import expit
from torch import Tensor, nn

from ..core import models
from ..core.layers import BinaryConv2d, binary_layers
from ..core.methods import METHODS
from ..core.models import BiRealBlock, CifarResNet, DigitsConvNet, ImageNetResNet, VGGSmall, build
from ..system.threads import in_shards, one_torch_thread, threads
from .base import Packed, widened
from .thresholds import Switch, switch_of
from .whole import Chain
from .words import Base, Geometry, aligned, base_of, half_bytes, pack_weights, side_by_side

FILTERS = 16  # side by side in ``blocks``
AT_ONCE = 16  # images, 8 of ImageNet's size: their activations stay in the caches from layer to layer, more don't


def fold(bn: Any, scale: Tensor | None) -> tuple[np.ndarray, np.ndarray]:
    """Batch norm of s·y as factor·y + offset: factor = s·γ/√(σ² + ε), offset = β - μ·γ/√(σ² + ε); (O,) each."""
    inner = bn.weight / torch.sqrt(bn.running_var + bn.eps)
    factor = inner if scale is None else inner * scale
    return factor.detach().numpy().copy(), (bn.bias - bn.running_mean * inner).detach().numpy().copy()


class RealConv:
    """A real convolution with its batch norm folded in, by torch: conv2d(x, factor·w) + offset, in the network's dtype.

    ``blocks``: its weights (O/16, k, k·C, 16), as our kernels read them.
    """

    def __init__(self, conv: Any, bn: Any):
        factor, self.offset = (torch.from_numpy(v) for v in fold(bn, None))
        weight = conv.weight.detach() * factor[:, None, None, None]
        self.weight = weight.contiguous(memory_format=torch.channels_last)
        self.stride, self.padding = conv.stride[0], conv.padding[0]

    def __call__(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight, self.offset, self.stride, self.padding)

    @cached_property
    def blocks(self) -> np.ndarray:
        o, c, k, _ = self.weight.shape
        return aligned(self.weight.permute(2, 3, 1, 0).reshape(k, k * c, -1, FILTERS).permute(2, 0, 1, 3).numpy())


class BareLayer:
    """A binary convolution and nothing else, as the engines compute it: w (O, C, k, k), every value ±1."""

    def __init__(self, w: np.ndarray, stride: int = 1, padding: int = 1):
        self.outputs, self.channels, self.kernel, _ = w.shape  # square, as the tables of border classes are
        self.stride, self.padding = stride, padding
        self.words = pack_weights(w)
        self._bases: dict[Geometry, Base] = {}
        self._weights: dict[bool, np.ndarray] = {}

    def for_tiles(self, looked_up: bool, width: int) -> tuple[np.ndarray, tuple[int, int, int, int]]:
        """The weights for the tile that looks up or for the one that counts, and how: see :mod:`.kernels`.

        ``width``: pixels in a row of words, border included.
        """
        narrow = self.channels <= 32
        if looked_up not in self._weights:
            from .tiles import WIDE
            wide = WIDE if -(-self.outputs // FILTERS) % WIDE == 0 else 1
            made = half_bytes(self.words, self.channels, wide) if looked_up else side_by_side(self.words, narrow)
            self._weights[looked_up] = made
        weight, row, hop = self._weights[looked_up], 8 * width * self.words.shape[3], 8 if narrow else 4
        return weight, (*weight.shape[1:3], 0, 0) if looked_up else (self.kernel, -hop, row, weight.shape[2])

    def geometry(self, padded: np.ndarray) -> Geometry:
        """The sizes for words (N, H + 2·padding, W + 2·padding, K), which have their border already.

        Raises UsageError where the images are too small for the kernel.
        """
        height, width = (side - 2 * self.padding for side in padded.shape[1:3])
        return Geometry(self.channels, self.outputs, height, width, self.kernel, self.stride, self.padding)

    def base(self, geometry: Geometry) -> Base:
        """The border's table, made once per image size."""
        if geometry not in self._bases:
            self._bases[geometry] = base_of(self.words, geometry)
        return self._bases[geometry]


class PackedLayer(BareLayer):
    """One binary convolution with its batch norm and its activation (Hardtanh, or PReLU with ``slope``)."""

    def __init__(self, conv: BinaryConv2d, bn: nn.BatchNorm2d, prelu: nn.PReLU | None = None):
        super().__init__(conv.binary_weight().detach().numpy(), conv.stride[0], int(conv.padding[0]))
        self.factor, self.offset = fold(bn, conv.scale())
        self.slope = None if prelu is None else prelu.weight.detach().numpy().copy()
        absent: Any = None
        self.squeeze = self.expand = self.bound = self.beta = absent
        if conv.asd is not None:
            self.squeeze = conv.asd.squeeze.weight.detach().numpy().copy()
            self.expand = conv.asd.expand.weight.detach().numpy().copy()
            self.bound = np.tanh if conv.asd.tanh else expit
        elif conv.rsign is not None:
            self.beta = conv.rsign.beta.detach().numpy().copy()
        self._switch: Switch | None = None

    def switch_to(self, following: "PackedLayer") -> Switch | None:
        """How this layer's sums become the signs of the one behind it; None where ASD needs the values' mean."""
        if following.squeeze is not None or self.slope is not None:
            return None
        if self._switch is None:
            most = self.kernel**2 * self.channels
            self._switch = switch_of(self.factor, self.offset, following.beta, most)
        return self._switch

    def shift(self, x: np.ndarray, means: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """(N, C): what is added before the sign. ASD: σ (or tanh) of W2·relu(W1·mean), whose mean ``means`` gives."""
        if self.squeeze is not None:
            hidden = np.maximum(means(x) @ self.squeeze.T, 0)
            return self.bound(hidden @ self.expand.T)
        shift = np.zeros((len(x), self.channels), x.dtype)
        return shift if self.beta is None else shift + self.beta


def _to_last(x: Tensor) -> np.ndarray:
    """(N, C, H, W) tensor → (N, H, W, C) array."""
    return x.permute(0, 2, 3, 1).contiguous().numpy()


def _to_torch(x: np.ndarray) -> Tensor:
    """(N, H, W, C) array → (N, C, H, W) tensor in channels_last, the same memory."""
    return torch.from_numpy(x).permute(0, 3, 1, 2)


class PackedNet(Packed):
    """What :func:`sdbnn_lite.pack` gives for our own networks: images (N, C, H, W) in, logits (N, classes) out.

    It was made from a network that :func:`fuses`.
    """

    def _pack(self) -> None:
        net = self.net  # its real layers are used, and its checks
        self.layers = {name: self._layer(name) for name in binary_layers(net)}
        self.first = RealConv(net.conv1, net.bns[0] if isinstance(net, VGGSmall) else net.bn1)
        self.shortcuts = self._shortcuts()
        self.chains: dict[tuple[object, ...], Chain | None] = {}
        self.segments = self._segments()

    def _layer(self, name: str) -> PackedLayer:
        modules: dict[str, Any] = dict(self.net.named_modules())
        conv, parent = modules[name], name.rpartition(".")[0]
        if isinstance(self.net, VGGSmall):
            return PackedLayer(conv, modules[f"bns.{int(name.rpartition('.')[2]) + 1}"])
        bn = modules[parent + name.removeprefix(parent).replace("conv", "bn")]  # conv → bn, conv2 → bn2
        return PackedLayer(conv, bn, getattr(modules[parent], "prelu", None) if parent else None)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """The logits, (N, classes)."""
        images = widened(images)
        with one_torch_thread(isinstance(images, Tensor) and self.engine.multiplies(self.first, images)):
            self.net.check(images)
            if 1 < threads() <= len(images):
                return in_shards(self._in_chunks, images)
            return self._in_chunks(images)

    def _in_chunks(self, images: Tensor) -> Tensor:
        """The logits, ``AT_ONCE`` images at a time, each layer with all of this thread's threads."""
        at_once = AT_ONCE // 2 if isinstance(self.net, ImageNetResNet) else AT_ONCE
        images = images.contiguous(memory_format=torch.channels_last)
        return torch.cat([self._logits(some) for some in images.split(at_once)])

    def _logits(self, images: Tensor) -> Tensor:
        if isinstance(self.net, CifarResNet):
            return self._cifar_resnet(images)
        if isinstance(self.net, ImageNetResNet):
            return self._imagenet_resnet(images)
        return self._flat(images)

    def run(self, name: str, x: np.ndarray, around: np.ndarray | None = None, pooled: bool = False,
            only: str | None = None) -> np.ndarray:  # fmt: skip
        """One packed layer on real activations (N, H, W, C), or on words that an earlier one made.

        ``only``: the one layer that uses what comes out. It gets words, where its signs follow from the sums alone.
        """
        layer, do = self.layers[name], self.engine
        padded = x if x.dtype == np.uint64 else do.sign_words(x, layer.shift(x, do.means), layer.padding)
        following = self.layers[only] if only else None
        if following and (switch := layer.switch_to(following)):
            return do.signs(padded, layer, switch, pooled, following.padding)
        return do.finish(do.convolve(padded, layer), layer, pooled, around)

    def _shortcuts(self) -> dict[str, list[Callable[[Tensor], Tensor]]]:
        """Per block (``layers.i.j``) that has more than x itself around it: what to do, batch norm folded in."""
        found = {}
        for name, module in self.net.named_modules():
            if name.endswith(".shortcut") and not isinstance(module, nn.Identity):
                steps = [module]  # no parameters: a slice with zeros around it
                if isinstance(module, nn.Sequential):
                    *before, conv, bn = module
                    steps = [*before, RealConv(conv, bn)]
                found[name.removesuffix(".shortcut")] = steps
        return found

    def _around(self, name: str, x: np.ndarray) -> np.ndarray:
        """The shortcut of a block: x (N, H, W, C), or what its real layers make of it."""
        *before, last = self.shortcuts.get(name, [None])
        if last is None:
            return x
        value = reduce(lambda value, step: step(value), before, _to_torch(x))
        if isinstance(last, RealConv) and self.engine.multiplies(last, value):
            return self.engine.real(_to_last(value), last)
        return _to_last(last(value))

    def _stem(self, images: Tensor) -> np.ndarray:
        if self.engine.multiplies(self.first, images):
            return self.engine.real(_to_last(images), self.first, between=1)
        return _to_last(F.hardtanh_(self.first(images)))

    def _cifar_resnet(self, images: Tensor) -> Tensor:
        net, x = self.net, self._body(self._stem(images))
        return net.linear(net.bn2(torch.from_numpy(self.engine.means(x))))

    def _imagenet_resnet(self, images: Tensor) -> Tensor:
        if self.engine.multiplies(self.first, images):
            x = self.engine.real(_to_last(images), self.first, pooled=True)
        else:
            x = _to_last(F.max_pool2d(self.first(images), 3, stride=2, padding=1))
        x = self._body(x)
        return self.net.linear(torch.from_numpy(self.engine.means(x)))

    def _flat(self, images: Tensor) -> Tensor:
        """VGG-Small and the digits' network: all that the last convolution gives goes to the classifier."""
        return self.net.linear(_to_torch(self._body(self._stem(images))).flatten(1))

    def _body(self, x: np.ndarray) -> np.ndarray:
        """All binary layers: in a few calls where the engine has chains, else layer by layer."""
        for i, (steps, block) in enumerate(self.segments):
            given, key = self._around(block, x) if block else None, (i, x.dtype, *x.shape[1:3])
            if key not in self.chains:
                layers = [(self.layers[name], added, pooled) for name, added, pooled in steps]
                fits = self.engine.chains([layer for layer, *_ in layers], x)
                self.chains[key] = Chain(self.engine, layers, *x.shape[1:3]) if fits else None
            if chain := self.chains[key]:
                x = chain.run(x, given)
                continue
            before, behind = None, [*(step[:2] for step in steps[1:]), (None, "same"), (None, "same")]
            for (name, added, pooled), (following, next_adds), (_, later_adds) in zip(steps, behind, behind[1:]):
                around = {"same": x, "before": before, "given": given}.get(added)
                around = self._around(name.rpartition(".")[0], x) if added == "widened" else around
                alone = next_adds not in ("same", "widened") and later_adds != "before"
                before, x = x, self.run(name, x, around, pooled, only=following if alone else None)
        return x

    def _segments(self) -> list[tuple[list[tuple[str, str, bool]], str | None]]:
        """Layers that follow each other, what is added to each (see :mod:`.whole`), whether it is pooled.

        A real shortcut begins anew, beside the name of its block.
        """
        if not isinstance(self.net, (CifarResNet, ImageNetResNet)):
            pooled: Sequence[bool] = self.net.pooled[1:] if isinstance(self.net, VGGSmall) else (True, True)
            return [([(name, "nothing", pool) for name, pool in zip(self.layers, pooled, strict=True)], None)]
        found: list[tuple[list[tuple[str, str, bool]], str | None]] = []
        for name, block in self.net.named_modules():
            if not isinstance(block, (models.ResNet20Block, models.ResNet18Block, BiRealBlock)):
                continue
            real = isinstance(block.shortcut, nn.Sequential)
            if isinstance(block, models.ResNet20Block):
                steps = [("conv1", "widened" if name in self.shortcuts else "same"), ("conv2", "same")]
            elif isinstance(block, models.ResNet18Block):
                steps = [("conv1", "nothing"), ("conv2", "given" if real else "before")]
            else:
                steps = [("conv", "given" if real else "same")]
            if real or not found:
                found.append(([], name if real else None))
            found[-1][0].extend((f"{name}.{conv}", added, False) for conv, added in steps)
        return found


def _plan(net: nn.Module) -> dict[str, tuple[type, str]]:
    """Kind and geometry of all modules by name, without the classifier and the parts of binary layers."""
    binary = binary_layers(net)
    free = ("linear", *(f"{name}." for name in binary))
    stats = {m for m in net.modules() if getattr(m, "affine", False) and getattr(m, "track_running_stats", False)}
    return {name: (type(m), "" if m in stats else m.extra_repr()) for name, m in net.named_modules()
            if name in binary or not name.startswith(free)}  # fmt: skip


@lru_cache
def _plan_of(name: str, options: tuple[tuple[str, Any], ...]) -> dict[str, tuple[type, str]]:
    """The plan of what ``build`` makes; the caller's random numbers stay as they are."""
    with torch.random.fork_rng(devices=[]):
        return _plan(build(name, **dict(options)))


def fuses(net: nn.Module) -> bool:
    """Whether :class:`PackedNet` computes ``net``: one that ``build`` made, changed in nothing but its classifier."""
    ours = type(net) in (CifarResNet, VGGSmall, DigitsConvNet, ImageNetResNet)
    options: dict[str, Any] = getattr(net, "options", {})
    if not ours or options.get("method") not in METHODS:
        return False
    whole = all(layer.binary_weights and layer.own_shift is None for layer in binary_layers(net).values())
    return whole and _plan(net) == _plan_of(str(net.name), tuple(options.items()))

"""A trained network, bit-packed for inference: weights packed once, activations after every sign.

    every binary convolution      ŵ in bits; batch norm and any scaling factor as one factor and offset per filter
    activation shifts             ASD's two matrices (its shift becomes a threshold per image and channel), RSign's β
    first convolution, classifier, 1×1 shortcuts    as they are, in floats, computed by torch

Real activations stay where a shortcut or ASD's mean needs them; elsewhere a layer's sums become the next one's signs
by one comparison (see :mod:`.thresholds`).
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from copy import deepcopy
from functools import lru_cache, partial

import numpy as np
import torch
import torch.nn.functional as F
from scipy.special import expit
from torch import Tensor, nn

from ..core.layers import BinaryConv2d, binary_layers
from ..core.models import BinaryNet, CifarResNet, DigitsConvNet, ImageNetResNet, ResNet20Block, VGGSmall, build
from ..errors import UsageError
from .engines import engine
from .shards import in_shards
from .thresholds import Switch, switch_of
from .words import Base, Geometry, base_of, pack_weights

FILTERS = 16  # side by side in ``blocks``
AT_ONCE = 16  # images, 8 of ImageNet's size: their activations stay in the caches from layer to layer, more don't


def fold(bn: nn.BatchNorm2d, scale: Tensor | None) -> tuple[np.ndarray, np.ndarray]:
    """Batch norm of s·y as factor·y + offset: factor = s·γ/√(σ² + ε), offset = β - μ·γ/√(σ² + ε); (O,) each."""
    inner = bn.weight / torch.sqrt(bn.running_var + bn.eps)
    factor = inner if scale is None else inner * scale
    return factor.detach().numpy().copy(), (bn.bias - bn.running_mean * inner).detach().numpy().copy()


def real_conv(conv: nn.Conv2d, bn: nn.BatchNorm2d) -> Callable[[Tensor], Tensor]:
    """A real convolution with its batch norm folded in: conv2d(x, factor·w) + offset, in the network's own dtype."""
    factor, offset = (torch.from_numpy(v) for v in fold(bn, None))
    weight = conv.weight.detach() * factor[:, None, None, None]
    weight = weight.contiguous(memory_format=torch.channels_last)
    return partial(F.conv2d, weight=weight, bias=offset, stride=conv.stride, padding=conv.padding)


class BareLayer:
    """A binary convolution and nothing else, as the engines compute it: w (O, C, k, k), every value ±1."""

    def __init__(self, w: np.ndarray, stride: int = 1, padding: int = 1):
        self.outputs, self.channels, self.kernel, _ = w.shape  # square, as the tables of border classes are
        self.stride, self.padding = stride, padding
        self.words = pack_weights(w)
        self.blocks = side_by_side(self.words)
        self._bases: dict[Geometry, Base] = {}

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
        super().__init__(conv.binary_weight().detach().numpy(), conv.stride[0], conv.padding[0])
        self.factor, self.offset = fold(bn, conv.scale())
        self.slope = None if prelu is None else prelu.weight.detach().numpy().copy()
        self.squeeze = self.expand = self.bound = self.beta = None
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

    def shift(self, x: np.ndarray, means) -> np.ndarray:
        """(N, C): what is added before the sign. ASD: σ (or tanh) of W2·relu(W1·mean), whose mean ``means`` gives."""
        if self.squeeze is not None:
            hidden = np.maximum(means(x) @ self.squeeze.T, 0)
            return self.bound(hidden @ self.expand.T)
        shift = np.zeros((len(x), self.channels), x.dtype)
        return shift if self.beta is None else shift + self.beta


def side_by_side(words: np.ndarray) -> np.ndarray:
    """(O, k, k, K) uint64 → (⌈O/16⌉, k, 2·k·K, 16) uint32, zeros behind the last filter; aligned to 64 bytes."""
    o, k, _, count = words.shape
    blocks = -(-o // FILTERS)
    full = np.zeros((blocks * FILTERS, k, 2 * k * count), np.uint32)
    full[:o] = words.astype("<u8").reshape(o, k, k * count).view("<u4")
    aligned = torch.zeros(full.size, dtype=torch.int32).numpy().view(np.uint32).reshape(blocks, k, -1, FILTERS)
    aligned[:] = full.reshape(blocks, FILTERS, k, -1).transpose(0, 2, 3, 1)
    return aligned


def _to_last(x: Tensor) -> np.ndarray:
    """(N, C, H, W) tensor → (N, H, W, C) array."""
    return x.permute(0, 2, 3, 1).contiguous().numpy()


def _to_torch(x: np.ndarray) -> Tensor:
    """(N, H, W, C) array → (N, C, H, W) tensor in channels_last, the same memory."""
    return torch.from_numpy(x).permute(0, 3, 1, 2)


class PackedNet:
    """What :func:`sdbnn_lite.pack` gives for our own networks: images (N, C, H, W) in, logits (N, classes) out.

    ``net``: its own copy, see :func:`frozen`, of a network that :func:`fuses`.
    """

    def __init__(self, net: BinaryNet, engine_name: str | None = None):
        self.engine = engine(engine_name)
        self.net = net = frozen(net)  # its real layers are used, and its checks
        self.layers = {name: self._layer(name) for name in binary_layers(net)}
        self.first = real_conv(net.conv1, net.bns[0] if isinstance(net, VGGSmall) else net.bn1)
        self.shortcuts = self._shortcuts()

    def _layer(self, name: str) -> PackedLayer:
        modules = dict(self.net.named_modules())
        conv, parent = modules[name], name.rpartition(".")[0]
        if isinstance(self.net, VGGSmall):
            return PackedLayer(conv, self.net.bns[int(name.rpartition(".")[2]) + 1])
        bn = modules[parent + name.removeprefix(parent).replace("conv", "bn")]  # conv → bn, conv2 → bn2
        return PackedLayer(conv, bn, getattr(modules[parent], "prelu", None) if parent else None)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        images = widened(images)
        self.net.check(images)
        images = images.contiguous(memory_format=torch.channels_last)
        if not self.engine.lock and 1 < torch.get_num_threads() <= len(images):
            return in_shards(self._in_chunks, images)
        with self.engine.lock or nullcontext():
            return self._in_chunks(images)

    def _in_chunks(self, images: Tensor) -> Tensor:
        """The logits, ``AT_ONCE`` images at a time, each layer with all of this thread's threads."""
        self.engine.follow_threads()
        at_once = AT_ONCE // 2 if isinstance(self.net, ImageNetResNet) else AT_ONCE
        return torch.cat([self._logits(some) for some in images.split(at_once)])

    def _logits(self, images: Tensor) -> Tensor:
        if isinstance(self.net, CifarResNet):
            return self._cifar_resnet(images)
        if isinstance(self.net, ImageNetResNet):
            return self._imagenet_resnet(images)
        return self._chain(images)

    def run(self, name: str, x: np.ndarray, around: np.ndarray | None = None, pooled: bool = False,
            only: str | None = None) -> np.ndarray:  # fmt: skip
        """One packed layer on real activations (N, H, W, C), or on words that an earlier one made.

        ``only``: the one layer that uses what comes out. It gets words, where its signs follow from the sums alone.
        """
        layer, do = self.layers[name], self.engine
        padded = x if x.dtype == np.uint64 else do.sign_words(x, layer.shift(x, do.means), layer.padding)
        following = self.layers.get(only)
        switch = following and layer.switch_to(following)
        if switch:
            return do.signs(padded, layer, switch, pooled, following.padding)
        if pooled:
            return do.finish(do.convolve(padded, layer), layer, pooled=True)
        return do.layer(padded, layer, around)

    def _shortcuts(self) -> dict[str, list[Callable[[Tensor], Tensor]]]:
        """Per block (``layers.i.j``) that has more than x itself around it: what to do, batch norm folded in."""
        found = {}
        for name, module in self.net.named_modules():
            if name.endswith(".shortcut") and not isinstance(module, nn.Identity):
                steps = [module]  # no parameters: a slice with zeros around it
                if isinstance(module, nn.Sequential):
                    *before, conv, bn = module
                    steps = [*before, real_conv(conv, bn)]
                found[name.removesuffix(".shortcut")] = steps
        return found

    def _around(self, name: str, x: np.ndarray) -> np.ndarray:
        """The shortcut of a block: x (N, H, W, C), or what its real layers make of it."""
        if name not in self.shortcuts:
            return x
        value = _to_torch(x)
        for step in self.shortcuts[name]:
            value = step(value)
        return _to_last(value)

    def _stem(self, images: Tensor) -> np.ndarray:
        return _to_last(F.hardtanh_(self.first(images)))

    def _cifar_resnet(self, images: Tensor) -> Tensor:
        net, x = self.net, self._stem(images)
        for i, stage in enumerate(net.layers):
            for j, block in enumerate(stage):
                name = f"layers.{i}.{j}"
                around = self._around(name, x)
                if isinstance(block, ResNet20Block):
                    x = self.run(f"{name}.conv1", x, around)
                    x = self.run(f"{name}.conv2", x, x)
                else:
                    x = self.run(f"{name}.conv1", x, only=f"{name}.conv2")
                    x = self.run(f"{name}.conv2", x, around)
        return net.linear(net.bn2(torch.from_numpy(self.engine.means(x))))

    def _imagenet_resnet(self, images: Tensor) -> Tensor:
        net = self.net
        x = _to_last(F.max_pool2d(self.first(images), 3, stride=2, padding=1))
        for i, stage in enumerate(net.layers):
            for j in range(len(stage)):
                name = f"layers.{i}.{j}"
                x = self.run(f"{name}.conv", x, self._around(name, x))
        return net.linear(torch.from_numpy(self.engine.means(x)))

    def _chain(self, images: Tensor) -> Tensor:
        """VGG-Small and the digits' network: consecutive convolutions, some with a 2×2 maximum behind them."""
        net, x = self.net, self._stem(images)
        pooled: Sequence[bool] = net.pooled[1:] if isinstance(net, VGGSmall) else (True, True)
        names = list(self.layers)
        for name, pool, behind in zip(names, pooled, [*names[1:], None], strict=True):
            x = self.run(name, x, pooled=pool, only=behind)
        return net.linear(_to_torch(x).flatten(1))


def widened(x: object) -> object:
    """A float16 or bfloat16 tensor as float32, anything else as it is."""
    return x.float() if isinstance(x, Tensor) and x.dtype in (torch.float16, torch.bfloat16) else x


def frozen(net: nn.Module) -> nn.Module:
    """A copy of ``net`` that shares nothing with it: in evaluation mode, without gradients, halves as float32.

    Raises UsageError where it can't be copied.
    """
    try:
        copy = deepcopy(net)
    except (RuntimeError, TypeError) as error:  # tensors with a history, locks, open files among its attributes
        raise UsageError(f"net: {type(net).__name__} can't be copied, as packing has to: {error}") from error
    copy.zero_grad()
    return (copy.float() if any(widened(p) is not p for p in copy.parameters()) else copy).eval()


def _plan(net: nn.Module) -> dict[str, tuple]:
    """Kind and geometry of all modules by name, without the classifier and the parts of binary layers."""
    binary = binary_layers(net)
    free = ("linear", *(f"{name}." for name in binary))
    stats = {m for m in net.modules() if getattr(m, "affine", False) and getattr(m, "track_running_stats", False)}
    return {name: (type(m), "" if m in stats else m.extra_repr()) for name, m in net.named_modules()
            if name in binary or not name.startswith(free)}  # fmt: skip


@lru_cache
def _plan_of(name: str, options: tuple[tuple[str, object], ...]) -> dict[str, tuple]:
    """The plan of what ``build`` makes; the caller's random numbers stay as they are."""
    with torch.random.fork_rng(devices=[]):
        return _plan(build(name, **dict(options)))


def fuses(net: nn.Module) -> bool:
    """Whether :class:`PackedNet` computes ``net``: one that ``build`` made, changed in nothing but its classifier."""
    if type(net) not in (CifarResNet, VGGSmall, DigitsConvNet, ImageNetResNet) or not hasattr(net, "options"):
        return False
    whole = all(layer.binary_weights for layer in binary_layers(net).values())
    return whole and _plan(net) == _plan_of(net.name, tuple(net.options.items()))

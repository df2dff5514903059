"""Binary layers that follow each other, in one call: an image's maps stay in the caches from layer to layer.

    layers (L, 19) int64    C, O, H, W, padding; what is added; ASD's inner units; H'·W'; PReLU?; 2×2 maximum?; four
                            that say how weights are read; where this layer's share of each array below begins; tanh?
    numbers float32         factor, offset, slope (O each); W1ᵀ (C, inner) and W2ᵀ (inner, C), or β (C,)
    indices int64           see :class:`.words.Base`; each 2×2 together where their maximum is taken
    bases int32             the border's tables
    weights uint8           the bytes of either kind: see :mod:`.kernels`

Several images are shared among threads by :mod:`..system.threads`, one alone by parts of each layer.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .words import Geometry, aligned

ADDED = ("nothing", "same", "before", "widened", "given")
"""To a layer's outputs: its own input, the input of the layer before it, every second pixel of its own input with
zeros around the channels, or what comes from outside."""


class Chain:
    """Layers (:class:`.network.PackedLayer`, one of ADDED, whether pooled) on images of height × width."""

    def __init__(self, engine: Any, layers: Sequence[tuple[Any, str, bool]], height: int, width: int):
        pools: list[list[np.ndarray]] = [[] for _ in range(4)]
        self.engine, rows = engine, []
        for layer, what, pooled in layers:
            g = Geometry(layer.channels, layer.outputs, height, width, layer.kernel, layer.stride, layer.padding)
            base, prelu = layer.base(g), layer.slope is not None
            weight, how = layer.for_tiles(engine.looks_up(), width + 2 * layer.padding)
            height, width, pixels = g.out_height, g.out_width, g.out_height * g.out_width
            places, offsets = base.indices[: 2 * pixels].reshape(2, pixels), base.indices[2 * pixels :]
            if pooled:
                order = np.arange(pixels).reshape(height, width)[: height // 2 * 2, : width // 2 * 2]
                height, width = height // 2, width // 2
                places = places[:, order.reshape(height, 2, width, 2).swapaxes(1, 2).ravel()]
            hidden = 0 if layer.squeeze is None else len(layer.squeeze)
            begin = [sum(map(np.size, pool)) for pool in pools]
            rows.append([g.channels, g.outputs, g.height, g.width, g.padding, ADDED.index(what), hidden,
                         places.shape[1], prelu, pooled, *how, *begin, layer.bound is np.tanh])  # fmt: skip
            parts = ([layer.factor, layer.offset, layer.slope if prelu else layer.offset, *shift_of(layer)],
                     [places, offsets], [base.padded], [weight.reshape(-1).view(np.uint8)])  # fmt: skip
            for pool, more in zip(pools, parts, strict=True):
                pool += more
        self.shape = height, width, g.outputs
        self.arrays = np.array(rows), *(aligned(np.concatenate([part.ravel() for part in pool])) for pool in pools)

        channels, outputs, height, width, padding, _, _, pixels = self.arrays[0].T[:8]
        words = (height + 2 * padding) * (width + 2 * padding) * -(-channels // 64)
        values, units = max((height * width * channels).max(), (pixels * outputs).max()), -(-pixels.max() // 64)
        self.room = (3, values), words.max(), (units, max(channels.max(), outputs.max()))  # maps, words, sums
        kernels = np.array([layer.kernel**2 for layer, *_ in layers])
        self.products = int((pixels * outputs * channels * kernels).sum())

    def run(self, x: np.ndarray, given: np.ndarray | None = None) -> np.ndarray:
        """x (N, H, W, C) and a shortcut (N, H', W', O) from outside → (N, H', W', O), float32."""
        out = np.empty((len(x), *self.shape), np.float32)
        room = [np.empty(shape, kind) for shape, kind in zip(self.room, (np.float32, np.uint64, np.float64))]
        flat = [a.reshape(len(x), -1) for a in (x, out if given is None else given, out)]
        args = *self.arrays, self.engine.table, *flat, *room
        counters = np.zeros((len(x), len(self.arrays[0]), 2, 2), np.int64)
        self.engine.share(len(x) * self.products, self.engine.whole.chain, *args, state=counters)
        return out


def shift_of(layer: Any) -> list[np.ndarray]:
    """What ``layer`` adds before the sign, in numbers."""
    if layer.squeeze is not None:
        return [layer.squeeze.T, layer.expand.T]
    return [np.zeros(layer.channels, np.float32) if layer.beta is None else layer.beta]

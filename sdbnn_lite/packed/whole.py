"""Binary layers that follow each other, in one call: an image's maps stay in the caches from layer to layer.

    layers (L, 16) int64    C, O, H, W, padding, H'·W'; what is added; ASD's inner units; PReLU?; 2×2 maximum?; steps,
                            groups; where this layer's share of each array below begins
    numbers float32         factor, offset, slope (O each); W1ᵀ (C, inner) and W2ᵀ (inner, C), or β (C,)
    indices int64           starts and classes (H'·W' each; each 2×2 together where their maximum is taken), offsets
                            (steps,): see :class:`.words.Base`
    bases int32             the border's tables
    weights uint8           :func:`.words.half_bytes`

Several images are shared among threads by :mod:`.shards`, one alone by parts of each layer.
"""

from _thread import start_new_thread
from collections.abc import Sequence

import numpy as np
import torch

from .words import Geometry, aligned

ADDED = ("nothing", "same", "before", "widened", "given")
"""To a layer's outputs: its own input, the input of the layer before it, every second pixel of its own input with
zeros around the channels, or what comes from outside."""


PRODUCTS_A_THREAD = 200_000_000  # about a millisecond of one thread's work


class Chain:
    """Layers (:class:`.network.PackedLayer`, one of ADDED, whether pooled) on images of height × width."""

    def __init__(self, layers: Sequence[tuple], height: int, width: int):
        self.arrays = pools = [[] for _ in range(4)]
        rows = []
        for layer, what, pooled in layers:
            g = Geometry(layer.channels, layer.outputs, height, width, layer.kernel, layer.stride, layer.padding)
            base, prelu = layer.base(g), layer.slope is not None
            table, *places = base.by_pixel
            height, width = g.out_height, g.out_width
            if pooled:
                order = np.arange(height * width).reshape(height, width)[: height // 2 * 2, : width // 2 * 2]
                height, width = height // 2, width // 2
                places = [a[order.reshape(height, 2, width, 2).swapaxes(1, 2).ravel()] for a in places]
            parts = ([layer.factor, layer.offset, layer.slope if prelu else layer.offset, *shift_of(layer)],
                     [*places, base.offsets], [table], [layer.half_bytes])  # fmt: skip
            hidden = 0 if layer.squeeze is None else len(layer.squeeze)
            begin = [sum(map(np.size, pool)) for pool in pools]
            rows.append([g.channels, g.outputs, g.height, g.width, g.padding, len(places[0]), ADDED.index(what), hidden,
                         prelu, pooled, *layer.half_bytes.shape[1:3], *begin])  # fmt: skip
            for pool, more in zip(pools, parts, strict=True):
                pool += more
        self.shape = height, width, g.outputs
        self.arrays = np.array(rows), *(aligned(np.concatenate([part.ravel() for part in pool])) for pool in pools)

        channels, outputs, height, width, padding, pixels, *_, steps, _ = self.arrays[0].T[:12]
        words = (height + 2 * padding) * (width + 2 * padding) * -(-channels // 64)
        values, units = max((height * width * channels).max(), (pixels * outputs).max()), -(-pixels.max() // 64)
        self.room = (3, values), words.max(), (units, max(channels.max(), outputs.max()))  # maps, words, sums
        self.products = int(8 * (pixels * outputs * steps).sum())

    def run(self, engine, x: np.ndarray, given: np.ndarray | None = None) -> np.ndarray:
        """x (N, H, W, C) and a shortcut (N, H', W', O) from outside → (N, H', W', O), float32.

        With as many of torch's threads as the work is worth. None waits for one that has no core, unless for the part
        that it has taken, and this one computes alone what the others don't come to.
        """
        out = np.empty((len(x), *self.shape), np.float32)
        room = [np.empty(shape, kind) for shape, kind in zip(self.room, (np.float32, np.uint64, np.float64))]
        room.append(np.zeros((len(x), len(self.arrays[0]), 4), np.int64))
        flat = [a.reshape(len(x), -1) for a in (x, out if given is None else given, out)]
        worth = len(x) * self.products // PRODUCTS_A_THREAD
        for _ in range(min(torch.get_num_threads(), worth) - 1):  # nobody waits until they have begun
            start_new_thread(engine.whole.chain, (*self.arrays, engine.table, *flat, *room))
        engine.whole.chain(*self.arrays, engine.table, *flat, *room)
        return out


def shift_of(layer) -> list[np.ndarray]:
    """What ``layer`` adds before the sign, in numbers."""
    if layer.squeeze is not None:
        return [layer.squeeze.T, layer.expand.T]
    return [np.zeros(layer.channels, np.float32) if layer.beta is None else layer.beta]

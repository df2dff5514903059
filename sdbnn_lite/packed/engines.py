"""Two implementations of one contract: what a packed layer needs to be computed.

    sign_words(x, shift, padding)       (N, H, W, C) and (N, C) → (N, H+2p, W+2p, K) uint64
    convolve(words, layer)              → y (N, H', W', O) int16 or int32, exactly conv2d(â, ŵ)
    finish(y, layer, pooled, shortcut)  → act(factor·y + offset [+ shortcut]), y's 2×2 maximum first where pooled
    signs(padded, layer, switch, pooled, padding)   the words of the next layer, where nothing else needs real values
    means(x)                            (N, H, W, C) → (N, C)
    chains(layers, x), multiplies(conv, x)   whether it has kernels for layers in a row (:mod:`.whole`), for real ones

:class:`Readable` is NumPy, a line per equation. :class:`Fast` is numba, for the target that its code is generated for:
popcounts are counted in vectors where there is an instruction for it, and looked up where x86 has none (:mod:`.tiles`).
Both give the same bits; sums over pixels are rounded differently.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import torch

from ..errors import UsageError, unknown
from ..system.target import target
from ..system.threads import together
from . import words
from .thresholds import Switch
from .words import pack_words

# A thread begins to help 0.05 to 0.2 ms after it is started (measured). Beside another program it may lose its core for
# a slice, 3 ms on Linux, with a part that is waited for: T/2 + 3 ms is no more than 2·T from T = 2 ms on. So each gets
# a millisecond's work or more, of 160 to 210 products a nanosecond with AVX2 (measured).
PRODUCTS_A_THREAD = 200_000_000
PRODUCTS_A_VALUE = 128  # what a real number takes to be read, computed with and written, in products of ±1
PRODUCTS_A_MULTIPLICATION = 8  # of real numbers


class Readable:
    """NumPy: ``np.bitwise_count`` and nothing that needs a compiler."""

    name = "numpy"

    def chains(self, layers: Sequence[Any], x: np.ndarray) -> bool:
        """Whether there is a kernel for several layers at once."""
        return False

    def multiplies(self, conv: Any, x: torch.Tensor) -> bool:
        """Whether there is a kernel for real convolutions, faster than torch's."""
        return False

    def sign_words(self, x: np.ndarray, shift: np.ndarray, padding: int) -> np.ndarray:
        return _bordered(pack_words(x + shift[:, None, None, :] >= 0), padding)

    def convolve(self, padded: np.ndarray, layer: Any) -> np.ndarray:
        p = layer.padding
        inner = padded[:, p : padded.shape[1] - p, p : padded.shape[2] - p]
        return words.convolve(inner, layer.words, layer.base(layer.geometry(padded)))

    def finish(self, y: np.ndarray, layer: Any, pooled: bool = False, shortcut: np.ndarray | None = None) -> np.ndarray:
        value = (_pool(y) if pooled else y).astype(layer.factor.dtype)
        value *= layer.factor
        value += layer.offset
        if shortcut is not None:
            value += shortcut
        if layer.slope is None:
            return np.clip(value, -1, 1, out=value)
        return np.where(value < 0, value * layer.slope, value)

    def signs(self, padded: np.ndarray, layer: Any, switch: Switch, pooled: bool, padding: int) -> np.ndarray:
        y = self.convolve(padded, layer)
        return _bordered(pack_words(((_pool(y) if pooled else y) >= switch.point) ^ switch.falling), padding)

    def means(self, x: np.ndarray) -> np.ndarray:
        return x.mean(axis=(1, 2), dtype=np.float64).astype(x.dtype)


def _bordered(words: np.ndarray, padding: int) -> np.ndarray:
    """(N, H, W, K) with ``padding`` zeros around each image."""
    n, h, w, k = words.shape
    around = np.zeros((n, h + 2 * padding, w + 2 * padding, k), words.dtype)
    around[:, padding : padding + h, padding : padding + w] = words
    return around


def _pool(y: np.ndarray) -> np.ndarray:
    """(N, H, W, C) → (N, H//2, W//2, C): the maximum of each 2×2."""
    n, h, w, c = y.shape
    return y[:, : h // 2 * 2, : w // 2 * 2].reshape(n, h // 2, 2, w // 2, 2, c).max(axis=(2, 4))


class Fast(Readable):
    """numba, with as many of torch's threads as the work is worth. None is kept, so a forked process can go on.

    Layers come in chains; what is finished alone, as in float64, NumPy finishes.
    """

    name = "numba"

    def __init__(self) -> None:
        import numba  # noqa: F401 - where it is missing now, though the kernels were imported before

        from . import chains, kernels
        self.kernels, self.whole = kernels, chains
        self.counts, self.table = target().counts, words.look_up_table()

    def share(self, products: int, kernel: Callable[..., None], *args: Any, state: np.ndarray | None = None) -> None:
        """kernel(*args, state), by as many threads as so many ``products`` of ±1 are worth."""
        together(products // PRODUCTS_A_THREAD, kernel, *args, np.zeros(2, np.int64) if state is None else state)

    def sign_words(self, x: np.ndarray, shift: np.ndarray, padding: int) -> np.ndarray:
        n, h, w, c = x.shape
        padded = np.zeros((n, h + 2 * padding, w + 2 * padding, -(-c // 64)), np.uint64)
        self.share(x.size * PRODUCTS_A_VALUE, self.kernels.sign_words, x, shift, padding, padded)
        return padded

    def looks_up(self, sums: type = np.int16) -> bool:
        """Whether the popcounts are looked up: 16 bits hold the sums, and no instruction counts them faster."""
        return sums == np.int16 and self.counts == "vpshufb"

    def chains(self, layers: Sequence[Any], x: np.ndarray) -> bool:
        """Whether :class:`.whole.Chain` takes these layers with this input."""
        return x.dtype == np.float32 and all(
            layer.channels % 16 == layer.outputs % 16 == 0 and layer.kernel**2 * layer.channels < 2**15 - 1
            for layer in layers)  # fmt: skip

    def multiplies(self, conv: Any, x: torch.Tensor) -> bool:
        """Whether :meth:`real` takes these; where only every second pixel is seen, torch is faster with AVX-512."""
        apart = self.counts == "vpopcnt" and conv.weight.shape[2] < conv.stride
        return self.counts != "cnt" and not apart and x.dtype == torch.float32 and len(conv.weight) % 16 == 0

    def real(self, x: np.ndarray, conv: Any, pooled: bool = False, between: float = np.inf) -> np.ndarray:
        """(N, H, W, C) → (N, H', W', O): a :class:`.network.RealConv`; of each 3×3, 2 apart, the largest; clipped."""
        p, k = conv.padding, conv.weight.shape[2]
        x = _bordered(x, p) if p else x
        high, wide = ((side - k) // conv.stride + 1 for side in x.shape[1:3])
        shape = (high + 1) // 2 if pooled else high, (wide + 1) // 2 if pooled else wide
        out = np.empty((len(x), *shape, len(conv.weight)), np.float32)
        products = len(x) * high * wide * conv.weight.numel() * PRODUCTS_A_MULTIPLICATION
        args = conv.blocks, conv.offset.numpy(), conv.stride
        if pooled:
            self.share(products, self.whole.pooled_convolution, x, *args, wide, out)
        else:
            flat = k == conv.stride == 1  # an image is a row of its pixels: fewer tiles at the end of a row
            images, outs = (a.reshape(len(a), 1, -1, a.shape[3]) if flat else a for a in (x, out))
            self.share(products, self.whole.real_convolution, images, *args, outs)
        return np.clip(out, -between, between, out=out) if between < np.inf else out

    def convolve(self, padded: np.ndarray, layer: Any) -> np.ndarray:
        geometry = layer.geometry(padded)
        looked_up = self.looks_up(geometry.sums)
        base, (weight, how) = layer.base(geometry), layer.for_tiles(looked_up, padded.shape[2])
        y = np.empty((len(padded), geometry.out_height, geometry.out_width, base.padded.shape[-1]), geometry.sums)
        self.share(y.size * geometry.kernel**2 * geometry.channels, self.kernels.convolve, padded,
                    geometry.out_height * geometry.out_width, base.indices, base.padded, weight, how, self.table,
                    y.reshape(-1, y.shape[3]))  # fmt: skip
        return y if y.shape[3] == geometry.outputs else y[..., : geometry.outputs].copy()


def engine(name: str | None = None) -> Readable:
    """The engine called ``name``, "numpy" or "numba"; None: numba where it compiles. UsageError for another."""
    if name not in (None, "numpy", "numba"):
        raise unknown("engine", name, ("numpy", "numba"))
    if name != "numpy":
        with suppress(ImportError):
            if target().compiled:
                return Fast()
    if name == "numba":
        raise UsageError("engine 'numba': numba isn't installed or doesn't compile here; use 'numpy'")
    return Readable()

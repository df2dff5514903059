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

import threading
from contextlib import suppress

import numpy as np
import torch

from ..errors import UsageError, unknown
from ..system.target import target
from . import words
from .words import pack_words

_ONE_AT_A_TIME = threading.Lock()
VALUES_A_THREAD, PRODUCTS_A_VALUE = 2**17, 512  # about a tenth of a millisecond; of a convolution, as work


class Readable:
    """NumPy: ``np.bitwise_count`` and nothing that needs a compiler."""

    name = "numpy"
    lock = None  # to be held while a network runs, where Python's threads can't compute side by side

    def chains(self, layers, x) -> bool:
        """Whether there is a kernel for several layers at once."""
        return False

    def multiplies(self, conv, x) -> bool:
        """Whether there is a kernel for real convolutions, faster than torch's."""
        return False

    def sign_words(self, x, shift, padding):
        return _bordered(pack_words(x + shift[:, None, None, :] >= 0), padding)

    def convolve(self, padded, layer):
        p = layer.padding
        inner = padded[:, p : padded.shape[1] - p, p : padded.shape[2] - p]
        return words.convolve(inner, layer.words, layer.base(layer.geometry(padded)))

    def finish(self, y, layer, pooled=False, shortcut=None):
        y = _pool(y) if pooled else y
        value = layer.factor * y.astype(layer.factor.dtype) + layer.offset
        if shortcut is not None:
            value = value + shortcut
        if layer.slope is None:
            return np.clip(value, -1, 1)
        return np.where(value < 0, value * layer.slope, value)

    def layer(self, padded, layer, shortcut=None):
        return self.finish(self.convolve(padded, layer), layer, shortcut=shortcut)

    def signs(self, padded, layer, switch, pooled, padding):
        y = self.convolve(padded, layer)
        return _bordered(pack_words(((_pool(y) if pooled else y) >= switch.point) ^ switch.falling), padding)

    def means(self, x):
        return x.mean(axis=(1, 2))


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


class Fast:
    """numba, with as many threads as torch has in the thread that calls it."""

    name = "numba"
    lock = None

    def __init__(self) -> None:
        import numba

        from . import chains, kernels
        self.kernels, self.whole, self.numba = kernels, chains, numba
        self.counts, self.table = target().counts, words.look_up_table()
        threads = torch.get_num_threads()
        self._threads(0)
        kernels.channel_means(np.zeros((1, 1, 1, 1), np.float32), np.zeros((1, 1), np.float32))
        torch.set_num_threads(threads)  # both may share one OpenMP, and numba's first launch sets its number
        if numba.threading_layer() == "workqueue":  # numba's own pool, where there is no OpenMP: one caller at a time
            self.lock = _ONE_AT_A_TIME

    def _threads(self, values: int) -> None:
        """Use as many of torch's threads as so many values are worth: each meeting of threads may cost one its core."""
        allowed = min(torch.get_num_threads(), self.numba.config.NUMBA_NUM_THREADS)
        self.numba.set_num_threads(max(1, min(allowed, values // VALUES_A_THREAD)))

    def sign_words(self, x, shift, padding):
        n, h, w, c = x.shape
        padded = np.zeros((n, h + 2 * padding, w + 2 * padding, -(-c // 64)), np.uint64)
        self._threads(x.size)
        self.kernels.sign_words(x, shift, padding, padded)
        return padded

    def _tables(self, padded, layer):
        table, starts, classes = layer.base(layer.geometry(padded)).by_pixel
        tiles = len(padded) * len(starts) // self.kernels.PIXELS
        unit = min(16, max(1, tiles // (4 * self.numba.get_num_threads()))) * self.kernels.PIXELS
        return padded, layer.blocks, table, starts, classes, unit

    def _looks_up(self, geometry):
        """Whether the popcounts are looked up: 16 bits hold their sums, and no instruction counts them faster."""
        return geometry.sums == np.int16 and self.counts == "vpshufb"

    def chains(self, layers, x) -> bool:
        """Whether :class:`.whole.Chain` takes these layers with this input: of ASD's bounds it knows σ alone."""
        narrow = any(layer.channels <= 32 for layer in layers)
        fits = all(layer.channels % 16 == layer.outputs % 16 == 0 and layer.kernel**2 * layer.channels < 2**15 - 1
                   and layer.bound is not np.tanh for layer in layers)  # fmt: skip
        return x.dtype == np.float32 and fits and (self.counts == "vpshufb" or narrow and self.counts == "vpopcnt")

    def multiplies(self, conv, x) -> bool:
        """Whether :meth:`real` takes this convolution and input."""
        return self.counts == "vpshufb" and x.dtype == torch.float32 and len(conv.weight) % 16 == 0

    def real(self, x, conv, pooled=False, between=np.inf):
        """(N, H, W, C) → (N, H', W', O): a :class:`.network.RealConv`; of each 3×3, 2 apart, the largest; clipped."""
        p, k = conv.padding, conv.weight.shape[2]
        x = _bordered(x, p) if p else x
        high, wide = ((side - k) // conv.stride + 1 for side in x.shape[1:3])
        args = x, conv.blocks, conv.offset.numpy(), conv.stride
        if pooled:
            out = np.empty((len(x), (high + 1) // 2, (wide + 1) // 2, len(conv.weight)), np.float32)
            self.whole.pooled_convolution(*args, wide, out)
        else:
            out = np.empty((len(x), high, wide, len(conv.weight)), np.float32)
            self.whole.real_convolution(*args, out)
        return np.clip(out, -between, between, out=out) if between < np.inf else out

    def convolve(self, padded, layer):
        geometry = layer.geometry(padded)
        base = layer.base(geometry)
        y = np.empty((len(padded), geometry.out_height, geometry.out_width, base.by_pixel[0].shape[1]), geometry.sums)
        self._threads(y.size * geometry.kernel**2 * geometry.channels // PRODUCTS_A_VALUE)
        if self._looks_up(geometry):
            self.kernels.convolve_by_table(padded, layer.half_bytes, self.table, base.offsets, *base.by_pixel, y)
        else:
            self.kernels.convolve(*self._tables(padded, layer), y)
        return y if y.shape[3] == geometry.outputs else y[..., : geometry.outputs].copy()

    def _rest(self, layer, shortcut, out):
        slope = layer.factor[:0] if layer.slope is None else layer.slope
        return layer.factor, layer.offset, slope, out if shortcut is None else shortcut, shortcut is not None, out

    def finish(self, y, layer, pooled=False, shortcut=None):
        n, h, w, c = y.shape
        out = np.empty((n, h // 2, w // 2, c) if pooled else y.shape, layer.factor.dtype)
        self._threads(y.size)
        self.kernels.finish(y, pooled, *self._rest(layer, shortcut, out))
        return out

    def layer(self, padded, layer, shortcut=None):
        geometry = layer.geometry(padded)
        if layer.factor.dtype != np.float32 or geometry.outputs % 16 or self._looks_up(geometry):
            return self.finish(self.convolve(padded, layer), layer, shortcut=shortcut)
        out = np.empty((len(padded), geometry.out_height, geometry.out_width, geometry.outputs), np.float32)
        self._threads(out.size * geometry.kernel**2 * geometry.channels // PRODUCTS_A_VALUE)
        self.kernels.layer(*self._tables(padded, layer), *self._rest(layer, shortcut, out))
        return out

    def signs(self, padded, layer, switch, pooled, padding):
        y = self.convolve(padded, layer)
        n, h, w, c = y.shape
        h, w = (h // 2, w // 2) if pooled else (h, w)
        words = np.zeros((n, h + 2 * padding, w + 2 * padding, -(-c // 64)), np.uint64)
        self._threads(y.size)
        self.kernels.switch_words(y, pooled, switch.point, switch.flip, padding, words)
        return words

    def means(self, x):
        out = np.empty((len(x), x.shape[3]), x.dtype)
        self._threads(x.size)
        self.kernels.channel_means(x, out)
        return out


def engine(name: str | None = None):
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

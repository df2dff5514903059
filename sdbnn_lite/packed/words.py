"""The binary convolution on words of 64 bits, as NumPy has it: XOR, popcount, and one table for the border.

    one product     â·ŵ = +1 where the bits agree, -1 where they differ       (bit 1 is +1, bit 0 is -1)
    64 of them      64 - 2·popcount(x XOR w)
    a convolution   y = base - 2·Σ_taps popcount(x_tap XOR w_tap)

x   (N, H, W, K) uint64     activations: bit c % 64 of word c // 64, K = ⌈C/64⌉; unused bits are 0
w   (O, k, k, K) uint64     weights, likewise, so that unused bits never differ
y   (N, H', W', O) int16    exactly conv2d(â, ŵ), zero-padded after the sign; int32 where k²·C is too large

A padded pixel is stored as words of 0, which would count as -1 in every channel, though it has to add 0; ``base`` =
C·(taps inside) + 2·Σ_{taps outside} popcount(w_tap) puts it right. It differs only between outputs that see different
taps, so it is a small table over border classes.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ..errors import UsageError

WORD = 64


def pack_words(signs: np.ndarray) -> np.ndarray:
    """(..., C) of booleans (True: +1) → (..., ⌈C/64⌉) uint64, the first channel in the lowest bit."""
    *shape, channels = signs.shape
    full = np.zeros((*shape, -(-channels // WORD) * 8), np.uint8)
    full[..., : -(-channels // 8)] = np.packbits(signs, axis=-1, bitorder="little")
    return full.view("<u8").astype(np.uint64)


def pack_weights(w: np.ndarray) -> np.ndarray:
    """ŵ (O, C, kh, kw), every value ±1 → (O, kh, kw, K) uint64. Raises UsageError where it isn't ±1."""
    if w.ndim != 4 or not np.isin(w, (-1, 1)).all():
        raise UsageError(f"w: shape {w.shape} given; (O, C, kh, kw) of nothing but +1 and -1 is needed")
    return pack_words(w.transpose(0, 2, 3, 1) > 0)


def sum_type(most: int) -> type[np.signedinteger]:
    """int16 where it holds every sum from -most to most, and one more for a threshold above them; else int32."""
    return np.int16 if most < 2**15 - 1 else np.int32


@dataclass(frozen=True)
class Geometry:
    """Sizes of a convolution: C inputs of H × W pixels, O outputs, kernel k, stride, padding."""

    channels: int
    outputs: int
    height: int
    width: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1

    def __post_init__(self) -> None:
        if min(self.out_height, self.out_width) < 1:
            raise UsageError(f"images of {self.height}×{self.width} pixels are too small for a kernel of {self.kernel} "
                             f"with padding {self.padding}")  # fmt: skip

    @property
    def out_height(self) -> int:
        return (self.height + 2 * self.padding - self.kernel) // self.stride + 1

    @property
    def out_width(self) -> int:
        return (self.width + 2 * self.padding - self.kernel) // self.stride + 1

    @property
    def sums(self) -> type[np.signedinteger]:
        """The type of y."""
        return sum_type(self.kernel**2 * self.channels)

    def classes(self, outputs: int, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Along one axis: the class of each output, and which taps each class has inside, (classes, k) bool."""
        place = np.arange(outputs)[:, None] * self.stride - self.padding + np.arange(self.kernel)
        inside, index = np.unique((place >= 0) & (place < size), axis=0, return_inverse=True)
        return index.reshape(-1), inside


@dataclass(frozen=True)
class Base:
    """``table`` (row classes, column classes, O) int32, and the class of every output row and column."""

    table: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    geometry: Geometry

    def at_every_pixel(self) -> np.ndarray:
        """(H', W', O)."""
        return self.table[self.rows[:, None], self.columns]

    @cached_property
    def padded(self) -> np.ndarray:
        """The table as the numba kernels read it: (classes, O') int32, O' = 16·⌈O/16⌉."""
        table = self.table.reshape(-1, self.geometry.outputs)
        return np.pad(table, ((0, 0), (0, -table.shape[1] % 16)))

    @cached_property
    def indices(self) -> np.ndarray:
        """What the numba kernels read beside it, int64, all in bytes.

        (H'·W',) from an image's first word, border included, to each output pixel's upper left tap; (H'·W',) from the
        table's beginning to the pixel's row of it; (k·k·⌈C/8⌉,) from a tap to every byte of 8 channels that it sees.
        """
        g, pixel, taps = self.geometry, -(-self.geometry.channels // WORD) * 8, np.arange(self.geometry.kernel)
        row = (g.width + 2 * g.padding) * pixel
        starts = np.arange(g.out_height)[:, None] * g.stride * row + np.arange(g.out_width) * g.stride * pixel
        classes = self.rows[:, None] * self.table.shape[1] + self.columns
        offsets = (taps[:, None] * row + taps * pixel)[..., None] + np.arange(-(-g.channels // 8))
        parts = starts, classes * self.padded.shape[1] * 4, offsets
        return np.concatenate([part.reshape(-1) for part in parts]).astype(np.int64)


def side_by_side(words: np.ndarray, narrow: bool) -> np.ndarray:
    """(O, k, k, K) uint64 → (⌈O/16⌉, k, 2·k·K, 16) uint32, aligned; k·K where ``narrow``: the lower halves alone."""
    o, k, _, count = words.shape
    halves = words.astype("<u8").reshape(o, k, k * count).view("<u4")[..., :: 1 + narrow]
    full = np.pad(halves, ((0, -o % 16), (0, 0), (0, 0)))
    return aligned(full.reshape(-1, 16, *full.shape[1:]).transpose(0, 2, 3, 1))


def half_bytes(w: np.ndarray, channels: int, groups: int) -> np.ndarray:
    """Weights as the table's columns: w (O, k, k, K) → (⌈O/16⌉ / groups, k·k·⌈C/8⌉, groups, 32) uint8.

    For each byte of 8 channels the lower halves of 16 filters, then their upper halves.
    """
    used = w.astype("<u8").view(np.uint8).reshape(*w.shape[:3], -1)[..., : -(-channels // 8)].reshape(len(w), -1)
    full = np.zeros((-(-len(w) // 16) * 16, used.shape[1]), np.uint8)
    full[: len(w)] = used
    full = full.reshape(-1, groups, 16, used.shape[1]).transpose(0, 3, 1, 2)
    return aligned(np.concatenate([full & 15, full >> 4], axis=-1))


def look_up_table() -> np.ndarray:
    """(256, 32) uint8: for each byte x the popcounts of its lower half XOR 0 … 15, then of its upper half."""
    x, w = np.arange(256, dtype=np.uint8)[:, None], np.arange(16, dtype=np.uint8)
    return aligned(np.bitwise_count(np.concatenate([x & 15 ^ w, x >> 4 ^ w], axis=1)))


def aligned(a: np.ndarray) -> np.ndarray:
    """A copy that begins at a multiple of 64 bytes, the whole line of a cache."""
    room = np.empty(a.nbytes + 64, np.uint8)
    start = -room.ctypes.data % 64
    copy = room[start : start + a.nbytes].view(a.dtype).reshape(a.shape)
    copy[...] = a
    return copy


def base_of(w: np.ndarray, geometry: Geometry) -> Base:
    """What is left of the popcount's total: see the module. ``w`` (O, k, k, K) uint64."""
    ones = np.bitwise_count(w).sum(axis=-1, dtype=np.int64)  # (O, k, k): +1s of every tap
    rows, row_taps = geometry.classes(geometry.out_height, geometry.height)
    columns, column_taps = geometry.classes(geometry.out_width, geometry.width)
    inside = row_taps[:, None, :, None] & column_taps[None, :, None, :]  # (row classes, column classes, k, k)
    outside = np.einsum("rcij,oij->rco", ~inside, ones)
    table = geometry.channels * inside.sum((2, 3))[:, :, None] + 2 * outside
    return Base(table.astype(np.int32), rows.astype(np.int64), columns.astype(np.int64), geometry)


@dataclass(frozen=True)
class Window:
    """Where the outputs of any convolution look: pairs for rows and columns; ``padding`` before and behind in each."""

    stride: tuple[int, int] = (1, 1)
    padding: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))
    dilation: tuple[int, int] = (1, 1)

    def taps(self, grid: np.ndarray, kernel: tuple[int, int]) -> np.ndarray:
        """(N, H, W, ...) → (N, H', W', ..., kh, kw): what each output sees of it, zeros where it looks outside."""
        padded = np.pad(grid, ((0, 0), *self.padding, *[(0, 0)] * (grid.ndim - 3)))
        (down, right), (high, wide) = self.stride, self.dilation
        extent = (high * (kernel[0] - 1) + 1, wide * (kernel[1] - 1) + 1)
        if padded.shape[1] < extent[0] or padded.shape[2] < extent[1]:
            raise UsageError(f"images of {grid.shape[1]}×{grid.shape[2]} pixels are too small for a kernel of "
                             f"{kernel[0]}×{kernel[1]} with {self}")  # fmt: skip
        return sliding_window_view(padded, extent, (1, 2))[:, ::down, ::right, ..., ::high, ::wide]


def convolve(x: np.ndarray, w: np.ndarray, base: Base) -> np.ndarray:
    """y (N, H', W', O) of words x (N, H, W, K) and w (O, k, k, K), as the module's equations have it."""
    g = base.geometry
    taps = Window((g.stride, g.stride), ((g.padding, g.padding),) * 2).taps(x, w.shape[1:3])
    different = np.zeros((*taps.shape[:3], g.outputs), np.int64)
    for i, j, word in np.ndindex(w.shape[1:]):
        different += np.bitwise_count(taps[..., word, i, j, None] ^ w[:, i, j, word])
    return (base.at_every_pixel() - 2 * different).astype(g.sums)


def convolve_groups(x: np.ndarray, w: np.ndarray, channels: int, window: Window) -> np.ndarray:
    """y (N, H', W', O) int32 for any ``window`` and G groups: C·(taps inside) - 2·Σ_{taps inside} popcount(x XOR w).

    x (N, H, W, G, K) and w (O, kh, kw, K): words of the ``channels`` C of one group, which has O / G filters.
    """
    taps = window.taps(x, w.shape[1:3])
    inside = window.taps(np.ones((1, *x.shape[1:3], 1, 1), np.uint8), w.shape[1:3])
    groups = w.reshape(x.shape[3], -1, *w.shape[1:])
    different = np.zeros((*taps.shape[:4], groups.shape[1]), np.int32)
    for i, j, word in np.ndindex(w.shape[1:]):
        different += np.bitwise_count(taps[..., word, None, i, j] ^ groups[..., i, j, word]) * inside[..., i, j]
    y = channels * inside.sum((-2, -1), dtype=np.int32) - 2 * different
    return y.reshape(*y.shape[:3], len(w))

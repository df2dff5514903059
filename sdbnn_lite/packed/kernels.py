"""The packed layer's loops, channels innermost: (N, H, W, C), as torch's channels_last keeps it in memory.

x, out   (N, H, W, C) float32 or float64    real activations
shift    (N, C) of the same type            ASD's or RSign's, or zeros
words    (N, H+2p, W+2p, K) uint64          their signs, with a border of zeros
weight   (⌈O/16⌉, k, 2·k·K, 16) uint32      16 filters side by side, words in halves
base     (classes of pixels, O') int32      see :mod:`.words`; O' = 16·⌈O/16⌉, and the outputs of ``convolve`` too
starts   (H'·W',) int64                     bytes from an image's first word to each output pixel's upper left tap
classes  (H'·W',) int64                     the row of ``base`` of each output pixel
unit                                        pixels that a thread takes at once
"""

import numpy as np
from numba import njit, prange

from ..system.target import keeps_code
from . import tiles

# compiled in: tiles.py b3495f3a, llvm.py f2a19a71, target.py c100431e

_options = {"parallel": True, "cache": keeps_code(), "nogil": True, "error_model": "numpy"}
_inline = {**_options, "parallel": False}
FILTERS, PIXELS = tiles.FILTERS, tiles.PIXELS
UNIT = 13 * tiles.LOOKED_UP  # pixels looked up at once: their sums, the table and the weights fit a first cache


@njit(**_inline)
def _signs(values, limits, channels, size, zero, words):
    """words = comparisons of ``channels`` numbers of ``size`` bytes at two addresses, see ``tiles.word_of``."""
    for k in range(-(-channels // 64)):
        c, last, word = 64 * k, min(64 * k + 64, channels), np.uint64(0)
        if last - c == 64:
            word, c = tiles.word_of(values + c * size, limits + c * size, zero), last
        while c + 8 <= last:
            word |= tiles.byte_of(values + c * size, limits + c * size, zero) << np.uint64(c % 64)
            c += 8
        while c < last:
            word |= tiles.bit_of(values + c * size, limits + c * size, zero) << np.uint64(c % 64)
            c += 1
        words[k] = word


@njit(**_options)
def sign_words(x, shift, padding, words):
    """words = the signs of x + shift."""
    images, height, width, channels = x.shape
    size, zero = x.itemsize, x.dtype.type(0)
    for i in prange(images * height):
        n, row = i // height, i % height
        s0 = shift.ctypes.data + n * channels * size
        for column in range(width):
            x0 = x.ctypes.data + (i * width + column) * channels * size
            _signs(x0, s0, channels, size, zero, words[n, row + padding, column + padding])


@njit(**_inline)
def _addresses(first, count, words, starts, classes, base, places, bases):
    """Where the words and base values of ``count`` pixels from number ``first`` on begin."""
    image = words.shape[1] * words.shape[2] * words.shape[3] * 8
    n, at = first // len(starts), first % len(starts)
    for p in range(count):
        places[p] = words.ctypes.data + n * image + starts[at]
        bases[p] = base.ctypes.data + classes[at] * base.shape[1] * 4
        at += 1
        if at == len(starts):
            n, at = n + 1, 0


@njit(**_options)
def convolve(words, weight, base, starts, classes, unit, y):
    """y (N, H', W', O') int16 or int32 = conv2d(â, ŵ), exactly."""
    pixels, outputs = len(words) * len(starts), y.shape[3]
    blocks, kernel, across, _ = weight.shape
    row, zero = words.shape[2] * words.shape[3] * 8, y.dtype.type(0)
    for i in prange(-(-pixels // unit)):
        places, bases = np.empty(PIXELS, np.int64), np.empty(PIXELS, np.int64)
        last = min(i * unit + unit, pixels)
        first = i * unit
        while first < last:
            many = PIXELS if pixels >= PIXELS else 1
            first = min(first, pixels - many)  # the last tile takes some of the one before once more
            _addresses(first, many, words, starts, classes, base, places, bases)
            for block in range(blocks):
                w = weight.ctypes.data + block * kernel * across * FILTERS * 4
                to = y.ctypes.data + (first * outputs + block * FILTERS) * y.itemsize
                args = places.ctypes.data, kernel, row, across, w, bases.ctypes.data, to, outputs * y.itemsize, zero
                if many == PIXELS:
                    tiles.sums_more(*args)
                else:
                    tiles.sums_1px(*args)
                for p in range(many):
                    bases[p] += FILTERS * 4
            first += many


@njit(**_inline)
def look_up(words, first, last, block, weight, table, offsets, starts, places, counts):
    """counts = popcounts of one image's pixels ``first`` … ``last`` - 1, whose words begin at an address, by one block.

    places (UNIT,) int64 and counts (UNIT, 16·groups) uint16 are room for them.
    """
    _, steps, groups, size = weight.shape
    turns = -(-(last - first) // tiles.LOOKED_UP)
    for p in range(turns * tiles.LOOKED_UP):
        places[p] = words + starts[min(first + p, last - 1)]
    counts[:] = 0
    for step in range(0, steps, tiles.STEPS):
        many, w = min(tiles.STEPS, steps - step), weight.ctypes.data + (block * steps + step) * groups * size
        for turn in range(turns):
            p = turn * tiles.LOOKED_UP
            args = (
                places.ctypes.data + 8 * p, offsets.ctypes.data + 8 * step, many, w, table.ctypes.data,
                counts.ctypes.data + 2 * FILTERS * groups * p,
            )  # fmt: skip
            if groups == 1:
                tiles.look_up(*args)
            else:
                tiles.look_up_wide(*args)


@njit(**_options)
def convolve_by_table(words, weight, table, offsets, base, starts, classes, y):
    """As :func:`convolve`, where the popcounts are looked up: ``weight`` and ``table`` see :mod:`.words`."""
    images, pixels, outputs = len(words), len(starts), y.shape[3]
    blocks, _, groups, _ = weight.shape
    units, image = -(-pixels // UNIT), words.shape[1] * words.shape[2] * words.shape[3] * 8
    for i in prange(images * units * blocks):
        n, first, block = i // (units * blocks), i // blocks % units * UNIT, i % blocks
        last = min(first + UNIT, pixels)
        places, counts = np.empty(UNIT, np.int64), np.empty((UNIT, FILTERS * groups), np.uint16)
        look_up(words.ctypes.data + n * image, first, last, block, weight, table, offsets, starts, places, counts)
        for p in range(first, last):
            for c in range(0, FILTERS * groups, FILTERS):
                filters = block * groups * FILTERS + c
                bases = base.ctypes.data + (classes[p] * outputs + filters) * 4
                to = y.ctypes.data + ((n * pixels + p) * outputs + filters) * y.itemsize
                tiles.looked_up_sums(counts[p - first, c:].ctypes.data, 0, 0, 0, 0, bases, to, 0, y.dtype.type(0))


@njit(**_inline)
def _sum_at(y, n, row, column, c, pooled):
    """A sum of y, or the maximum of 2×2 of them."""
    if not pooled:
        return y[n, row, column, c]
    upper = max(y[n, 2 * row, 2 * column, c], y[n, 2 * row, 2 * column + 1, c])
    return max(upper, max(y[n, 2 * row + 1, 2 * column, c], y[n, 2 * row + 1, 2 * column + 1, c]))


@njit(**_options)
def layer(words, weight, base, starts, classes, unit, factor, offset, slope, shortcut, has_shortcut, out):
    """out = act(factor·y + offset [+ shortcut]) in float32, y as in :func:`convolve`, for O a multiple of 16.

    act is Hardtanh where ``slope`` is empty, else PReLU with that slope per channel.
    """
    pixels, outputs = len(words) * len(starts), out.shape[3]
    blocks, kernel, across, _ = weight.shape
    row = words.shape[2] * words.shape[3] * 8
    prelu, nothing = len(slope) > 0, np.zeros(FILTERS, np.float32)
    for i in prange(-(-pixels // unit)):
        places, bases = np.empty(PIXELS, np.int64), np.empty(PIXELS, np.int64)
        last = min(i * unit + unit, pixels)
        first = i * unit
        while first < last:
            many = PIXELS if pixels >= PIXELS else 1
            first = min(first, pixels - many)  # the last tile takes some of the one before once more
            _addresses(first, many, words, starts, classes, base, places, bases)
            for block in range(blocks):
                w = weight.ctypes.data + block * kernel * across * FILTERS * 4
                c = block * FILTERS * 4
                at = first * outputs * 4 + c
                around = shortcut.ctypes.data + at if has_shortcut else nothing.ctypes.data
                args = (
                    places.ctypes.data, kernel, row, across, w, bases.ctypes.data, out.ctypes.data + at, outputs * 4,
                    factor.ctypes.data + c, offset.ctypes.data + c, slope.ctypes.data + c,
                    around, outputs * 4 * has_shortcut,
                )  # fmt: skip
                if prelu:
                    if many == PIXELS:
                        tiles.prelu_more(*args)
                    else:
                        tiles.prelu_1px(*args)
                elif many == PIXELS:
                    tiles.hardtanh_more(*args)
                else:
                    tiles.hardtanh_1px(*args)
                for p in range(many):
                    bases[p] += FILTERS * 4
            first += many


@njit(**_options)
def finish(y, pooled, factor, offset, slope, shortcut, has_shortcut, out):
    """out = act(factor·y + offset [+ shortcut]) of finished sums; ``pooled``: of the maximum of each 2×2 of them."""
    images, height, width, outputs = out.shape
    one = out.dtype.type(1)
    for i in prange(images * height):
        n, row = i // height, i % height
        for column in range(width):
            to = out[n, row, column]
            for c in range(outputs):
                value = factor[c] * out.dtype.type(_sum_at(y, n, row, column, c, pooled)) + offset[c]
                if has_shortcut:
                    value += shortcut[n, row, column, c]
                if len(slope) == 0:
                    to[c] = min(max(value, -one), one)
                else:
                    to[c] = value * slope[c] if value < 0 else value


@njit(**_options)
def switch_words(y, pooled, switch, flip, padding, words):
    """words = [y >= switch] XOR flip of finished sums, with a border; ``pooled``: of the maximum of each 2×2 of them.

    switch (O,) of y's type, flip (K,) uint64: see :mod:`.thresholds`.
    """
    images, high, wide, k_words = words.shape
    outputs = len(switch)
    for i in prange(images * (high - 2 * padding)):
        n, row = i // (high - 2 * padding), i % (high - 2 * padding)
        best = np.empty(outputs, y.dtype)
        for column in range(wide - 2 * padding):
            for c in range(outputs):
                best[c] = _sum_at(y, n, row, column, c, pooled)
            to = words[n, row + padding, column + padding]
            _signs(best.ctypes.data, switch.ctypes.data, outputs, y.itemsize, y.dtype.type(0), to)
            for k in range(k_words):
                to[k] ^= flip[k]


@njit(**_options)
def channel_means(x, means):
    """means (N, C) = x (N, H, W, C) over the pixels."""
    images, height, width, channels = x.shape
    for n in prange(images):
        total = np.zeros(channels, np.float64)
        for row in range(height):
            for column in range(width):
                for c in range(channels):
                    total[c] += x[n, row, column, c]
        for c in range(channels):
            means[n, c] = total[c] / (height * width)

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

from . import tiles

# compiled in: tiles.py 333b2d66, llvm.py f2a19a71

_options = {"parallel": True, "cache": True, "nogil": True, "error_model": "numpy"}
_inline = {"cache": True, "nogil": True, "error_model": "numpy"}
FILTERS, PIXELS = tiles.FILTERS, tiles.PIXELS


@njit(**_options)
def sign_words(x, shift, padding, words):
    """words = the signs of x + shift."""
    images, height, width, channels = x.shape
    whole, size, zero = channels // 64, x.itemsize, x.dtype.type(0)
    for i in prange(images * height):
        n, row = i // height, i % height
        s0 = shift.ctypes.data + n * channels * size
        for column in range(width):
            x0 = x.ctypes.data + (i * width + column) * channels * size
            to = words[n, row + padding, column + padding]
            for k in range(whole):
                to[k] = tiles.word_of(x0 + 64 * k * size, s0 + 64 * k * size, zero)
            if channels % 64:
                word = np.uint64(0)
                for c in range(whole * 64, channels):
                    if x[n, row, column, c] + shift[n, c] >= 0:
                        word |= np.uint64(1) << np.uint64(c % 64)
                to[whole] = word


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
                    tiles.sums_8px(*args)
                else:
                    tiles.sums_1px(*args)
                for p in range(many):
                    bases[p] += FILTERS * 4
            first += many


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
                        tiles.prelu_8px(*args)
                    else:
                        tiles.prelu_1px(*args)
                elif many == PIXELS:
                    tiles.hardtanh_8px(*args)
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
    whole, zero = outputs // 64, y.dtype.type(0)
    for i in prange(images * (high - 2 * padding)):
        n, row = i // (high - 2 * padding), i % (high - 2 * padding)
        best = np.empty(outputs, y.dtype)
        for column in range(wide - 2 * padding):
            for c in range(outputs):
                best[c] = _sum_at(y, n, row, column, c, pooled)
            to = words[n, row + padding, column + padding]
            for k in range(whole):
                at = 64 * k * y.itemsize
                to[k] = tiles.word_of(best.ctypes.data + at, switch.ctypes.data + at, zero) ^ flip[k]
            if outputs % 64:
                word = np.uint64(0)
                for c in range(whole * 64, outputs):
                    if best[c] >= switch[c]:
                        word |= np.uint64(1) << np.uint64(c % 64)
                to[whole] = word ^ flip[whole]


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

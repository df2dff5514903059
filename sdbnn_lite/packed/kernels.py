"""The packed layer's loops, channels innermost: (N, H, W, C), as torch's channels_last keeps it in memory.

x, out   (N, H, W, C) float32 or float64    real activations
shift    (N, C) of the same type            ASD's or RSign's, or zeros
words    (N, H+2p, W+2p, K) uint64          their signs, with a border of zeros
weight   (⌈O/16⌉, k, k·K, 16) uint64        16 filters side by side
base     (row classes, column classes, O) int32 and the classes, see :mod:`.words`
"""

import numpy as np
from numba import njit, prange

from . import tiles

_options = {"parallel": True, "cache": True, "nogil": True, "error_model": "numpy"}
_inline = {"cache": True, "nogil": True, "error_model": "numpy"}
FILTERS = tiles.FILTERS


@njit(**_inline)
def _word(values, shifts, itemsize):
    """64 bits [value + shift >= 0]; both are addresses."""
    if itemsize == 4:
        return tiles.word_of_float32(values, shifts)
    return tiles.word_of_float64(values, shifts)


@njit(**_options)
def sign_words(x, shift, padding, words):
    """words = the signs of x + shift."""
    images, height, width, channels = x.shape
    whole, size = channels // 64, x.itemsize
    for i in prange(images * height):
        n, row = i // height, i % height
        s0 = shift.ctypes.data + n * channels * size
        for column in range(width):
            x0 = x.ctypes.data + (i * width + column) * channels * size
            to = words[n, row + padding, column + padding]
            for k in range(whole):
                to[k] = _word(x0 + 64 * k * size, s0 + 64 * k * size, size)
            if channels % 64:
                word = np.uint64(0)
                for c in range(whole * 64, channels):
                    if x[n, row, column, c] + shift[n, c] >= 0:
                        word |= np.uint64(1) << np.uint64(c % 64)
                to[whole] = word


@njit(**_inline)
def _count_row(words, weight, n, row, stride, width, block, counts):
    """counts (W', 16) int32: differing bits of one row of outputs and 16 filters."""
    high, wide, k_words = words.shape[1:]
    _, kernel, across, _ = weight.shape
    pixel = stride * k_words * 8
    x = words.ctypes.data + ((n * high + row * stride) * wide) * k_words * 8
    w = weight.ctypes.data + block * kernel * across * FILTERS * 8
    to = counts.ctypes.data
    column = 0
    while column + 4 <= width:
        tiles.popcount_tile_4px(
            x + column * pixel, pixel, kernel, wide * k_words * 8, across, w, to + column * FILTERS * 4
        )
        column += 4
    while column < width:
        tiles.popcount_tile_1px(
            x + column * pixel, pixel, kernel, wide * k_words * 8, across, w, to + column * FILTERS * 4
        )
        column += 1


@njit(**_options)
def convolve(words, weight, stride, base, row_class, column_class, y):
    """y (N, H', W', O) int32 = conv2d(â, ŵ), exactly."""
    images, height, width, outputs = y.shape
    blocks = len(weight)
    for i in prange(images * height):
        n, row = i // height, i % height
        counts = np.empty((width, FILTERS), np.int32)
        for block in range(blocks):
            first = block * FILTERS
            used = min(FILTERS, outputs - first)
            _count_row(words, weight, n, row, stride, width, block, counts)
            for column in range(width):
                b = base[row_class[row], column_class[column]]
                for o in range(used):
                    y[n, row, column, first + o] = b[first + o] - 2 * counts[column, o]


@njit(**_inline)
def _activated(value, one, slope, c):
    """Hardtanh where ``slope`` is empty, else PReLU with channel c's slope; ``one`` is 1 of the value's type."""
    if len(slope) == 0:
        return min(max(value, -one), one)
    return value * slope[c] if value < 0 else value


@njit(**_options)
def layer(words, weight, stride, base, row_class, column_class, factor, offset, slope, shortcut, has_shortcut, out):
    """out = act(factor·y + offset [+ shortcut]), y as in :func:`convolve`.

    act is Hardtanh where ``slope`` is empty, else PReLU with that slope per channel.
    """
    images, height, width, outputs = out.shape
    blocks = len(weight)
    one = out.dtype.type(1)
    for i in prange(images * height):
        n, row = i // height, i % height
        counts = np.empty((width, FILTERS), np.int32)
        for block in range(blocks):
            first = block * FILTERS
            used = min(FILTERS, outputs - first)
            _count_row(words, weight, n, row, stride, width, block, counts)
            for column in range(width):
                b, to = base[row_class[row], column_class[column]], out[n, row, column]
                for o in range(used):
                    c = first + o
                    value = factor[c] * (b[c] - 2 * counts[column, o]) + offset[c]
                    if has_shortcut:
                        value += shortcut[n, row, column, c]
                    to[c] = _activated(value, one, slope, c)


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
                best = y[n, row, column, c]
                if pooled:
                    best = max(
                        max(y[n, 2 * row, 2 * column, c], y[n, 2 * row, 2 * column + 1, c]),
                        max(y[n, 2 * row + 1, 2 * column, c], y[n, 2 * row + 1, 2 * column + 1, c]),
                    )
                value = factor[c] * best + offset[c]
                if has_shortcut:
                    value += shortcut[n, row, column, c]
                to[c] = _activated(value, one, slope, c)


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

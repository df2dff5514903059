"""The elementwise loops of the fast step, over images in blocks of 32: the innermost axis is always the image.

x, out   (G, C, H, W, 32) float32     activations; G = ⌈N/32⌉ groups of images
y        (G, O, H, W, 32) int16       what a ±1 convolution gives, exactly
words    (G, K, H+2, W+2, 32) int16   the signs of 16 channels, with a border of zeros, K = ⌈C/16⌉: bit c % 16 of
                                      word c // 16 is 1 for +1; input of the forward convolution
stacked  (G, O/2, H+2, W+2, 32) int32 gradients of two channels as 16-bit halves, with a border of zeros: input of the
                                      backward convolution
lanes    (G, C, H+2, W+2, 32) int16   one channel's signs, with a border of zeros: input of the weight gradient
shift    (G, C, 32) float32           ASD's, RSign's, or zeros
valid    (G, 32) int16                -1 (all bits set) for an image, 0 behind the last one

Where gradients have 8 bits, stacked (G, O/4, H+2, W+2, 32) holds four channels, each 128 more than it is, the border
too, and lanes (⌈G/2⌉, C, H+2, W+2, 64) uint8 two groups side by side, each number 1 more than it is, the border too: of
two bytes that an instruction multiplies, one has no sign.

With the image innermost, every vector instruction sees 16 or 32 images at the same place: no tails, no gathers, no
sums across a vector, for any height, width and stride. Images behind the last one are 0 in every convolution.
"""

import numpy as np
from numba import njit

from ..system.llvm import shared
from . import rows
from .launch import Kernel
from .rows import BLOCK, OFFSET
from .tiles import AT_ONCE, options

# compiled in: rows.py d73fbbcb, tiles.py 41768598, llvm.py fb625820, target.py d74eba8c

STE, POLYNOMIAL, EDE = range(3)  # binarize.GRADIENTS, in its order
_MAGIC = np.float32(rows.MAGIC)


@Kernel
def sign_words(x, shift, words, state):
    """words = sign(x + shift), 16 channels to a word."""
    count, wide = words.shape[1], words.shape[3]
    _, channels, height, width, _ = x.shape
    x0, s0, w0 = x.ctypes.data, shift.ctypes.data, words.ctypes.data
    for i in shared(state.ctypes.data, len(x) * count * height):
        g, word, row = i // height // count, i // height % count, i % height
        line = words[g, word, row + 1]
        for column in range(1, width + 1):
            for n in range(BLOCK):
                line[column, n] = 0
        to = w0 + (((g * count + word) * (height + 2) + row + 1) * wide + 1) * 64
        for c in range(word * 16, min(word * 16 + 16, channels)):
            at = g * channels + c
            rows.row_signs(x0 + (at * height + row) * width * 128, s0 + at * 128, to, width, 1 << (c % 16))


@njit(inline="always", **options)
def add_moments(y, totals):
    """totals (2,) float64 += Σ y and Σ y² of a row (W, 32); integers, so exact (|y| <= 4,608 in our networks)."""
    for start in range(0, len(y), 32):  # short of the columns whose squares would overflow 32 bits
        part = y[start : start + 32]
        rows.row_moments(part.ctypes.data, len(part), totals.ctypes.data)


@njit(inline="always", **options)
def total_of(o, c):
    """Which of a weight tile's 16 totals is filter o's and input c's, or those' that lie a multiple of 4 further."""
    return c % 4 // AT_ONCE * AT_ONCE * 4 + o % 4 * AT_ONCE + c % AT_ONCE


@Kernel
def pool(y, pooled, place, totals, state):
    """2×2 maximum; ``place`` is where it was, 0 … 3 in reading order, the first one of equals (as torch).

    totals (G, 1, O, 2) float64 = Σ and Σ of squares of what is left.
    """
    _, channels, height, width, _ = pooled.shape
    for i in shared(state.ctypes.data, len(y) * channels):
        g, c = i // channels, i % channels
        totals[g, 0, c] = 0
        for row in range(height):
            for column in range(width):
                for n in range(BLOCK):
                    best, where = y[g, c, 2 * row, 2 * column, n], np.int8(0)
                    for k in range(1, 4):
                        other = y[g, c, 2 * row + k // 2, 2 * column + k % 2, n]
                        if other > best:
                            best, where = other, np.int8(k)
                    pooled[g, c, row, column, n] = best
                    place[g, c, row, column, n] = where
            add_moments(pooled[g, c, row], totals[g, 0, c])


@Kernel
def normalise(y, factor, offset, shortcut, has_shortcut, stride, out, mean, state):
    """out = clip(factor·y + offset [+ shortcut], -1, 1); mean (G, C, 32) of it over the pixels.

    Of the shortcut every ``stride``-th pixel counts, and channels that it lacks are 0, as many on either side.
    """
    _, channels, height, width, _ = y.shape
    _, others, high, wide, _ = shortcut.shape
    share, nothing = np.float32(1 / (height * width)), np.zeros(BLOCK, np.float32)
    y0, s0, o0, m0 = y.ctypes.data, shortcut.ctypes.data, out.ctypes.data, mean.ctypes.data
    before = (channels - others) // 2
    for i in shared(state.ctypes.data, len(y) * channels):
        g, c = i // channels, i % channels
        mean[g, c] = 0
        add = has_shortcut and 0 <= c - before < others
        for row in range(height):
            line = (i * height + row) * width * BLOCK
            extra, step = nothing.ctypes.data, 0
            if add:
                extra, step = s0 + ((g * others + c - before) * high + row * stride) * wide * 128, stride * 128
            rows.row_normalise(
                y0 + line * y.itemsize, factor[c], offset[c], extra, step, o0 + line * 4, m0 + i * 128, width, y
            )
        for n in range(BLOCK):
            mean[g, c, n] *= share


@Kernel
def unclip(gradient, mean_gradient, out, y, ds, totals, state):
    """ds = (gradient + mean_gradient/HW) where -1 < out < 1, else 0; totals (G, O, 3): Σ ds, Σ ds·y, max |ds|."""
    _, channels, height, width, _ = y.shape
    share, extra, sums = np.float32(1 / (height * width)), np.empty(BLOCK, np.float32), np.empty((3, BLOCK), np.float32)
    d0, o0, y0, to = gradient.ctypes.data, out.ctypes.data, y.ctypes.data, ds.ctypes.data
    for i in shared(state.ctypes.data, len(y) * channels):
        g, c = i // channels, i % channels
        sums[:] = 0
        for n in range(BLOCK):
            extra[n] = mean_gradient[g, c, n] * share
        for row in range(height):
            line = (i * height + row) * width * BLOCK
            rows.row_unclip(
                d0 + line * 4, extra.ctypes.data, o0 + line * 4, y0 + line * y.itemsize, to + line * 4,
                sums.ctypes.data, width, y,
            )  # fmt: skip
        totals[g, c] = 0
        for n in range(BLOCK):
            totals[g, c, 0] += np.float64(sums[0, n])
            totals[g, c, 1] += np.float64(sums[1, n])
            totals[g, c, 2] = max(totals[g, c, 2], np.float64(sums[2, n]))


@njit(inline="always", **options)
def _round_on(d, v, a, b, constant, left, rounded):
    """rounded = a·d + b·v + constant + left to the nearest integer, for 32 images; left = what rounding left over."""
    for n in range(BLOCK):
        value = a * d[n] + b * np.float32(v[n]) + constant[n] + left[n]
        whole = (value + _MAGIC) - _MAGIC
        left[n] = value - whole
        rounded[n] = np.int32(whole)


@njit(inline="always", **options)
def _constants(channels, c, valid):
    """(channels, 32): their constants, 0 behind the last image; and as many zeros."""
    constants = np.zeros((channels, BLOCK), np.float32)
    for k in range(channels):
        for n in range(BLOCK):
            constants[k, n] = c[k] if valid[n] else np.float32(0)
    return constants, np.zeros((channels, BLOCK), np.float32)


@Kernel
def quantise(ds, y, a, b, c, valid, lanes, stacked, state):
    """g = a·ds + b·y + c as integers, in both layouts. a, b, c (O,) float32, already divided by the step.

    ``lanes``: one channel each, int16 (G, O, H, W, 32) or int8 (⌈G/2⌉, O, H, W, 64). What rounding leaves over is
    carried to the image's next pixel, so that the sum over the pixels, which batch norm keeps near 0 and ASD's gradient
    lives on, is off by half a step at most.
    """
    _, channels, height, width, _ = ds.shape
    many = 4 // lanes.itemsize
    d0, y0, a0, b0 = ds.ctypes.data, y.ctypes.data, a.ctypes.data, b.ctypes.data
    l0, p0, kind = lanes.ctypes.data, stacked.ctypes.data, lanes[0, 0, 0, 0, 0]
    plane, beside = height * width * 64, lanes.shape[4] // BLOCK
    for i in shared(state.ctypes.data, len(ds) * (channels // many)):
        g, o = i // (channels // many), i % (channels // many) * many
        constants, left = _constants(many, c[o:], valid[g])
        for row in range(height):
            at = (g * channels + o) * plane + row * width * 64
            to = (g // beside * channels + o) * plane + row * width * 64 + g % beside * 32
            rows.row_quantise(
                d0 + 2 * at, 2 * plane, y0 + at, plane, a0 + 4 * o, b0 + 4 * o, constants.ctypes.data, left.ctypes.data,
                l0 + to, plane, p0 + ((i * (height + 2) + row + 1) * (width + 2) + 1) * 128, width, kind,
            )  # fmt: skip


@Kernel
def quantise_pooled(ds, y, place, a, b, c, valid, lanes, stacked, state):
    """The same behind a 2×2 maximum: g stands where the maximum was, 0 in the other three places."""
    _, channels, height, width, _ = ds.shape
    many, bits, beside = 4 // lanes.itemsize, 8 * lanes.itemsize, lanes.shape[4] // BLOCK
    mask, empty = np.int32(2**bits - 1), np.int32(OFFSET if lanes.itemsize == 1 else 0)
    for i in shared(state.ctypes.data, len(ds) * (channels // many)):
        g, o = i // (channels // many), i % (channels // many) * many
        (constants, left), rounded = _constants(many, c[o:], valid[g]), np.empty(BLOCK, np.int32)
        first = g % beside * BLOCK
        stacked[g, o // many, 1:-1, 1:-1] = empty
        for row in range(height):
            for column in range(width):
                for k in range(many):
                    d, v, where = ds[g, o + k, row, column], y[g, o + k, row, column], place[g, o + k, row, column]
                    _round_on(d, v, a[o + k], b[o + k], constants[k], left[k], rounded)
                    for turn in range(4):
                        at, there = 2 * row + turn // 2, 2 * column + turn % 2
                        lane, word = lanes[g // beside, o + k, at, there], stacked[g, o // many, at + 1, there + 1]
                        for n in range(BLOCK):
                            value = rounded[n] if where[n] == turn else np.int32(0)
                            lane[first + n] = value
                            word[n] ^= (value & mask) << np.int32(bits * k)

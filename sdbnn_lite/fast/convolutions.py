"""The three convolutions of a layer in exact integers: forward, gradient to the input, gradient to the weights.

Arrays as in :mod:`.kernels`. What wants a convolution's result is done row by row, while that row is in the cache: sums
for batch norm forward, the way through the sign backward.
"""

# compiled in: kernels.py c4f83d6e, rows.py d73fbbcb, tiles.py 41768598, llvm.py fb625820, target.py d74eba8c

import numpy as np
from numba import njit

from ..system.llvm import shared
from . import rows, tiles
from .kernels import BLOCK, EDE, POLYNOMIAL, add_moments, total_of
from .launch import Kernel
from .tiles import options

BLOCKS = 4 if tiles.PARTS > 1 else 1  # of 4 channels one after the other: a small tile's x stays in the first cache


@Kernel
def convolve(words, weight, base, taps, stride, valid, y, totals, state):
    """y = conv2d(â, ŵ) = base - 2·Σ_taps popcount(â XOR ŵ), kernel 3×3, padding 1: exact, |y| <= 9·C <= 32,767.

    ``weight`` and ``base`` as :func:`.layer.pack_words` makes them, ``taps`` (9,) byte offsets of the taps from the
    upper left one. totals (G, H', O, 2) float64 = Σ y and Σ y² of each row, exactly, if it isn't empty.
    """
    _, count, high, wide, _ = words.shape
    _, filters, height, width, _ = y.shape
    x0, w0, y0, t0 = words.ctypes.data, weight.ctypes.data, y.ctypes.data, taps.ctypes.data
    b0, v0 = base.ctypes.data, valid.ctypes.data
    plane, step, channel = high * wide * 64, stride * 64, height * width * 64
    many = tiles.PIXELS_OF_WORDS if width >= tiles.PIXELS_OF_WORDS else 1
    for i in shared(state.ctypes.data, len(y) * height):
        g, row = i // height, i % height
        kind = (row == 0) + 2 * (row * stride + 3 == high)
        x = x0 + (g * count * high + row * stride) * wide * 64
        for block in range(filters // 4):
            w = w0 + block * 9 * count * 16
            b = b0 + (kind * width * filters + block * 4) * 2
            to = y0 + ((g * filters + block * 4) * height + row) * width * 64
            for column in range(0, width, many):
                column = min(column, width - many)  # the last tile takes some of the one before once more
                args = (
                    x + column * step, plane, step, t0, 9, count, w, b + column * filters * 2, filters * 2, v0 + g * 64,
                    to + column * 64, channel,
                )  # fmt: skip
                if many == tiles.PIXELS_OF_WORDS:
                    tiles.popcount_tile(*args)
                else:
                    tiles.popcount_tile_1px(*args)
            if len(totals):
                for o in range(block * 4, block * 4 + 4):
                    totals[g, row, o] = 0
                    add_moments(y[g, o, row], totals[g, row, o])


@njit(**options)
def _row_of_tiles(
    x, plane, columns, taps, count, words, w, w_block, start, s_block, blocks, to, channel, pixel, scale, kind
):
    """Σ_taps g·ŵ for a row of one phase's pixels and ``blocks`` × 4 channels; addresses and distances in bytes."""
    many = tiles.PIXELS if columns >= tiles.PIXELS else 1
    for i in range(0, columns, many):
        i = min(i, columns - many)  # as above
        for part in range(0, 128, 128 // tiles.PARTS):
            at, there = x + i * 128 + part, to + i * pixel + part
            for k in range(blocks):
                args = (
                    at, plane, 128, taps, count, words, w + k * w_block, start + k * s_block, there + k * 4 * channel,
                    channel, scale, pixel, kind,
                )  # fmt: skip
                if many == tiles.PIXELS:
                    tiles.conv_tile(*args)
                else:
                    tiles.conv_tile_1px(*args)


STRIP, INPUTS = 8, 4 * BLOCKS  # rows and inputs of a part: what the rows need of gradients fits into the second cache


@Kernel
def convolve_back(
    stacked, weight, start, taps, starts, scale, stride, x, shift, gradient, k, t, add, extra, dx, lanes, sums, state
):
    """dx = dsign/dx(x + shift) · scale · Σ_taps g·ŵ [+ extra, the shortcut's share], and lanes = sign(x + shift).

    ``stacked`` holds the gradient g, ``weight`` (C/4, 9, words, 4) int32 the same filters side by side. For stride 2
    there are four phases of pixels, each with its own taps, starts[phase] … starts[phase + 1], and with what its sums
    start from, ``start`` (C/4, phases, 4) int32. sums (G, H, C, 32) = Σ_columns of dx without the shortcut's share, the
    gradient to the shift.
    """
    _, words, high, wide, _ = stacked.shape
    _, channels, height, width, _ = dx.shape
    x0, w0, d0, t0, b0 = stacked.ctypes.data, weight.ctypes.data, dx.ctypes.data, taps.ctypes.data, start.ctypes.data
    x1, h0, l0, s0 = x.ctypes.data, shift.ctypes.data, lanes.ctypes.data, sums.ctypes.data
    plane, channel, pixel, beside = high * wide * 128, height * width * 128, stride * 128, lanes.shape[4] // BLOCK
    before, e0 = (extra.shape[1] - channels) // 2, extra.ctypes.data
    strips, shares, phases, kind = -(-height // STRIP), -(-channels // INPUTS), stride * stride, lanes[0, 0, 0, 0, 0]
    for i in shared(state.ctypes.data, len(x) * strips * shares):
        block, g, strip = i % shares * BLOCKS, i // shares // strips, i // shares % strips * STRIP
        blocks = min(BLOCKS, channels // 4 - block)
        for row in range(strip, min(strip + STRIP, height)):
            line = x0 + (g * words * high + row // stride) * wide * 128
            for left in range(min(stride, width)):
                phase, columns = row % stride * stride + left, (width - left + stride - 1) // stride
                first, count = t0 + starts[phase] * 8, starts[phase + 1] - starts[phase]
                w, b = w0 + (block * 9 + starts[phase]) * words * 16, b0 + (block * phases + phase) * 16
                to = d0 + (((g * channels + block * 4) * height + row) * width + left) * 128
                _row_of_tiles(
                    line, plane, columns, first, count, words, w, 9 * words * 16, b, phases * 16, blocks, to, channel,
                    pixel, scale, kind,
                )  # fmt: skip
            for c in range(block * 4, (block + blocks) * 4):
                sums[g, row, c] = 0
                at = ((g * channels + c) * height + row) * width * 128
                to_lanes = ((g // beside * channels + c) * (height + 2) + row + 1) * (width + 2) + 1
                args = (
                    d0 + at, x1 + at, h0 + (g * channels + c) * 128, l0 + to_lanes * 64 + g % beside * 32,
                    s0 + ((g * height + row) * channels + c) * 128, width, k, t, kind,
                )  # fmt: skip
                if gradient == EDE:
                    rows.row_through_ede(*args)
                elif gradient == POLYNOMIAL:
                    rows.row_through_polynomial(*args)
                else:
                    rows.row_through_ste(*args)
                if add and row % stride == 0:
                    share = (g * extra.shape[1] + c + before) * extra.shape[2] + row // stride
                    rows.row_add(d0 + at, stride * 128, e0 + share * extra.shape[3] * 128, extra.shape[3])


@njit(**options)
def _total(numbers):
    """Σ of an array of integers (H, W, images)."""
    total = np.int64(0)
    for row in range(len(numbers)):
        for column in range(numbers.shape[1]):
            here = np.int32(0)
            for n in range(numbers.shape[2]):
                here += np.int32(numbers[row, column, n])
            total += here
    return total


@Kernel
def weight_gradient(gradient, lanes, stride, filters, scale, weight, through, k, t, totals, out, state):
    """out (O, C, 9) float32 = dsign/dw · scale · Σ_{n, pixels} g·â, the sum exactly; w: ``weight``, like ``out``.

    ``through``: STE, POLYNOMIAL or EDE. Scratch: ``totals`` (O/4, C/4, 9, 16) int64. One part of the work has
    ``filters`` filters and 64 inputs: a strip of rows, once in the cache, serves all of them.
    """
    groups, height, width = len(gradient), gradient.shape[2], gradient.shape[3]
    channels, high, wide = lanes.shape[1:4]
    g0, a0, s0 = gradient.ctypes.data, lanes.ctypes.data, totals.ctypes.data
    w0, o0, line = weight.ctypes.data, out.ctypes.data, np.empty(64 * 9, np.float32)
    strip = max(1, min(height, 64 // width))  # what 64 pixels need of 4 + 4 channels nearly fits into the first cache
    some = max(1, 64 // (height * width))
    strips, kind = -(-channels // 64), gradient[0, 0, 0, 0, 0]
    g_plane, a_plane = height * width * 64, high * wide * 64
    g_steps = np.array([len(out) * g_plane, width * 64, 64])
    a_steps = np.array([channels * a_plane, stride * wide * 64, stride * 64])
    counts = np.array([some, strip, width])
    for i in shared(state.ctypes.data, len(out) // filters * strips):
        first, left = i // strips * filters, i % strips * 64
        right = min(left + 64, channels)
        for o in range(first, first + filters):
            more = np.int64(0)  # that bytes of â, each 1 more than it is, will have added
            if lanes.itemsize == 1:
                for g in range(groups):
                    more += _total(gradient[g, o])
            for c in range(left, right):
                for tap in range(9):
                    totals[o // 4, c // 4, tap, total_of(o, c)] = -more
        for g in range(0, groups, some):
            counts[0] = min(some, groups - g)
            for row in range(0, height, strip):
                counts[1] = min(strip, height - row)
                for o in range(first, first + filters, 4):
                    at = g0 + (g * len(out) + o) * g_plane + row * width * 64
                    for c in range(left, right, 4):
                        to = s0 + (o // 4 * (channels // 4) + c // 4) * 9 * 128
                        for tap in range(9):
                            a_row = ((g * channels + c) * high + row * stride + tap // 3) * wide + tap % 3
                            tiles.weight_tile(
                                at, g_steps.ctypes.data, a0 + a_row * 64, a_steps.ctypes.data, counts.ctypes.data,
                                g_plane, a_plane, to + tap * 128, kind,
                            )  # fmt: skip
        for o in range(first, first + filters):
            for c in range(left, right):
                for tap in range(9):
                    line[(c - left) * 9 + tap] = totals[o // 4, c // 4, tap, total_of(o, c)] * scale
            here = (o * channels + left) * 36
            args = line.ctypes.data, w0 + here, o0 + here, (right - left) * 9, k, t
            if through == EDE:
                rows.weights_through_ede(*args)
            elif through == POLYNOMIAL:
                rows.weights_through_polynomial(*args)
            else:
                rows.weights_through_ste(*args)

"""The three convolutions of a layer in exact integers: forward, gradient to the input, gradient to the weights.

Arrays as in :mod:`.kernels`. What wants a convolution's result is done row by row, while that row is in the cache: sums
for batch norm forward, the way through the sign backward.
"""

# compiled in: kernels.py 1da5b592, rows.py 40c67804, tiles.py 657f7b44, llvm.py fb625820, target.py d74eba8c

import numpy as np
from numba import njit

from ..system.llvm import shared
from . import rows, tiles
from .kernels import EDE, POLYNOMIAL, add_moments
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
def _row_of_tiles(x, plane, columns, taps, count, half, w, w_block, blocks, to, channel, pixel, scale):
    """Σ_taps g·ŵ for a row of one phase's pixels and ``blocks`` × 4 channels; addresses and distances in bytes."""
    many = tiles.PIXELS if columns >= tiles.PIXELS else 1
    for i in range(0, columns, many):
        i = min(i, columns - many)  # as above
        for part in range(0, 128, 128 // tiles.PARTS):
            at, there = x + i * 128 + part, to + i * pixel + part
            for k in range(blocks):
                args = (
                    at, plane, 128, taps, count, half, w + k * w_block, there + k * 4 * channel, channel, scale, pixel
                )  # fmt: skip
                if many == tiles.PIXELS:
                    tiles.conv_tile_real(*args)
                else:
                    tiles.conv_tile_real_1px(*args)


STRIP, INPUTS = 8, 4 * BLOCKS  # rows and inputs of a part: what the rows need of pairs fits into the second cache


@Kernel
def convolve_back(
    pairs, weight, taps, starts, scale, stride, x, shift, valid, gradient, k, t, add, ds, dx, lanes, sums, state
):
    """dx = dsign/dx(x + shift) · scale · Σ_taps g·ŵ [+ ds, the shortcut's share], and lanes = sign(x + shift).

    ``pairs`` holds the gradient g as 16-bit integers (G, O/2, H'+2, W'+2, 32), ``weight`` (C/4, 9, O/2, 4) int32. For
    stride 2 there are four phases of pixels, each with its own taps, starts[phase] … starts[phase + 1].
    sums (G, H, C, 32) = Σ_columns of dx without the shortcut's share, the gradient to the shift.
    """
    _, half, high, wide, _ = pairs.shape
    _, channels, height, width, _ = dx.shape
    x0, w0, d0, t0 = pairs.ctypes.data, weight.ctypes.data, dx.ctypes.data, taps.ctypes.data
    x1, h0, v0, l0, s0 = x.ctypes.data, shift.ctypes.data, valid.ctypes.data, lanes.ctypes.data, sums.ctypes.data
    plane, channel, pixel = high * wide * 128, height * width * 128, stride * 128
    before, e0 = (ds.shape[1] - channels) // 2, ds.ctypes.data
    strips, shares = -(-height // STRIP), -(-channels // INPUTS)
    for i in shared(state.ctypes.data, len(x) * strips * shares):
        block, g, strip = i % shares * BLOCKS, i // shares // strips, i // shares % strips * STRIP
        blocks = min(BLOCKS, channels // 4 - block)
        for row in range(strip, min(strip + STRIP, height)):
            line = x0 + (g * half * high + row // stride) * wide * 128
            for left in range(min(stride, width)):
                phase, columns = row % stride * stride + left, (width - left + stride - 1) // stride
                first, count = t0 + starts[phase] * 8, starts[phase + 1] - starts[phase]
                w = w0 + (block * 9 + starts[phase]) * half * 16
                to = d0 + (((g * channels + block * 4) * height + row) * width + left) * 128
                _row_of_tiles(
                    line, plane, columns, first, count, half, w, 9 * half * 16, blocks, to, channel, pixel, scale
                )
            for c in range(block * 4, (block + blocks) * 4):
                sums[g, row, c] = 0
                at = ((g * channels + c) * height + row) * width * 128
                to_lanes = l0 + (((g * channels + c) * (height + 2) + row + 1) * (width + 2) + 1) * 64
                shift_, sums_ = h0 + (g * channels + c) * 128, s0 + ((g * height + row) * channels + c) * 128
                if gradient == EDE:
                    rows.row_through_ede(d0 + at, x1 + at, shift_, v0 + g * 64, to_lanes, sums_, width, k, t)
                elif gradient == POLYNOMIAL:
                    rows.row_through_polynomial(d0 + at, x1 + at, shift_, v0 + g * 64, to_lanes, sums_, width, k, t)
                else:
                    rows.row_through_ste(d0 + at, x1 + at, shift_, v0 + g * 64, to_lanes, sums_, width, k, t)
                if add and row % stride == 0:
                    extra = e0 + ((g * ds.shape[1] + c + before) * ds.shape[2] + row // stride) * ds.shape[3] * 128
                    rows.row_add(d0 + at, stride * 128, extra, ds.shape[3])


@Kernel
def weight_gradient(gradient, lanes, stride, filters, sums, out, state):
    """out (O, C, 9) = Σ_{n, pixels} g·â, exactly. ``sums`` (O/4, C/4, 9, 16, LANES) int32 is scratch, all zeros.

    One part of the work has ``filters`` filters and 64 inputs: a strip of rows, once in the cache, serves all of them.
    """
    groups, height, width = len(gradient), gradient.shape[2], gradient.shape[3]
    channels, high, wide = lanes.shape[1:4]
    g0, a0, s0 = gradient.ctypes.data, lanes.ctypes.data, sums.ctypes.data
    strip = max(1, min(height, 64 // width))  # what 64 pixels need of 4 + 4 channels nearly fits into the first cache
    last = max(1, 2**11 * tiles.LANES // (height * width))  # so many groups' sums stay below 2^31
    some = min(last, max(1, 64 // (height * width)))
    last -= last % some
    strips = -(-channels // 64)
    for i in shared(state.ctypes.data, len(out) // filters * strips):
        first, left = i // strips * filters, i % strips * 64
        right = min(left + 64, channels)
        out[first : first + filters, left:right] = 0
        for since in range(0, groups, some):
            until = min(since + some, groups)
            for row in range(0, height, strip):
                now = min(strip, height - row)
                for o in range(first, first + filters, 4):
                    for c in range(left, right, 4):
                        to = s0 + (o // 4 * (channels // 4) + c // 4) * 9 * 16 * tiles.VECTOR
                        for turn in range(9 * (until - since)):
                            tap, g = turn // (until - since), since + turn % (until - since)
                            ga = g0 + ((g * out.shape[0] + o) * height + row) * width * 64
                            aa = row * stride + tap // 3
                            aa = a0 + (((g * channels + c) * high + aa) * wide + tap % 3) * 64
                            tiles.weight_tile(
                                ga, height * width * 64, width * 64,
                                aa, high * wide * 64, stride * wide * 64, stride * 64,
                                now, width, to + tap * 16 * tiles.VECTOR,
                            )  # fmt: skip
            if until % last == 0 or until == groups:
                for o in range(first, first + filters):
                    for c in range(left, right):
                        for tap in range(9):
                            lane = sums[o // 4, c // 4, tap, o % 4 * 4 + c % 4]
                            total = np.int64(0)
                            for n in range(tiles.LANES):
                                total += lane[n]
                                lane[n] = 0
                            out[o, c, tap] += total

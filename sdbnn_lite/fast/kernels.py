"""The loops of the fast step, over images in blocks of 32: the innermost axis is always the image.

x, out   (G, C, H, W, 32) float32     activations; G = ⌈N/32⌉ groups of images
y        (G, O, H, W, 32) int16       what a ±1 convolution gives, exactly
pairs    (G, C/2, H+2, W+2, 32) int32 two channels as 16-bit halves, with a border of zeros: input of a convolution
lanes    (G, C, H+2, W+2, 32) int16   one channel, with a border of zeros: input of the weight gradient
shift    (G, C, 32) float32           ASD's, RSign's, or zeros
valid    (G, 32) int16                -1 (all bits set) for an image, 0 behind the last one

With the image innermost, every vector instruction sees 16 or 32 images at the same place: no tails, no gathers, no
sums across a vector, for any height, width and stride. Images behind the last one are 0 in every convolution.
"""

import numpy as np
from llvmlite import ir
from numba import njit, prange, types
from numba.extending import intrinsic

from . import tiles

BLOCK = 32  # images side by side
STE, POLYNOMIAL, EDE = range(3)  # binarize.GRADIENTS, in its order

# error_model: a division that checks for 0 isn't vectorised.
_inline = {"cache": True, "nogil": True, "error_model": "numpy", "fastmath": {"contract", "nsz", "arcp"}}
_options = {"parallel": True, **_inline}


@intrinsic
def _power_of_two(typingctx, shifted):
    """2^n as float32, where ``shifted`` = n + 1.5·2²³: the low bits of that float are n itself."""

    def emit(context, builder, signature, args):
        bits = builder.bitcast(args[0], ir.IntType(32))
        bits = builder.add(builder.shl(bits, bits.type(23)), bits.type(127 << 23))
        return builder.bitcast(bits, ir.FloatType())

    return types.float32(types.float32), emit


_MAGIC = np.float32(1.5 * 2**23)


@njit(**_inline)
def _sech2(z):
    """1 - tanh²(z) = 4e/(1+e)², e = exp(-2|z|) = 2^n·exp(r): a polynomial, relative error below 1e-6."""
    v = np.float32(-2.0) * min(abs(z), np.float32(40.0))
    shifted = v * np.float32(1.44269504) + _MAGIC
    n = shifted - _MAGIC
    r = v - n * np.float32(0.693359375) + n * np.float32(2.12194440e-4)
    p = np.float32(1.9875691500e-4)
    p = p * r + np.float32(1.3981999507e-3)
    p = p * r + np.float32(8.3334519073e-3)
    p = p * r + np.float32(4.1665795894e-2)
    p = p * r + np.float32(1.6666665459e-1)
    p = p * r + np.float32(5.0000001201e-1)
    e = (p * r * r + r + np.float32(1.0)) * _power_of_two(shifted)
    return np.float32(4.0) * e / ((np.float32(1.0) + e) * (np.float32(1.0) + e))


@njit(**_options)
def sign_pairs(x, shift, valid, pairs):
    """pairs = sign(x + shift), two channels to a 32-bit word."""
    groups, half, _, _, _ = pairs.shape
    height, width = x.shape[2], x.shape[3]
    for i in prange(groups * half):
        g, c = i // half, i % half * 2
        for row in range(height):
            for column in range(width):
                low, high = x[g, c, row, column], x[g, c + 1, row, column]
                to = pairs[g, c // 2, row + 1, column + 1]
                for n in range(BLOCK):
                    mask = np.int32(valid[g, n])
                    first = np.int32(1) if low[n] + shift[g, c, n] >= 0 else np.int32(0xFFFF)
                    second = np.int32(0x10000) if high[n] + shift[g, c + 1, n] >= 0 else np.int32(-0x10000)
                    to[n] = (first | second) & mask


@njit(**_options)
def sign_lanes(x, shift, valid, lanes):
    """lanes = sign(x + shift)."""
    groups, channels, height, width, _ = x.shape
    for i in prange(groups * channels):
        g, c = i // channels, i % channels
        for row in range(height):
            for column in range(width):
                values, to = x[g, c, row, column], lanes[g, c, row + 1, column + 1]
                for n in range(BLOCK):
                    one = np.int16(1) if values[n] + shift[g, c, n] >= 0 else np.int16(-1)
                    to[n] = one & valid[g, n]


@njit(**_options)
def convolve(pairs, weight, taps, stride, y):
    """y = conv2d(â, ŵ), kernel 3×3, padding 1: integers, exact to ±32,767 (9·C <= 4,608 in our networks).

    ``weight`` (O/4, 9, C/2, 4) int32 pairs, ``taps`` (9,) byte offsets of the taps from the upper left one.
    """
    groups, half, high, wide, _ = pairs.shape
    _, filters, height, width, _ = y.shape
    count = len(taps)
    x0, w0, y0, t0 = pairs.ctypes.data, weight.ctypes.data, y.ctypes.data, taps.ctypes.data
    plane, step, channel = high * wide * 128, stride * 128, height * width * 64
    for i in prange(groups * height):
        g, row = i // height, i % height
        x = x0 + (g * half * high + row * stride) * wide * 128
        for block in range(filters // 4):
            w = w0 + block * count * half * 16
            to = y0 + ((g * filters + block * 4) * height + row) * width * 64
            for two in range(width // 2):
                at = x + 2 * two * step
                tiles.conv_tile_int_2px(at, plane, step, t0, count, half, w, to + two * 128, channel)
            if width % 2:
                at = x + (width - 1) * step
                tiles.conv_tile_int_1px(at, plane, step, t0, count, half, w, to + (width - 1) * 64, channel)


@njit(**_options)
def convolve_back(pairs, weight, taps, scale, first, stride, dx):
    """One phase of the gradient to the input: dx[first::stride] = scale · Σ_taps g·ŵ; all of it for stride 1.

    ``pairs`` holds the gradient g as 16-bit integers (G, O/2, H'+2, W'+2, 32), ``weight`` (C/4, taps, O/2, 4) int32.
    """
    groups, half, high, wide, _ = pairs.shape
    _, channels, height, width, _ = dx.shape
    top, left = first
    rows, columns = (height - top + stride - 1) // stride, (width - left + stride - 1) // stride
    count = len(taps)
    x0, w0, d0, t0 = pairs.ctypes.data, weight.ctypes.data, dx.ctypes.data, taps.ctypes.data
    plane, channel, pixel = high * wide * 128, height * width * 128, stride * 128
    for i in prange(groups * rows):
        g, row = i // rows, i % rows
        x = x0 + (g * half * high + row) * wide * 128
        for block in range(channels // 4):
            w = w0 + block * count * half * 16
            to = d0 + (((g * channels + block * 4) * height + top + row * stride) * width + left) * 128
            for two in range(columns // 2):
                at, there = x + two * 256, to + 2 * two * pixel
                tiles.conv_tile_real_2px(at, plane, 128, t0, count, half, w, there, channel, scale, pixel)
            if columns % 2:
                at, there = x + (columns - 1) * 128, to + (columns - 1) * pixel
                tiles.conv_tile_real_1px(at, plane, 128, t0, count, half, w, there, channel, scale, pixel)


@njit(**_options)
def weight_gradient(gradient, lanes, stride, sums, out):
    """out (O, C, 9) = Σ_{n, pixels} g·â, exactly. ``sums`` (O/4·C/4, 9, 16, 16) int32 is scratch, all zeros."""
    groups, filters, height, width, _ = gradient.shape
    channels, high, wide = lanes.shape[1:4]
    g0, a0, s0 = gradient.ctypes.data, lanes.ctypes.data, sums.ctypes.data
    rows = max(1, min(height, 32 // width))  # what a strip needs of 4 + 4 channels fits into the first cache
    for block in prange((filters // 4) * (channels // 4)):
        o, c = block // (channels // 4) * 4, block % (channels // 4) * 4
        to = s0 + block * 9 * 1024
        totals = np.zeros((9, 16), np.int64)
        for g in range(groups):
            for row in range(0, height, rows):
                now = min(rows, height - row)
                ga = g0 + ((g * filters + o) * height + row) * width * 64
                for tap in range(9):
                    aa = a0 + ((g * channels + c) * high * wide + (row * stride + tap // 3) * wide + tap % 3) * 64
                    tiles.weight_tile(
                        ga, height * width * 64, width * 64,
                        aa, high * wide * 64, stride * wide * 64, stride * 64,
                        now, width, to + tap * 1024,
                    )  # fmt: skip
            for tap in range(9):  # one group's sums stay far below 2^31; emptied before the next one
                for pair in range(16):
                    total = np.int64(0)
                    for lane in range(16):
                        total += sums[block, tap, pair, lane]
                        sums[block, tap, pair, lane] = 0
                    totals[tap, pair] += total
        for tap in range(9):
            for pair in range(16):
                out[o + pair // 4, c + pair % 4, tap] = totals[tap, pair]


@njit(**_options)
def pool(y, pooled, place):
    """2×2 maximum; ``place`` is where it was, 0 … 3 in reading order, the first one of equals (as torch)."""
    groups, channels, height, width, _ = pooled.shape
    for i in prange(groups * channels):
        g, c = i // channels, i % channels
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


@njit(**_options)
def moments(y, totals):
    """totals (G, O, 2) float64 = Σ y and Σ y², per group and channel; integers, so exact."""
    groups, channels, height, width, _ = y.shape
    for i in prange(groups * channels):
        g, c = i // channels, i % channels
        total, square = np.int64(0), np.int64(0)
        for row in range(height):
            for column in range(width):
                values = y[g, c, row, column]
                for n in range(BLOCK):
                    value = np.int64(values[n])
                    total += value
                    square += value * value
        totals[g, c, 0], totals[g, c, 1] = total, square


@njit(**_options)
def normalise(y, factor, offset, shortcut, has_shortcut, out, mean):
    """out = clip(factor·y + offset [+ shortcut], -1, 1); mean (G, C, 32) of it over the pixels."""
    groups, channels, height, width, _ = y.shape
    share = np.float32(1 / (height * width))
    for i in prange(groups * channels):
        g, c = i // channels, i % channels
        a, b = factor[c], offset[c]
        total = np.zeros(BLOCK, np.float32)
        for row in range(height):
            for column in range(width):
                values, to, extra = y[g, c, row, column], out[g, c, row, column], shortcut[g, c, row, column]
                if has_shortcut:
                    for n in range(BLOCK):
                        value = a * np.float32(values[n]) + b + extra[n]
                        value = min(max(value, np.float32(-1)), np.float32(1))
                        to[n] = value
                        total[n] += value
                else:
                    for n in range(BLOCK):
                        value = a * np.float32(values[n]) + b
                        value = min(max(value, np.float32(-1)), np.float32(1))
                        to[n] = value
                        total[n] += value
        for n in range(BLOCK):
            mean[g, c, n] = total[n] * share


@njit(**_options)
def unclip(gradient, mean_gradient, out, y, ds, totals):
    """ds = (gradient + mean_gradient/HW) where -1 < out < 1, else 0; totals (G, O, 3): Σ ds, Σ ds·y, max |ds|."""
    groups, channels, height, width, _ = y.shape
    share = np.float32(1 / (height * width))
    for i in prange(groups * channels):
        g, c = i // channels, i % channels
        total, product, most = np.zeros(BLOCK, np.float32), np.zeros(BLOCK, np.float32), np.zeros(BLOCK, np.float32)
        extra = np.empty(BLOCK, np.float32)
        for n in range(BLOCK):
            extra[n] = mean_gradient[g, c, n] * share
        for row in range(height):
            for column in range(width):
                d, o = gradient[g, c, row, column], out[g, c, row, column]
                v, to = y[g, c, row, column], ds[g, c, row, column]
                for n in range(BLOCK):
                    value = d[n] + extra[n] if abs(o[n]) < 1 else np.float32(0)
                    to[n] = value
                    total[n] += value
                    product[n] += value * np.float32(v[n])
                    most[n] = max(most[n], abs(value))
        sums = np.zeros(2, np.float64)
        biggest = np.float32(0)
        for n in range(BLOCK):
            sums[0] += np.float64(total[n])
            sums[1] += np.float64(product[n])
            biggest = max(biggest, most[n])
        totals[g, c, 0], totals[g, c, 1], totals[g, c, 2] = sums[0], sums[1], biggest


@njit(**_inline)
def _round_on(d, v, a, b, constant, left, rounded):
    """rounded = a·d + b·v + constant + left to the nearest integer, for 32 images; left = what rounding left over."""
    for n in range(BLOCK):
        value = a * d[n] + b * np.float32(v[n]) + constant[n] + left[n]
        whole = (value + _MAGIC) - _MAGIC
        left[n] = value - whole
        rounded[n] = np.int32(whole)


@njit(**_options)
def quantise(ds, y, a, b, c, valid, lanes, pairs):
    """g = a·ds + b·y + c as 16-bit integers, in both layouts. a, b, c (O,) float32, already divided by the step.

    What rounding leaves over is carried to the image's next pixel, so that the sum over the pixels, which batch norm
    keeps near 0 and ASD's gradient lives on, is off by half a step at most.
    """
    groups, channels, height, width, _ = ds.shape
    for i in prange(groups * (channels // 2)):
        g, o = i // (channels // 2), i % (channels // 2) * 2
        constant, left = np.empty((2, BLOCK), np.float32), np.zeros((2, BLOCK), np.float32)
        rounded = np.empty((2, BLOCK), np.int32)
        for n in range(BLOCK):
            for k in range(2):
                constant[k, n] = c[o + k] if valid[g, n] else np.float32(0)
        for row in range(height):
            for column in range(width):
                for k in range(2):
                    d, v, to = ds[g, o + k, row, column], y[g, o + k, row, column], lanes[g, o + k, row, column]
                    _round_on(d, v, a[o + k], b[o + k], constant[k], left[k], rounded[k])
                    for n in range(BLOCK):
                        to[n] = np.int16(rounded[k, n])
                both = pairs[g, o // 2, row + 1, column + 1]
                for n in range(BLOCK):
                    both[n] = (rounded[0, n] & np.int32(0xFFFF)) | (rounded[1, n] << np.int32(16))


@njit(**_options)
def quantise_pooled(ds, y, place, a, b, c, valid, lanes, pairs):
    """The same behind a 2×2 maximum: g stands where the maximum was, 0 in the other three places."""
    groups, channels, height, width, _ = ds.shape
    for i in prange(groups * (channels // 2)):
        g, o = i // (channels // 2), i % (channels // 2) * 2
        constant, left = np.empty((2, BLOCK), np.float32), np.zeros((2, BLOCK), np.float32)
        rounded = np.empty((2, BLOCK), np.int32)
        for n in range(BLOCK):
            for k in range(2):
                constant[k, n] = c[o + k] if valid[g, n] else np.float32(0)
        for row in range(height):
            for column in range(width):
                for k in range(2):
                    d, v = ds[g, o + k, row, column], y[g, o + k, row, column]
                    _round_on(d, v, a[o + k], b[o + k], constant[k], left[k], rounded[k])
                low, high = place[g, o, row, column], place[g, o + 1, row, column]
                for k in range(4):
                    at, there = 2 * row + k // 2, 2 * column + k % 2
                    to_low, to_high = lanes[g, o, at, there], lanes[g, o + 1, at, there]
                    both = pairs[g, o // 2, at + 1, there + 1]
                    for n in range(BLOCK):
                        first = rounded[0, n] if low[n] == k else np.int32(0)
                        second = rounded[1, n] if high[n] == k else np.int32(0)
                        to_low[n], to_high[n] = np.int16(first), np.int16(second)
                        both[n] = (first & np.int32(0xFFFF)) | (second << np.int32(16))


@njit(**_options)
def through_sign(dx, x, shift, ds, add, gradient, k, t, dshift):
    """dx ← dx · dsign/dx(x + shift) [+ ds, the shortcut's share]; dshift (G, C, 32) = Σ_pixels of the first part."""
    groups, channels, height, width, _ = x.shape
    peak = k * t
    for i in prange(groups * channels):
        g, c = i // channels, i % channels
        total = np.zeros(BLOCK, np.float32)
        for row in range(height):
            for column in range(width):
                d, v, extra = dx[g, c, row, column], x[g, c, row, column], ds[g, c, row, column]
                if gradient == EDE:
                    for n in range(BLOCK):
                        value = d[n] * peak * _sech2(t * (v[n] + shift[g, c, n]))
                        total[n] += value
                        d[n] = value
                elif gradient == POLYNOMIAL:
                    for n in range(BLOCK):
                        value = d[n] * max(np.float32(2) - np.float32(2) * abs(v[n] + shift[g, c, n]), np.float32(0))
                        total[n] += value
                        d[n] = value
                else:
                    for n in range(BLOCK):
                        value = d[n] if abs(v[n] + shift[g, c, n]) <= 1 else np.float32(0)
                        total[n] += value
                        d[n] = value
                if add:
                    for n in range(BLOCK):
                        d[n] += extra[n]
        for n in range(BLOCK):
            dshift[g, c, n] = total[n]


@njit(**_options)
def _nothing(out):
    for i in prange(len(out)):
        out[i] = i


def wake_threads() -> None:
    """Start numba's threads now."""
    _nothing(np.empty(64))

"""Kernels for whole networks: binary layers one after the other, image by image, and real convolutions beside them.

All in float32, channels innermost. Threads that call them with the same arrays share the work: see :mod:`.kernels`.
"""

import numpy as np
from numba import njit

from ..system.llvm import OPTIONS, shared
from . import tiles
from .kernels import INSIDE, UNIT, popcounts

# compiled in: kernels.py dc4dc905, tiles.py 12b38b48, llvm.py fb625820, target.py d74eba8c

FILTERS = tiles.FILTERS
NOTHING, SAME, BEFORE, WIDENED, GIVEN = range(5)  # what is added to a layer, see :mod:`.whole`


@njit(**INSIDE)
def _shift(totals, pixels, channels, hidden, tanh, numbers, begin, shift):
    """β, which is ``numbers`` from ``begin`` on, or ASD's σ(W2·relu(W1·mean)), of W1 (C, hidden), W2 (hidden, C).

    tanh in σ's place, if so.
    """
    inner = np.zeros(hidden, np.float32)
    for c in range(channels):
        shift[c] = 0 if hidden else numbers[begin + c]
        mean = np.float32(totals[c] / pixels)
        for j in range(hidden):
            inner[j] += mean * numbers[begin + c * hidden + j]
    for j in range(hidden):
        if inner[j] > 0:
            for c in range(channels):
                shift[c] += inner[j] * numbers[begin + (hidden + j) * channels + c]
    if hidden:
        for c in range(channels):
            shift[c] = np.tanh(shift[c]) if tanh else np.float32(1) / (np.float32(1) + np.exp(-shift[c]))


@njit(**INSIDE)
def _widen(x, height, width, channels, outputs, to):
    """The shortcut without parameters: every second pixel, zeros around its channels up to ``outputs``."""
    extra, i = (outputs - channels) // 2, 0
    for c in range(-(-height // 2) * -(-width // 2) * outputs):
        to[c] = 0
    for row in range(0, height, 2):
        for column in range(0, width, 2):
            for c in range(channels):
                to[i + extra + c] = x[(row * width + column) * channels + c]
            i += outputs


@njit(**INSIDE)
def _write_signs(layer, source, numbers, units, sums, totals, shift, words, spare, state):
    """words = the signs of ``source`` + shift, by rows that threads take; ``spare``: the widened shortcut, if any.

    sums (units, C): the source's, in parts; none yet of a chain's own input.
    """
    channels, outputs, height, width, padding, around, hidden = layer[:7]
    each, line = -(-channels // 64), 4 * width * channels
    across = (width + 2 * padding) * each
    for c in range(channels):
        totals[c] = 0
        for i in range(units):
            totals[c] += sums[i, c]
    if units == 0:
        for i in range(0, height * width * channels, channels):
            for c in range(channels):
                totals[c] += source[i + c]
    _shift(totals, height * width, channels, hidden, layer[18], numbers, layer[14] + 3 * outputs, shift)
    for row in shared(state.ctypes.data, height + 2 * padding):
        for i in range(row * across, (row + 1) * across):
            words[i] = 0
        if padding <= row < height + padding:
            at = words.ctypes.data + 8 * (row * across + padding * each)
            tiles.sign_pixels(source.ctypes.data + (row - padding) * line, width, channels // FILTERS,
                              shift.ctypes.data, at, 8 * each)  # fmt: skip
        if row == 0 and around == WIDENED:
            _widen(source, height, width, channels, outputs, spare)


@njit(**INSIDE)
def _write_values(layer, words, numbers, indices, bases, weights, table, beside, room, sums, target, state):
    """target = act(factor·y + offset + shortcut) by parts that threads take; sums: of each. Returns the units."""
    outputs, pixels, around, prelu, pooled = layer[1], layer[7], layer[5], layer[8], layer[9]
    how, (places, starts, counts) = (layer[10], layer[11], layer[12], layer[13]), room
    begin_numbers, begin, begin_bases, begin_weights = layer[14:18]
    filters, unit, each = FILTERS * max(how[1], 1), 64 if pooled or how[1] < 0 else UNIT, 4 if pooled else 1
    blocks, units, step = outputs // filters, -(-pixels // unit), 4 * outputs if around != NOTHING else 0
    for part in shared(state.ctypes.data, units * blocks):
        first, block = part // blocks * unit, part % blocks
        last = min(first + unit, pixels)
        popcounts(words.ctypes.data, 0, first, last, block, pixels, indices, begin, bases.ctypes.data + 4 * begin_bases,
                  weights.ctypes.data + begin_weights, how, table.ctypes.data, places, starts, counts)  # fmt: skip
        for c in range(0, filters, FILTERS):
            at = 4 * (block * filters + c)
            factor, to = numbers.ctypes.data + 4 * begin_numbers + at, first // each * 4 * outputs + at
            args = (
                counts.ctypes.data + 2 * c, 2 * filters, (last - first) // each, starts.ctypes.data, at,
                target.ctypes.data + to, 4 * outputs, factor, factor + 4 * outputs, factor + 8 * outputs,
                beside + (to if step else 0), step, sums[part // blocks].ctypes.data + 2 * at,
            )  # fmt: skip
            if prelu:
                tiles.finish_prelu(*args)
            elif pooled:
                tiles.finish_pooled(*args)
            else:
                tiles.finish_hardtanh(*args)
    return units


@njit(**OPTIONS)
def chain(layers, numbers, indices, bases, weights, table, x, given, out, maps, words, sums, counters):
    """out (N, …) = what ``layers`` make of x (N, …), float32: image by image, so that its maps stay in the caches.

    layers (L, fields) int64, and the arrays that they point into: see :mod:`.whole`; given (N, …): a real shortcut.
    counters (N, L, 2, 2): a state for each of a layer's two kernels.
    """
    count, most, zeros = len(layers), sums.shape[1], np.zeros(FILTERS, np.float32)
    totals, shift = np.empty(most, np.float64), np.empty(most, np.float32)
    room = np.empty(UNIT, np.int64), np.empty(UNIT, np.int64), np.empty(UNIT * FILTERS * tiles.WIDE, np.uint16)
    for n in range(len(x)):
        units = np.int64(0)  # not a literal, for which numba would compile another kernel
        for i in range(count):
            layer, spare, source = layers[i], maps[(i + 2) % 3], x[n] if i == 0 else maps[i % 3]
            _write_signs(layer, source, numbers, units, sums, totals, shift, words, spare, counters[n, i, 0])
            beside, around = zeros, layer[5]
            if around == SAME:
                beside = source
            elif around == BEFORE:
                beside = x[n] if i == 1 else spare
            elif around == WIDENED:
                beside = spare
            elif around == GIVEN:
                beside = given[n]
            units = _write_values(layer, words, numbers, indices, bases, weights, table, beside.ctypes.data, room, sums,
                                  out[n] if i == count - 1 else maps[(i + 1) % 3], counters[n, i, 1])  # fmt: skip


@njit(**INSIDE)
def _real_pixels(values, pixel, first, last, row, weight, offset, out):
    """Pixels ``first`` … ``last`` - 1 of a row of a real convolution: what its first one sees begins at an address."""
    blocks, kernel, across, _ = weight.shape
    many = tiles.MULTIPLIED if last - first >= tiles.MULTIPLIED else 1
    groups = tiles.GROUPS if many > 1 and blocks % tiles.GROUPS == 0 else 1
    for block in range(0, blocks, groups):  # its weights stay in the first cache
        w = weight.ctypes.data + block * kernel * across * FILTERS * 4
        bias = offset.ctypes.data + 4 * FILTERS * block
        for p in range(first, last, many):
            p = min(p, last - many)  # the last tile takes some of the one before once more
            to = out + 4 * FILTERS * (p * blocks + block)
            args = values + p * pixel, pixel, kernel, row, across, w, bias, to, 4 * FILTERS * blocks
            if many == 1:
                tiles.products_1px(*args)
            elif groups == 1:
                tiles.products_more(*args)
            else:
                tiles.products_wide(*args)


@njit(**OPTIONS)
def real_convolution(x, weight, offset, stride, out, state):
    """out (N, H', W', O) = a real convolution of x (N, H, W, C) without padding, float32, O a multiple of 16.

    weight (O/16, k, k·C, 16).
    """
    images, height, width, channels = x.shape
    _, rows, pixels, outputs = out.shape
    bands = -(-pixels // 128)
    wide = -(-pixels // bands)
    for part in shared(state.ctypes.data, images * rows * bands):
        i, first = part // bands, part % bands * wide
        at = x.ctypes.data + 4 * (i // rows * height + i % rows * stride) * width * channels
        _real_pixels(at, 4 * stride * channels, first, min(first + wide, pixels), 4 * width * channels, weight, offset,
                     out.ctypes.data + 4 * i * pixels * outputs)  # fmt: skip


@njit(**OPTIONS)
def pooled_convolution(x, weight, offset, stride, wide, out, state):
    """out (N, ⌈H'/2⌉, ⌈W'/2⌉, O): of each 3×3 of :func:`real_convolution`'s, two apart, the largest; W' is ``wide``."""
    images, height, width, channels = x.shape
    _, rows, columns, outputs = out.shape
    high, size = (height - weight.shape[1]) // stride + 1, 4 * wide * outputs
    lines, places = np.empty(3 * wide * outputs, np.float32), np.empty(9, np.int64)
    bands, zero = -(-rows // 8), np.int64(0)
    for part in shared(state.ctypes.data, images * bands):
        n, begin, done = part // bands, part % bands * 8, max(part % bands * 16 - 1, 0)
        for row in range(begin, min(begin + 8, rows)):
            last = min(2 * row + 1, high - 1)
            for line in range(done, last + 1):
                at = x.ctypes.data + 4 * (n * height + line * stride) * width * channels
                to = lines.ctypes.data + line % 3 * size
                _real_pixels(at, 4 * stride * channels, zero, wide, 4 * width * channels, weight, offset, to)
            done = last + 1
            for column in range(columns):
                for i in range(9):  # at an edge, some of them twice
                    line, place = max(2 * row - 1 + i // 3, 0), max(2 * column - 1 + i % 3, 0)
                    at = min(line, last) % 3 * size + 4 * min(place, wide - 1) * outputs
                    places[i] = lines.ctypes.data + at
                to = out.ctypes.data + 4 * ((n * rows + row) * columns + column) * outputs
                tiles.largest_of_9(places.ctypes.data, outputs // FILTERS, to)

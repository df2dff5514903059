"""Kernels for whole networks: binary layers one after the other, image by image, and real convolutions beside them.

All in float32, channels innermost, and without OpenMP: a thread that calls them computes, and several may share a
:func:`chain`. Whoever has to wait gives its core away.
"""

import numpy as np
from numba import njit

from ..system.target import keeps_code
from . import tiles
from .kernels import UNIT, look_up

# compiled in: kernels.py e684a160, tiles.py b3495f3a, llvm.py f2a19a71, target.py c100431e

_inline = {"cache": keeps_code(), "nogil": True, "error_model": "numpy"}
FILTERS = tiles.FILTERS
NOTHING, SAME, BEFORE, WIDENED, GIVEN = range(5)  # what is added to a layer, see :mod:`.whole`


@njit(**_inline)
def _finish(counts, first, last, filters, base, classes, outputs, numbers, prelu, pooled, around, around_pixel, out):
    """Looked-up counts of pixels ``first`` … ``last`` - 1 and of filters from ``filters`` on → real outputs.

    ``pooled``: of each four pixels the largest. Addresses: the shortcut and out, both of the image's first pixel.
    numbers: factor, offset and slope, O each.
    """
    factor, row, bases = numbers.ctypes.data + 4 * filters, 2 * counts.shape[1], np.empty(4, np.int64)
    offset, slope = factor + 4 * outputs, factor + 8 * outputs
    for p in range(first, last, 4 if pooled else 1):
        at = p // 4 if pooled else p
        for c in range(0, counts.shape[1], FILTERS):
            for i in range(4 if pooled else 1):
                bases[i] = base.ctypes.data + 4 * (classes[p + i] * outputs + filters + c)
            args = (
                counts.ctypes.data + row * (p - first) + 2 * c, row, 0, 0, 0, bases.ctypes.data if pooled else bases[0],
                out + 4 * (at * outputs + filters + c), 0, factor + 4 * c, offset + 4 * c, slope + 4 * c,
                around + at * around_pixel + (4 * (filters + c) if around_pixel else 0), 0,
            )  # fmt: skip
            if prelu:
                tiles.looked_up_prelu(*args)
            elif pooled:
                tiles.looked_up_pooled(*args)
            else:
                tiles.looked_up_hardtanh(*args)


@njit(**_inline)
def _add_up(values, pixels, channels, pixel, totals):
    """totals (C,) float64 = the channels' sums over pixels that are ``pixel`` bytes apart, C a multiple of 16."""
    totals[:channels] = 0
    for c in range(0, channels, FILTERS):
        tiles.add_up(values + 4 * c, pixels, pixel, totals.ctypes.data + 8 * c)


@njit(**_inline)
def _shift(totals, pixels, numbers, hidden, shift):
    """β, which ``numbers`` begins with, or ASD's σ(W2·relu(W1·mean)), of W1 (C, hidden) and W2 (hidden, C) in it."""
    channels = len(totals)
    if hidden == 0:
        shift[:] = numbers[:channels]
        return
    inner, sums = np.zeros(hidden, np.float32), np.zeros(channels, np.float32)
    for c in range(channels):
        mean = np.float32(totals[c] / pixels)
        for j in range(hidden):
            inner[j] += mean * numbers[c * hidden + j]
    w2 = numbers[channels * hidden :]
    for j in range(hidden):
        if inner[j] > 0:
            for c in range(channels):
                sums[c] += inner[j] * w2[j * channels + c]
    for c in range(channels):
        shift[c] = np.float32(1) / (np.float32(1) + np.exp(-sums[c]))


@njit(**_inline)
def _widen(x, height, width, channels, outputs, to):
    """The shortcut without parameters: every second pixel, zeros around its channels up to ``outputs``."""
    to[:] = 0
    extra, i = (outputs - channels) // 2, 0
    for row in range(0, height, 2):
        for column in range(0, width, 2):
            for c in range(channels):
                to[i + extra + c] = x[(row * width + column) * channels + c]
            i += outputs


@njit(**_inline)
def _wait(counter, parts):
    """Wait until all parts are done, whoever has taken them."""
    tries = 0
    while tiles.count_up(counter, 0) < parts:
        tries += 1
        if tries > 100:
            tiles.give_way()


@njit(**_inline)
def _write_signs(layer, source, numbers, sums, totals, shift, words, spare, state):
    """words = the signs of ``source`` + shift, by rows that threads take; ``spare``: the widened shortcut, if any.

    sums (units, C): the source's, in parts; none yet of a chain's own input.
    """
    channels, outputs, height, width, padding, pixels, around, hidden = layer[:8]
    each, rows = -(-channels // 64), height + 2 * padding
    across, totals, shift = (width + 2 * padding) * each, totals[:channels], shift[:channels]
    row = tiles.count_up(state, 1)
    if row < rows:  # else the others have finished this while this thread had no core
        totals[:] = 0
        if len(sums) == 0:
            _add_up(source.ctypes.data, height * width, channels, 4 * channels, totals)
        for unit in range(len(sums)):
            totals += sums[unit, :channels]
        _shift(totals, height * width, numbers[3 * outputs :], hidden, shift)
    while row < rows:
        words[row * across : (row + 1) * across] = 0
        if padding <= row < height + padding:
            at = words.ctypes.data + 8 * (row * across + padding * each)
            line = source.ctypes.data + 4 * (row - padding) * width * channels
            tiles.sign_pixels(line, width, channels // FILTERS, shift.ctypes.data, at, 8 * each)
        if row == 0 and around == WIDENED:
            _widen(source, height, width, channels, outputs, spare[: pixels * outputs])
        tiles.count_up(state + 8, 1)
        row = tiles.count_up(state, 1)
    _wait(state + 8, rows)


@njit(**_inline)
def _write_values(layer, words, numbers, indices, bases, weights, table, beside, places, room, sums, target, state):
    """target = act(factor·y + offset + shortcut) by parts that threads take; sums: of each. Returns the units."""
    _, outputs, _, _, _, pixels, around, _, prelu, pooled, steps, groups = layer[:12]
    filters, fourth, step = FILTERS * groups, 4 if pooled else 1, 4 * outputs if around != NOTHING else 0
    blocks, unit = outputs // filters, UNIT // fourth * fourth
    units, counts = -(-pixels // unit), room[: UNIT * filters].reshape(UNIT, filters)
    starts, classes, offsets = indices, indices[pixels:], indices[2 * pixels :]
    weight = weights[: blocks * steps * groups * 32].reshape(blocks, steps, groups, 32)
    part = tiles.count_up(state, 1)
    while part < units * blocks:
        first, block = part // blocks * unit, part % blocks
        last = min(first + unit, pixels)
        look_up(words.ctypes.data, first, last, block, weight, table, offsets, starts, places, counts)
        _finish(counts, first, last, block * filters, bases, classes, outputs, numbers, prelu, pooled, beside, step,
                target.ctypes.data)  # fmt: skip
        made = target.ctypes.data + 4 * (first // fourth * outputs + block * filters)
        _add_up(made, (last - first) // fourth, filters, 4 * outputs, sums[part // blocks, block * filters :])
        tiles.count_up(state + 8, 1)
        part = tiles.count_up(state, 1)
    _wait(state + 8, units * blocks)
    return units


@njit(**_inline)
def chain(layers, numbers, indices, bases, weights, table, x, given, out, maps, words, sums, counters):
    """out (N, …) = what ``layers`` make of x (N, …), float32: image by image, so that its maps stay in the caches.

    layers (L, fields) int64, and the arrays that they point into: see :mod:`.whole`; given (N, …): a real shortcut.
    Threads that call this with the same arrays share the work: counters (N, L, 4) count what is taken and done.
    """
    count, most = len(layers), max(layers[:, 0].max(), layers[:, 1].max())
    totals, shift, zeros = np.empty(most, np.float64), np.empty(most, np.float32), np.zeros(FILTERS, np.float32)
    places, room = np.empty(UNIT, np.int64), np.empty(UNIT * FILTERS * tiles.WIDE, np.uint16)
    for n in range(len(x)):
        units = 0
        for i in range(count):
            layer, state = layers[i], counters[n, i].ctypes.data
            around, own = layer[6], numbers[layer[12] :]
            spare, source = maps[(i + 2) % 3], x[n] if i == 0 else maps[i % 3]
            _write_signs(layer, source, own, sums[:units], totals, shift, words, spare, state)
            beside = zeros.ctypes.data
            if around == SAME:
                beside = source.ctypes.data
            elif around == BEFORE:
                beside = x[n].ctypes.data if i == 1 else spare.ctypes.data
            elif around == WIDENED:
                beside = spare.ctypes.data
            elif around == GIVEN:
                beside = given[n].ctypes.data
            target = out[n] if i == count - 1 else maps[(i + 1) % 3]
            units = _write_values(layer, words, own, indices[layer[13] :], bases[layer[14] :], weights[layer[15] :],
                                  table, beside, places, room, sums, target, state + 16)  # fmt: skip


@njit(**_inline)
def _real_row(values, pixel, pixels, row, weight, offset, out):
    """A row of a real convolution: what its first pixel sees begins at an address; weight (O/16, k, k·C, 16)."""
    blocks, kernel, across, _ = weight.shape
    many = 6 if pixels >= 6 else 1
    for first in range(0, pixels, many):
        first = min(first, pixels - many)  # the last tile takes some of the one before once more
        for block in range(blocks):
            w = weight.ctypes.data + block * kernel * across * FILTERS * 4
            to = out + 4 * FILTERS * (first * blocks + block)
            bias = offset.ctypes.data + 4 * FILTERS * block
            args = values + first * pixel, pixel, kernel, row, across, w, bias, to, 4 * FILTERS * blocks
            if many == 6:
                tiles.products_6px(*args)
            else:
                tiles.products_1px(*args)


@njit(**_inline)
def real_convolution(x, weight, offset, stride, out):
    """out (N, H', W', O) = a real convolution of x (N, H, W, C) without padding, float32, O a multiple of 16."""
    images, height, width, channels = x.shape
    _, rows, pixels, outputs = out.shape
    for i in range(images * rows):
        n, row = i // rows, i % rows * stride
        at = x.ctypes.data + 4 * (n * height + row) * width * channels
        _real_row(at, 4 * stride * channels, pixels, 4 * width * channels, weight, offset,
                  out.ctypes.data + 4 * i * pixels * outputs)  # fmt: skip


@njit(**_inline)
def pooled_convolution(x, weight, offset, stride, wide, out):
    """out (N, ⌈H'/2⌉, ⌈W'/2⌉, O): of each 3×3 of :func:`real_convolution`'s, two apart, the largest; W' is ``wide``."""
    images, height, width, channels = x.shape
    _, rows, columns, outputs = out.shape
    high = (height - weight.shape[1]) // stride + 1
    lines, best = np.empty((3, wide, outputs), np.float32), np.empty((wide, outputs), np.float32)
    for n in range(images):
        for row in range(rows):
            last = min(2 * row + 1, high - 1)
            for line in range(2 * row if row else 0, last + 1):
                at = x.ctypes.data + 4 * (n * height + line * stride) * width * channels
                to = lines[line % 3].ctypes.data
                _real_row(at, 4 * stride * channels, wide, 4 * width * channels, weight, offset, to)
            best[:] = lines[2 * row % 3]
            for line in range(max(2 * row - 1, 0), last + 1):
                tiles.keep_larger(lines[line % 3].ctypes.data, wide * outputs // FILTERS, best.ctypes.data)
            for column in range(columns):
                to = out[n, row, column]
                to[:] = best[2 * column]
                for i in range(max(2 * column - 1, 0), min(2 * column + 2, wide)):
                    tiles.keep_larger(best[i].ctypes.data, outputs // FILTERS, to.ctypes.data)

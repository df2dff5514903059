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

# compiled in: tiles.py 112a3caf, llvm.py f2a19a71, target.py c100431e

_options = {"parallel": True, "cache": keeps_code(), "nogil": True, "error_model": "numpy"}
_inline = {**_options, "parallel": False}
FILTERS, PIXELS = tiles.FILTERS, tiles.PIXELS
NOTHING, SAME, BEFORE, WIDENED, GIVEN = range(5)  # what is added to a layer of a chain, see :mod:`.whole`
UNIT = 13 * tiles.LOOKED_UP  # pixels that are looked up at once: their sums, the table and the weights fit a first cache


@njit(**_inline)
def _signs(values, limits, channels, size, zero, words):
    """words[k] = 64 comparisons each of ``channels`` numbers of ``size`` bytes at two addresses, see ``tiles.word_of``."""
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
                    tiles.sums_8px(*args)
                else:
                    tiles.sums_1px(*args)
                for p in range(many):
                    bases[p] += FILTERS * 4
            first += many


@njit(**_inline)
def _look_up(words, first, last, block, weight, table, offsets, starts, places, counts):
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
        _look_up(words.ctypes.data + n * image, first, last, block, weight, table, offsets, starts, places, counts)
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
                _real_row(at, 4 * stride * channels, wide, 4 * width * channels, weight, offset, lines[line % 3].ctypes.data)
            best[:] = lines[2 * row % 3]
            for line in range(max(2 * row - 1, 0), last + 1):
                tiles.keep_larger(lines[line % 3].ctypes.data, wide * outputs // FILTERS, best.ctypes.data)
            for column in range(columns):
                to = out[n, row, column]
                to[:] = best[2 * column]
                for i in range(max(2 * column - 1, 0), min(2 * column + 2, wide)):
                    tiles.keep_larger(best[i].ctypes.data, outputs // FILTERS, to.ctypes.data)


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
def _done(counters, parts):
    """Wait until all parts are done, whoever has taken them."""
    tries = 0
    while tiles.count_up(counters + 8, 0) < parts:
        tries += 1
        if tries > 100:
            tiles.give_way()


@njit(**_inline)
def chain(layers, numbers, indices, bases, weights, table, x, given, out, maps, words, sums, counters):
    """out (N, …) = what ``layers`` make of x (N, …), float32: image by image, so that its maps stay in the caches.

    layers (L, fields) int64, and the arrays that they point into: see :mod:`.whole`; given (N, …): a real shortcut.
    Threads that call this with the same arrays share the work: counters (N, L, 4) count what is taken and done.
    """
    count, most = len(layers), max(layers[:, 0].max(), layers[:, 1].max())
    totals, shift = np.zeros(most, np.float64), np.empty(most, np.float32)
    places, room = np.empty(UNIT, np.int64), np.empty(UNIT * FILTERS * tiles.WIDE, np.uint16)
    zeros = np.zeros(FILTERS, np.float32)
    for n in range(len(x)):
        units = 0
        for i in range(count):
            channels, outputs, height, width, padding, pixels = layers[i, :6]
            around, hidden, prelu, pooled, steps, groups, at_number, at_index, at_base, at_weight = layers[i, 6:]
            spare, own, state = maps[(i + 2) % 3], numbers[at_number:], counters[n, i].ctypes.data
            source = x[n] if i == 0 else maps[i % 3]
            target = out[n] if i == count - 1 else maps[(i + 1) % 3]

            each, rows = -(-channels // 64), height + 2 * padding
            across = (width + 2 * padding) * each
            row = tiles.count_up(state, 1)
            if row < rows:  # else the others have finished this while this thread had no core
                if i == 0:
                    _add_up(source.ctypes.data, height * width, channels, 4 * channels, totals)
                else:
                    totals[:] = 0
                for unit in range(units):
                    totals[:channels] += sums[unit, :channels]
                _shift(totals[:channels], height * width, own[3 * outputs :], hidden, shift[:channels])
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
            _done(state, rows)

            beside, step = zeros.ctypes.data, 4 * outputs
            if around == SAME:
                beside = source.ctypes.data
            elif around == BEFORE:
                beside = x[n].ctypes.data if i == 1 else maps[(i - 1) % 3].ctypes.data
            elif around == WIDENED:
                beside = spare.ctypes.data
            elif around == GIVEN:
                beside = given[n].ctypes.data
            else:
                step = 0
            starts, classes = indices[at_index:], indices[at_index + pixels :]
            offsets, base = indices[at_index + 2 * pixels :], bases[at_base:]
            filters, fourth = FILTERS * groups, 4 if pooled else 1
            blocks, unit = outputs // filters, UNIT // fourth * fourth
            weight = weights[at_weight : at_weight + blocks * steps * groups * 32].reshape(blocks, steps, groups, 32)
            counts, units = room[: UNIT * filters].reshape(UNIT, filters), -(-pixels // unit)
            part = tiles.count_up(state + 16, 1)
            while part < units * blocks:
                first, block = part // blocks * unit, part % blocks
                last = min(first + unit, pixels)
                _look_up(words.ctypes.data, first, last, block, weight, table, offsets, starts, places, counts)
                _finish(counts, first, last, block * filters, base, classes, outputs, own, prelu, pooled, beside, step,
                        target.ctypes.data)  # fmt: skip
                made = target.ctypes.data + 4 * (first // fourth * outputs + block * filters)
                _add_up(made, (last - first) // fourth, filters, 4 * outputs, sums[part // blocks, block * filters :])
                tiles.count_up(state + 24, 1)
                part = tiles.count_up(state + 16, 1)
            _done(state + 16, units * blocks)

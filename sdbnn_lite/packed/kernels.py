"""The packed layer's loops, channels innermost: (N, H, W, C), as torch's channels_last keeps it in memory.

x        (N, H, W, C) float32 or float64    real activations
shift    (N, C) of the same type            ASD's or RSign's, or zeros
words    (N, H+2p, W+2p, K) uint64          their signs, with a border of zeros
weight   uint8 or uint32                    :func:`.words.half_bytes` look up, :func:`.words.side_by_side` count
how      four numbers                       of the former steps, groups, 0, 0; of the latter k, minus the bytes from
                                            word to word, bytes of a row of ``words``, 32-bit words of a kernel's row
indices  int64                              an image's, see :class:`.words.Base`
state    (2,) int64, zeros                  how many parts are taken and done, see ``llvm.shared``

Nothing here starts a thread: those that call a kernel with the same arrays share its work.
"""

import numpy as np
from numba import njit

from ..system.llvm import OPTIONS, shared
from . import tiles

# compiled in: tiles.py 12b38b48, llvm.py fb625820, target.py d74eba8c

INSIDE = {**OPTIONS, "no_cpython_wrapper": True}  # of other kernels
FILTERS, PIXELS, LOOKED_UP = tiles.FILTERS, tiles.PIXELS, tiles.LOOKED_UP
UNIT = 13 * LOOKED_UP  # pixels at once, or 64: their sums, the table and the weights fit a first cache


@njit(**OPTIONS)
def sign_words(x, shift, padding, words, state):
    """words = the signs of x + shift."""
    images, height, width, channels = x.shape
    size, zero = x.itemsize, x.dtype.type(0)
    for i in shared(state.ctypes.data, images * height):
        n, row = i // height, i % height
        s0 = shift.ctypes.data + n * channels * size
        for column in range(width):
            x0 = x.ctypes.data + (i * width + column) * channels * size
            for k in range(words.shape[3]):
                c, last, word = 64 * k, min(64 * k + 64, channels), np.uint64(0)
                if last - c == 64:
                    word, c = tiles.word_of(x0 + c * size, s0 + c * size, zero), last
                while c + 8 <= last:
                    word |= tiles.byte_of(x0 + c * size, s0 + c * size, zero) << np.uint64(c % 64)
                    c += 8
                while c < last:
                    word |= tiles.bit_of(x0 + c * size, s0 + c * size, zero) << np.uint64(c % 64)
                    c += 1
                words[n, row + padding, column + padding, k] = word


@njit(**INSIDE)
def popcounts(words, image, first, last, block, pixels, indices, begin, base, weight, how, table, places, bases,
              counts):  # fmt: skip
    """counts = popcounts of pixels ``first`` … ``last`` - 1, UNIT at most, with one block of filters.

    words, base, weight, table: addresses; ``image``: bytes of its words; its indices begin at ``begin``. places and
    bases (UNIT,) int64: room for where each pixel's words start, and its base values. counts: room for UNIT times the
    filters of a block, of 16 bits, of 32 where they are counted.
    """
    steps, groups, row, across = how
    zero = counts.dtype.type(0)
    many, n, at = last - first, first // pixels, first % pixels
    turns = -(-many // LOOKED_UP)
    for p in range(turns * LOOKED_UP):
        places[p] = words + n * image + indices[begin + at]
        bases[p] = base + indices[begin + pixels + at]
        if p < many - 1:  # the last one fills up the last turn
            at += 1
            if at == pixels:
                n, at = n + 1, 0
    to, size = counts.ctypes.data, counts.itemsize * FILTERS
    if groups < 0:
        weight += block * steps * across * FILTERS * 4
        p = 0
        while p < many:
            if many >= PIXELS:
                p = min(p, many - PIXELS)  # the last tile takes some of the one before once more
                tiles.count_more(places.ctypes.data + 8 * p, steps, row, across, -groups, weight, to + size * p, zero)
                p += PIXELS
            else:
                tiles.count_1px(places.ctypes.data + 8 * p, steps, row, across, -groups, weight, to + size * p, zero)
                p += 1
        return
    for i in range(turns * LOOKED_UP * FILTERS * groups):
        counts[i] = 0
    for step in range(0, steps, tiles.STEPS):
        offsets = indices.ctypes.data + 8 * (begin + 2 * pixels + step)
        some, w = min(tiles.STEPS, steps - step), weight + 32 * groups * (block * steps + step)
        for p in range(0, turns * LOOKED_UP, LOOKED_UP):
            args = places.ctypes.data + 8 * p, offsets, some, w, table, to + size * groups * p
            if groups == 1:
                tiles.look_up(*args)
            else:
                tiles.look_up_wide(*args)


@njit(**OPTIONS)
def convolve(words, pixels, indices, base, weight, how, table, y, state):
    """y (N·H'·W', O') int16 or int32 = conv2d(â, ŵ), exactly."""
    total, outputs = y.shape
    filters, size, image = FILTERS * max(how[1], 1), y.itemsize, words.strides[0]
    blocks, unit = outputs // filters, UNIT if how[1] > 0 else 64
    places, bases, counts = np.empty(UNIT, np.int64), np.empty(UNIT, np.int64), np.empty(UNIT * filters, y.dtype)
    for part in shared(state.ctypes.data, -(-total // unit) * blocks):
        first, block = part // blocks * unit, part % blocks
        last = min(first + unit, total)
        popcounts(words.ctypes.data, image, first, last, block, pixels, indices, 0, base.ctypes.data,
                  weight.ctypes.data, how, table.ctypes.data, places, bases, counts)  # fmt: skip
        for c in range(0, filters, FILTERS):
            to = y.ctypes.data + size * (first * outputs + block * filters + c)
            tiles.sums(counts.ctypes.data + size * c, size * filters, last - first, bases.ctypes.data,
                       4 * (block * filters + c), to, size * outputs, y.dtype.type(0))  # fmt: skip

"""Pieces of LLVM code that numba can't write: two register tiles of XOR-popcounts, what follows them, comparisons.

One tile counts in words of 32 bits, 16 filters side by side: a pixel's word goes to all lanes, is XORed with that word
of 16 filters, and the vector popcount is added to sums that stay in registers until the end. 512 products take three
instructions with AVX512-VPOPCNTDQ; NEON's ``cnt`` counts in bytes, and LLVM adds them up.

Where x86 can't count bits in vectors, the other one looks them up: row x of a table holds popcount(x XOR w) for all 16
values of w's lower half byte and all 16 of its upper one. ``vpshufb`` picks from that row for 16 filters at once, both
halves: 128 products of 8 channels take two instructions, without an XOR.
"""

from functools import reduce

from llvmlite import ir
from numba import types

from ..system.llvm import F32, F64, I8, I16, I32, I64, Loop, Value, Vector, emitted, size
from ..system.target import target

FILTERS = 16  # side by side: one vector of 32-bit lanes, or one row of the table
PIXELS, MULTIPLIED, LOOKED_UP = (8, 8, 5) if target().vector == 64 else (4, 6, 5)  # of the larger tile of each kind
GROUPS = 2 if target().vector == 64 else 1  # of 16 filters, in the largest tile that multiplies
BYTES = target().vector if target().counts == "vpshufb" else 32  # of the vectors that look up
STEPS = 63  # that a byte has room for, each adding 4 at most
_SUMS, _FLOATS = Vector(I32, FILTERS), Vector(F32, FILTERS)


def _addresses(table: Value, count: int) -> list[Value]:
    return [(table + 8 * i).load(I64, 8) for i in range(count)]


def _over_rows(starts, rows, row, across, hop, places, weight, add):
    """Sums of 16 filters for each pixel: ``starts`` and, of every number that it sees, add(sum, the number, weights).

    ``places``: where each pixel sees its first number; rows, row, across, hop as below; what is read has 4 bytes. More
    starts than places: each pixel has those of several times 16 filters.
    """
    kind, groups, block = starts[0].type, len(starts) // len(places), rows * across * (4 * FILTERS)
    outer = Loop(rows, [*starts, weight, row.constant(I64, 0)])
    with outer as (*sums, w, start):
        inner = Loop(across, [*sums, w, start])
        with inner as (*sums, w, place):
            filters = [(w + block * group).load(kind, 64) for group in range(groups)]
            seen = [(at + place).load(kind.element, 4).splat(FILTERS) for at in places]
            more = [add(s, seen[i // groups], filters[i % groups]) for i, s in enumerate(sums)]
            inner.again([*more, w + 4 * FILTERS, place + hop])
        outer.again([*inner.results[:-1], start + row])
    return outer.results[: len(starts)]


def _count_of(pixels: int):
    @emitted
    def tile(places, rows, row, words, hop, weight, counts, like):
        """counts (pixels, 16) = popcounts of x XOR w over ``rows`` kernel rows of ``words`` 32-bit words.

        ``places`` (pixels,) int64: where each pixel's words start; ``row``, ``hop``: bytes to the image's next row, to
        the next word. ``like``: a number of counts' type, of 16 or 32 bits.
        """
        zeros = [counts.constant(_SUMS, 0)] * pixels
        found = _over_rows(zeros, rows, row, words, hop, _addresses(places, pixels), weight,
                           lambda total, x, w: total + (x ^ w).call("ctpop"))  # fmt: skip
        for p, count in enumerate(found):
            (counts + size(like) * FILTERS * p).store(count.to(Vector(like, FILTERS)), size(like))

    return tile


def _products_of(pixels: int, groups: int = 1):
    @emitted
    def tile(values, pixel, rows, row, across, weight, offset, out, out_pixel):
        """out (pixels, 16·groups) float32 = offset + Σ x·w over ``rows`` kernel rows of ``across`` numbers.

        ``pixel``: bytes from what one pixel sees to what the next one sees; the other distances likewise.
        """
        places = [values + pixel * p for p in range(pixels)]
        starts = [(offset + 4 * FILTERS * group).load(_FLOATS, 4) for _ in places for group in range(groups)]
        found = _over_rows(starts, rows, row, across, 4, places, weight, lambda total, x, w: x.call("fma", w, total))
        for i, value in enumerate(found):
            (out + out_pixel * (i // groups) + 4 * FILTERS * (i % groups)).store(value, 4)

    return tile


def _look_up_of(groups: int):
    wide = min(BYTES, 32 * groups)
    vector, sums, starts = Vector(I8, wide), Vector(I16, FILTERS), range(0, 32 * groups, wide)
    shuffle = {32: "x86.avx2.pshuf.b", 64: "x86.avx512.pshuf.b.512"}[wide]

    @emitted
    def tile(places, offsets, steps, weight, table, counts):
        """counts (5, 16·groups) uint16 += popcounts of x XOR w over ``steps`` bytes of 8 channels, STEPS at most.

        ``places`` (5,) and ``offsets`` (steps,) int64: where each pixel's words start, and from there each byte.
        """
        if target().counts == "cnt":  # no x86: compiled, as a part of its kernel, but never called
            return
        pixels, zeros = _addresses(places, LOOKED_UP), [places.constant(vector, 0)] * (LOOKED_UP * len(starts))
        loop = Loop(steps, [*zeros, weight, offsets])
        with loop as (*found, w, offset):
            ahead, rows = offset.load(I64, 8), []
            filters = [(w + start).load(vector, 32) for start in starts]
            for pixel in pixels:
                x = (pixel + ahead).load(I8, 1).to(I64, unsigned=True)
                rows.append((table + (x << 5)).load(Vector(I8, 32), 32).lanes([*range(32)] * (wide // 32)))
            more = [row.call(shuffle, some) for row in rows for some in filters]
            found = [a + b for a, b in zip(found, more, strict=True)]
            loop.again([*found, w + 32 * groups, offset + 8])
        halves = [found.lanes(range(i, i + FILTERS)).to(sums, unsigned=True) for found in loop.results[:-2]
                  for i in range(0, wide, FILTERS)]  # fmt: skip
        for i, (lower, upper) in enumerate(zip(halves[::2], halves[1::2], strict=True)):
            to = counts + 2 * FILTERS * i
            to.store(lower + upper + to.load(sums, 2), 2)

    return tile


def _sum_at(counts: Value, base: Value, kind: ir.Type) -> Value:
    """base - 2·counts of a pixel, vectors of 16 filters; counts of ``kind``."""
    counts = counts.load(Vector(kind, FILTERS), size(kind)).to(_SUMS, unsigned=True)
    return base.load(_SUMS, 4) - (counts + counts)


@emitted
def sums(counts, pixel, pixels, bases, first, out, out_pixel, like):
    """out (pixels, 16) = base - 2·counts, which are ``pixel`` bytes apart; both of the type of ``like``, 16 or 32 bits.

    ``bases`` (pixels,) int64: where each pixel's base values start, ``first`` bytes before those of these filters.
    """
    loop = Loop(pixels, [counts, bases, out])
    with loop as (count, base, to):
        to.store(_sum_at(count, base.load(I64, 8) + first, like).to(Vector(like, FILTERS)), size(like))
        loop.again([count + pixel, base + 8, to + out_pixel])


def _finish_of(*, prelu: bool = False, pooled: bool = False):
    each = 4 if pooled else 1

    @emitted
    def tile(counts, pixel, pixels, bases, first, out, out_pixel, factor, offset, slope, shortcut, around, totals):
        """out (pixels, 16) float32 = act(factor·y + offset + shortcut), y as in :func:`sums` or the largest of four.

        act: Hardtanh, which doesn't use ``slope``, or PReLU; ``around``: the shortcut's bytes from pixel to pixel.
        totals (16,) float64: the outputs' sums over the pixels, which float32 adds up.
        """
        factor, offset, slope = (numbers.load(_FLOATS, 4) for numbers in (factor, offset, slope))
        loop = Loop(pixels, [counts.constant(_FLOATS, 0), counts, bases, out, shortcut])
        with loop as (total, count, base, to, beside):
            found = [_sum_at(count + pixel * i, at + first, I16) for i, at in enumerate(_addresses(base, each))]
            value = reduce(lambda a, b: a.where(a > b, b), found).to(_FLOATS) * factor + offset
            value = value + beside.load(_FLOATS, 4)
            if prelu:
                value = (value * slope).where(value < 0.0, value)
            else:
                value = value.constant(_FLOATS, 1).where(value > 1.0, value)
                value = value.constant(_FLOATS, -1).where(value < -1.0, value)
            to.store(value, 4)
            loop.again([total + value, count + pixel * each, base + 8 * each, to + out_pixel, beside + around])
        totals.store(loop.results[0].to(Vector(F64, FILTERS)), 8)

    return tile


count_more, count_1px = _count_of(PIXELS), _count_of(1)
products_wide, products_more, products_1px = _products_of(MULTIPLIED, GROUPS), _products_of(MULTIPLIED), _products_of(1)
WIDE = BYTES // 16  # groups of 16 filters in the larger tile that looks up: two vectors
look_up, look_up_wide = _look_up_of(1), _look_up_of(WIDE)
finish_hardtanh, finish_prelu, finish_pooled = _finish_of(), _finish_of(prelu=True), _finish_of(pooled=True)


@emitted
def largest_of_9(places, groups, out):
    """out (16·groups,) float32 = the largest of the numbers at ``places`` (9,)."""
    at, loop = _addresses(places, 9), Loop(groups, [groups.constant(I64, 0)])
    with loop as (offset,):
        values = [(address + offset).load(_FLOATS, 4) for address in at]
        (out + offset).store(reduce(lambda a, b: b.where(b > a, a), values), 4)
        loop.again([offset + 4 * FILTERS])


@emitted
def sign_pixels(values, pixels, groups, limits, to, pixel):
    """For each pixel 16·``groups`` bits [value + limit >= 0] of float32 at ``to``, ``pixel`` bytes apart."""
    outer = Loop(pixels, [values, to])
    with outer as (value, start):
        inner = Loop(groups, [value, limits, start])
        with inner as (value, limit, at):
            bits = value.load(_FLOATS, 4) + limit.load(_FLOATS, 4) >= 0.0
            at.store(bits.bits_as(I16), 2)
            inner.again([value + 4 * FILTERS, limit + 4 * FILTERS, at + 2])
        outer.again([inner.results[0], start + pixel])


def _signs_of(count: int):
    @emitted
    def signs(values, limits, like) -> types.uint64:
        """``count`` times [value + limit >= 0] in a word, the first in the lowest bit; both of the type of ``like``."""
        lanes, word = min(64 // size(like), count), values.constant(I64, 0)
        for i in range(0, count, lanes):
            a, b = ((at + size(like) * i).load(Vector(like, lanes), size(like)) for at in (values, limits))
            word = word | ((a + b >= 0.0).bits_as(ir.IntType(lanes)).to(I64, unsigned=True) << i)
        return word

    return signs


word_of, byte_of, bit_of = _signs_of(64), _signs_of(8), _signs_of(1)

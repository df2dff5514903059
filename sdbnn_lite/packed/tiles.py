"""Pieces of LLVM code that numba can't write: two register tiles of XOR-popcounts, what follows them, comparisons.

One tile counts in words of 32 bits, 16 filters side by side: a pixel's word goes to all lanes, is XORed with that word
of 16 filters, and the vector popcount is added to sums that stay in registers until the end. 512 products take three
instructions with AVX512-VPOPCNTDQ; NEON's ``cnt`` counts in bytes, and LLVM adds them up.

Where x86 can't count bits in vectors, the other one looks them up: row x of a table holds popcount(x XOR w) for all 16
values of w's lower half byte and all 16 of its upper one. ``vpshufb`` picks from that row for 16 filters at once, both
halves: 128 products of 8 channels take two instructions, without an XOR.
"""

import os
from functools import reduce

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..system.llvm import F32, F64, I16, I32, I64, Loop, load, splat, store
from ..system.target import target

I8 = ir.IntType(8)
FILTERS = 16  # side by side: one vector of 32-bit lanes, or one row of the table
PIXELS, LOOKED_UP = 8 if target().vector == 64 else 4, 5  # of the larger tile that counts, of the one that looks up
BYTES = target().vector if target().counts == "vpshufb" else 32  # of the vectors that look up
STEPS = 63  # that a byte has room for, each adding 4 at most
_SUMS, _FLOATS = ir.VectorType(I32, FILTERS), ir.VectorType(F32, FILTERS)
A = types.intp


def _addresses(builder, table, pixels):
    return [load(builder, I64, builder.add(table, I64(8 * p)), 8) for p in range(pixels)]


def _count_of(pixels: int):
    @intrinsic
    def tile(typingctx, places, rows, row, words, weight, counts, like):
        """counts (pixels, 16) = popcounts of x XOR w over ``rows`` kernel rows of ``words`` 32-bit words.

        ``places`` (pixels,) int64: where each pixel's words start; ``row``: bytes to the image's next row. ``like``: a
        number of counts' type, of 16 or 32 bits.
        """

        def emit(context, builder, signature, args):
            places, rows, row, words, weight, counts, _ = args
            kind, size = ir.FunctionType(_SUMS, [_SUMS]), like.bitwidth // 8
            ones = cgutils.get_or_insert_function(builder.module, kind, "llvm.ctpop.v16i32")
            at = _addresses(builder, places, pixels)
            outer = Loop(builder, rows, [ir.Constant(_SUMS, [0] * FILTERS)] * pixels + [weight, I64(0)])
            with outer as (*sums, w, start):
                inner = Loop(builder, words, [*sums, w, start])
                with inner as (*sums, w, place):
                    filters = load(builder, _SUMS, w, 64)
                    differ = [splat(builder, load(builder, I32, builder.add(a, place), 4), FILTERS) for a in at]
                    sums = [builder.add(s, builder.call(ones, [builder.xor(d, filters)])) for s, d in zip(sums, differ)]
                    inner.again([*sums, builder.add(w, I64(4 * FILTERS)), builder.add(place, I64(4))])
                outer.again([*inner.results[:-1], builder.add(start, row)])
            for p, value in enumerate(outer.results[:pixels]):
                value = builder.trunc(value, ir.VectorType(I16, FILTERS)) if size == 2 else value
                store(builder, value, builder.add(counts, I64(size * FILTERS * p)), size)
            return context.get_dummy_value()

        return types.void(*[A] * 6, like), emit

    return tile


def _look_up_of(groups: int):
    size = min(BYTES, 32 * groups)
    vector, half, sums = (ir.VectorType(*kind) for kind in ((I8, size), (I8, FILTERS), (I16, FILTERS)))
    shuffle = {32: "llvm.x86.avx2.pshuf.b", 64: "llvm.x86.avx512.pshuf.b.512"}

    def lanes(builder, value, places):
        return builder.shuffle_vector(value, ir.Constant(value.type, ir.Undefined),
                                      ir.Constant(ir.VectorType(I32, len(places)), places))  # fmt: skip

    def emit(context, builder, signature, args):
        if target().counts == "cnt":  # no x86: compiled, as a part of its kernel, but never called
            return context.get_dummy_value()
        places, offsets, steps, weight, table, counts = args
        pick = cgutils.get_or_insert_function(builder.module, ir.FunctionType(vector, [vector] * 2), shuffle[size])
        at, starts = _addresses(builder, places, LOOKED_UP), range(0, 32 * groups, size)
        zeros = [ir.Constant(vector, [0] * size)] * (LOOKED_UP * len(starts))
        loop = Loop(builder, steps, [*zeros, weight, offsets])
        with loop as (*found, w, offset):
            ahead = load(builder, I64, offset, 8)
            filters = [load(builder, vector, builder.add(w, I64(start)), 32) for start in starts]
            rows = []
            for pixel in at:
                x = builder.zext(load(builder, I8, builder.add(pixel, ahead), 1), I64)
                row = load(builder, ir.VectorType(I8, 32), builder.add(table, builder.shl(x, I64(5))), 32)
                rows.append(lanes(builder, row, [*range(32)] * (size // 32)) if size > 32 else row)
            more = [builder.call(pick, [row, f]) for row in rows for f in filters]
            found = [builder.add(a, b) for a, b in zip(found, more, strict=True)]
            loop.again([*found, builder.add(w, I64(32 * groups)), builder.add(offset, I64(8))])
        parts = [lanes(builder, value, [*range(i, i + FILTERS)]) for value in loop.results[:-2]
                 for i in range(0, size, FILTERS)]  # fmt: skip
        for i, (lower, upper) in enumerate(zip(parts[::2], parts[1::2], strict=True)):
            to = builder.add(counts, I64(2 * FILTERS * i))
            value = builder.add(builder.zext(lower, sums), builder.zext(upper, sums))
            store(builder, builder.add(value, load(builder, sums, to, 2)), to, 2)
        return context.get_dummy_value()

    @intrinsic
    def tile(typingctx, places, offsets, steps, weight, table, counts):
        """counts (5, 16·groups) uint16 += popcounts of x XOR w over ``steps`` bytes of 8 channels, STEPS at most.

        ``places`` (5,) and ``offsets`` (steps,) int64: where each pixel's words start, and from there each byte.
        """
        return types.void(*[A] * 6), emit

    return tile


def _sum_at(builder, counts, base, size):
    """base - 2·counts of a pixel, vectors of 16 filters; counts of ``size`` bytes."""
    counts = load(builder, ir.VectorType(ir.IntType(8 * size), FILTERS), counts, size)
    counts = builder.zext(counts, _SUMS) if size == 2 else counts
    return builder.sub(load(builder, _SUMS, base, 4), builder.add(counts, counts))


@intrinsic
def sums(typingctx, counts, pixel, pixels, bases, first, out, out_pixel, like):
    """out (pixels, 16) = base - 2·counts, which are ``pixel`` bytes apart; both of the type of ``like``, 16 or 32 bits.

    ``bases`` (pixels,) int64: where each pixel's base values start, ``first`` bytes before those of these filters.
    """

    def emit(context, builder, signature, args):
        counts, pixel, pixels, bases, first, out, out_pixel, _ = args
        size = like.bitwidth // 8
        loop = Loop(builder, pixels, [counts, bases, out])
        with loop as (count, base, to):
            value = _sum_at(builder, count, builder.add(load(builder, I64, base, 8), first), size)
            store(builder, builder.trunc(value, ir.VectorType(I16, FILTERS)) if size == 2 else value, to, size)
            loop.again([builder.add(count, pixel), builder.add(base, I64(8)), builder.add(to, out_pixel)])
        return context.get_dummy_value()

    return types.void(*[A] * 7, like), emit


def _finish_of(*, prelu: bool = False, pooled: bool = False):
    each = 4 if pooled else 1

    def emit(context, builder, signature, args):
        counts, pixel, pixels, bases, first, out, out_pixel, factor, offset, slope, shortcut, around, totals = args
        factor, offset, slope = (load(builder, _FLOATS, number, 4) for number in (factor, offset, slope))
        zero, one, minus = (ir.Constant(_FLOATS, [number] * FILTERS) for number in (0.0, 1.0, -1.0))
        loop = Loop(builder, pixels, [zero, counts, bases, out, shortcut])
        with loop as (total, count, base, to, beside):
            found = []
            for at in _addresses(builder, base, each):
                found.append(_sum_at(builder, count, builder.add(at, first), 2))
                count = builder.add(count, pixel)
            value = reduce(lambda a, b: builder.select(builder.icmp_signed(">", a, b), a, b), found)
            value = builder.fadd(builder.fmul(builder.sitofp(value, _FLOATS), factor), offset)
            value = builder.fadd(value, load(builder, _FLOATS, beside, 4))
            if prelu:
                value = builder.select(builder.fcmp_ordered("<", value, zero), builder.fmul(value, slope), value)
            else:
                value = builder.select(builder.fcmp_ordered(">", value, one), one, value)
                value = builder.select(builder.fcmp_ordered("<", value, minus), minus, value)
            store(builder, value, to, 4)
            loop.again([builder.fadd(total, value), count, builder.add(base, I64(8 * each)),
                        builder.add(to, out_pixel), builder.add(beside, around)])  # fmt: skip
        store(builder, builder.fpext(loop.results[0], ir.VectorType(F64, FILTERS)), totals, 8)
        return context.get_dummy_value()

    @intrinsic
    def tile(
        typingctx, counts, pixel, pixels, bases, first, out, out_pixel, factor, offset, slope, shortcut, around, totals
    ):
        """out (pixels, 16) float32 = act(factor·y + offset + shortcut), y as in :func:`sums` or the largest of four.

        act: Hardtanh, which doesn't use ``slope``, or PReLU; ``around``: the shortcut's bytes from pixel to pixel.
        totals (16,) float64: the outputs' sums over the pixels, which float32 adds up.
        """
        return types.void(*[A] * 13), emit

    return tile


count_more, count_1px = _count_of(PIXELS), _count_of(1)
WIDE = BYTES // 16  # groups of 16 filters in the larger tile that looks up: two vectors
look_up, look_up_wide = _look_up_of(1), _look_up_of(WIDE)
finish_hardtanh, finish_prelu, finish_pooled = _finish_of(), _finish_of(prelu=True), _finish_of(pooled=True)


def _products_of(pixels: int):
    @intrinsic
    def tile(typingctx, values, pixel, rows, row, across, weight, offset, out, out_pixel):
        """out (pixels, 16) float32 = offset + Σ x·w over ``rows`` kernel rows of ``across`` numbers.

        ``pixel``: bytes from what one pixel sees to what the next one sees; the other distances likewise.
        """

        def emit(context, builder, signature, args):
            values, pixel, rows, row, across, weight, offset, out, out_pixel = args
            kind = ir.FunctionType(_FLOATS, [_FLOATS] * 3)
            fma = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.v{FILTERS}f32")
            at = [builder.add(values, builder.mul(pixel, I64(p))) for p in range(pixels)]
            outer = Loop(builder, rows, [load(builder, _FLOATS, offset, 4)] * pixels + [weight, I64(0)])
            with outer as (*sums, w, start):
                inner = Loop(builder, across, [*sums, w, start])
                with inner as (*sums, w, place):
                    filters = load(builder, _FLOATS, w, 64)
                    seen = [splat(builder, load(builder, F32, builder.add(a, place), 4), FILTERS) for a in at]
                    sums = [builder.call(fma, [x, filters, s]) for x, s in zip(seen, sums)]
                    inner.again([*sums, builder.add(w, I64(4 * FILTERS)), builder.add(place, I64(4))])
                outer.again([*inner.results[:-1], builder.add(start, row)])
            for p, value in enumerate(outer.results[:pixels]):
                store(builder, value, builder.add(out, builder.mul(out_pixel, I64(p))), 4)
            return context.get_dummy_value()

        return types.void(*[A] * 9), emit

    return tile


products_6px, products_1px = _products_of(6), _products_of(1)


@intrinsic
def count_up(typingctx, address, by):
    """The int64 at an address, which then is larger by ``by``; of all threads only one gets each value."""

    def emit(context, builder, signature, args):
        return builder.atomic_rmw("add", builder.inttoptr(args[0], I64.as_pointer()), args[1], "seq_cst")

    return types.int64(A, types.int64), emit


@intrinsic
def give_way(typingctx):
    """Let another thread or process have this core, if one is waiting for it."""

    def emit(context, builder, signature, args):
        name = "SwitchToThread" if os.name == "nt" else "sched_yield"
        builder.call(cgutils.get_or_insert_function(builder.module, ir.FunctionType(I32, []), name), [])
        return context.get_dummy_value()

    return types.void(), emit


@intrinsic
def largest_of_9(typingctx, places, groups, out):
    """out (16·groups,) float32 = the largest of the numbers at ``places`` (9,)."""

    def emit(context, builder, signature, args):
        places, groups, out = args
        at, loop = _addresses(builder, places, 9), Loop(builder, groups, [I64(0)])
        with loop as (offset,):
            values = [load(builder, _FLOATS, builder.add(a, offset), 4) for a in at]
            value = reduce(lambda a, b: builder.select(builder.fcmp_ordered(">", b, a), b, a), values)
            store(builder, value, builder.add(out, offset), 4)
            loop.again([builder.add(offset, I64(4 * FILTERS))])
        return context.get_dummy_value()

    return types.void(A, A, A), emit


@intrinsic
def sign_pixels(typingctx, values, pixels, groups, limits, to, pixel):
    """For each pixel 16·``groups`` bits [value + limit >= 0] of float32 at ``to``, ``pixel`` bytes apart."""

    def emit(context, builder, signature, args):
        values, pixels, groups, limits, to, pixel = args
        zero, size = ir.Constant(_FLOATS, [0.0] * FILTERS), I64(4 * FILTERS)
        outer = Loop(builder, pixels, [values, to])
        with outer as (value, start):
            inner = Loop(builder, groups, [value, limits, start])
            with inner as (value, limit, at):
                both = builder.fadd(load(builder, _FLOATS, value, 4), load(builder, _FLOATS, limit, 4))
                bits = builder.bitcast(builder.fcmp_ordered(">=", both, zero), I16)
                store(builder, bits, at, 2)
                inner.again([builder.add(value, size), builder.add(limit, size), builder.add(at, I64(2))])
            outer.again([inner.results[0], builder.add(start, pixel)])
        return context.get_dummy_value()

    return types.void(*[A] * 6), emit


def _signs_of(count: int):
    @intrinsic
    def signs(typingctx, values, limits, like):
        """``count`` comparisons of the numbers at two addresses in a word, the first in the lowest bit.

        [value + limit >= 0] of float32 or float64, [value >= limit] of int16 or int32: the type of ``like``.
        """
        real = isinstance(like, types.Float)
        kind = {32: F32, 64: F64}[like.bitwidth] if real else ir.IntType(like.bitwidth)
        lanes = min(512 // like.bitwidth, count)
        vector = ir.VectorType(kind, lanes)

        def emit(context, builder, signature, args):
            word, step = I64(0), lanes * like.bitwidth // 8
            for i in range(count // lanes):
                a, b = (load(builder, vector, builder.add(at, I64(step * i)), like.bitwidth // 8) for at in args[:2])
                if real:
                    bits = builder.fcmp_ordered(">=", builder.fadd(a, b), ir.Constant(vector, [0.0] * lanes))
                else:
                    bits = builder.icmp_signed(">=", a, b)
                some = builder.bitcast(bits, ir.IntType(lanes))
                word = builder.or_(word, builder.shl(builder.zext(some, I64), I64(i * lanes)))
            return word

        return types.uint64(A, A, like), emit

    return signs


word_of, byte_of, bit_of = _signs_of(64), _signs_of(8), _signs_of(1)

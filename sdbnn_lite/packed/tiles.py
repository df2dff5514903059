"""Two pieces of LLVM code that numba can't write: a register tile of XOR-popcounts, and 64 comparisons as one word.

The tile counts for 8 (or 1) pixels × 16 filters, in words of 32 bits: a pixel's word goes to all lanes, is XORed with
that word of 16 filters, and the vector popcount is added to sums that stay in registers until the end. Where the
processor has AVX512-VPOPCNTDQ, 512 products take three instructions; elsewhere LLVM lowers them to what there is.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..system.llvm import F32, F64, I16, I32, I64, Loop, load, splat, store

FILTERS = 16  # of a tile: one vector of 32-bit lanes
PIXELS = 8  # of the larger tile
LANES = 8
WORDS = ir.VectorType(I64, LANES)
_SUMS, _FLOATS = ir.VectorType(I32, FILTERS), ir.VectorType(F32, FILTERS)
A = types.intp


def _addresses(builder, table, pixels):
    return [load(builder, I64, builder.add(table, I64(8 * p)), 8) for p in range(pixels)]


def _sums(builder, args, pixels):
    """base - 2·Σ popcount(x XOR w) per pixel, vectors of 16 filters."""
    places, rows, row, words, weight, bases = args
    ones = cgutils.get_or_insert_function(builder.module, ir.FunctionType(_SUMS, [_SUMS]), "llvm.ctpop.v16i32")
    zero = ir.Constant(_SUMS, [0] * FILTERS)
    at = _addresses(builder, places, pixels)
    outer = Loop(builder, rows, [zero] * pixels + [weight, I64(0)])
    with outer as (*sums, w, start):
        inner = Loop(builder, words, [*sums, w, start])
        with inner as (*sums, w, place):
            filters = load(builder, _SUMS, w, 64)
            differ = [splat(builder, load(builder, I32, builder.add(a, place), 4), FILTERS) for a in at]
            sums = [builder.add(s, builder.call(ones, [builder.xor(d, filters)])) for s, d in zip(sums, differ)]
            inner.again([*sums, builder.add(w, I64(4 * FILTERS)), builder.add(place, I64(4))])
        outer.again([*inner.results[:-1], builder.add(start, row)])
    begin = [load(builder, _SUMS, address, 4) for address in _addresses(builder, bases, pixels)]
    return [builder.sub(b, builder.add(s, s)) for b, s in zip(begin, outer.results[:pixels])]


def _sums_tile(pixels, like):
    def emit(context, builder, signature, args):
        out, out_pixel, _ = args[6:]
        for p, value in enumerate(_sums(builder, args[:6], pixels)):
            if like.bitwidth == 16:
                value = builder.trunc(value, ir.VectorType(I16, FILTERS))
            store(builder, value, builder.add(out, builder.mul(out_pixel, I64(p))), like.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(*[A] * 8, like), emit


def _layer_tile(pixels, *, prelu):
    def emit(context, builder, signature, args):
        out, out_pixel, factor, offset, slope, shortcut, shortcut_pixel = args[6:]
        values = _sums(builder, args[:6], pixels)
        factor, offset = load(builder, _FLOATS, factor, 4), load(builder, _FLOATS, offset, 4)
        slope = load(builder, _FLOATS, slope, 4) if prelu else None
        zero, one, minus = (ir.Constant(_FLOATS, [number] * FILTERS) for number in (0.0, 1.0, -1.0))
        for p, value in enumerate(values):
            value = builder.fadd(builder.fmul(builder.sitofp(value, _FLOATS), factor), offset)
            around = builder.add(shortcut, builder.mul(shortcut_pixel, I64(p)))
            value = builder.fadd(value, load(builder, _FLOATS, around, 4))
            if prelu:
                value = builder.select(builder.fcmp_ordered("<", value, zero), builder.fmul(value, slope), value)
            else:
                value = builder.select(builder.fcmp_ordered(">", value, one), one, value)
                value = builder.select(builder.fcmp_ordered("<", value, minus), minus, value)
            store(builder, value, builder.add(out, builder.mul(out_pixel, I64(p))), 4)
        return context.get_dummy_value()

    return emit


_LAYER_TILE = types.void(*[A] * 13)


@intrinsic
def sums_8px(typingctx, places, rows, row, words, weight, bases, out, out_pixel, like):
    """out (8, 16) = base - 2·popcounts of x XOR w over ``rows`` kernel rows of ``words`` 32-bit words.

    ``places`` and ``bases`` (8,) int64: where each pixel's words and its base values start; distances in bytes.
    ``like``: a number of out's type, int16 or int32.
    """
    return _sums_tile(PIXELS, like)


@intrinsic
def sums_1px(typingctx, places, rows, row, words, weight, bases, out, out_pixel, like):
    """The same for one pixel."""
    return _sums_tile(1, like)


@intrinsic
def hardtanh_8px(
    typingctx, places, rows, row, words, weight, bases, out, out_pixel, factor, offset, slope, shortcut, shortcut_pixel
):
    """out (8, 16) float32 = hardtanh(factor·y + offset + shortcut), y as in :func:`sums_8px`; slope isn't used."""
    return _LAYER_TILE, _layer_tile(PIXELS, prelu=False)


@intrinsic
def hardtanh_1px(
    typingctx, places, rows, row, words, weight, bases, out, out_pixel, factor, offset, slope, shortcut, shortcut_pixel
):
    """The same for one pixel."""
    return _LAYER_TILE, _layer_tile(1, prelu=False)


@intrinsic
def prelu_8px(
    typingctx, places, rows, row, words, weight, bases, out, out_pixel, factor, offset, slope, shortcut, shortcut_pixel
):
    """The same as :func:`hardtanh_8px` with PReLU: negative values times ``slope``."""
    return _LAYER_TILE, _layer_tile(PIXELS, prelu=True)


@intrinsic
def prelu_1px(
    typingctx, places, rows, row, words, weight, bases, out, out_pixel, factor, offset, slope, shortcut, shortcut_pixel
):
    """The same for one pixel."""
    return _LAYER_TILE, _layer_tile(1, prelu=True)


def _emit_word(kind: ir.Type, lanes: int, compare):
    """64 comparisons of ``values`` with ``limits``, in a word: the first in the lowest bit."""

    def emit(context, builder, signature, args):
        values, limits = args[:2]
        size = 64 // lanes
        vector = ir.VectorType(kind, lanes)
        word = I64(0)
        for i in range(64 // lanes):
            a = load(builder, vector, builder.add(values, I64(i * lanes * size)), size)
            b = load(builder, vector, builder.add(limits, I64(i * lanes * size)), size)
            some = builder.bitcast(compare(builder, a, b), ir.IntType(lanes))
            word = builder.or_(word, builder.shl(builder.zext(some, I64), I64(i * lanes)))
        return word

    return emit


def _sum_is_positive(builder, a, b):
    return builder.fcmp_ordered(">=", builder.fadd(a, b), ir.Constant(a.type, [0.0] * a.type.count))


def _reaches(builder, a, b):
    return builder.icmp_signed(">=", a, b)


@intrinsic
def word_of_float32(typingctx, values, shifts):
    """64 bits [value + shift >= 0] of 64 float32 at each address."""
    return types.uint64(A, A), _emit_word(F32, 16, _sum_is_positive)


@intrinsic
def word_of_float64(typingctx, values, shifts):
    """64 bits [value + shift >= 0] of 64 float64 at each address."""
    return types.uint64(A, A), _emit_word(F64, 8, _sum_is_positive)


@intrinsic
def word_of_sums(typingctx, values, limits, like):
    """64 bits [value >= limit] of 64 numbers at each address, int16 or int32 as ``like``."""
    return types.uint64(A, A, like), _emit_word(ir.IntType(like.bitwidth), 512 // like.bitwidth, _reaches)

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


def _sums_of(pixels: int):
    @intrinsic
    def tile(typingctx, places, rows, row, words, weight, bases, out, out_pixel, like):
        """out (pixels, 16) = base - 2·popcounts of x XOR w over ``rows`` kernel rows of ``words`` 32-bit words.

        ``places`` and ``bases`` (pixels,) int64: where each pixel's words and its base values start; distances in
        bytes. ``like``: a number of out's type, int16 or int32.
        """

        def emit(context, builder, signature, args):
            out, out_pixel, _ = args[6:]
            for p, value in enumerate(_sums(builder, args[:6], pixels)):
                if like.bitwidth == 16:
                    value = builder.trunc(value, ir.VectorType(I16, FILTERS))
                store(builder, value, builder.add(out, builder.mul(out_pixel, I64(p))), like.bitwidth // 8)
            return context.get_dummy_value()

        return types.void(*[A] * 8, like), emit

    return tile


def _layer_of(pixels: int, *, prelu: bool):
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

    @intrinsic
    def tile(
        typingctx, places, rows, row, words, weight, bases, out, out_pixel, factor, offset, slope, shortcut, around
    ):
        """out (pixels, 16) float32 = act(factor·y + offset + shortcut), y as in :func:`_sums_of`.

        act: Hardtanh, which doesn't use ``slope``, or PReLU; ``around``: the shortcut's bytes from pixel to pixel.
        """
        return types.void(*[A] * 13), emit

    return tile


sums_8px, sums_1px = _sums_of(PIXELS), _sums_of(1)
hardtanh_8px, hardtanh_1px = _layer_of(PIXELS, prelu=False), _layer_of(1, prelu=False)
prelu_8px, prelu_1px = _layer_of(PIXELS, prelu=True), _layer_of(1, prelu=True)


@intrinsic
def word_of(typingctx, values, limits, like):
    """64 comparisons of the numbers at two addresses in a word, the first in the lowest bit.

    [value + limit >= 0] of float32 or float64, [value >= limit] of int16 or int32: the type of ``like``.
    """
    real = isinstance(like, types.Float)
    kind = {32: F32, 64: F64}[like.bitwidth] if real else ir.IntType(like.bitwidth)
    lanes = 512 // like.bitwidth
    vector = ir.VectorType(kind, lanes)

    def emit(context, builder, signature, args):
        word = I64(0)
        for i in range(64 // lanes):
            a, b = (load(builder, vector, builder.add(at, I64(64 * i)), 64 // lanes) for at in args[:2])
            if real:
                bits = builder.fcmp_ordered(">=", builder.fadd(a, b), ir.Constant(vector, [0.0] * lanes))
            else:
                bits = builder.icmp_signed(">=", a, b)
            some = builder.bitcast(bits, ir.IntType(lanes))
            word = builder.or_(word, builder.shl(builder.zext(some, I64), I64(i * lanes)))
        return word

    return types.uint64(A, A, like), emit

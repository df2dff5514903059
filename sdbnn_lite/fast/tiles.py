"""Three register tiles, emitted as LLVM code: dot products that never leave the vector registers until they are done.

Plain numba keeps accumulators in memory and loses most of the speed; here they are values of the loop itself.

    popcount    ±1 times ±1, forward: 32 images × 16 channels in a vector of bits; XOR, popcount (VPOPCNTW), subtract
    conv        16-bit gradients times ±1 weights: products in pairs, both added to a 32-bit lane (VPMADDWD of AVX-512)
    weight      16-bit gradients times ±1 activations, likewise

Where a processor lacks VPOPCNTW, LLVM lowers the same code to what there is, exactly as well. All arguments are
addresses (bytes) and distances (bytes).
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..system.llvm import F32, I16, I32, I64, Loop, load, splat, store
from ..system.target import target

LANES = 16
CHANNELS = 4  # output channels (convolution) or filters × inputs (weight gradient) of a tile, per side
PAIRS, SUMS, FLOATS = ir.VectorType(I16, 2 * LANES), ir.VectorType(I32, LANES), ir.VectorType(F32, LANES)
WORDS = PAIRS  # a word of 16 channels for each of 32 images
A = types.intp


def has_wide_integers() -> bool:
    """Whether code is generated that multiplies 32 pairs of 16-bit integers at once (AVX-512 BW)."""
    return target().vector == 64


def dot(builder: ir.IRBuilder, total: ir.Value, x: ir.Value, y: ir.Value) -> ir.Value:
    """total + x_even·y_even + x_odd·y_odd, per 32-bit lane; with AVX512-VNNI, LLVM makes one VPDPWSSD of it."""
    kind = ir.FunctionType(SUMS, [PAIRS, PAIRS])
    multiply = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx512.pmaddw.d.512")
    return builder.add(total, builder.call(multiply, [x, y]))


def _multiply_add(builder: ir.IRBuilder, total: ir.Value, x: ir.Value, y: ir.Value) -> ir.Value:
    """total + x·y in float32, one instruction."""
    return builder.fadd(total, builder.fmul(x, y, flags=("contract",)), flags=("contract",))


def _popcount_of(pixels: int):
    def emit(context, builder, signature, args):
        x, x_word, x_pixel, taps, count, words, weight, base, base_pixel, valid, out, out_channel = args
        ones = cgutils.get_or_insert_function(builder.module, ir.FunctionType(WORDS, [WORDS]), "llvm.ctpop.v32i16")
        zero = ir.Constant(WORDS, [0] * 2 * LANES)
        places = [builder.mul(x_pixel, I64(p)) for p in range(pixels)]
        outer = Loop(builder, count, [zero] * (pixels * CHANNELS) + [weight])
        with outer as (*sums, w):
            offset = load(builder, I64, builder.add(taps, builder.mul(outer.index, I64(8))), 8)
            inner = Loop(builder, words, [*sums, w, builder.add(x, offset)])
            with inner as (*sums, w, at):
                xs = [load(builder, WORDS, builder.add(at, p), 64) for p in places]
                following = []
                for q in range(CHANNELS):
                    twice = load(builder, I32, builder.add(w, I64(4 * q)), 4)
                    y = builder.bitcast(splat(builder, twice, LANES), WORDS)
                    differ = [builder.call(ones, [builder.xor(x, y)]) for x in xs]
                    following += [builder.add(sums[q * pixels + p], d) for p, d in enumerate(differ)]
                inner.again([*following, builder.add(w, I64(4 * CHANNELS)), builder.add(at, x_word)])
            outer.again(inner.results[:-1])
        images = load(builder, WORDS, valid, 64)
        for q in range(CHANNELS):
            for p in range(pixels):
                differ = outer.results[q * pixels + p]
                start = builder.add(builder.add(base, builder.mul(base_pixel, I64(p))), I64(2 * q))
                start = splat(builder, load(builder, I16, start, 2), 2 * LANES)
                value = builder.sub(start, builder.add(differ, differ))
                at = builder.add(builder.add(out, builder.mul(out_channel, I64(q))), I64(64 * p))
                store(builder, builder.and_(value, images), at, 64)
        return context.get_dummy_value()

    @intrinsic
    def tile(typingctx, x, x_word, x_pixel, taps, count, words, weight, base, base_pixel, valid, out, out_channel):
        """``pixels`` × 32 images × ``CHANNELS`` outputs: base - 2·popcounts as int16, 0 behind the last image."""
        return types.void(*[A] * 12), emit

    return tile


def _conv_of(pixels: int, *, floats: bool = False):
    vectors = 2 * pixels
    kind, part, product = (FLOATS, F32, _multiply_add) if floats else (PAIRS, I32, dot)

    def emit(context, builder, signature, args):
        x, x_pair, x_pixel, taps, count, pairs, weight, out, out_channel, scale, out_pixel = args
        zero = ir.Constant(FLOATS if floats else SUMS, [0] * LANES)
        half = [I64(64 * (v % 2)) for v in range(vectors)]
        place = [builder.add(builder.mul(x_pixel, I64(v // 2)), half[v]) for v in range(vectors)]
        outer = Loop(builder, count, [zero] * (vectors * CHANNELS) + [weight])
        with outer as (*sums, w):
            offset = load(builder, I64, builder.add(taps, builder.mul(outer.index, I64(8))), 8)
            inner = Loop(builder, pairs, [*sums, w, builder.add(x, offset)])
            with inner as (*sums, w, at):
                xs = [load(builder, kind, builder.add(at, p), 64) for p in place]
                following = []
                for q in range(CHANNELS):
                    one = load(builder, part, builder.add(w, I64(4 * q)), 4)
                    y = builder.bitcast(splat(builder, one, LANES), kind)
                    following += [product(builder, sums[q * vectors + v], xs[v], y) for v in range(vectors)]
                inner.again([*following, builder.add(w, I64(4 * CHANNELS)), builder.add(at, x_pair)])
            outer.again(inner.results[:-1])
        for q in range(CHANNELS):
            for v in range(vectors):
                value = outer.results[q * vectors + v]
                value = builder.fmul(builder.sitofp(value, FLOATS), splat(builder, scale, LANES))
                inside = builder.add(builder.mul(out_pixel, I64(v // 2)), half[v])
                at = builder.add(builder.add(out, builder.mul(out_channel, I64(q))), inside)
                store(builder, value, at, 64)
        return context.get_dummy_value()

    @intrinsic
    def tile(typingctx, x, x_pair, x_pixel, taps, count, pairs, weight, out, out_channel, scale, out_pixel):
        """``pixels`` × 32 images × ``CHANNELS`` outputs, as float32 = scale · sum.

        With ``floats``, x, weights and sums are float32, and what is called a pair is one channel.
        """
        return types.void(*[A] * 9, types.float32, A), emit

    return tile


def _weight_of(*, floats: bool):
    kind, total_kind, product = (FLOATS, FLOATS, _multiply_add) if floats else (PAIRS, SUMS, dot)

    def emit(context, builder, signature, args):
        g, g_channel, g_row, a, a_channel, a_row, a_pixel, rows, columns, sums = args
        count = CHANNELS * CHANNELS
        place = [builder.add(sums, I64(64 * i)) for i in range(count)]
        start = [load(builder, total_kind, at, 64) for at in place]
        g_places = [builder.mul(g_channel, I64(i)) for i in range(CHANNELS)]
        a_places = [builder.mul(a_channel, I64(i)) for i in range(CHANNELS)]
        outer = Loop(builder, rows, [*start, g, a])
        with outer as (*totals, g_at, a_at):
            inner = Loop(builder, columns, [*totals, g_at, a_at])
            with inner as (*totals, g_now, a_now):
                gs = [load(builder, kind, builder.add(g_now, p), 64) for p in g_places]
                xs = [load(builder, kind, builder.add(a_now, p), 64) for p in a_places]
                totals = [product(builder, totals[i], gs[i // CHANNELS], xs[i % CHANNELS]) for i in range(count)]
                inner.again([*totals, builder.add(g_now, I64(64)), builder.add(a_now, a_pixel)])
            outer.again([*inner.results[:count], builder.add(g_at, g_row), builder.add(a_at, a_row)])
        for value, at in zip(outer.results[:count], place, strict=True):
            store(builder, value, at, 64)
        return context.get_dummy_value()

    @intrinsic
    def tile(typingctx, g, g_channel, g_row, a, a_channel, a_row, a_pixel, rows, columns, sums):
        """Adds Σ_pixels g·a, over 32 images as 16 lanes of pairs, to 4 filters × 4 inputs at ``sums``.

        With ``floats``, a vector, and so a column, is half a pixel's 32 images.
        """
        return types.void(*[A] * 10), emit

    return tile


popcount_tile_4px, popcount_tile_1px = _popcount_of(4), _popcount_of(1)
conv_tile_real_2px, conv_tile_real_1px, conv_tile_float = _conv_of(2), _conv_of(1), _conv_of(1, floats=True)
weight_tile, weight_tile_float = _weight_of(floats=False), _weight_of(floats=True)

"""Three register tiles, emitted as LLVM code: dot products that never leave the vector registers until they are done.

Plain numba keeps accumulators in memory and loses most of the speed; here they are values of the loop itself.

    popcount    ±1 times ±1, forward: 32 images × 16 channels of bits; XOR, popcount (VPOPCNTW), subtract
    conv        16-bit gradients times ±1 weights: products in pairs, both added to a 32-bit lane (VPMADDWD)
    weight      16-bit gradients times ±1 activations, likewise

Vectors are as wide as the target's, and a tile's sums fill half of its registers: of two pixels in a convolution with
AVX-512, else of half a pixel's images. Where a processor lacks VPOPCNTW, LLVM lowers the same code to what there is,
exactly as well. All arguments are addresses (bytes) and distances (bytes).
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..system.llvm import F32, I16, I32, I64, Loop, load, splat, store
from ..system.target import keeps_code, target

VECTOR = target().vector  # bytes
LANES = VECTOR // 4
AT_ONCE = target().registers // 8  # vectors of pixels (convolution) or inputs (weight gradient), each CHANNELS times
TILE = AT_ONCE * VECTOR  # bytes of x in a tile
PIXELS, PARTS = max(1, TILE // 128), max(1, 128 // TILE)  # of a convolution's tile, and tiles that make a pixel
PIXELS_OF_WORDS = max(1, TILE // 64)
CHANNELS = 4  # output channels (convolution) or filters × inputs (weight gradient) of a tile, per side
PAIRS, SUMS, FLOATS = ir.VectorType(I16, 2 * LANES), ir.VectorType(I32, LANES), ir.VectorType(F32, LANES)
WORDS = PAIRS  # a word of 16 channels for each image
A = types.intp

# error_model: a division that checks for 0 isn't vectorised.
options = {"cache": keeps_code(), "nogil": True, "error_model": "numpy", "fastmath": {"contract", "nsz", "arcp"}}


def dot(builder: ir.IRBuilder, total: ir.Value, x: ir.Value, y: ir.Value) -> ir.Value:
    """total + x_even·y_even + x_odd·y_odd, per 32-bit lane; with VNNI, LLVM makes one VPDPWSSD of it."""
    kind = ir.FunctionType(SUMS, [PAIRS, PAIRS])
    name = {64: "llvm.x86.avx512.pmaddw.d.512", 32: "llvm.x86.avx2.pmadd.wd"}.get(VECTOR)
    if name:
        multiply = cgutils.get_or_insert_function(builder.module, kind, name)
        return builder.add(total, builder.call(multiply, [x, y]))
    for first in (0, 1):  # SMLAL of NEON
        every = ir.Constant(SUMS, list(range(first, 2 * LANES, 2)))
        a, b = (builder.sext(builder.shuffle_vector(v, ir.Constant(PAIRS, ir.Undefined), every), SUMS) for v in (x, y))
        total = builder.add(total, builder.mul(a, b))
    return total


def add_popcount(builder: ir.IRBuilder, total: ir.Value, x: ir.Value, y: ir.Value) -> ir.Value:
    """total + popcount(x XOR y), per 16-bit lane."""
    name = f"llvm.ctpop.v{2 * LANES}i16"
    ones = cgutils.get_or_insert_function(builder.module, ir.FunctionType(WORDS, [WORDS]), name)
    return builder.add(total, builder.call(ones, [builder.xor(x, y)]))


def beyond(builder: ir.IRBuilder, address: ir.Value, offset: int) -> ir.Value:
    """The address so many bytes further."""
    return builder.add(address, I64(offset)) if offset else address


def _multiply_add(builder: ir.IRBuilder, total: ir.Value, x: ir.Value, y: ir.Value) -> ir.Value:
    """total + x·y in float32, one instruction."""
    return builder.fadd(total, builder.fmul(x, y, flags=("contract",)), flags=("contract",))


def _popcount_of(pixels: int):
    vectors = [(p, h) for p in range(pixels) for h in range(64 // VECTOR)]  # pixel, which of its vectors

    def emit(context, builder, signature, args):
        x, x_word, x_pixel, taps, count, words, weight, base, base_pixel, valid, out, out_channel = args
        zero = ir.Constant(WORDS, [0] * 2 * LANES)
        places = [beyond(builder, builder.mul(x_pixel, I64(p)), VECTOR * h) for p, h in vectors]
        outer = Loop(builder, count, [zero] * (len(vectors) * CHANNELS) + [weight])
        with outer as (*sums, w):
            offset = load(builder, I64, builder.add(taps, builder.mul(outer.index, I64(8))), 8)
            inner = Loop(builder, words, [*sums, w, builder.add(x, offset)])
            with inner as (*sums, w, at):
                xs = [load(builder, WORDS, builder.add(at, p), VECTOR) for p in places]
                following = []
                for q in range(CHANNELS):
                    twice = load(builder, I32, builder.add(w, I64(4 * q)), 4)
                    y = builder.bitcast(splat(builder, twice, LANES), WORDS)
                    following += [add_popcount(builder, sums[q * len(xs) + v], x, y) for v, x in enumerate(xs)]
                inner.again([*following, builder.add(w, I64(4 * CHANNELS)), builder.add(at, x_word)])
            outer.again(inner.results[:-1])
        images = [load(builder, WORDS, beyond(builder, valid, at), VECTOR) for at in range(0, 64, VECTOR)]
        for q in range(CHANNELS):
            for v, (p, h) in enumerate(vectors):
                differ = outer.results[q * len(vectors) + v]
                start = builder.add(builder.add(base, builder.mul(base_pixel, I64(p))), I64(2 * q))
                start = splat(builder, load(builder, I16, start, 2), 2 * LANES)
                value = builder.sub(start, builder.add(differ, differ))
                at = builder.add(builder.add(out, builder.mul(out_channel, I64(q))), I64(64 * p + VECTOR * h))
                store(builder, builder.and_(value, images[h]), at, VECTOR)
        return context.get_dummy_value()

    @intrinsic
    def tile(typingctx, x, x_word, x_pixel, taps, count, words, weight, base, base_pixel, valid, out, out_channel):
        """``pixels`` × 32 images × ``CHANNELS`` outputs: base - 2·popcounts as int16, 0 behind the last image."""
        return types.void(*[A] * 12), emit

    return tile


def _conv_of(pixels: int, *, floats: bool = False):
    vectors = [(p, h) for p in range(pixels) for h in range(128 // PARTS // VECTOR)]  # pixel, which of its vectors
    kind, part, product = (FLOATS, F32, _multiply_add) if floats else (PAIRS, I32, dot)

    def emit(context, builder, signature, args):
        x, x_pair, x_pixel, taps, count, pairs, weight, out, out_channel, scale, out_pixel = args
        zero = ir.Constant(FLOATS if floats else SUMS, [0] * LANES)
        places = [builder.add(builder.mul(x_pixel, I64(p)), I64(VECTOR * h)) for p, h in vectors]
        outer = Loop(builder, count, [zero] * (len(vectors) * CHANNELS) + [weight])
        with outer as (*sums, w):
            offset = load(builder, I64, builder.add(taps, builder.mul(outer.index, I64(8))), 8)
            inner = Loop(builder, pairs, [*sums, w, builder.add(x, offset)])
            with inner as (*sums, w, at):
                xs = [load(builder, kind, builder.add(at, p), VECTOR) for p in places]
                following = []
                for q in range(CHANNELS):
                    one = load(builder, part, builder.add(w, I64(4 * q)), 4)
                    y = builder.bitcast(splat(builder, one, LANES), kind)
                    following += [product(builder, sums[q * len(xs) + v], x, y) for v, x in enumerate(xs)]
                inner.again([*following, builder.add(w, I64(4 * CHANNELS)), builder.add(at, x_pair)])
            outer.again(inner.results[:-1])
        for q in range(CHANNELS):
            for v, (p, h) in enumerate(vectors):
                value = outer.results[q * len(vectors) + v]
                value = builder.fmul(builder.sitofp(value, FLOATS), splat(builder, scale, LANES))
                inside = builder.add(builder.mul(out_pixel, I64(p)), I64(VECTOR * h))
                at = builder.add(builder.add(out, builder.mul(out_channel, I64(q))), inside)
                store(builder, value, at, VECTOR)
        return context.get_dummy_value()

    @intrinsic
    def tile(typingctx, x, x_pair, x_pixel, taps, count, pairs, weight, out, out_channel, scale, out_pixel):
        """``pixels`` × 32 images (a pixel is ``PARTS`` tiles) × ``CHANNELS`` outputs, as float32 = scale · sum.

        With ``floats``, x, weights and sums are float32, and what is called a pair is one channel.
        """
        return types.void(*[A] * 9, types.float32, A), emit

    return tile


def _weight_of(*, floats: bool):
    def emit(context, builder, signature, args):
        for first in range(0, CHANNELS, AT_ONCE):
            _emit_weight(builder, args, range(first, min(first + AT_ONCE, CHANNELS)), floats)
        return context.get_dummy_value()

    @intrinsic
    def tile(typingctx, g, g_channel, g_row, a, a_channel, a_row, a_pixel, rows, columns, sums):
        """Adds Σ_pixels g·a, over 32 images as ``LANES`` lanes of pairs, to 4 filters × 4 inputs at ``sums``.

        With ``floats``, what is called a column is half a pixel's 32 images.
        """
        return types.void(*[A] * 10), emit

    return tile


def _emit_weight(builder: ir.IRBuilder, args: list[ir.Value], inputs: range, floats: bool) -> None:
    kind, total_kind, product = (FLOATS, FLOATS, _multiply_add) if floats else (PAIRS, SUMS, dot)
    g, g_channel, g_row, a, a_channel, a_row, a_pixel, rows, columns, sums = args
    each = [(i, j) for i in range(CHANNELS) for j in range(len(inputs))]
    place = [builder.add(sums, I64(VECTOR * (i * CHANNELS + inputs[j]))) for i, j in each]
    start = [load(builder, total_kind, at, VECTOR) for at in place]
    g_places = [builder.mul(g_channel, I64(i)) for i in range(CHANNELS)]
    a_places = [builder.mul(a_channel, I64(i)) for i in inputs]
    outer = Loop(builder, rows, [*start, g, a])
    with outer as (*totals, g_at, a_at):
        inner = Loop(builder, columns, [*totals, g_at, a_at])
        with inner as (*totals, g_now, a_now):
            for h in range(64 // VECTOR):
                gs = [load(builder, kind, beyond(builder, builder.add(g_now, p), VECTOR * h), VECTOR) for p in g_places]
                xs = [load(builder, kind, beyond(builder, builder.add(a_now, p), VECTOR * h), VECTOR) for p in a_places]
                totals = [product(builder, total, gs[i], xs[j]) for total, (i, j) in zip(totals, each, strict=True)]
            inner.again([*totals, builder.add(g_now, I64(64)), builder.add(a_now, a_pixel)])
        outer.again([*inner.results[:-2], builder.add(g_at, g_row), builder.add(a_at, a_row)])
    for value, at in zip(outer.results[:-2], place, strict=True):
        store(builder, value, at, VECTOR)


popcount_tile, popcount_tile_1px = _popcount_of(PIXELS_OF_WORDS), _popcount_of(1)
conv_tile_real, conv_tile_real_1px, conv_tile_float = _conv_of(PIXELS), _conv_of(1), _conv_of(1, floats=True)
weight_tile, weight_tile_float = _weight_of(floats=False), _weight_of(floats=True)

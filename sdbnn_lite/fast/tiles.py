"""Three register tiles, emitted as LLVM code: dot products that never leave the vector registers until they are done.

Plain numba keeps accumulators in memory and loses most of the speed; here they are values of the loop itself.

    popcount    ±1 times ±1, forward: 32 images × 16 channels of bits; XOR, popcount (VPOPCNTW), subtract
    conv        16-bit gradients times ±1 weights: products in pairs, both added to a 32-bit lane (VPMADDWD)
    weight      16-bit gradients times ±1 activations, likewise

Vectors are as wide as the target's, and a tile's sums fill half of its registers: of two pixels in a convolution with
AVX-512, else of half a pixel's images. Where a processor lacks VPOPCNTW, LLVM lowers the same code to what there is,
exactly as well. All arguments are addresses (bytes) and distances (bytes).
"""

from numba import types

from ..system.llvm import F32, I16, I32, I64, OPTIONS, Loop, Value, Vector, emitted
from ..system.target import target

VECTOR = target().vector  # bytes
LANES = VECTOR // 4
AT_ONCE = target().registers // 8  # vectors of pixels (convolution) or inputs (weight gradient), each CHANNELS times
TILE = AT_ONCE * VECTOR  # bytes of x in a tile
PIXELS, PARTS = max(1, TILE // 128), max(1, 128 // TILE)  # of a convolution's tile, and tiles that make a pixel
PIXELS_OF_WORDS = max(1, TILE // 64)
CHANNELS = 4  # output channels (convolution) or filters × inputs (weight gradient) of a tile, per side
PAIRS, SUMS, FLOATS = Vector(I16, 2 * LANES), Vector(I32, LANES), Vector(F32, LANES)
WORDS = PAIRS  # a word of 16 channels for each image

# A product and a sum may become one instruction; nothing else is rearranged.
options = {**OPTIONS, "fastmath": {"contract", "nsz", "arcp"}}


def dot(total: Value, x: Value, y: Value) -> Value:
    """total + x_even·y_even + x_odd·y_odd, per 32-bit lane; with VNNI, LLVM makes one VPDPWSSD of it."""
    name = {64: "x86.avx512.pmaddw.d.512", 32: "x86.avx2.pmadd.wd"}.get(VECTOR)
    if name:
        return total + x.call(name, y, gives=SUMS)
    for first in (0, 1):  # SMLAL of NEON
        a, b = (v.lanes(range(first, 2 * LANES, 2)).to(SUMS) for v in (x, y))
        total = total + a * b
    return total


def add_popcount(total: Value, x: Value, y: Value) -> Value:
    """total + popcount(x XOR y), per lane."""
    return total + (x ^ y).call("ctpop")


def _multiply_add(total: Value, x: Value, y: Value) -> Value:
    """total + x·y in float32, one instruction."""
    return total + x * y


BITS, REALS, INTEGERS = (WORDS, I32, WORDS, add_popcount), (FLOATS, F32, FLOATS, _multiply_add), (PAIRS, I32, SUMS, dot)


def _over_taps(kinds, x, step, taps, count, channels, weight, places):
    """[Σ product(x, w) for each of CHANNELS weights at a time, for each vector of x at ``places``] over taps, channels.

    ``kinds``: of x, of a weight, of the sums; and what adds a product.
    """
    kind, part, total, product = kinds
    zeros = [x.constant(total, 0)] * (len(places) * CHANNELS)
    outer = Loop(count, [*zeros, weight])
    with outer as (*sums, w):
        inner = Loop(channels, [*sums, w, x + (taps + outer.index * 8).load(I64, 8)])
        with inner as (*sums, w, at):
            xs = [(at + place).load(kind, VECTOR) for place in places]
            ws = [(w + 4 * q).load(part, 4).splat(LANES).bits_as(kind) for q in range(CHANNELS)]
            sums = [product(s, xs[i % len(xs)], ws[i // len(xs)]) for i, s in enumerate(sums)]
            inner.again([*sums, w + 4 * CHANNELS, at + step])
        outer.again(inner.results[:-1])
    return outer.results[:-1]


def _popcount_of(pixels: int):
    vectors = [(p, h) for p in range(pixels) for h in range(0, 64, VECTOR)]  # pixel, where its vector begins

    @emitted
    def tile(x, x_word, x_pixel, taps, count, words, weight, base, base_pixel, valid, out, out_channel):
        """``pixels`` × 32 images × ``CHANNELS`` outputs: base - 2·popcounts as int16, 0 behind the last image."""
        sums = _over_taps(BITS, x, x_word, taps, count, words, weight, [x_pixel * p + h for p, h in vectors])
        for (q, p, h), differ in zip([(q, *vector) for q in range(CHANNELS) for vector in vectors], sums):
            start = (base + base_pixel * p + 2 * q).load(I16, 2).splat(2 * LANES)
            value = (start - (differ + differ)) & (valid + h).load(WORDS, VECTOR)
            (out + out_channel * q + 64 * p + h).store(value, VECTOR)

    return tile


def _conv_of(pixels: int, kinds: tuple):
    vectors = [(p, h) for p in range(pixels) for h in range(0, 128 // PARTS, VECTOR)]  # as above

    @emitted
    def tile(x, x_pair, x_pixel, taps, count, pairs, weight, out, out_channel, scale: types.float32, out_pixel):
        """``pixels`` × 32 images (a pixel is ``PARTS`` tiles) × ``CHANNELS`` outputs, as float32 = scale · sum.

        With REALS, x, weights and sums are float32, and what is called a pair is one channel.
        """
        sums = _over_taps(kinds, x, x_pair, taps, count, pairs, weight, [x_pixel * p + h for p, h in vectors])
        for (q, p, h), value in zip([(q, *vector) for q in range(CHANNELS) for vector in vectors], sums):
            (out + out_channel * q + out_pixel * p + h).store(value.to(FLOATS) * scale.splat(LANES), VECTOR)

    return tile


def _weight_of(kinds: tuple):
    kind, _, total, product = kinds

    @emitted
    def tile(g, g_channel, g_row, a, a_channel, a_row, a_pixel, rows, columns, sums):
        """Adds Σ_pixels g·a, over 32 images as ``LANES`` lanes of pairs, to 4 filters × 4 inputs at ``sums``.

        With REALS, what is called a column is half a pixel's 32 images.
        """
        for first in range(0, CHANNELS, AT_ONCE):
            each = [(i, j) for i in range(CHANNELS) for j in range(first, min(first + AT_ONCE, CHANNELS))]
            places = [sums + VECTOR * (i * CHANNELS + j) for i, j in each]
            outer = Loop(rows, [*(place.load(total, VECTOR) for place in places), g, a])
            with outer as (*totals, g_at, a_at):
                inner = Loop(columns, [*totals, g_at, a_at])
                with inner as (*totals, g_now, a_now):
                    for h in range(0, 64, VECTOR):
                        gs = {i: (g_now + g_channel * i + h).load(kind, VECTOR) for i, _ in each}
                        xs = {j: (a_now + a_channel * j + h).load(kind, VECTOR) for _, j in each}
                        totals = [product(t, gs[i], xs[j]) for t, (i, j) in zip(totals, each, strict=True)]
                    inner.again([*totals, g_now + 64, a_now + a_pixel])
                outer.again([*inner.results[:-2], g_at + g_row, a_at + a_row])
            for value, place in zip(outer.results, places):
                place.store(value, VECTOR)

    return tile


popcount_tile, popcount_tile_1px = _popcount_of(PIXELS_OF_WORDS), _popcount_of(1)
conv_tile_real, conv_tile_real_1px = _conv_of(PIXELS, INTEGERS), _conv_of(1, INTEGERS)
conv_tile_float, weight_tile, weight_tile_float = _conv_of(1, REALS), _weight_of(INTEGERS), _weight_of(REALS)

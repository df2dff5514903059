"""Three register tiles, emitted as LLVM code: dot products that never leave the vector registers until they are done.

Plain numba keeps accumulators in memory and loses most of the speed; here they are values of the loop itself.

    popcount    ±1 times ±1, forward: 32 images × 16 channels of bits; XOR, popcount (VPOPCNTW), subtract
    conv        16-bit gradients times ±1 weights: products in pairs, both added to a 32-bit lane (VPMADDWD); or 8-bit
                ones, four products at a time (VPDPBUSD), of which one factor has no sign: see :func:`dot_bytes`
    weight      gradients times ±1 activations, likewise

Vectors are as wide as the target's, and a tile's sums fill half of its registers: of two pixels in a convolution with
AVX-512, else of half a pixel's images. Where a processor lacks VPOPCNTW, LLVM lowers the same code to what there is,
exactly as well. All arguments are addresses (bytes) and distances (bytes).
"""

from numba import types

from ..system.llvm import F32, F64, I8, I16, I32, I64, OPTIONS, Loop, Value, Vector, emitted, size
from ..system.target import target

VECTOR = target().vector  # bytes
LANES = VECTOR // 4
AT_ONCE = target().registers // 8  # vectors of pixels (convolution) or inputs (weight gradient), each CHANNELS times
TILE = AT_ONCE * VECTOR  # bytes of x in a tile
PIXELS, PARTS = max(1, TILE // 128), max(1, 128 // TILE)  # of a convolution's tile, and tiles that make a pixel
PIXELS_OF_WORDS = max(1, TILE // 64)
CHANNELS = 4  # output channels (convolution) or filters × inputs (weight gradient) of a tile, per side
BYTES, PAIRS, SUMS = Vector(I8, 4 * LANES), Vector(I16, 2 * LANES), Vector(I32, LANES)
FLOATS = Vector(F32, LANES)
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


def dot_bytes(total: Value, x: Value, y: Value) -> Value:
    """total + Σ x·y of four bytes, per 32-bit lane; x without a sign, |x·y + x'·y'| < 2^15. VNNI has an instruction."""
    if VECTOR == 64 and target().counts == "vpopcnt":  # whatever has the one has the other
        return total.call("x86.avx512.vpdpbusd.512", x.bits_as(SUMS), y.bits_as(SUMS))
    name = {64: "x86.avx512.pmaddubs.w.512", 32: "x86.avx2.pmadd.ub.sw"}.get(VECTOR)
    if name:
        return dot(total, x.call(name, y, gives=PAIRS), x.constant(PAIRS, 1))
    low, high = ([v.lanes(range(first, 4 * LANES, 2)).to(PAIRS, unsigned=v is x) for v in (x, y)] for first in (0, 1))
    return dot(dot(total, *low), *high)


def add_popcount(total: Value, x: Value, y: Value) -> Value:
    """total + popcount(x XOR y), per lane."""
    return total + (x ^ y).call("ctpop")


def _multiply_add(total: Value, x: Value, y: Value) -> Value:
    """total + x·y in float32, one instruction."""
    return total + x * y


BITS = WORDS, I32, WORDS, add_popcount
PRODUCTS = {1: (BYTES, I32, SUMS, dot_bytes), 2: (PAIRS, I32, SUMS, dot), 4: (FLOATS, F32, FLOATS, _multiply_add)}


def _over_taps(kinds, x, step, taps, count, channels, weight, places, start=None):
    """[start + Σ product(x, w) for CHANNELS weights at a time, for each vector of x at ``places``] over taps, channels.

    ``kinds``: of x, of a weight, of the sums; and what adds a product. ``start``: CHANNELS numbers, 0 where None.
    """
    kind, part, total, product = kinds
    starts = [x.constant(total, 0)] * CHANNELS
    if start is not None:
        starts = [(start + 4 * q).load(total.element, 4).splat(LANES) for q in range(CHANNELS)]
    outer = Loop(count, [*(each for each in starts for _ in places), weight])
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


def _conv_of(pixels: int):
    vectors = [(p, h) for p in range(pixels) for h in range(0, 128 // PARTS, VECTOR)]  # as above

    @emitted
    def tile(x, x_word, x_pixel, taps, count, words, weight, start, out, out_channel, scale: types.float32, out_pixel,
             like):  # fmt: skip
        """``pixels`` × 32 images (a pixel is ``PARTS`` tiles) × ``CHANNELS`` outputs, as float32 = scale · sum.

        ``like``, a number: a byte where a word of x is four channels, 16 bits for two, float32 for one.
        """
        places, kinds = [x_pixel * p + h for p, h in vectors], PRODUCTS[size(like)]
        sums = _over_taps(kinds, x, x_word, taps, count, words, weight, places, start)
        for (q, p, h), value in zip([(q, *vector) for q in range(CHANNELS) for vector in vectors], sums):
            value = value if value.is_real else value.to(FLOATS)
            (out + out_channel * q + out_pixel * p + h).store(value * scale.splat(LANES), VECTOR)

    return tile


def _lane_sums(vectors: list[Value]) -> Value:
    """[Σ lanes of each of as many vectors as they have lanes]: neighbours are added, from two vectors into one."""
    while len(vectors) > 1:
        vectors = [a.lanes(range(0, 2 * LANES, 2), b) + a.lanes(range(1, 2 * LANES, 2), b)
                   for a, b in zip(vectors[::2], vectors[1::2])]  # fmt: skip
    return vectors[0]


@emitted
def weight_tile(g, g_steps, a, a_steps, counts, g_channel, a_channel, totals, like):
    """Adds Σ g·a over groups, rows and columns, 64 bytes of images each, to ``totals``: see ``kernels.total_of``.

    counts, g_steps, a_steps (3,) int64: of groups, rows, columns, how many, and how many bytes from one to the next.
    ``like``, one of g's numbers: 64 bytes are a pixel of 64 images, of 32, or, in float32, half of one. totals (16,)
    are int64, of float32 float64; a lane's int32 holds what 64 pixels give.
    """
    kind, _, total, product = PRODUCTS[size(like)]
    wide = Vector(F64 if size(like) == 4 else I64, LANES)
    for first in range(0, CHANNELS, AT_ONCE):
        each = [(i, j) for i in range(CHANNELS) for j in range(first, min(first + AT_ONCE, CHANNELS))]

        def over(level: int, sums: list[Value], g_at: Value, a_at: Value, each=each) -> list[Value]:
            if level == 3:
                for h in range(0, 64, VECTOR):
                    gs = {i: (g_at + g_channel * i + h).load(kind, VECTOR) for i, _ in each}
                    xs = {j: (a_at + a_channel * j + h).load(kind, VECTOR) for _, j in each}
                    sums = [product(t, xs[j], gs[i]) for t, (i, j) in zip(sums, each, strict=True)]
                return sums
            count, g_step, a_step = ((steps + 8 * level).load(I64, 8) for steps in (counts, g_steps, a_steps))
            loop = Loop(count, [*sums, g_at, a_at])
            with loop as (*sums, g_now, a_now):
                loop.again([*over(level + 1, sums, g_now, a_now), g_now + g_step, a_now + a_step])
            return loop.results[:-2]

        found = over(0, [g.constant(total, 0)] * len(each), g, a)
        for start in range(0, len(each), LANES):
            place = totals + 8 * (first * CHANNELS + start)
            place.store(place.load(wide, 8) + _lane_sums(found[start : start + LANES]).to(wide), 8)


popcount_tile, popcount_tile_1px = _popcount_of(PIXELS_OF_WORDS), _popcount_of(1)
conv_tile, conv_tile_1px = _conv_of(PIXELS), _conv_of(1)

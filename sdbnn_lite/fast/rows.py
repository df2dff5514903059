"""Elementwise work on a row of pixels, emitted as LLVM code: what has too many arrays for plain loops.

LLVM vectorises a plain loop only where few arrays could overlap, and numba can't promise that none do. Here vectors of
images are written down as arithmetic on :class:`Vector`, and sums over the pixels stay in registers.

All arguments but k and t are addresses (bytes), distances (bytes) and counts; a row is (W, 32), contiguous.
"""

from numba import types

from ..system.llvm import F32, F64, I16, I64, Loop, Value, Vector, emitted, size
from .tiles import FLOATS, LANES, PAIRS, SUMS, VECTOR, dot

_SHORTS = Vector(I16, LANES)
BLOCK = 32  # images side by side
OFFSET = 0x80808080 - 2**32  # 128 in each of four bytes
MAGIC = 1.5 * 2**23  # v + MAGIC - MAGIC is v rounded to the nearest integer, for |v| < 2^22
_FLOATS = range(0, 128, VECTOR)  # where a pixel's vectors of floats begin; of 16 bits: half as far


def _floats(address: Value, align: int = VECTOR) -> Value:
    return address.load(FLOATS, align)


def sech2(z: Value) -> Value:
    """1 - tanh²(z) = 4e/(1+e)², e = exp(-2|z|) = 2^n·exp(r): a polynomial, relative error below 1e-6."""
    v = abs(z)
    v = v.where(v < 40.0, 40.0) * -2.0
    shifted = v * 1.44269504 + MAGIC
    n = shifted - MAGIC
    r = v - n * 0.693359375 + n * 2.12194440e-4
    p = z.constant(FLOATS, 1.9875691500e-4)
    for coefficient in (1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1):
        p = p * r + coefficient
    bits = (shifted.bits_as(SUMS) << 23) + (127 << 23)  # the low bits of that float are n itself
    e = (p * r * r + r + 1.0) * bits.bits_as(FLOATS)
    return e * 4.0 / ((e + 1.0) * (e + 1.0))


def _ede(d: Value, z: Value, k: Value, t: Value) -> Value:
    return d * (k * t) * sech2(z * t)


def _polynomial(d: Value, z: Value, k: Value, t: Value) -> Value:
    slope = abs(z) * -2.0 + 2.0
    return d * slope.where(slope > 0.0, 0.0)


def _ste(d: Value, z: Value, k: Value, t: Value) -> Value:
    return d.where(abs(z) <= 1.0, 0.0)


def _through_sign(derivative):
    @emitted
    def row(d, x, shift, lanes, sums, columns, k: types.float32, t: types.float32, like):
        """A row: d ← d·dsign/dx(x + shift); sums (32,) += Σ_columns d; lanes = sign(x + shift), in bytes 1 + sign."""
        k, t = k.splat(LANES), t.splat(LANES)
        bytes_ = size(like)
        plus, minus = (k.constant(Vector(like, LANES), number + (bytes_ == 1)) for number in (1, -1))
        places = _FLOATS[::-1]
        shifts, totals = ([_floats(address + h) for h in places] for address in (shift, sums))
        loop = Loop(columns, [*totals, d, x, lanes])
        with loop as (*totals, d, x, lanes):
            for i, h in enumerate(places):
                z = _floats(x + h) + shifts[i]
                value = derivative(_floats(d + h), z, k, t)
                (d + h).store(value, VECTOR)
                totals[i] = value + totals[i]
                (lanes + h * bytes_ // 4).store(plus.where(z >= 0.0, minus), VECTOR * bytes_ // 4)
            loop.again([*totals, d + 128, x + 128, lanes + 64])
        for total, h in zip(loop.results, places):
            (sums + h).store(total, VECTOR)

    return row


def _through_weights(derivative):
    @emitted
    def weights(d, w, out, count, k: types.float32, t: types.float32):
        """out = d·dsign/dw of ``count`` weights, a vector or more; the last vector takes some before it once more."""
        k, t, last = k.splat(LANES), t.splat(LANES), count * 4 - VECTOR
        loop = Loop((count + LANES - 1) >> (LANES.bit_length() - 1), [d.constant(I64, 0)])
        with loop as (at,):
            at = at.where(at < last, last)
            (out + at).store(derivative(_floats(d + at, 4), _floats(w + at, 4), k, t), 4)
            loop.again([at + VECTOR])

    return weights


_DERIVATIVES = _ste, _polynomial, _ede
row_through_ste, row_through_polynomial, row_through_ede = map(_through_sign, _DERIVATIVES)
weights_through_ste, weights_through_polynomial, weights_through_ede = map(_through_weights, _DERIVATIVES)


@emitted
def row_add(d, d_pixel, extra, columns):
    """extra (W, 32) is added to so many pixels at d, ``d_pixel`` bytes apart."""
    loop = Loop(columns, [d, extra])
    with loop as (d, extra):
        for h in _FLOATS:
            (d + h).store(_floats(d + h) + _floats(extra + h), VECTOR)
        loop.again([d + d_pixel, extra + 128])


@emitted
def row_signs(x, shift, words, columns, bit):
    """A row of one channel: sets ``bit`` in the 16-bit words (W, 32) where x + shift >= 0, leaves the others."""
    bits, shifts = bit.to(I16).splat(2 * LANES), [_floats(shift + h) for h in _FLOATS]
    loop = Loop(columns, [x, words])
    with loop as (x, words):
        for h in range(0, 64, VECTOR):
            low, high = (_floats(x + at) + shifts[at // VECTOR] >= 0.0 for at in (2 * h, 2 * h + VECTOR))
            before = (words + h).load(bits.type, VECTOR)
            plus = low.lanes(range(2 * LANES), high)
            (words + h).store((before | bits).where(plus, before), VECTOR)
        loop.again([x + 128, words + 64])


def _numbers(address: Value, kind, offset: int) -> Value:
    """Floats from 16-bit integers or from floats, ``offset`` of these in; not aligned."""
    return (address + offset * size(kind)).load(Vector(kind, LANES), 2).to(FLOATS)


@emitted
def row_normalise(y, factor: types.float32, offset: types.float32, extra, extra_pixel, out, totals, columns, like):
    """A row: out = clip(factor·y + offset + extra, -1, 1); totals (32,) += Σ_columns out. ``like``: an array of y's."""
    factor, offset = factor.splat(LANES), offset.splat(LANES)
    loop = Loop(columns, [*(_floats(totals + h, 4) for h in _FLOATS), y, extra, out])
    with loop as (*sums, y, extra, out):
        for i, h in enumerate(_FLOATS):
            value = factor * _numbers(y, like, h // 4) + offset + _floats(extra + h, 4)
            value = value.where(value > -1.0, -1.0)
            value = value.where(value < 1.0, 1.0)
            (out + h).store(value, 4)
            sums[i] = sums[i] + value
        loop.again([*sums, y + BLOCK * size(like), extra + extra_pixel, out + 128])
    for total, h in zip(loop.results, _FLOATS):
        (totals + h).store(total, 4)


@emitted
def row_unclip(d, extra, out, y, ds, totals, columns, like):
    """A row: ds = d + extra where |out| < 1, else 0; totals (3, 32): += Σ ds, += Σ ds·y, largest |ds| so far."""
    for first in range(0, 128, 2 * VECTOR):
        places = first, first + VECTOR
        extras, sums = [_floats(extra + h, 4) for h in places], [totals + 128 * k + h for h in places for k in range(3)]
        loop = Loop(columns, [*(_floats(address, 4) for address in sums), d, out, y, ds])
        with loop as (*before, d_at, out_at, y_at, ds_at):
            after = []
            for i, h in enumerate(places):
                total, product, most = before[3 * i : 3 * i + 3]
                value = _floats(d_at + h, 4) + extras[i]
                value = value.where(abs(_floats(out_at + h, 4)) < 1.0, 0.0)
                (ds_at + h).store(value, 4)
                after += [total + value, value * _numbers(y_at, like, h // 4) + product]
                after.append(abs(value).where(abs(value) > most, most))
            loop.again([*after, d_at + 128, out_at + 128, y_at + BLOCK * size(like), ds_at + 128])
        for total, address in zip(loop.results, sums):
            address.store(total, 4)


@emitted
def row_moments(y, columns, totals):
    """totals (2,) float64 += Σ y and Σ y² of int16 (W, 32), exactly while 2·W·max y² < 2^31."""
    zero, ones = y.constant(SUMS, 0), y.constant(PAIRS, 1)
    split = 64 // VECTOR
    loop = Loop(columns, [zero] * 2 * split + [y])
    with loop as (*sums, y):
        for i in range(split):
            values = (y + VECTOR * i).load(PAIRS, VECTOR)
            sums[i], sums[split + i] = dot(sums[i], values, ones), dot(sums[split + i], values, values)
        loop.again([*sums, y + 64])
    for i, lanes in enumerate(loop.results[:-1]):
        value = lanes.to(Vector(I64, LANES)).call("vector.reduce.add", gives=I64).to(F64)
        at = totals + 8 * (i // split)
        at.store(at.load(F64, 8) + value, 8)


@emitted
def row_quantise(d, d_channel, y, y_channel, a, b, constants, left, lanes, lanes_channel, words, columns, like):
    """A row of the channels of a word: g = a·d + b·y + constant + left to the nearest integer, as lanes and as words.

    ``like``, one of the lanes' numbers: two channels of 16 bits in a word, or four of 8, 128 more than they are.
    a, b (channels,) and constants, left (channels, 32) float32; left is what rounding left over, from pixel to pixel.
    """
    bytes_ = size(like)
    channels = range(4 // bytes_)
    places = [(k, h) for h in _FLOATS for k in channels]
    slopes, tilts = ([(address + 4 * k).load(F32, 4).splat(LANES) for k in channels] for address in (a, b))
    starts, remainders = ([_floats(address + (128 * k + h), 4) for k, h in places] for address in (constants, left))
    loop = Loop(columns, [*remainders, d, y, lanes, words])
    with loop as (*over, d, y, lanes, words):
        packed = {h: y.constant(SUMS, OFFSET if bytes_ == 1 else 0) for h in _FLOATS}
        for i, (k, h) in enumerate(places):
            integers = (y + y_channel * k + h // 2).load(_SHORTS, VECTOR // 2)
            value = integers.to(FLOATS) * tilts[k] + (starts[i] + over[i])
            value = _floats(d + d_channel * k + h) * slopes[k] + value
            rounded = value + MAGIC - MAGIC
            over[i] = value - rounded
            whole = rounded.to(SUMS)
            (lanes + lanes_channel * k + h * bytes_ // 4).store(whole.to(Vector(like, LANES)), VECTOR * bytes_ // 4)
            packed[h] = packed[h] ^ ((whole & (2 ** (8 * bytes_) - 1)) << (8 * bytes_ * k))
        for h, word in packed.items():
            (words + h).store(word, VECTOR)
        loop.again([*over, d + 128, y + 64, lanes + 64, words + 128])
    for (k, h), remainder in zip(places, loop.results):
        (left + (128 * k + h)).store(remainder, 4)

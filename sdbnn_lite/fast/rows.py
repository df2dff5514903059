"""Elementwise work on a row of pixels, emitted as LLVM code: what has too many arrays for plain loops.

LLVM vectorises a plain loop only where few arrays could overlap, and numba can't promise that none do. Here vectors of
images are written down as arithmetic on :class:`Vector`, and sums over the pixels stay in registers.

All arguments but k and t are addresses (bytes), distances (bytes) and counts; a row is (W, 32), contiguous.
"""

from functools import partialmethod

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..system.llvm import F32, F64, I16, I32, I64, Loop, load, splat, store
from .tiles import FLOATS, LANES, PAIRS, SUMS, VECTOR, A, beyond, dot

_SHORTS = ir.VectorType(I16, LANES)
BLOCK = 32  # images side by side
_CONTRACT = ("contract",)  # a product and a sum may become one instruction; nothing else is rearranged
MAGIC = 1.5 * 2**23  # v + MAGIC - MAGIC is v rounded to the nearest integer, for |v| < 2^22


class Vector:
    """A vector of float32 in code that is being emitted: Python's operators emit LLVM's."""

    def __init__(self, builder: ir.IRBuilder, value: ir.Value | float):
        self.builder = builder
        if not isinstance(value, ir.Value):
            value = ir.Constant(FLOATS, [float(value)] * LANES)
        elif value.type == F32:
            value = splat(builder, value, LANES)
        self.value = value

    def _of(self, other: "Vector | float") -> ir.Value:
        return other.value if isinstance(other, Vector) else Vector(self.builder, other).value

    def _emit(self, instruction: str, other: "Vector | float") -> "Vector":
        return Vector(self.builder, getattr(self.builder, instruction)(self.value, self._of(other), flags=_CONTRACT))

    __add__, __sub__ = partialmethod(_emit, "fadd"), partialmethod(_emit, "fsub")
    __mul__, __truediv__ = partialmethod(_emit, "fmul"), partialmethod(_emit, "fdiv")

    def compare(self, relation: str, other: "Vector | float") -> ir.Value:
        """One bit a lane; never set for NaN."""
        return self.builder.fcmp_ordered(relation, self.value, self._of(other))

    def where(self, bits: ir.Value, other: "Vector | float") -> "Vector":
        """This one where the bit is set, else the other."""
        return Vector(self.builder, self.builder.select(bits, self.value, self._of(other)))

    def __abs__(self):
        kind, name = ir.FunctionType(FLOATS, [FLOATS]), f"llvm.fabs.v{LANES}f32"
        fabs = cgutils.get_or_insert_function(self.builder.module, kind, name)
        return Vector(self.builder, self.builder.call(fabs, [self.value]))


def _floats(builder: ir.IRBuilder, address: ir.Value) -> Vector:
    return Vector(builder, load(builder, FLOATS, address, VECTOR))


def _at(builder: ir.IRBuilder, address: ir.Value, offset: int) -> Vector:
    """Floats, ``offset`` of them in; not aligned."""
    return Vector(builder, load(builder, FLOATS, beyond(builder, address, 4 * offset), 4))


def _same(kind: ir.Type, number: int) -> ir.Constant:
    return ir.Constant(kind, [number] * LANES)


def sech2(z: Vector) -> Vector:
    """1 - tanh²(z) = 4e/(1+e)², e = exp(-2|z|) = 2^n·exp(r): a polynomial, relative error below 1e-6."""
    b = z.builder
    v = abs(z)
    v = v.where(v.compare("<", 40.0), 40.0) * -2.0
    shifted = v * 1.44269504 + MAGIC
    n = shifted - MAGIC
    r = v - n * 0.693359375 + n * 2.12194440e-4
    p = Vector(b, 1.9875691500e-4)
    for coefficient in (1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1):
        p = p * r + coefficient
    bits = b.bitcast(shifted.value, SUMS)  # the low bits of that float are n itself
    bits = b.add(b.shl(bits, _same(SUMS, 23)), _same(SUMS, 127 << 23))
    e = (p * r * r + r + 1.0) * Vector(b, b.bitcast(bits, FLOATS))
    return e * 4.0 / ((e + 1.0) * (e + 1.0))


def _ede(d: Vector, z: Vector, k: Vector, t: Vector) -> Vector:
    return d * (k * t) * sech2(z * t)


def _polynomial(d: Vector, z: Vector, k: Vector, t: Vector) -> Vector:
    slope = abs(z) * -2.0 + 2.0
    return d * slope.where(slope.compare(">", 0.0), 0.0)


def _ste(d: Vector, z: Vector, k: Vector, t: Vector) -> Vector:
    return d.where(abs(z).compare("<=", 1.0), 0.0)


def _through_sign(derivative):
    def emit(context, builder, signature, args):
        d, x, shift, valid, lanes, sums, columns, k, t = args
        offsets = [I64(at) for at in reversed(range(0, 128, VECTOR))]
        k, t = Vector(builder, k), Vector(builder, t)
        shifts = [_floats(builder, builder.add(shift, h)) for h in offsets]
        images = [load(builder, _SHORTS, builder.add(valid, builder.lshr(h, I64(1))), VECTOR // 2) for h in offsets]
        start = [load(builder, FLOATS, builder.add(sums, h), VECTOR) for h in offsets]
        loop = Loop(builder, columns, [*start, d, x, lanes])
        with loop as (*totals, d, x, lanes):
            for i, h in enumerate(offsets):
                z = _floats(builder, builder.add(x, h)) + shifts[i]
                value = derivative(_floats(builder, builder.add(d, h)), z, k, t)
                store(builder, value.value, builder.add(d, h), VECTOR)
                totals[i] = (value + Vector(builder, totals[i])).value
                sign = builder.select(z.compare(">=", 0.0), _same(_SHORTS, 1), _same(_SHORTS, -1))
                store(builder, builder.and_(sign, images[i]), builder.add(lanes, builder.lshr(h, I64(1))), VECTOR // 2)
            loop.again([*totals, *(builder.add(at, I64(step)) for at, step in ((d, 128), (x, 128), (lanes, 64)))])
        for total, h in zip(loop.results, offsets, strict=False):
            store(builder, total, builder.add(sums, h), VECTOR)
        return context.get_dummy_value()

    @intrinsic
    def row(typingctx, d, x, shift, valid, lanes, sums, columns, k, t):
        """A row: d ← d·dsign/dx(x + shift); sums (32,) += Σ_columns d; lanes = sign(x + shift)."""
        return types.void(*[A] * 7, types.float32, types.float32), emit

    return row


row_through_ede, row_through_polynomial, row_through_ste = map(_through_sign, (_ede, _polynomial, _ste))


@intrinsic
def row_add(typingctx, d, d_pixel, extra, columns):
    """extra (W, 32) is added to so many pixels at d, ``d_pixel`` bytes apart."""

    def emit(context, builder, signature, args):
        d, d_pixel, extra, columns = args
        loop = Loop(builder, columns, [d, extra])
        with loop as (d, extra):
            for at in range(0, 128, VECTOR):
                to = beyond(builder, d, at)
                value = _floats(builder, to) + _floats(builder, beyond(builder, extra, at))
                store(builder, value.value, to, VECTOR)
            loop.again([builder.add(d, d_pixel), builder.add(extra, I64(128))])
        return context.get_dummy_value()

    return types.void(*[A] * 4), emit


@intrinsic
def row_signs(typingctx, x, shift, words, columns, bit):
    """A row of one channel: sets ``bit`` in the 16-bit words (W, 32) where x + shift >= 0, leaves the others."""

    def emit(context, builder, signature, args):
        x, shift, words, columns, bit = args
        bits = splat(builder, builder.trunc(bit, I16), 2 * LANES)
        shifts = [_floats(builder, builder.add(shift, I64(at))) for at in range(0, 128, VECTOR)]
        both = ir.Constant(ir.VectorType(I32, 2 * LANES), list(range(2 * LANES)))
        loop = Loop(builder, columns, [x, words])
        with loop as (x, words):
            for i in range(64 // VECTOR):
                plus = [
                    (_floats(builder, builder.add(x, I64(VECTOR * j))) + shifts[j]).compare(">=", 0.0)
                    for j in (2 * i, 2 * i + 1)
                ]
                plus = builder.shuffle_vector(*plus, both)
                at = beyond(builder, words, VECTOR * i)
                before = load(builder, bits.type, at, VECTOR)
                store(builder, builder.select(plus, builder.or_(before, bits), before), at, VECTOR)
            loop.again([builder.add(x, I64(128)), builder.add(words, I64(64))])
        return context.get_dummy_value()

    return types.void(*[A] * 5), emit


def _numbers(builder: ir.IRBuilder, kind: types.Type, address: ir.Value, offset: int) -> Vector:
    """Floats from 16-bit integers or from floats, ``offset`` of these in."""
    if kind.bitwidth == 32:
        return _at(builder, address, offset)
    integers = load(builder, _SHORTS, beyond(builder, address, 2 * offset), 2)
    return Vector(builder, builder.sitofp(integers, FLOATS))


@intrinsic
def row_normalise(typingctx, like, y, factor, offset, extra, extra_pixel, out, totals, columns):
    """A row: out = clip(factor·y + offset + extra, -1, 1); totals (32,) += Σ_columns out. ``like``: an array of y's."""

    def emit(context, builder, signature, args):
        _, y, factor, offset, extra, extra_pixel, out, totals, columns = args
        places = range(0, BLOCK, LANES)
        factor, offset = Vector(builder, factor), Vector(builder, offset)
        start = [_at(builder, totals, n).value for n in places]
        loop = Loop(builder, columns, [*start, y, extra, out])
        with loop as (*sums, y, extra, out):
            for i, n in enumerate(places):
                value = factor * _numbers(builder, like.dtype, y, n) + offset + _at(builder, extra, n)
                value = value.where(value.compare(">", -1.0), -1.0)
                value = value.where(value.compare("<", 1.0), 1.0)
                store(builder, value.value, beyond(builder, out, 4 * n), 4)
                sums[i] = (Vector(builder, sums[i]) + value).value
            moved = (y, I64(BLOCK * like.dtype.bitwidth // 8)), (extra, extra_pixel), (out, I64(4 * BLOCK))
            loop.again([*sums, *(builder.add(*pair) for pair in moved)])
        for total, n in zip(loop.results, places, strict=False):
            store(builder, total, beyond(builder, totals, 4 * n), 4)
        return context.get_dummy_value()

    return types.void(like, A, types.float32, types.float32, *[A] * 5), emit


@intrinsic
def row_unclip(typingctx, like, d, extra, out, y, ds, totals, columns):
    """A row: ds = d + extra where |out| < 1, else 0; totals (3, 32): += Σ ds, += Σ ds·y, largest |ds| so far."""

    def emit(context, builder, signature, args):
        for n in range(0, BLOCK, 2 * LANES):
            _emit_unclip(builder, like.dtype, args[1:], (n, n + LANES))
        return context.get_dummy_value()

    return types.void(like, *[A] * 7), emit


def _emit_unclip(builder: ir.IRBuilder, kind: types.Type, args: list[ir.Value], places: tuple[int, ...]) -> None:
    d, extra, out, y, ds, totals, columns = args
    extras = [_at(builder, extra, n) for n in places]
    sums = [beyond(builder, totals, 4 * (BLOCK * k + n)) for n in places for k in range(3)]
    loop = Loop(builder, columns, [*(_at(builder, at, 0).value for at in sums), d, out, y, ds])
    with loop as (*before, d, out, y, ds):
        after = []
        for i, n in enumerate(places):
            total, product, most = (Vector(builder, v) for v in before[3 * i : 3 * i + 3])
            value = _at(builder, d, n) + extras[i]
            value = value.where(abs(_at(builder, out, n)).compare("<", 1.0), 0.0)
            store(builder, value.value, beyond(builder, ds, 4 * n), 4)
            size = abs(value)
            after += [total + value, value * _numbers(builder, kind, y, n) + product]
            after.append(size.where(size.compare(">", most), most))
        moved = ((d, 128), (out, 128), (y, BLOCK * kind.bitwidth // 8), (ds, 128))
        loop.again([*(v.value for v in after), *(builder.add(at, I64(step)) for at, step in moved)])
    for total, at in zip(loop.results, sums, strict=False):
        store(builder, total, at, 4)


@intrinsic
def row_moments(typingctx, y, columns, totals):
    """totals (2,) float64 += Σ y and Σ y² of int16 (W, 32), exactly while 2·W·max y² < 2^31."""

    def emit(context, builder, signature, args):
        y, columns, totals = args
        zero, ones = _same(SUMS, 0), ir.Constant(PAIRS, [1] * 2 * LANES)
        split = 64 // VECTOR
        loop = Loop(builder, columns, [zero] * 2 * split + [y])
        with loop as (*sums, y):
            for i in range(split):
                values = load(builder, PAIRS, beyond(builder, y, VECTOR * i), VECTOR)
                sums[i] = dot(builder, sums[i], values, ones)
                sums[split + i] = dot(builder, sums[split + i], values, values)
            loop.again([*sums, builder.add(y, I64(64))])
        wide = ir.VectorType(I64, LANES)
        reduce = ir.FunctionType(I64, [wide])
        add = cgutils.get_or_insert_function(builder.module, reduce, f"llvm.vector.reduce.add.v{LANES}i64")
        for i, lanes in enumerate(loop.results[:-1]):
            value = builder.sitofp(builder.call(add, [builder.sext(lanes, wide)]), F64)
            at = builder.add(totals, I64(8 * (i // split)))
            store(builder, builder.fadd(load(builder, F64, at, 8), value), at, 8)
        return context.get_dummy_value()

    return types.void(*[A] * 3), emit


def _emit_quantise(context, builder, signature, args):
    d, d_channel, y, y_channel, a, b, constant, left, lanes, lanes_channel, pairs, columns = args
    places = [(k, part) for part in range(128 // VECTOR) for k in (0, 1)]  # two channels of 32 images

    def at(address: ir.Value, channel: ir.Value | int, k: int, offset: int) -> ir.Value:
        return builder.add(address, builder.add(builder.mul(channel, I64(k)), I64(offset)))

    slopes = [[Vector(builder, load(builder, F32, at(v, I64(4), k, 0), 4)) for k in (0, 1)] for v in (a, b)]
    constants = [_floats(builder, at(constant, I64(128), k, VECTOR * h)) for k, h in places]
    start = [load(builder, FLOATS, at(left, I64(128), k, VECTOR * h), VECTOR) for k, h in places]
    loop = Loop(builder, columns, [*start, d, y, lanes, pairs])
    with loop as (*over, d, y, lanes, pairs):
        whole = []
        for i, (k, h) in enumerate(places):
            integers = load(builder, _SHORTS, at(y, y_channel, k, VECTOR // 2 * h), VECTOR // 2)
            value = constants[i] + Vector(builder, over[i])
            value = Vector(builder, builder.sitofp(integers, FLOATS)) * slopes[1][k] + value
            value = _floats(builder, at(d, d_channel, k, VECTOR * h)) * slopes[0][k] + value
            rounded = value + MAGIC - MAGIC
            over[i] = (value - rounded).value
            whole.append(builder.fptosi(rounded.value, SUMS))
            short = builder.trunc(whole[i], _SHORTS)
            store(builder, short, at(lanes, lanes_channel, k, VECTOR // 2 * h), VECTOR // 2)
        for h in range(128 // VECTOR):
            low, high = builder.and_(whole[2 * h], _same(SUMS, 0xFFFF)), whole[2 * h + 1]
            both = builder.or_(low, builder.shl(high, _same(SUMS, 16)))
            store(builder, both, builder.add(pairs, I64(VECTOR * h)), VECTOR)
        moved = ((d, 128), (y, 64), (lanes, 64), (pairs, 128))
        loop.again([*over, *(builder.add(address, I64(step)) for address, step in moved)])
    for i, (k, h) in enumerate(places):
        store(builder, loop.results[i], at(left, I64(128), k, VECTOR * h), VECTOR)
    return context.get_dummy_value()


@intrinsic
def row_quantise(typingctx, d, d_channel, y, y_channel, a, b, constant, left, lanes, lanes_channel, pairs, columns):
    """A row of two channels: g = a·d + b·y + constant + left to the nearest integer, as lanes and as pairs.

    a, b (2,) and constant, left (2, 32) float32; left is what rounding left over, from pixel to pixel.
    """
    return types.void(*[A] * 12), _emit_quantise

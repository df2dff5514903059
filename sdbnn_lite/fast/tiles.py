"""Two register tiles, emitted as LLVM code: 16 dot products at a time that never leave the vector registers.

Plain numba keeps accumulators in memory and loses most of the speed; here they are values of the loop itself. Both
tiles multiply 16-bit integers in pairs and add both products to a 32-bit lane, which x86 does in one instruction
(VPMADDWD, or VPDPWSSD with the sum); elsewhere LLVM lowers the same code to what there is, exactly as well.

All arguments are addresses (bytes) and distances (bytes). One vector is 16 lanes of 32 bits.
"""

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 16
CHANNELS = 4  # output channels (convolution) or filters × inputs (weight gradient) of a tile, per side
I8, I16, I32, I64, F32 = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.IntType(64), ir.FloatType()
_FEATURES = binding.get_host_cpu_features()
PAIRS = ir.VectorType(I16, 2 * LANES)
SUMS = ir.VectorType(I32, LANES)
FLOATS = ir.VectorType(F32, LANES)


def has_wide_integers() -> bool:
    """Whether this processor multiplies 32 pairs of 16-bit integers at once (AVX-512 BW)."""
    return bool(_FEATURES.get("avx512bw"))


def load(builder: ir.IRBuilder, kind: ir.Type, address: ir.Value, align: int) -> ir.Value:
    """One value or vector of this kind at an address that is a multiple of ``align``."""
    value = builder.load(builder.inttoptr(address, kind.as_pointer()))
    value.align = align
    return value


def store(builder: ir.IRBuilder, value: ir.Value, address: ir.Value, align: int) -> None:
    """The opposite of :func:`load`."""
    builder.store(value, builder.inttoptr(address, value.type.as_pointer())).align = align


def splat(builder: ir.IRBuilder, value: ir.Value, lanes: int) -> ir.Value:
    """A vector whose lanes are all that value."""
    vector = builder.insert_element(ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined), value, I32(0))
    undefined = ir.Constant(vector.type, ir.Undefined)
    return builder.shuffle_vector(vector, undefined, ir.Constant(ir.VectorType(I32, lanes), [0] * lanes))


def _half(builder: ir.IRBuilder, pairs: ir.Value, odd: int) -> ir.Value:
    """The even (0) or odd (1) 16-bit elements, as 32-bit lanes."""
    picked = ir.Constant(ir.VectorType(I32, LANES), list(range(odd, 2 * LANES, 2)))
    half = builder.shuffle_vector(pairs, ir.Constant(PAIRS, ir.Undefined), picked)
    return builder.sext(half, SUMS)


def _dot(builder: ir.IRBuilder, total: ir.Value, x: ir.Value, y: ir.Value) -> ir.Value:
    """total + x_even·y_even + x_odd·y_odd, per 32-bit lane."""
    if _FEATURES.get("avx512bw"):  # with AVX512-VNNI, LLVM makes one VPDPWSSD of the product and the sum
        multiply = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(SUMS, [PAIRS, PAIRS]), "llvm.x86.avx512.pmaddw.d.512"
        )
        return builder.add(total, builder.call(multiply, [x, y]))
    even = builder.mul(_half(builder, x, 0), _half(builder, y, 0))
    odd = builder.mul(_half(builder, x, 1), _half(builder, y, 1))
    return builder.add(total, builder.add(even, odd))


class Loop:
    """for i in range(count), with carried values: ``with`` gives them, ``again`` hands on the next ones."""

    def __init__(self, builder: ir.IRBuilder, count: ir.Value, carried: list[ir.Value]):
        self.builder, self.count, self.start = builder, count, carried

    def __enter__(self) -> list[ir.Value]:
        b = self.builder
        before = b.block
        self.body, self.after = b.append_basic_block("loop"), b.append_basic_block("done")
        b.branch(self.body)  # every count here is at least 1
        b.position_at_end(self.body)
        self.index = b.phi(I64)
        self.index.add_incoming(I64(0), before)
        self.phis = []
        for value in self.start:
            phi = b.phi(value.type)
            phi.add_incoming(value, before)
            self.phis.append(phi)
        return self.phis

    def again(self, values: list[ir.Value]) -> None:
        b = self.builder
        for phi, value in zip(self.phis, values, strict=True):
            phi.add_incoming(value, b.block)
        following = b.add(self.index, I64(1))
        self.index.add_incoming(following, b.block)
        b.cbranch(b.icmp_signed("<", following, self.count), self.body, self.after)
        b.position_at_end(self.after)
        self.results = values

    def __exit__(self, *_: object) -> None:
        return None


def _multiply_add(builder: ir.IRBuilder, total: ir.Value, x: ir.Value, y: ir.Value) -> ir.Value:
    """total + x·y in float32, one instruction."""
    return builder.fadd(total, builder.fmul(x, y, flags=("contract",)), flags=("contract",))


def _conv_tile(vectors: int, *, real: bool, floats: bool = False):
    """Emitter of the convolution tile: ``vectors`` × ``CHANNELS`` sums, stored as int16, or float32 times a scale.

    With ``floats``, x, weights and sums are float32, and what is called a pair is one channel.
    """
    kind, part, dot = (FLOATS, F32, _multiply_add) if floats else (PAIRS, I32, _dot)

    def emit(context, builder, signature, args):
        x, x_pair, x_pixel, taps, count, pairs, weight, out, out_channel = args[:9]
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
                    following.append([dot(builder, sums[q * vectors + v], xs[v], y) for v in range(vectors)])
                sums = [value for row in following for value in row]
                inner.again([*sums, builder.add(w, I64(4 * CHANNELS)), builder.add(at, x_pair)])
            outer.again(inner.results[:-1])
        for q in range(CHANNELS):
            for v in range(vectors):
                value = outer.results[q * vectors + v]
                if real:
                    scale, out_pixel = args[9], args[10]
                    value = builder.fmul(builder.sitofp(value, ir.VectorType(F32, LANES)), splat(builder, scale, LANES))
                    inside = builder.add(builder.mul(out_pixel, I64(v // 2)), I64(64 * (v % 2)))
                else:
                    value = builder.trunc(value, ir.VectorType(I16, LANES))
                    inside = I64(32 * v)
                at = builder.add(builder.add(out, builder.mul(out_channel, I64(q))), inside)
                store(builder, value, at, 64 if real else 32)
        return context.get_dummy_value()

    return emit


A = types.intp
_CONV_INT = types.void(*[A] * 9)
_CONV_REAL = types.void(*[A] * 9, types.float32, A)
_WEIGHT = types.void(*[A] * 10)


@intrinsic
def conv_tile_int_2px(typingctx, x, x_pair, x_pixel, taps, count, pairs, weight, out, out_channel):
    """Two pixels × 32 images × ``CHANNELS`` outputs, as int16."""
    return _CONV_INT, _conv_tile(4, real=False)


@intrinsic
def conv_tile_int_1px(typingctx, x, x_pair, x_pixel, taps, count, pairs, weight, out, out_channel):
    """One pixel × 32 images × ``CHANNELS`` outputs, as int16."""
    return _CONV_INT, _conv_tile(2, real=False)


@intrinsic
def conv_tile_real_2px(typingctx, x, x_pair, x_pixel, taps, count, pairs, weight, out, out_channel, scale, out_pixel):
    """Two pixels × 32 images × ``CHANNELS`` outputs, as float32 = scale · sum."""
    return _CONV_REAL, _conv_tile(4, real=True)


@intrinsic
def conv_tile_real_1px(typingctx, x, x_pair, x_pixel, taps, count, pairs, weight, out, out_channel, scale, out_pixel):
    """One pixel × 32 images × ``CHANNELS`` outputs, as float32 = scale · sum."""
    return _CONV_REAL, _conv_tile(2, real=True)


@intrinsic
def conv_tile_float(typingctx, x, x_pair, x_pixel, taps, count, pairs, weight, out, out_channel, scale, out_pixel):
    """One pixel × 32 images × ``CHANNELS`` outputs, float32 throughout."""
    return _CONV_REAL, _conv_tile(2, real=True, floats=True)


def _weight_tile(floats: bool):
    kind, total_kind, dot = (FLOATS, FLOATS, _multiply_add) if floats else (PAIRS, SUMS, _dot)

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
                totals = [dot(builder, totals[i], gs[i // CHANNELS], xs[i % CHANNELS]) for i in range(count)]
                inner.again([*totals, builder.add(g_now, I64(64)), builder.add(a_now, a_pixel)])
            outer.again([*inner.results[:count], builder.add(g_at, g_row), builder.add(a_at, a_row)])
        for value, at in zip(outer.results[:count], place, strict=True):
            store(builder, value, at, 64)
        return context.get_dummy_value()

    return emit


@intrinsic
def weight_tile(typingctx, g, g_channel, g_row, a, a_channel, a_row, a_pixel, rows, columns, sums):
    """Adds Σ_pixels g·a, over 32 images as 16 lanes of pairs, to 4 filters × 4 inputs at ``sums``."""
    return _WEIGHT, _weight_tile(floats=False)


@intrinsic
def weight_tile_float(typingctx, g, g_channel, g_row, a, a_channel, a_row, a_pixel, rows, columns, sums):
    """The same for float32, where a vector, and so a column, is half a pixel's 32 images."""
    return _WEIGHT, _weight_tile(floats=True)

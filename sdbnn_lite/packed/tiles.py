"""Two pieces of LLVM code that numba can't write: a register tile of XOR-popcounts, and 64 comparisons as one word.

The tile counts for 4 (or 1) pixels × 16 filters: a word of the activations is broadcast, XORed with that word of 8
filters at once, and the vector popcount is added to 64-bit lanes that never leave the registers. Where the processor
has AVX512-VPOPCNTDQ this is one instruction for 512 products; elsewhere LLVM lowers it to what there is.
"""

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 8
FILTERS = 16  # of a tile: two vectors
I16, I32, I64 = ir.IntType(16), ir.IntType(32), ir.IntType(64)
WORDS = ir.VectorType(I64, LANES)


def has_vector_popcount() -> bool:
    """Whether this processor counts the bits of eight words at once."""
    return bool(binding.get_host_cpu_features().get("avx512vpopcntdq"))


def _load(builder, kind, address, align):
    value = builder.load(builder.inttoptr(address, kind.as_pointer()))
    value.align = align
    return value


def _splat(builder, value):
    vector = builder.insert_element(ir.Constant(WORDS, ir.Undefined), value, I32(0))
    return builder.shuffle_vector(
        vector, ir.Constant(WORDS, ir.Undefined), ir.Constant(ir.VectorType(I32, LANES), [0] * LANES)
    )


def _popcount_tile(pixels: int):
    def emit(context, builder, signature, args):
        x, pixel, rows, row, words, weight, out = args
        count = cgutils.get_or_insert_function(builder.module, ir.FunctionType(WORDS, [WORDS]), "llvm.ctpop.v8i64")
        zero = ir.Constant(WORDS, [0] * LANES)
        halves = FILTERS // LANES
        places = [builder.mul(pixel, I64(p)) for p in range(pixels)]
        before = builder.block
        outer, inner = builder.append_basic_block("row"), builder.append_basic_block("word")
        after_row, done = builder.append_basic_block("next"), builder.append_basic_block("done")
        builder.branch(outer)

        builder.position_at_end(outer)  # a kernel row: its k·K words lie side by side
        r, start, w_start = builder.phi(I64), builder.phi(I64), builder.phi(I64)
        r.add_incoming(I64(0), before)
        start.add_incoming(x, before)
        w_start.add_incoming(weight, before)
        sums = [builder.phi(WORDS) for _ in range(pixels * halves)]
        for total in sums:
            total.add_incoming(zero, before)
        builder.branch(inner)

        builder.position_at_end(inner)
        k, at, w_at = builder.phi(I64), builder.phi(I64), builder.phi(I64)
        k.add_incoming(I64(0), outer)
        at.add_incoming(start, outer)
        w_at.add_incoming(w_start, outer)
        totals = [builder.phi(WORDS) for _ in sums]
        for total, first in zip(totals, sums, strict=True):
            total.add_incoming(first, outer)
        filters = [_load(builder, WORDS, builder.add(w_at, I64(64 * h)), 64) for h in range(halves)]
        following = []
        for p in range(pixels):
            word = _splat(builder, _load(builder, I64, builder.add(at, places[p]), 8))
            for h in range(halves):
                differing = builder.call(count, [builder.xor(word, filters[h])])
                following.append(builder.add(totals[p * halves + h], differing))
        for total, value in zip(totals, following, strict=True):
            total.add_incoming(value, inner)
        next_k, next_at = builder.add(k, I64(1)), builder.add(at, I64(8))
        next_w = builder.add(w_at, I64(8 * FILTERS))
        k.add_incoming(next_k, inner)
        at.add_incoming(next_at, inner)
        w_at.add_incoming(next_w, inner)
        builder.cbranch(builder.icmp_signed("<", next_k, words), inner, after_row)

        builder.position_at_end(after_row)
        next_r = builder.add(r, I64(1))
        r.add_incoming(next_r, after_row)
        start.add_incoming(builder.add(start, row), after_row)
        w_start.add_incoming(next_w, after_row)
        for total, value in zip(sums, following, strict=True):
            total.add_incoming(value, after_row)
        builder.cbranch(builder.icmp_signed("<", next_r, rows), outer, done)

        builder.position_at_end(done)
        for i, value in enumerate(following):
            narrow = builder.trunc(value, ir.VectorType(I32, LANES))
            address = builder.add(out, I64(4 * LANES * i))
            builder.store(narrow, builder.inttoptr(address, narrow.type.as_pointer())).align = 4
        return context.get_dummy_value()

    return emit


A = types.intp


@intrinsic
def popcount_tile_4px(typingctx, x, pixel, rows, row, words, weight, out):
    """out (4, 16) int32 = popcounts of x XOR w: ``rows`` kernel rows of ``words`` words; distances in bytes."""
    return types.void(*[A] * 7), _popcount_tile(4)


@intrinsic
def popcount_tile_1px(typingctx, x, pixel, rows, row, words, weight, out):
    """The same for one pixel: out (16,) int32."""
    return types.void(*[A] * 7), _popcount_tile(1)


def _emit_word(kind: ir.Type, lanes: int):
    def emit(context, builder, signature, args):
        values, limits = args
        size = 4 if kind == ir.FloatType() else 8
        vector = ir.VectorType(kind, lanes)
        word = I64(0)
        for i in range(64 // lanes):
            a = _load(builder, vector, builder.add(values, I64(i * lanes * size)), size)
            b = _load(builder, vector, builder.add(limits, I64(i * lanes * size)), size)
            zero = ir.Constant(vector, [0.0] * lanes)
            some = builder.bitcast(builder.fcmp_ordered(">=", builder.fadd(a, b), zero), ir.IntType(lanes))
            word = builder.or_(word, builder.shl(builder.zext(some, I64), I64(i * lanes)))
        return word

    return emit


@intrinsic
def word_of_float32(typingctx, values, shifts):
    """64 bits [value + shift >= 0] of 64 float32 at each address."""
    return types.uint64(A, A), _emit_word(ir.FloatType(), 16)


@intrinsic
def word_of_float64(typingctx, values, shifts):
    """64 bits [value + shift >= 0] of 64 float64 at each address."""
    return types.uint64(A, A), _emit_word(ir.DoubleType(), 8)

"""Loops that do nothing but keep one unit of the processor busy, so that its peak can be timed.

All but ``copy`` work on whole vectors, with everything in registers.
"""

from functools import reduce

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from ..system.llvm import I32, I64, Loop, splat
from ..system.target import keeps_code, target

# compiled in: llvm.py f2a19a71, target.py c100431e

LANES = 8
WORDS = ir.VectorType(I64, LANES)
SUMS, CHAINS = 8, 12  # vectors of sums that don't wait for each other: of bits, of floats
WORDS_A_TURN = SUMS * LANES
ROW = ir.VectorType(ir.IntType(8), 32)  # each of its bytes stands for 4 products
LOOKED_UP_A_TURN = SUMS * ROW.count * 4 // 64
FLOATS = target().vector // 4  # in a vector
PRODUCTS_A_TURN = CHAINS * FLOATS
FLOAT_VECTOR = ir.VectorType(ir.FloatType(), FLOATS)


def _total(builder, vectors, add):
    """The sum of all lanes of all vectors: something that depends on every one of them."""
    total = reduce(add, vectors)
    return reduce(add, [builder.extract_element(total, I32(i)) for i in range(total.type.count)])


@intrinsic
def _count(typingctx, turns, seed):
    def emit(context, builder, signature, args):
        turns, seed = args
        count = cgutils.get_or_insert_function(builder.module, ir.FunctionType(WORDS, [WORDS]), "llvm.ctpop.v8i64")
        apart = ir.Constant(WORDS, list(range(LANES)))  # were all lanes equal, LLVM would XOR only one of them
        weights = [builder.add(splat(builder, builder.mul(seed, I64(2 * j + 1)), LANES), apart) for j in range(SUMS)]
        one, zero = ir.Constant(WORDS, [1] * LANES), ir.Constant(WORDS, [0] * LANES)
        loop = Loop(builder, turns, [zero] * (SUMS + 1))
        with loop as (x, *sums):  # another x each turn, or the counts would be taken once
            counted = [builder.add(s, builder.call(count, [builder.xor(x, w)])) for s, w in zip(sums, weights)]
            loop.again([builder.add(x, one), *counted])
        return _total(builder, loop.results[1:], builder.add)

    return types.int64(types.int64, types.int64), emit


@intrinsic
def _look_up(typingctx, turns):
    def emit(context, builder, signature, args):
        pick = cgutils.get_or_insert_function(builder.module, ir.FunctionType(ROW, [ROW] * 2), "llvm.x86.avx2.pshuf.b")
        filters = [ir.Constant(ROW, [(i + j) % 16 for i in range(ROW.count)]) for j in range(SUMS)]
        one, zero = ir.Constant(ROW, [1] * ROW.count), ir.Constant(ROW, [0] * ROW.count)
        loop = Loop(builder, args[0], [zero] * (SUMS + 1))
        with loop as (row, *sums):
            found = [builder.add(s, builder.call(pick, [row, f])) for s, f in zip(sums, filters)]
            loop.again([builder.add(row, one), *found])
        return builder.zext(_total(builder, loop.results[1:], builder.add), I64)

    return types.int64(types.int64), emit


@intrinsic
def _multiply(typingctx, turns, a, b):
    def emit(context, builder, signature, args):
        turns, a, b = args
        name = f"llvm.fmuladd.v{FLOATS}f32"  # one instruction where the processor has it, else two
        fma = cgutils.get_or_insert_function(builder.module, ir.FunctionType(FLOAT_VECTOR, [FLOAT_VECTOR] * 3), name)
        a, b = splat(builder, a, FLOATS), splat(builder, b, FLOATS)
        starts = [ir.Constant(FLOAT_VECTOR, [float(j)] * FLOATS) for j in range(CHAINS)]
        loop = Loop(builder, turns, starts)
        with loop as sums:
            loop.again([builder.call(fma, [s, a, b]) for s in sums])
        return _total(builder, loop.results, builder.fadd)

    return types.float32(types.int64, types.float32, types.float32), emit


@njit(cache=keeps_code(), nogil=True)
def count_bits(turns, seed):
    """Σ popcount(turn XOR (seed·(2j + 1) + i)) over ``turns``, j < SUMS, i < LANES: ``turns``·WORDS_A_TURN words."""
    return _count(turns, seed)


@njit(cache=keeps_code(), nogil=True)
def look_up(turns):
    """What 32 bytes hold modulo 256, added up: ``turns`` in each of SUMS vectors, which ``vpshufb`` picks from a row.

    As much work as ``turns``·LOOKED_UP_A_TURN words.
    """
    return _look_up(turns)


@njit(cache=keeps_code(), nogil=True)
def multiply(turns, a, b):
    """``turns``·PRODUCTS_A_TURN times s = s·a + b in float32; the sum of all s."""
    return _multiply(turns, a, b)


@njit(cache=keeps_code(), nogil=True)
def copy(source, target):
    """target = source, element by element, uint64."""
    for i in range(len(source)):
        target[i] = source[i]

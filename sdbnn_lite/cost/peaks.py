"""Loops that do nothing but keep one unit of the processor busy, so that its peak can be timed.

All but ``copy`` work on whole vectors, with everything in registers.
"""

from functools import reduce

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from ..fast import tiles
from ..system.llvm import I32, I64, Loop, splat
from ..system.target import keeps_code, target

# compiled in: tiles.py 3efee1de, llvm.py f2a19a71, target.py d02f3a3a

SUMS, CHAINS = 8, 12  # vectors of sums that don't wait for each other: of integers, of floats
WORDS = ir.VectorType(I64, 8)
WORDS_A_TURN = SUMS * WORDS.count
ROW = ir.VectorType(ir.IntType(8), 32)  # each of its bytes stands for 4 products
LOOKED_UP_A_TURN = SUMS * ROW.count * 4 // 64
SIGNS_A_TURN, PAIRS_A_TURN = SUMS * tiles.WORDS.count * 16, SUMS * tiles.PAIRS.count  # products
FLOATS = target().vector // 4  # in a vector
PRODUCTS_A_TURN = CHAINS * FLOATS
FLOAT_VECTOR = ir.VectorType(ir.FloatType(), FLOATS)


def _total(builder, vectors, add):
    """The sum of all lanes of all vectors: something that depends on every one of them."""
    total = reduce(add, vectors)
    return reduce(add, [builder.extract_element(total, I32(i)) for i in range(total.type.count)])


def _repeat(kind: ir.VectorType, sums: ir.VectorType, add):
    """turns → the total of sums s_j = add(builder, s_j, x, y_j), j < SUMS; lane i of y_j is (i + j) % 16, x the turn.

    Were x the same in every turn, LLVM would work it out once.
    """

    @intrinsic
    def repeat(typingctx, turns):
        def emit(context, builder, signature, args):
            others = [ir.Constant(kind, [(i + j) % 16 for i in range(kind.count)]) for j in range(SUMS)]
            one, zero = ir.Constant(kind, [1] * kind.count), ir.Constant(kind, [0] * kind.count)
            loop = Loop(builder, args[0], [zero, *[ir.Constant(sums, [0] * sums.count)] * SUMS])
            with loop as (x, *totals):
                loop.again([builder.add(x, one), *(add(builder, s, x, y) for s, y in zip(totals, others))])
            total = _total(builder, loop.results[1:], builder.add)
            return total if sums.element == I64 else builder.zext(total, I64)

        return types.int64(types.int64), emit

    return repeat


def _add_count(builder, total, x, y):
    count = cgutils.get_or_insert_function(builder.module, ir.FunctionType(WORDS, [WORDS]), "llvm.ctpop.v8i64")
    return builder.add(total, builder.call(count, [builder.xor(x, y)]))


def _add_looked_up(builder, total, x, y):
    pick = cgutils.get_or_insert_function(builder.module, ir.FunctionType(ROW, [ROW] * 2), "llvm.x86.avx2.pshuf.b")
    return builder.add(total, builder.call(pick, [x, y]))


_count, _look_up = _repeat(WORDS, WORDS, _add_count), _repeat(ROW, ROW, _add_looked_up)
_signs, _pairs = _repeat(tiles.WORDS, tiles.WORDS, tiles.add_popcount), _repeat(tiles.PAIRS, tiles.SUMS, tiles.dot)


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
def count_bits(turns):
    """Σ popcount(turn XOR (i + j) % 16) over ``turns``, j < SUMS, i < 8: ``turns``·WORDS_A_TURN words."""
    return _count(turns)


@njit(cache=keeps_code(), nogil=True)
def look_up(turns):
    """What 32 bytes hold modulo 256, added up: ``turns`` in each of SUMS vectors, which ``vpshufb`` picks from a row.

    As much work as ``turns``·LOOKED_UP_A_TURN words.
    """
    return _look_up(turns)


@njit(cache=keeps_code(), nogil=True)
def signs(turns):
    """As :func:`count_bits` on the training step's vectors of 16 bits, modulo 2^16: ``turns``·SIGNS_A_TURN products."""
    return _signs(turns)


@njit(cache=keeps_code(), nogil=True)
def pairs(turns):
    """Σ turn·((i + j) % 16) over the step's 16-bit lanes i, in pairs: ``turns``·PAIRS_A_TURN products."""
    return _pairs(turns)


@njit(cache=keeps_code(), nogil=True)
def multiply(turns, a, b):
    """``turns``·PRODUCTS_A_TURN times s = s·a + b in float32; the sum of all s."""
    return _multiply(turns, a, b)


@njit(cache=keeps_code(), nogil=True)
def copy(source, target):
    """target = source, element by element, uint64."""
    for i in range(len(source)):
        target[i] = source[i]

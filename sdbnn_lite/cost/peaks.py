"""Loops that do nothing but keep one unit of the processor busy, so that its peak can be timed.

All but ``copy`` work on whole vectors, with everything in registers.
"""

from functools import reduce

from numba import njit, types

from ..fast import tiles
from ..system.llvm import F32, I8, I32, I64, Loop, Value, Vector, emitted
from ..system.target import keeps_code, target

# compiled in: tiles.py 41768598, llvm.py fb625820, target.py d74eba8c

SUMS, CHAINS = 8, 12  # vectors of sums that don't wait for each other: of integers, of floats
WORDS = Vector(I64, 8)
WORDS_A_TURN = SUMS * WORDS.count
ROW = Vector(I8, 32)  # each of its bytes stands for 4 products
LOOKED_UP_A_TURN = SUMS * ROW.count * 4 // 64
SIGNS_A_TURN, PAIRS_A_TURN = SUMS * tiles.WORDS.count * 16, SUMS * tiles.PAIRS.count  # products
FLOATS = target().vector // 4  # in a vector
PRODUCTS_A_TURN = CHAINS * FLOATS


def _total(vectors: list[Value]) -> Value:
    """The sum of all lanes of all vectors: something that depends on every one of them."""
    total = reduce(Value.__add__, vectors)
    lanes = [total.builder.extract_element(total.llvm, I32(i)) for i in range(total.type.count)]
    return reduce(Value.__add__, map(total.made, lanes))


def _repeat(kind: Vector, sums: Vector, add):
    """turns → the total of sums s_j = add(s_j, x, y_j), j < SUMS; lane i of y_j is (i + j) % 16, x the turn.

    Were x the same in every turn, LLVM would work it out once.
    """

    @emitted
    def repeat(turns) -> types.int64:
        others = [turns.made(kind([(i + j) % 16 for i in range(kind.count)])) for j in range(SUMS)]
        loop = Loop(turns, [turns.constant(kind, 0), *[turns.constant(sums, 0)] * SUMS])
        with loop as (x, *totals):
            loop.again([x + 1, *(add(s, x, y) for s, y in zip(totals, others))])
        return _total(loop.results[1:]).to(I64, unsigned=True)

    return repeat


def _add_looked_up(total: Value, x: Value, y: Value) -> Value:
    return total + x.call("x86.avx2.pshuf.b", y)


_count, _look_up = _repeat(WORDS, WORDS, tiles.add_popcount), _repeat(ROW, ROW, _add_looked_up)
_signs, _pairs = _repeat(tiles.WORDS, tiles.WORDS, tiles.add_popcount), _repeat(tiles.PAIRS, tiles.SUMS, tiles.dot)


@emitted
def _multiply(turns, a: types.float32, b: types.float32) -> types.float32:
    a, b = a.splat(FLOATS), b.splat(FLOATS)
    loop = Loop(turns, [turns.constant(Vector(F32, FLOATS), j) for j in range(CHAINS)])
    with loop as sums:  # one instruction where the processor has it, else two
        loop.again([s.call("fmuladd", a, b) for s in sums])
    return _total(loop.results)


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

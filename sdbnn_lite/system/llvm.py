"""LLVM code for what numba can't write, as arithmetic in Python: on a :class:`Value`, operators emit instructions.

All addresses are integers (bytes), as numba's ``array.ctypes.data`` gives them. At the end: how threads share the parts
of a kernel.
"""

import inspect
import os
from collections.abc import Callable, Iterable

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from .target import keeps_code

# compiled in: target.py d74eba8c

# error_model: a division that checks for 0 isn't vectorised.
OPTIONS = {"cache": keeps_code(), "nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}
I8, I16, I32, I64 = map(ir.IntType, (8, 16, 32, 64))
F32, F64 = ir.FloatType(), ir.DoubleType()
Vector = ir.VectorType


def size(kind: ir.Type) -> int:
    """Bytes of a number."""
    return int(kind.intrinsic_name[1:]) // 8


def _emits(whole: str, real: str = "") -> Callable:
    def operate(self, other):
        return self.made(getattr(self.builder, real if self.is_real else whole)(self.llvm, self.alike(other)))

    return operate


def _compares(relation: str) -> Callable:
    def compare(self, other):
        ordered = self.builder.fcmp_ordered if self.is_real else self.builder.icmp_signed
        return self.made(ordered(relation, self.llvm, self.alike(other)))

    return compare


class Value:
    """A number, an address or a vector while code is emitted. A Python number beside it becomes one of its type.

    Whole numbers are compared as signed ones; a comparison is one bit a lane, never set for NaN.
    """

    def __init__(self, builder: ir.IRBuilder, llvm: ir.Value):
        self.builder, self.llvm, self.type = builder, llvm, llvm.type
        self.element = getattr(llvm.type, "element", llvm.type)
        self.is_real = self.element in (F32, F64)

    __add__, __sub__, __mul__ = _emits("add", "fadd"), _emits("sub", "fsub"), _emits("mul", "fmul")
    __truediv__, __and__, __or__, __xor__ = _emits("", "fdiv"), _emits("and_"), _emits("or_"), _emits("xor")
    __lshift__, __rshift__ = _emits("shl"), _emits("lshr")
    __lt__, __le__, __gt__, __ge__ = map(_compares, ("<", "<=", ">", ">="))

    def made(self, llvm: ir.Value) -> "Value":
        """What was emitted where this value is."""
        return Value(self.builder, llvm)

    def constant(self, kind: ir.Type, number: float) -> "Value":
        """That number, in every lane of a vector."""
        real = float(number) if getattr(kind, "element", kind) in (F32, F64) else number
        return self.made(ir.Constant(kind, [real] * kind.count if isinstance(kind, Vector) else real))

    def alike(self, other: "Value | float") -> ir.Value:
        """LLVM's value of ``other``; a Python number as this one's type."""
        return (other if isinstance(other, Value) else self.constant(self.type, other)).llvm

    def __abs__(self) -> "Value":
        return self.call("fabs")

    def where(self, bits: "Value", other: "Value | float") -> "Value":
        """This one where the bit is set, else the other."""
        return self.made(self.builder.select(bits.llvm, self.llvm, self.alike(other)))

    def to(self, kind: ir.Type, unsigned: bool = False) -> "Value":
        """The same number as another type, rounded towards 0 or cut to that type's bits."""
        element = getattr(kind, "element", kind)
        if self.is_real:
            how = "fpext" if element in (F32, F64) else "fptosi"
        elif element in (F32, F64):
            how = "sitofp"
        else:
            how = "trunc" if element.width < self.element.width else "zext" if unsigned else "sext"
        return self.made(getattr(self.builder, how)(self.llvm, kind))

    def bits_as(self, kind: ir.Type) -> "Value":
        """The same bits as another type."""
        return self.made(self.builder.bitcast(self.llvm, kind))

    def lanes(self, places: Iterable[int], other: "Value | None" = None) -> "Value":
        """A vector of these lanes of this one, on which those of ``other`` follow."""
        mask = ir.Constant(Vector(I32, len([*places])), [*places])
        behind = ir.Constant(self.type, ir.Undefined) if other is None else other.llvm
        return self.made(self.builder.shuffle_vector(self.llvm, behind, mask))

    def splat(self, count: int) -> "Value":
        """A vector whose lanes are all this number."""
        empty = ir.Constant(Vector(self.type, count), ir.Undefined)
        return self.made(self.builder.insert_element(empty, self.llvm, I32(0))).lanes([0] * count)

    def load(self, kind: ir.Type, align: int) -> "Value":
        """The number or vector at this address, which is a multiple of ``align``."""
        value = self.builder.load(self.builder.inttoptr(self.llvm, kind.as_pointer()))
        value.align = align
        return self.made(value)

    def store(self, value: "Value", align: int) -> None:
        """The opposite of :meth:`load`."""
        self.builder.store(value.llvm, self.builder.inttoptr(self.llvm, value.type.as_pointer())).align = align

    def call(self, name: str, *others: "Value", gives: ir.Type | None = None) -> "Value":
        """LLVM's intrinsic of this name, of values of this one's type; it gives one, too, unless another is named."""
        if not name.startswith("x86."):
            count = f"v{self.type.count}" if isinstance(self.type, Vector) else ""
            name = f"{name}.{count}{self.element.intrinsic_name}"
        kind = ir.FunctionType(gives or self.type, [self.type] * (1 + len(others)))
        function = cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.{name}")
        return self.made(self.builder.call(function, [self.llvm, *(other.llvm for other in others)]))


class Loop:
    """for i in range(count), with carried values: ``with`` gives them, ``again`` hands on the next ones."""

    def __init__(self, count: Value, carried: list[Value]):
        self.count, self.start = count, carried

    def __enter__(self) -> list[Value]:
        b = self.count.builder
        before = b.block
        self.body, self.after = b.append_basic_block("loop"), b.append_basic_block("done")
        b.branch(self.body)  # every count here is at least 1
        b.position_at_end(self.body)
        self.index, *self.phis = (Value(b, b.phi(kind)) for kind in (I64, *(value.type for value in self.start)))
        for phi, value in zip((self.index, *self.phis), (I64(0), *(value.llvm for value in self.start))):
            phi.llvm.add_incoming(value, before)
        return self.phis

    def again(self, values: list[Value]) -> None:
        b, following = self.count.builder, self.index + 1
        for phi, value in zip((self.index, *self.phis), (following, *values), strict=True):
            phi.llvm.add_incoming(value.llvm, b.block)
        b.cbranch((following < self.count).llvm, self.body, self.after)
        b.position_at_end(self.after)
        self.results = values

    def __exit__(self, *_: object) -> None:
        return None


def emitted(emit: Callable[..., Value | None]) -> Callable:
    """Makes of ``emit(value, …)`` a function that compiled code may call: with ``intp``, where no type stands there.

    ``like``, its last parameter, if any, gets the type of what is given for it, or of an array's numbers.
    """
    parameters, known = inspect.signature(emit).parameters, emit.__annotations__
    gives = known.get("return")

    def typed(typingctx, *given):
        kinds = [kind if name == "like" else known.get(name, types.intp) for name, kind in zip(parameters, given)]

        def lower(context, builder, signature, args):
            values = [Value(builder, value) for value in args]
            if "like" in parameters:
                values[-1] = context.get_value_type(getattr(kinds[-1], "dtype", kinds[-1]))
            result = emit(*values)
            return context.get_dummy_value() if gives is None else result.llvm

        return (gives or types.void)(*kinds), lower

    typed.__signature__ = inspect.Signature([inspect.Parameter("typingctx", 1), *parameters.values()])
    typed.__name__, typed.__doc__ = emit.__name__, emit.__doc__
    return intrinsic(typed)


@emitted
def count_up(address, by) -> types.int64:
    """The int64 at an address, which then is larger by ``by``; of all threads only one gets each value."""
    b = address.builder
    return address.made(b.atomic_rmw("add", b.inttoptr(address.llvm, I64.as_pointer()), by.llvm, "seq_cst"))


@emitted
def give_way(address):
    """Let another thread or process have this core, if one is waiting for it."""
    module, name = address.builder.module, "SwitchToThread" if os.name == "nt" else "sched_yield"
    address.builder.call(cgutils.get_or_insert_function(module, ir.FunctionType(I32, []), name), [])


@njit(nogil=True)  # numba compiles no caller of a generator that comes from its cache
def shared(at, parts):
    """The numbers of the parts that this thread gets; ends when all are done. Whoever waits gives its core away.

    At this address, two int64, 0 at first: how many parts are taken and done, by all threads that call a kernel with
    the same arrays. Not the array itself: numba never frees what a generator was given.
    """
    tries = 0
    part = count_up(at, 1)
    while part < parts:
        yield part
        count_up(at + 8, 1)
        part = count_up(at, 1)
    while count_up(at + 8, 0) < parts:
        tries += 1
        if tries > 100:
            give_way(at)

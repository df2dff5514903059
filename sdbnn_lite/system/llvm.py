"""A few words of LLVM code that the fused and the packed kernels are written in.

All addresses are integers (bytes), as numba's ``array.ctypes.data`` gives them.
"""

from llvmlite import ir

I16, I32, I64, F32, F64 = ir.IntType(16), ir.IntType(32), ir.IntType(64), ir.FloatType(), ir.DoubleType()


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

"""The machine code of the tiles for other processors than this one: made by LLVM as for numba, and only looked at.

And a training step in processes whose numba compiles for less than the chip has, or not at all.
"""

import os
import re
import subprocess
import sys

import pytest

from sdbnn_lite.system.target import TARGETS, runnable

pytest.importorskip("numba")
ASSEMBLY = """
import inspect, sys
from llvmlite import binding, ir
from numba.core import fastmathpass, types
from numba.core.cpu import FastMathOptions
from sdbnn_lite.system import target
chosen, triple, cpu = sys.argv[1:]
target.target = lambda: target.TARGETS[chosen]
from sdbnn_lite.fast import rows, tiles

class Context:
    get_dummy_value = staticmethod(lambda: None)
    get_value_type = staticmethod(lambda kind: kinds[kind])

LIKES = types.int8, types.int16, types.float32

kinds = {types.intp: ir.IntType(64), types.float32: ir.FloatType()}
kinds |= {types.int8: ir.IntType(8), types.int16: ir.IntType(16)}
binding.initialize_all_targets(), binding.initialize_all_asmprinters()
machine = binding.Target.from_triple(triple).create_target_machine(cpu=cpu, opt=3)
module = ir.Module()
module.triple = triple
several = [(name, like) for name in ("conv_tile", "weight_tile") for like in LIKES]
for name, *like in (("popcount_tile",), ("row_moments",), *several, ("row_through_ede", types.int8)):
    define = getattr(tiles, name, None) or getattr(rows, name)
    others = len(inspect.signature(define._defn).parameters) - 1 - len(like)
    signature, emit = define._defn(None, *[types.intp] * others, *like)
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [kinds[a] for a in signature.args]), f"{name}{like}")
    builder = ir.IRBuilder(function.append_basic_block())
    emit(Context, builder, signature, list(function.args))
    builder.ret_void()
fastmathpass.rewrite_module(module, FastMathOptions(tiles.options["fastmath"]))  # as numba does
parsed = binding.parse_assembly(str(module))
passes = binding.create_pass_builder(machine, binding.PipelineTuningOptions(speed_level=3))
passes.getModulePassManager().run(parsed, passes)
print(machine.emit_assembly(parsed))
"""
X86, ARM = "x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"
HAS = {  # target, triple, processor: instructions that the tiles are made for
    ("avx512-vpopcnt", X86, "znver4"): (r"vpopcntw.*zmm", r"vpdpwssd.*zmm", r"vpdpbusd.*zmm", r"vfmadd.*zmm"),
    ("avx512", X86, "skylake-avx512"): (r"vpshufb.*zmm", r"vpmaddwd.*zmm", r"vpmaddubsw.*zmm", r"vfmadd.*zmm"),
    ("avx2", X86, "haswell"): (r"vpshufb.*ymm", r"vpmaddwd.*ymm", r"vpmaddubsw.*ymm", r"vfmadd.*ymm"),
    ("neon", ARM, "generic"): (r"\scnt\s.*16b", r"\ssmlal\s.*4s", r"\sfmla\s.*4s"),
}


@pytest.mark.parametrize(("where", "patterns"), HAS.items(), ids=[" ".join(where) for where in HAS])
def test_tiles_are_made_of_the_target_s_instructions(where, patterns):
    """And of no wider ones."""
    done = subprocess.run([sys.executable, "-c", ASSEMBLY, *where], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for pattern in patterns:
        assert re.search(pattern, done.stdout), pattern
    wider = {64: "never", 32: "zmm", 16: "ymm"}[TARGETS[where[0]].vector]
    assert not re.search(wider, done.stdout)


STEP = """
import torch, sdbnn_lite as sd
from sdbnn_lite.training.steps import pick_forward
from sdbnn_lite.system.target import target
net = sd.build("cifar10_resnet20").train()
forward = pick_forward(net, torch.device("cpu"))
forward(torch.randn(32, 3, 8, 8)).sum().backward()
print(target().name, (forward is net) != target().compiled)
"""
SETTINGS = [
    {"NUMBA_CPU_NAME": "generic"},
    {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": ""},
    {"NUMBA_DISABLE_JIT": "1"},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_a_step_where_numba_compiles_for_less_than_the_chip_has(settings):
    """Code for the chip's own instructions aborts the process there."""
    if settings.get("NUMBA_CPU_NAME") == "haswell" and "avx2" not in runnable():
        pytest.skip("no x86 processor with AVX2")
    done = subprocess.run([sys.executable, "-c", STEP], env=os.environ | settings, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[1] == "True"

"""The kernels of AVX-512 in the instructions of AVX2, by hand, on an x86 machine without the wider ones: minutes.

    python tests/emulated/avx512.py avx512-vpopcnt|avx512|neon [--shapes 500]

NEON's, of 128 bits, run too, but not its instructions: ``neon.py`` has these. SDBNN_TARGET=avx2 takes a wider machine.

LLVM makes two of a vector that is too wide for the processor it writes code for; the few instructions that our code
names are split here. So everything is run (tiles, layouts, tails, threads) but LLVM's own choice of AVX-512's
instructions, at which ``tests/fast/test_targets.py`` looks. ``check.py`` says what is compared, and prints it.
"""

import argparse
import os
import runpy
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path += [str(HERE.parents[1]), str(HERE.parent / "helpers")]
BYTES, PAIRS = "x86.avx512.pmaddubs.w.512", "x86.avx512.pmaddw.d.512"
HALVES = {"x86.avx512.pshuf.b.512": "x86.avx2.pshuf.b", PAIRS: "x86.avx2.pmadd.wd", BYTES: "x86.avx2.pmadd.ub.sw"}


def pretend(name: str) -> None:
    """From here on kernels are made as for the target of this name; before any is imported."""
    from sdbnn_lite.system import target
    compiles_for = target.target()
    if compiles_for.vector != 32:
        sys.exit(f"this machine compiles for {compiles_for.name}: SDBNN_TARGET={name} or its own tests say more")
    target.target = lambda: target.TARGETS[name]

    from sdbnn_lite.system.llvm import I8, I16, Value, Vector
    whole = Value.call

    def call(self, name, *others, gives=None):
        if name == "x86.avx512.vpdpbusd.512":  # four products at once are two and two
            x, y = (other.bits_as(Vector(I8, 64)) for other in others)
            twos = call(x, BYTES, y, gives=Vector(I16, 32))
            return self + call(twos, PAIRS, twos.constant(twos.type, 1), gives=self.type)
        if name not in HALVES:
            return whole(self, name, *others, gives=gives)
        half = gives and Vector(gives.element, gives.count // 2)
        places = [range(start, start + self.type.count // 2) for start in (0, self.type.count // 2)]
        low, high = (whole(self.lanes(at), HALVES[name], *(o.lanes(at) for o in others), gives=half) for at in places)
        return low.lanes(range(2 * low.type.count), high)

    Value.call = call


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("target", choices=["avx512-vpopcnt", "avx512", "neon"])
    parser.add_argument("--shapes", type=int, default=500)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NUMBA_CACHE_DIR"] = folder  # these kernels must not meet the machine's own
        pretend(args.target)
        sys.argv[1:] = [str(args.shapes)]
        runpy.run_path(str(HERE / "check.py"), run_name="__main__")

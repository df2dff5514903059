"""The kernels of AVX-512 in the instructions of AVX2, by hand, on an x86 machine without the wider ones: minutes.

    python tests/emulated/avx512.py avx512-vpopcnt|avx512 [--shapes 500]

LLVM makes two of a vector that is too wide for the processor it writes code for; the two instructions that our code
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
HALVES = {"x86.avx512.pshuf.b.512": "x86.avx2.pshuf.b", "x86.avx512.pmaddw.d.512": "x86.avx2.pmadd.wd"}


def pretend(name: str) -> None:
    """From here on kernels are made as for the target of this name; before any is imported."""
    from sdbnn_lite.system import target
    compiles_for = target.target()
    if compiles_for.vector != 32:
        sys.exit(f"this machine compiles for {compiles_for.name}: SDBNN_TARGET={name} or its own tests say more")
    target.target = lambda: target.TARGETS[name]

    from sdbnn_lite.system.llvm import Value, Vector
    whole = Value.call

    def call(self, name, *others, gives=None):
        if name not in HALVES:
            return whole(self, name, *others, gives=gives)
        half = gives and Vector(gives.element, gives.count // 2)
        places = [range(start, start + self.type.count // 2) for start in (0, self.type.count // 2)]
        low, high = (whole(self.lanes(at), HALVES[name], *(o.lanes(at) for o in others), gives=half) for at in places)
        return low.lanes(range(2 * low.type.count), high)

    Value.call = call


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("target", choices=["avx512-vpopcnt", "avx512"])
    parser.add_argument("--shapes", type=int, default=500)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NUMBA_CACHE_DIR"] = folder  # these kernels must not meet the machine's own
        pretend(args.target)
        sys.argv[1:] = [str(args.shapes)]
        runpy.run_path(str(HERE / "check.py"), run_name="__main__")

"""What the kernels are generated for: the instructions that numba's code may use, which can be fewer than the chip has.

    SDBNN_TARGET=avx2             a narrower one than the chip's, as if on another machine; "numpy": no kernels at all
    NUMBA_CPU_NAME, …             numba's own settings (clusters share caches by them) are followed

"numpy" also where numba is missing, is told not to compile (NUMBA_DISABLE_JIT=1), or has none of these instructions.
"""

import os
import re
import sys
import tempfile
import warnings
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec

from ..errors import UsageError, unknown


@dataclass(frozen=True)
class Target:
    """A vector has ``vector`` bytes; ``registers`` of them exist; ``counts`` is how a vector's bits are counted."""

    name: str
    vector: int
    registers: int
    counts: str
    cpu: str = ""  # LLVM's name of a processor that has this and not more

    @property
    def compiled(self) -> bool:
        """Whether there are kernels at all; else NumPy's engine and the readable path serve."""
        return self.vector > 0


TARGETS = {target.name: target for target in (
    Target("avx512-vpopcnt", 64, 32, "vpopcnt", "icelake-server"),
    Target("avx512", 64, 32, "vpshufb", "skylake-avx512"),
    Target("avx2", 32, 16, "vpshufb", "haswell"),
    Target("neon", 16, 32, "cnt"),
    Target("numpy", 0, 0, "numpy.bitwise_count"),
)}  # fmt: skip
_FOUND = {"avx512-vpopcnt": r"vpopcntw.*zmm", "avx512": r"vpshufb.*zmm", "avx2": r"vpshufb.*ymm", "neon": r"\scnt[\s.]"}
_COUNT = """define <32 x i16> @f(<32 x i16> %x) {
  %y = call <32 x i16> @llvm.ctpop.v32i16(<32 x i16> %x)
  ret <32 x i16> %y
}
declare <32 x i16> @llvm.ctpop.v32i16(<32 x i16>)"""


def generates(cpu: str, features: str, triple: str | None = None) -> Target:
    """What LLVM counts a vector's bits with, for a processor of its names: it alone knows what a name implies."""
    from llvmlite import binding
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    found = binding.Target.from_triple(triple or binding.get_process_triple())
    code = found.create_target_machine(cpu=cpu, features=features).emit_assembly(binding.parse_assembly(_COUNT))
    return TARGETS[next((name for name, pattern in _FOUND.items() if re.search(pattern, code)), "numpy")]


def _host() -> tuple[str, str]:
    from llvmlite import binding
    try:
        return binding.get_host_cpu_name(), binding.get_host_cpu_features().flatten()
    except RuntimeError:  # LLVM can't tell on this system
        return binding.get_host_cpu_name(), ""


def _numba_compiles_for() -> tuple[str, str] | None:
    """Its processor and features, or None where it doesn't compile; as numba.core.codegen, without loading numba."""
    if find_spec("numba") is None:
        return None
    settings = {key.removeprefix("NUMBA_"): value for key, value in os.environ.items() if key.startswith("NUMBA_")}
    if "numba" in sys.modules:
        from numba.core import config
        settings |= {key: getattr(config, key) for key in ("DISABLE_JIT", "CPU_NAME", "CPU_FEATURES", "ENABLE_AVX")}
    if int(settings.get("DISABLE_JIT") or 0):
        return None
    cpu, features = _host()
    if not int(settings.get("ENABLE_AVX", 1)):
        features = re.sub(r"\+(avx\w*)", r"-\1", features)
    cpu, given = settings.get("CPU_NAME") or cpu, settings.get("CPU_FEATURES")
    return cpu, "" if given is None and cpu.lower() == "generic" else features if given is None else given


@cache
def runnable() -> tuple[str, ...]:
    """The names that SDBNN_TARGET may have on this chip, the widest first."""
    names = list(TARGETS)
    chip = names.index("numpy" if _numba_compiles_for() is None else generates(*_host()).name)
    # an x86 chip also runs the x86 ones that follow its own
    return tuple(n for i, n in enumerate(names) if n == "numpy" or i == chip or (i > chip and TARGETS[n].cpu))


@cache
def target() -> Target:
    """This process's. To be asked before numba compiles anything: it makes numba compile for SDBNN_TARGET.

    Raises UsageError for an SDBNN_TARGET that is unknown or that this chip can't run.
    """
    compiles_for, wanted = _numba_compiles_for(), os.environ.get("SDBNN_TARGET")
    given = TARGETS["numpy"] if compiles_for is None else generates(*compiles_for)
    if not wanted or wanted == given.name:
        return given
    if wanted not in TARGETS:
        raise unknown("SDBNN_TARGET", wanted, TARGETS)
    if wanted not in runnable():
        raise UsageError(f"SDBNN_TARGET={wanted}: this chip and numba run only {', '.join(runnable())}")
    if TARGETS[wanted].compiled:
        os.environ |= {"NUMBA_CPU_NAME": TARGETS[wanted].cpu, "NUMBA_CPU_FEATURES": ""}  # child processes follow, too
        if "numba" in sys.modules:
            from numba.core import config
            config.reload_config()
    return TARGETS[wanted]


@cache
def keeps_code() -> bool:
    """Whether numba finds a folder for its machine code; else a kernel is compiled in every process, and this warns."""
    from numba import njit
    target()  # before ``njit`` takes the processor that numba knows
    try:
        with tempfile.TemporaryFile(dir=njit(cache=True)(keeps_code.__wrapped__).stats.cache_path) as file:
            file.write(bytes(2**22))  # a few kernels' code: numba itself fails on a full disk
    except (RuntimeError, OSError):
        said = "numba finds no folder that it can write, with 4 MB left (NUMBA_CACHE_DIR may name one)"
        warnings.warn(f"{said}: the kernels are compiled again in every process", stacklevel=2)
        return False
    return True

"""What the kernels are generated for: numba's own target, found without loading numba, and SDBNN_TARGET."""

import os
import subprocess
import sys

import pytest

from sdbnn_lite.errors import UsageError
from sdbnn_lite.system.target import TARGETS, generates, runnable, target

numba = pytest.importorskip("numba")
HASWELL = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": ""}
SETTINGS = [{}, HASWELL, {"NUMBA_CPU_NAME": "generic"}, {"NUMBA_ENABLE_AVX": "0"}]
AS_NUMBA = """
import sys
from sdbnn_lite.system import target
before = target._numba_compiles_for()
assert target.target() and "numba" not in sys.modules
import numba
told = numba.core.registry.cpu_target.target_context.codegen().magic_tuple()[1:]
assert before == told == target._numba_compiles_for(), (before, told)
"""


def child(program, environment):
    """What a fresh process prints; it never ends by a signal."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("NUMBA_", "SDBNN_T"))}
    done = subprocess.run([sys.executable, "-c", program], env=clean | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_numba_compiles_for_what_is_read_from_its_settings(settings):
    child(AS_NUMBA, settings)


@pytest.mark.parametrize(
    ("cpu", "name"),
    [("znver4", "avx512-vpopcnt"), ("icelake-server", "avx512-vpopcnt"), ("skylake-avx512", "avx512"),
     ("znver3", "avx2"), ("haswell", "avx2"), ("ivybridge", "numpy"), ("x86-64", "numpy")],
)  # fmt: skip
def test_a_processor_s_name_implies_its_instructions(cpu, name):
    from llvmlite import binding
    if not binding.get_process_triple().startswith("x86_64"):
        pytest.skip("names of x86 processors")
    assert generates(cpu, "").name == name
    assert TARGETS[name].cpu == "" or generates(TARGETS[name].cpu, "").name == name


def test_arm_counts_by_cnt():
    from llvmlite import binding
    binding.initialize_all_targets(), binding.initialize_all_asmprinters()
    for triple, cpu in (("aarch64-unknown-linux-gnu", "generic"), ("arm64-apple-darwin", "apple-m1")):
        assert generates(cpu, "", triple).name == "neon"


WHICH = """
from sdbnn_lite.system.target import target
print(target().name)
import numba
print(numba.njit(lambda x: x + 1)(1), numba.core.registry.cpu_target.target_context.codegen().magic_tuple()[1])
"""


@pytest.mark.parametrize("wanted", runnable())
def test_a_narrower_target_is_forced_on_numba_too(wanted):
    """Also where numba was told another processor, and in a process that had loaded it."""
    other = {"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": ""} if TARGETS[wanted].cpu else {}
    kernels = "import sdbnn_lite.system.llvm\n" if TARGETS[wanted].compiled else ""
    for program in (WHICH, "import numba\n" + WHICH, kernels + WHICH):
        name, _, cpu = child(program, {"SDBNN_TARGET": wanted, **other}).stdout.split()
        assert name == wanted and (not TARGETS[wanted].cpu or cpu == TARGETS[wanted].cpu)


def test_wrong_targets_are_a_line():
    program = "import sys; from sdbnn_lite.cli import main; sys.exit(main(['list', 'targets']) - 2)"
    said = child(program, {"SDBNN_TARGET": "avx"}).stderr
    assert said.startswith("sdbnn-lite list: unknown SDBNN_TARGET 'avx': choose one of avx512-vpopcnt, avx512, avx2, ")
    for absent in TARGETS.keys() - set(runnable()):
        said = child(program, {"SDBNN_TARGET": absent}).stderr
        assert said == f"sdbnn-lite list: SDBNN_TARGET={absent}: this chip and numba run only {', '.join(runnable())}\n"


def test_without_a_compiler_it_is_numpy(monkeypatch):
    program = "from sdbnn_lite.system.target import runnable, target; print(target().name, *runnable())"
    assert child(program, {"NUMBA_DISABLE_JIT": "1"}).stdout.split() == ["numpy", "numpy"]
    monkeypatch.setattr("sdbnn_lite.system.target.find_spec", lambda name: None)
    monkeypatch.setenv("SDBNN_TARGET", "avx2")
    runnable.cache_clear()
    with pytest.raises(UsageError, match="run only numpy"):
        target.__wrapped__()
    runnable.cache_clear()


NO_LOCATOR = """
import numba.core.caching
numba.core.caching.CacheImpl._locator_classes = []  # as where neither the package nor the home can be written
"""
KERNELS = """
import numpy as np
from sdbnn_lite.cost import peaks
from sdbnn_lite.fast import kernels, stem
peaks.copy(np.ones(4, np.uint64), made := np.zeros(4, np.uint64))
print(made.tolist())
"""


FULL = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))  # as on a full disk: files can be made, but not written
"""


@pytest.mark.parametrize("fault", [NO_LOCATOR, FULL], ids=["not writable", "full"])
def test_a_cache_folder_that_cannot_be_written_is_said_once(fault, tmp_path):
    done = child(fault + KERNELS, {"NUMBA_CACHE_DIR": str(tmp_path)})
    assert done.stdout.split("\n")[0] == "[1, 1, 1, 1]"
    assert done.stderr.count("no folder that it can write") == 1 and "compiled again in every process" in done.stderr

"""Put every fault of ``faults`` into a copy of the repository, one after another: a test has to notice each.

    python tests/mutants/run.py              all of them, in about ten minutes
    python tests/mutants/run.py ede-k ...    only these
    python tests/mutants/run.py --list       what they are; checks that each text is there

The copy holds the files of the working tree that git doesn't ignore. First the named tests run without a fault and
have to pass. Exit code 0: every mutant was killed; 1: one survived, gave no answer in time or none at all, or the tests
fail without a fault; 2: wrong use, or a text that isn't exactly once in its file.
"""

import argparse
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from faults import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "sdbnn_lite"
TIMEOUT = 600  # seconds for the tests of one mutant: compiling kernels anew takes a minute or two
PASSED, FAILED, TOO_LATE = 0, 1, None  # exit codes of pytest, as far as they mean something here


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant: killed (None: can't be tried here), by which test or why not, and how long it took."""

    killed: bool | None
    said: str
    seconds: float


def copy_of(root: Path, to: Path) -> None:
    """The files of the working tree ``root`` that git doesn't ignore, into the folder ``to``."""
    command = ["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True)
    for name in filter(None, listed.stdout.split("\0")):
        if (root / name).is_file():  # else removed, and not yet committed
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, to / name)


def misplaced(root: Path, mutants: Sequence[Mutant]) -> list[str]:
    """What is wrong with the list: a sentence for each text, file or test file that isn't where it says."""
    found = []
    for m in mutants:
        path = root / PACKAGE / m.file
        times = path.read_text(encoding="utf-8").count(m.old) if path.is_file() else 0
        if times != 1:
            found.append(f"{m.name}: its text is {times} times in {PACKAGE}/{m.file}, not once")
        files = {test.partition("::")[0] for test in m.tests}
        found += [f"{m.name}: no tests/{file}" for file in sorted(files) if not (root / "tests" / file).is_file()]
    return found


def environment(copy: Path, cache: Path) -> dict[str, str]:
    """The copy before the installed package; nothing compiled by Python or numba that belongs to another state."""
    mine = {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1", "NUMBA_CACHE_DIR": str(cache)}
    return {**os.environ, "OMP_NUM_THREADS": "1", **mine}


def run_tests(copy: Path, tests: Sequence[str], cache: Path, timeout: float) -> tuple[int | None, str]:
    """Exit code (``TOO_LATE`` after ``timeout`` seconds) and output of ``tests`` in ``copy``, up to a failure."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--import-mode=importlib"]
    command += ["--tb=no", "--no-header", *(f"tests/{test}" for test in tests)]
    with subprocess.Popen(
        command, cwd=copy, env=environment(copy, cache), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            said, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            return TOO_LATE, ""
    return process.returncode, said


@contextlib.contextmanager
def applied(copy: Path, mutant: Mutant) -> Iterator[None]:
    """The fault is in the copy's file while this is open; then the file is what it was, its time too."""
    path = copy / PACKAGE / mutant.file
    text, times = path.read_text(encoding="utf-8"), path.stat()
    try:
        path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
        yield
    finally:
        path.write_text(text, encoding="utf-8")
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def outcome(code: int | None, said: str, seconds: float) -> Outcome:
    """What pytest's answer means. Only a failed test kills: no tests, or none that ran, is no answer."""
    failed = re.search(r"^(?:FAILED|ERROR) tests/(.+?)(?: - |$)", said, re.MULTILINE)
    if code == FAILED and failed:
        return Outcome(True, failed[1], seconds)
    if code == TOO_LATE:
        return Outcome(False, "NO ANSWER: out of time", seconds)
    if code == PASSED and re.search(r"\d passed", said):
        return Outcome(False, "SURVIVED", seconds)
    if code == PASSED and re.search(r"\d skipped", said):
        return Outcome(None, "not tried: its tests are skipped on this machine", seconds)
    last = said.strip().splitlines()[-1:] or ["it said nothing"]
    return Outcome(False, f"NO ANSWER: pytest ended with {code}: {last[0]}", seconds)


def try_mutant(copy: Path, mutant: Mutant, cache: Path, timeout: float) -> Outcome:
    """Run the mutant's tests on it; one in compiled code gets an empty cache of its own."""
    begun = time.monotonic()
    with applied(copy, mutant), tempfile.TemporaryDirectory() as empty:
        code, said = run_tests(copy, mutant.tests, Path(empty) if mutant.compiled else cache, timeout)
    return outcome(code, said, time.monotonic() - begun)


def imported_from(copy: Path, cache: Path) -> Path:
    """The folder that ``import sdbnn_lite`` finds where the tests run."""
    command = [sys.executable, "-c", f"import {PACKAGE}; print({PACKAGE}.__file__)"]
    found = subprocess.run(command, cwd=copy, env=environment(copy, cache), capture_output=True, text=True, check=True)
    return Path(found.stdout.strip()).resolve().parent


def passes_without_a_fault(copy: Path, mutants: Sequence[Mutant], cache: Path, timeout: float) -> bool:
    """Whether all tests named by the mutants pass in the copy as it is; says so where they don't."""
    tests = list(dict.fromkeys(test for m in mutants for test in m.tests))
    tests = [test for test in tests if "::" not in test or test.partition("::")[0] not in tests]
    begun = time.monotonic()
    code, said = run_tests(copy, tests, cache, timeout * max(3, len(mutants) / 4))
    print(f"without a fault: {(said.strip().splitlines() or ['out of time'])[-1]}", flush=True)
    if code != PASSED:
        print(said if code == FAILED else f"{said}\npytest ended with {code} after {time.monotonic() - begun:.0f} s")
    return code == PASSED


def run(root: Path, mutants: Sequence[Mutant], timeout: float) -> int:
    """Copy, test without a fault, try every mutant, print a row for each; the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        copy, cache = Path(folder).resolve() / "copy", Path(folder) / "numba"
        copy_of(root, copy)
        if imported_from(copy, cache) != copy / PACKAGE:
            print(f"the tests would import {imported_from(copy, cache)}, not the copy", file=sys.stderr)
            return 1
        if not passes_without_a_fault(copy, mutants, cache, timeout):
            return 1
        wide, killed, alive = max(len(m.name) for m in mutants), 0, 0
        print(f"{'mutant':<{wide}}  seconds  killed by")
        for m in mutants:
            result = try_mutant(copy, m, cache, timeout)
            killed, alive = killed + (result.killed is True), alive + (result.killed is False)
            print(f"{m.name:<{wide}}  {result.seconds:>7.1f}  {result.said}", flush=True)
    print(f"{killed} of {len(mutants)} killed")
    return 1 if alive else 0


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Put faults into a copy of the package; tests have to notice each.")
    parser.add_argument("names", nargs="*", metavar="MUTANT", help="only these (default: all)")
    parser.add_argument("--list", action="store_true", help="say what they are, and check that their texts are there")
    parser.add_argument("--timeout", type=float, default=TIMEOUT, metavar="S", help=f"seconds each, else {TIMEOUT}")
    options = parser.parse_args(argv)
    unknown = set(options.names) - {m.name for m in MUTANTS}
    if unknown:
        parser.error(f"no mutant is called {', '.join(sorted(unknown))}: --list names them")
    mutants = [m for m in MUTANTS if m.name in options.names or not options.names]
    if options.list:
        for m in mutants:
            print(f"{m.name}: {m.fault}\n    {PACKAGE}/{m.file}; tests/{', tests/'.join(m.tests)}")
    problems = misplaced(ROOT, mutants)
    print(*problems, sep="\n", end="\n" if problems else "", file=sys.stderr)
    if problems:
        return 2
    return 0 if options.list else run(ROOT, mutants, options.timeout)


if __name__ == "__main__":
    sys.exit(main())

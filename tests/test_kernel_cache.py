"""numba compiles a kernel again only if the file it stands in has changed, not the files its machine code comes from.

So every file of kernels has a line ``# compiled in: NAME.py DIGEST, …`` of those: a change in one of them alone changes
this file too, and nobody runs old machine code after a ``git pull``. The failing test prints the line to put there.
"""

import hashlib
import re

import pytest
from package_modules import MODULES, own_imports

SOURCES = {name: path.read_text(encoding="utf-8") for name, path in MODULES.items()}
COMPILES = re.compile(r"^from (numba import .*njit|\.launch import Kernel)", re.M)
KERNELS = [name for name, source in SOURCES.items() if COMPILES.search(source)]
MACHINE_CODE = {name for name, source in SOURCES.items() if re.search(r"llvm(lite)? import", source)} | set(KERNELS)
LINE = re.compile(r"# compiled in: .*\n")


def parts_of(name):
    """The modules of machine code that the kernels of ``name`` can reach by imports."""
    found, queue = set(), [name]
    while queue:
        for used in (own_imports(queue.pop()) & MACHINE_CODE) - found - {name}:
            found.add(used)
            queue.append(used)
    return sorted(found)


def line_of(name):
    """Digests leave the line itself out, else one change would change all lines that follow from it."""
    digests = [hashlib.sha256(LINE.sub("", SOURCES[part]).encode()).hexdigest()[:8] for part in parts_of(name)]
    parts = [f"{part.rpartition('.')[2]}.py {digest}" for part, digest in zip(parts_of(name), digests, strict=True)]
    return f"# compiled in: {', '.join(parts)}\n"


def test_the_files_of_kernels_are_found():
    packed = {"packed.kernels", "packed.chains"}
    assert {"fast.kernels", "fast.convolutions", "fast.stem", "cost.peaks"} | packed <= set(KERNELS)
    assert parts_of("packed.kernels") == ["packed.tiles", "system.llvm", "system.target"]
    assert {"fast.rows", "fast.tiles"} <= set(parts_of("fast.stem"))  # by way of fast.kernels


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_change_with_the_files_that_are_compiled_into_them(name):
    assert LINE.findall(SOURCES[name]) == [line_of(name)]

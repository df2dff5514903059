"""The packed kernels on an arm64 processor that qemu emulates, by hand: an hour or more, 1 GB in FOLDER, Debian.

    apt-get install qemu-user-static debootstrap
    python tests/emulated/neon.py FOLDER [--shapes 500]

FOLDER gets Debian's arm64 Python (debootstrap, which needs root) and the arm64 wheels of what the packed layers use;
what is there already is used again. ``check.py`` says what runs on it, and prints its result. Nothing says how fast
these kernels are: an emulator's seconds are not a processor's.
"""

import argparse
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).resolve().parent
DEBIAN, PYTHON = "bookworm", "3.11"
PLATFORMS = ["manylinux2014_aarch64", *(f"manylinux_2_{n}_aarch64" for n in (17, 27, 28)), "any"]
SAME = [f"{name}=={version(name)}" for name in ("numba", "llvmlite", "numpy", "scipy", "safetensors")]
WHEELS = [*SAME, "torch==2.8.0",  # among the last whose arm64 wheel comes without CUDA's libraries
          "typing_extensions", "filelock", "sympy", "mpmath", "networkx", "jinja2", "markupsafe", "fsspec"]  # fmt: skip


def make_system(root: Path) -> None:
    """Debian's smallest system with Python; its packages are only unpacked, so that nothing has to run."""
    subprocess.run(["debootstrap", "--foreign", "--arch=arm64", "--variant=minbase",
                    "--include=python3-minimal,libpython3-stdlib", DEBIAN, root], check=True)  # fmt: skip
    for package in sorted(root.glob("var/cache/apt/archives/*.deb")):
        files = subprocess.run(["dpkg-deb", "--fsys-tarfile", package], check=True, capture_output=True).stdout
        subprocess.run(["tar", "-x", "--keep-directory-symlink", "-C", root], input=files, check=True)


def install(site: Path) -> None:
    """The wheels, unpacked: pip doesn't run on the other processor either."""
    platforms = [f"--platform={platform}" for platform in PLATFORMS]
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--only-binary=:all:", *platforms,
                    f"--python-version={PYTHON}", "--target", site, *WHEELS], check=True)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shapes", type=int, default=500)
    args = parser.parse_args()
    folder = args.folder.resolve()
    root, site = folder / "root", folder / "site"
    python = root / "usr" / "bin" / f"python{PYTHON}"
    if not python.exists():
        make_system(root)
    if not (site / "torch").exists():
        install(site)
    paths = [site, HERE.parents[1], HERE.parent / "helpers"]
    settings = {"PYTHONPATH": os.pathsep.join(map(str, paths)), "PYTHONPYCACHEPREFIX": str(folder / "pyc"),
                "NUMBA_CACHE_DIR": str(folder / "numba"), "OMP_NUM_THREADS": "1"}  # fmt: skip
    command = ["qemu-aarch64-static", "-L", root, python, HERE / "check.py", str(args.shapes)]
    return subprocess.run(command, env=os.environ | settings).returncode


if __name__ == "__main__":
    sys.exit(main())

"""Build wheel and sdist, look into both, use the wheel in an empty environment (``make release-check``).

python tests/release/check.py           everything, with all that the package needs fetched anew
python tests/release/check.py --here    the environment sees the packages that are installed here: nothing is fetched

Exit code 0: both may be uploaded; 1: what is wrong is said.
"""

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import venv
import zipfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DIST, PACKAGE, NETWORK = ROOT / "dist", "sdbnn_lite", "digits_sdbnn"
MOST_BYTES = 40 * 2**20  # of either file; package indexes take 100 MB
LEFT_OUT = (".ipynb", "/tests/", "/.git", ".pyc")


def needed() -> set[str]:
    """The package's own files in the repository, by their path from its root: what both have to hold."""
    listed = subprocess.run(["git", "ls-files", "-z", PACKAGE], cwd=ROOT, capture_output=True, text=True, check=True)
    return {name for name in listed.stdout.split("\0") if name}


def complaints(names: Iterable[str], size: int, wanted: Iterable[str]) -> list[str]:
    """What is wrong with an archive of ``size`` bytes that holds the files ``names`` and should hold ``wanted``."""
    names = set(names)
    found = [f"{name} is missing" for name in sorted(set(wanted) - names)]
    found += [f"{name} doesn't belong there" for name in sorted(names) if any(part in f"/{name}" for part in LEFT_OUT)]
    return found + ([f"{size / 2**20:.0f} MiB: more than {MOST_BYTES / 2**20:.0f}"] if size > MOST_BYTES else [])


def contents(path: Path) -> list[str]:
    """The files in a wheel or an sdist; an sdist's without its folder."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            return wheel.namelist()
    with tarfile.open(path) as sdist:
        return [member.name.partition("/")[2] for member in sdist.getmembers() if member.isfile()]


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    """Run it, show what it says, return it; exits where it fails."""
    print("$", *command, flush=True)
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # it hides the wheel
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=env, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)  # fmt: skip
    print("\n".join(done.stdout.splitlines()[-4:]), flush=True)
    if done.returncode:
        sys.exit(f"exit code {done.returncode}")
    return done.stdout


def use(wheel: Path, here: bool) -> None:
    """Install it into an empty environment, ask for its version, evaluate a network of the zoo on the digits."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        venv.create(place / "env", with_pip=True)
        python = place / "env" / "bin" / "python"
        if here:
            site = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
            Path(site, "here.pth").write_text(sysconfig.get_path("purelib") + "\n")
        run(python, "-m", "pip", "install", "-q", *(["--no-deps", "-I"] if here else []), wheel, cwd=place)
        command = python.with_name("sdbnn-lite")
        version = run(command, "--version", cwd=place)
        scored = run(command, "evaluate", NETWORK, cwd=place)
    if wheel.name.split("-")[1] not in version or "360" not in scored:
        sys.exit("the installed package says something else than its version and a score on 360 images")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--here", action="store_true")
    here = parser.parse_args().here
    shutil.rmtree(DIST, ignore_errors=True)
    run(sys.executable, "-m", "build", "--outdir", DIST)
    (wheel,), (sdist,) = DIST.glob("*.whl"), DIST.glob("*.tar.gz")
    for path in (wheel, sdist):
        if wrong := complaints(contents(path), path.stat().st_size, needed()):
            sys.exit(f"{path.name}: {'; '.join(wrong)}")
        print(f"{path.name}: {len(contents(path))} files, {path.stat().st_size / 2**20:.1f} MiB")
    run(sys.executable, "-m", "twine", "check", "--strict", wheel, sdist)
    use(wheel, here)
    print(f"{DIST} may be uploaded")


if __name__ == "__main__":
    main()

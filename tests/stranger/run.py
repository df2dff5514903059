"""A stranger's day: a clone, the oldest versions that are allowed, an awkward machine, and what the README says.

    python3.10 tests/stranger/run.py [--wheels DIR] [--keep DIR] [--newest]

It clones the repository into a path with blanks and letters that ASCII doesn't have, makes an environment there with
the Python that runs this and the versions of ``oldest.txt`` (``--newest``: what pip finds), then runs the README's
commands that take less than a minute, the tests of core/ and weights/, and the built wheel outside the repository.
HOME can't be written, LANG is C, the terminal is 40 columns wide, warnings of our own modules are errors.

``--wheels`` is a folder of packages that pip looks into first; ``--keep`` one that stays, with its environment: the
next call installs nothing that is there. Exit code 1: something ended otherwise than it should, or with a traceback.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT, HERE = Path(__file__).resolve().parents[2], Path(__file__).parent
TESTS = ("pytest", "hypothesis", "onnx", "onnxruntime", "argcomplete")
STRICT = "import sys, warnings; warnings.filterwarnings('error', module='sdbnn_lite'); " \
         "from sdbnn_lite.cli import main; sys.exit(main())"  # fmt: skip
AWKWARD = {"HOME": "/proc", "LANG": "C", "COLUMNS": "40", "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
# ASCII and nothing else: torch can't be loaded from a path with other letters then, and Python 3.10 can't read them in
# the environment's .pth, so PYTHONPATH names the clone, and what needs torch isn't tried.
PLAIN = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
COMMANDS = (  # what is run, its exit code, what it has to say
    ("--version", 0, "sdbnn-lite"),
    ("list", 0, "digits_sdbnn"),
    ("cost cifar10_resnet18", 0, "OPs = BOPs/64 + FLOPs"),
    ("evaluate digits_sdbnn", 0, "card: "),
    ("evaluate digits_sdbnn --packed", 0, "packed"),
    ("train --help", 0, "cifar10-resnet20-evening"),
    ("train digits --epochs 2 --out run", 0, "test accuracy"),
    ("train digits --epochs 2 --out run", 2, "add --resume"),
    ("plot run --out curves.png", 0, "curves.png"),
    ("publish run mine --out published", 0, "published"),
    ("export-onnx cifar10_resnet20 resnet20.onnx", 0, "resnet20.onnx"),
)
ELSEWHERE = (("walkthrough --out w", 2, "clone of"), ("list zoo", 0, "digits_sdbnn"),
             ("evaluate digits_sdbnn", 0, "card: "), ("cost digits_convnet", 0, "OPs"))  # fmt: skip


class Day:
    """What was tried so far: ``bad`` counts what ended otherwise than it should."""

    def __init__(self):
        self.bad = 0

    def call(self, command, cwd, code=0, says="", **environment):
        """Run it, print a line about it, return what it said; a test run's last line is printed too."""
        command = list(map(str, command))
        start = time.monotonic()
        env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "SDBNN", "LC_", "MPL", "XDG"))}
        done = subprocess.run(command, cwd=cwd, capture_output=True, env=env | environment)
        said = (done.stdout + done.stderr).decode("utf-8", "replace")
        good = done.returncode == code and "Traceback" not in said and says in said
        self.bad += not good
        shown = " ".join(part for part in command[1:] if part not in ("-c", STRICT))
        print(f"{'good' if good else 'BAD '} {time.monotonic() - start:6.1f} s  {shown[:90]}", flush=True)
        if not good or "pytest" in command:
            print("\n".join(f"    {line}" for line in said.splitlines()[-(1 if good else 25) :]), flush=True)
        return said


def install(day, python, clone, wheels, newest):
    """The package and its tests' packages, into an environment that may have some of them."""
    how = [] if newest else ["-c", HERE / "oldest.txt"]
    how += ["--find-links", wheels] if wheels else []
    day.call([python, "-m", "pip", "install", "-q", *how, "-e", clone, *TESTS, "setuptools>=77", "wheel"], clone)
    versions = "import sys, torch, torchvision, numpy, numba; print(sys.version[:7], *("
    versions += "m.__version__ for m in (torch, torchvision, numpy, numba)))"
    print("    " + day.call([python, "-c", versions], clone).strip())


def try_all(day, python, clone, place):
    """README's commands and its first script, the tests, the wheel."""
    command = [python, "-c", STRICT]
    (place / "here").mkdir(exist_ok=True)
    for words, code, says in COMMANDS:
        day.call([*command, *words.split()], place / "here", code, says, **AWKWARD)
    for words in ("list", "train --help", "publish --help", "list --json"):
        day.call([*command, *words.split()], place / "here", **AWKWARD, **PLAIN, PYTHONPATH=str(clone))
    readme = (clone / "README.md").read_text(encoding="utf-8")
    script, printed = re.search(r"## Ten lines\s+```python\n(.*?)```\s+(.*?)\n\n\S", readme, re.S).groups()
    for line in re.sub(r"^    ", "", printed, flags=re.M).splitlines():
        day.call([python, "-c", script], place / "here", says=line, **AWKWARD)
    tests = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/core", "tests/weights"]
    day.call(tests, clone, says=" passed", **AWKWARD)
    day.call([python, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", place, clone], place)
    (wheel,) = place.glob("*.whl")
    day.call([python, "-m", "pip", "install", "-q", "--no-deps", "--upgrade", "--target", place / "site", wheel], place)
    found = day.call([python, "-c", "import sdbnn_lite; print(sdbnn_lite.__file__)"], place, says=str(place / "site"),
                     PYTHONPATH=str(place / "site"))  # fmt: skip
    print(f"    the wheel's: {found.strip()}")
    for words, code, says in ELSEWHERE:
        day.call([*command, *words.split()], place, code, says, **AWKWARD, PYTHONPATH=str(place / "site"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wheels", type=Path, metavar="DIR")
    parser.add_argument("--keep", type=Path, metavar="DIR")
    parser.add_argument("--newest", action="store_true")
    args = parser.parse_args()
    day = Day()
    with tempfile.TemporaryDirectory() as folder:
        place = (args.keep.resolve() if args.keep else Path(folder)) / "Größe und Maß"
        clone, python = place / "sdbnn lite", place / "venv" / "bin" / "python"
        if not clone.exists():
            day.call(["git", "clone", "-q", ROOT, clone], ROOT)
        day.call(["git", "-C", clone, "pull", "-q"], ROOT)
        if not python.exists():
            day.call([sys.executable, "-m", "venv", place / "venv"], ROOT)
        install(day, python, clone, args.wheels and args.wheels.resolve(), args.newest)
        try_all(day, python, clone, place)
    print(f"{day.bad} things ended otherwise than they should")
    return day.bad > 0


if __name__ == "__main__":
    sys.exit(main())

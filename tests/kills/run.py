"""Kill a tiny training at random moments, resume each, and compare what it ends with: every byte has to be the same.

    python tests/kills/run.py [--kills 50] [--seed 0]

Half of the kills (SIGKILL, nothing can be caught) fall on a moment drawn from all that the training has: before a
batch, or inside any part of writing a file (half written, before it is on the disk, before and after its renaming).
The other half come from outside, after a time that is drawn. Exit code 1: a resumed run ended with other bytes.
"""

import argparse
import collections
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "helpers"))

import children
from kills import train_and_die
from tiny_runs import same_run, train_tiny


def finished(function, *args):
    """Seconds that ``function(*args)`` took in a process of its own, which has to end well."""
    start = time.monotonic()
    process = children.start(function, *args)
    process.join()
    if process.exitcode:
        sys.exit(f"{function.__name__} ended with {process.exitcode}")
    return time.monotonic() - start


def killed(place, chance, names, seconds):
    """Train in ``place``, killed; returns of which kind the moment was, and which."""
    if chance.random() < 0.5:
        fatal = chance.randrange(len(names))
        process = children.start(train_and_die, place, fatal)
        process.join()
        return "before a batch" if names[fatal] == "before a batch" else "inside a save", names[fatal]
    wait = chance.uniform(0, seconds)
    while True:
        process = children.start(train_tiny, place)
        process.join(wait)
        process.kill()
        process.join()
        if process.exitcode:
            return "from outside", f"after {wait:.2f} s"
        shutil.rmtree(place)  # it had ended before
        wait /= 2


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="S")
    args = parser.parse_args()
    chance, moments, same = random.Random(args.seed), collections.Counter(), 0
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        finished(train_and_die, folder / "counted", None, folder / "names")
        names = (folder / "names").read_text().splitlines()
        seconds = finished(train_tiny, folder / "whole")
        for number in range(args.kills):
            place = folder / str(number)
            kind, when = killed(place, chance, names, seconds)
            finished(train_tiny, place)
            try:
                same_run(folder / "whole", place)
                same, ended = same + 1, "the same bytes"
            except AssertionError:
                ended = "OTHER BYTES"
            moments[kind] += 1
            print(f"{number + 1:4}: killed {when}; resumed to {ended}", flush=True)
    print(f"{same} of {args.kills} killed runs resumed to the same bytes ({dict(moments)})")
    return same < args.kills


if __name__ == "__main__":
    sys.exit(main())

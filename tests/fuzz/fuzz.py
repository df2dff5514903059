"""Damage files in thousands of ways and read them: `make fuzz`, or  python tests/fuzz/fuzz.py --seed 0 --each 320.

Each reader of ``readers`` works in a process of its own, with limited memory. What comes of a mutated file is

    same       the same data as before
    refused    one line (UsageError), or the file isn't used
    unmarked   other data, where nothing in the file could tell
and never
    OTHER      other data in silence
    CRASH      another error, or more than a line;  HANG  more than 20 s;  MEMORY  more than 2 GB
    CODE       a pickle's code was run;  OUTSIDE  a file was written anywhere else
"""

import argparse
import contextlib
import io
import json
import os
import random
import resource
import signal
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path

from mutate import mutated

GOOD, BAD = ("same", "refused", "unmarked"), ("OTHER", "CRASH", "HANG", "MEMORY", "CODE", "OUTSIDE")
SECONDS, MEMORY = 20, 2 << 30


class Hang(BaseException):
    """Raised by the alarm; no reader catches it."""


def hang(*_):
    raise Hang


def outcome(reader, before):
    """What comes of reading the file as it is now, and an example where that is bad."""
    from sdbnn_lite.errors import RunError, UsageError
    signal.signal(signal.SIGALRM, hang)
    signal.alarm(SECONDS)
    try:
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            found = reader.read()
    except (UsageError, RunError) as error:
        return ("CRASH", f"more than a line: {error}") if "\n" in str(error) else ("refused", "")
    except Hang:
        return "HANG", ""
    except MemoryError as error:
        return "MEMORY", repr(error)
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        place = error.__traceback__
        while place.tb_next:
            place = place.tb_next
        where = f"{place.tb_frame.f_code.co_filename.rpartition('/')[2]}:{place.tb_lineno}"
        return "MEMORY" if "allocate memory" in str(error) else "CRASH", f"{type(error).__name__} {error} ({where})"
    finally:
        signal.alarm(0)
    if found is None or found == before:
        return ("refused" if found is None else "same"), ""
    return ("unmarked" if reader.unmarked else "OTHER"), ""


def fuzz(name, made, count, seed):
    """Counter of outcomes of ``count`` mutations, and up to five examples of bad ones."""
    from readers import READERS
    reader, rng, marker = READERS[name](made), random.Random(f"{name} {seed}"), made.folder / "it-ran"
    whole, before = reader.file.read_bytes(), reader.read()
    assert reader.read() == before, "the reader itself isn't steady"
    places = [reader.file.parent, *reader.file.parent.glob("*/")]
    around = outside(made.folder, places)
    counts, examples = Counter(), []
    for number in range(count):
        kind, content = mutated(whole, rng, reader.kind, marker)
        reader.file.write_bytes(content)
        found, example = ("same", "") if content == whole else outcome(reader, before)
        if marker.exists():
            found = "CODE"
            marker.rmdir()
        elif outside(made.folder, places) != around:
            found, around = "OUTSIDE", outside(made.folder, places)
        counts[found] += 1
        if found in BAD and len(examples) < 5:
            examples.append(f"{name} {found}, mutation {number} ({kind}): {example[:300]}")
        reader.file.write_bytes(whole)
    return counts, examples


def outside(folder, places):
    """All files in ``folder`` but those beside the one that is mutated; caches of images are no harm."""
    return {str(path) for path in folder.rglob("*") if path.parent not in places and ".sdbnn_cache" not in str(path)}


def limit_memory():
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY,) * 2)


def in_child(name, made, count, seed):
    """:func:`fuzz` in a process of its own: what kills it kills no other."""
    answer = made.folder.with_suffix(f".{name}")
    pid = os.fork()
    if pid == 0:
        try:
            limit_memory()
            answer.write_text(json.dumps(fuzz(name, made, count, seed)))
        finally:
            os._exit(0)
    _, status = os.waitpid(pid, 0)
    if not answer.exists():
        return {"CRASH": 1}, [f"{name}: its process ended without an answer (status {status})"]
    found = json.loads(answer.read_text())
    answer.unlink()
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--each", type=int, default=320, help="mutations of each file (default: 320)")
    parser.add_argument("--only", nargs="*", help="these readers")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    total = Counter()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"HOME": folder, "XDG_CACHE_HOME": str(Path(folder) / "caches")}
        import torch
        from readers import READERS, make
        torch.set_num_threads(1)
        made = make(Path(folder) / "here")
        for name in args.only or READERS:
            counts, bad = in_child(name, made, args.each, args.seed)
            total.update(counts)
            print(f"{name:16} " + "  ".join(f"{k} {n:,}" for k, n in counts.items()), flush=True)
            print("\n".join(bad), end="\n" * bool(bad), flush=True)
    said = ", ".join(f"{k} {total[k]:,}" for k in (*GOOD, *BAD))
    print(f"{sum(total.values()):,} mutations, seed {args.seed}: {said}")
    return any(total[bad] for bad in BAD)


if __name__ == "__main__":
    sys.exit(main())

"""The README's tables of results, filled from what is committed and what is measured here.

    python -m sdbnn_lite.pages.readme [README.md]    (``make readme``)

Each stands between ``<!-- table: NAME -->`` and ``<!-- end: NAME -->``, where NAME is the module that makes it.
"""

import argparse
import re
import sys
from pathlib import Path

from ..analysis import cifar10, claims, speed
from ..analysis import imagenet as imagenet_results
from ..errors import RunError, UsageError
from ..system.files import write_atomic
from ..system.paths import REPOSITORY

README = REPOSITORY / "README.md"
TABLES = {
    "reproduction": cifar10.markdown,
    "imagenet_results": lambda: imagenet_results.markdown(imagenet_results.table()),
    "claims": lambda: claims.markdown(claims.measure()),
    "bench_results": speed.markdown,
}


def filled(text: str) -> str:
    """``text`` with each table as it is now. Raises UsageError, naming the marks, for one that hasn't its place."""
    for name, table in TABLES.items():
        begin, end = f"<!-- table: {name} -->", f"<!-- end: {name} -->"
        place = re.compile(f"{begin}\n.*?{end}", re.DOTALL)
        if len(place.findall(text)) != 1 or text.count(begin) != 1:
            raise UsageError(f"the table of {name} needs one place, between the lines {begin} and {end}")
        new = f"{begin}\n\n{table()}\n\n{end}"
        text = place.sub(lambda _, new=new: new, text)
    return text


def main(argv: list[str] | None = None) -> int:
    """The command; returns 0, 1 where it can't be written, 2 where a table's place or the file is missing."""
    parser = argparse.ArgumentParser(prog="python -m sdbnn_lite.pages.readme", description="Fill the README's tables.")
    parser.add_argument("path", nargs="?", default=README, metavar="FILE", help="default: the repository's README.md")
    path = Path(parser.parse_args(argv).path)
    try:
        before = path.read_text(encoding="utf-8")
        after = filled(before)
        write_atomic(path, after.encode())
    except (UsageError, RunError, OSError) as error:
        print(f"{path}: {error}", file=sys.stderr)
        return 1 if isinstance(error, RunError) else 2
    print(f"{path}: {'its tables are new' if after != before else 'nothing has changed'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The tables of results in the README and in ``docs/``, filled from what is committed and what is measured here.

    python -m sdbnn_lite.pages.readme [FILE ...]    (``make readme``)

Each table stands between ``<!-- table: NAME -->`` and ``<!-- end: NAME -->``, once in all these files.
"""

import argparse
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from ..analysis import cifar10, claims, imagenet_bill, speed, time_to_accuracy
from ..analysis import imagenet as imagenet_results
from ..errors import RunError, UsageError
from ..system.files import write_atomic
from ..system.paths import REPOSITORY

DOCS = ("results", "claims", "speed", "cluster")
PAGES = (REPOSITORY / "README.md", *(REPOSITORY / "docs" / f"{name}.md" for name in DOCS))
TABLES = {
    "best": lambda: f"{cifar10.best_markdown()} {time_to_accuracy.in_words()}".rstrip(),
    "reproduction": cifar10.markdown,
    "imagenette": lambda: imagenet_results.markdown(imagenet_results.table()),
    "claims": lambda: claims.markdown(claims.measure(), folder="../notebooks/"),
    "speed": speed.markdown,
    "imagenet plan": imagenet_bill.markdown,
}


def filled(pages: Mapping[Path, str]) -> dict[Path, str]:
    """``pages`` (path -> text) with each table as it is now.

    Raises UsageError, naming the marks, for a table that hasn't exactly one place in them.
    """
    pages = dict(pages)
    for name, table in TABLES.items():
        begin, end = f"<!-- table: {name} -->", f"<!-- end: {name} -->"
        place = re.compile(f"{begin}\n.*?{end}", re.DOTALL)
        there = [path for path, text in pages.items() for _ in place.findall(text)]
        if len(there) != 1 or sum(text.count(begin) for text in pages.values()) != 1:
            raise UsageError(f"the table of {name} needs one place, between the lines {begin} and {end}")
        new = f"{begin}\n\n{table()}\n\n{end}"
        pages[there[0]] = place.sub(lambda _, new=new: new, pages[there[0]])
    return pages


def main(argv: list[str] | None = None) -> int:
    """The command; returns 0, 1 where a page can't be written, 2 where a table's place or a file is missing."""
    parser = argparse.ArgumentParser(prog="python -m sdbnn_lite.pages.readme", description="Fill the results' tables.")
    parser.add_argument("paths", nargs="*", type=Path, metavar="FILE", help="default: README.md and the pages of docs/")
    paths = parser.parse_args(argv).paths or PAGES
    try:
        before = {path: path.read_text(encoding="utf-8") for path in paths}
        for path, text in filled(before).items():
            write_atomic(path, text.encode())
            print(f"{path}: {'its tables are new' if text != before[path] else 'nothing has changed'}")
    except (UsageError, RunError, OSError) as error:
        print(error, file=sys.stderr)
        return 1 if isinstance(error, RunError) else 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

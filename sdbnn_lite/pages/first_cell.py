"""The end of every notebook's parameters cell: it installs the package where that is missing, on Colab for example.

python -m sdbnn_lite.pages.first_cell [OWNER/NAME]      write it into all notebooks, in place of the one there
"""

import re
import sys

from ..errors import UsageError
from .chain import find_notebooks, read, write
from .hygiene import code_cells, tags

REPOSITORY = "OWNER/NAME"  # on GitHub; whoever publishes the package names theirs
BEGINS = "from importlib.util import find_spec"
INSTALL = f"""{BEGINS}

if not find_spec("sdbnn_lite"):  # a notebook that comes alone, as on Colab
    %pip install -q "sdbnn-lite[notebooks] @ git+https://github.com/{{}}"
"""


def check_repository(repository: str) -> None:
    """Raise UsageError unless it is OWNER/NAME."""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
        raise UsageError(f"repository={repository!r}: OWNER/NAME on GitHub is needed")


def with_installation(source: str, repository: str = REPOSITORY) -> str:
    """The ``source`` of a parameters cell, and below it the installation. UsageError for another form of address."""
    check_repository(repository)
    return f"{source.partition(BEGINS)[0].rstrip()}\n\n{INSTALL.format(repository).rstrip()}"


def write_all(repository: str = REPOSITORY) -> None:
    """Put the installation into every notebook; no output changes, since here nothing is missing."""
    for path in find_notebooks():
        nb = read(path)
        for cell in [cell for _, cell in code_cells(nb) if "parameters" in tags(cell)]:
            cell.source = with_installation(cell.source, repository)
        write(nb, path)


if __name__ == "__main__":
    try:
        write_all(*sys.argv[1:2])
    except UsageError as error:
        print(error, file=sys.stderr)
        sys.exit(2)

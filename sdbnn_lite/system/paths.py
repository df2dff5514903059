"""Where the package lies, and the repository around it."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]  # holds zoo/ and results/
REPOSITORY = PACKAGE.parent  # holds notebooks/ and README.md; in an installed wheel it doesn't

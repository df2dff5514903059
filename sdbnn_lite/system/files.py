"""Write files so that a kill or a full disk leaves the old one whole."""

import csv
import io
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import RunError, UsageError

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib


def write_atomic(path: Path, content: bytes) -> None:
    """Write ``content`` to a temporary file beside ``path``, flush it to the disk, then rename it over ``path``.

    Raises RunError where that fails (disk full, no permission): the old file is still there, the temporary one not.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        kept = "the last good one is kept" if os.path.exists(path) else "there is no earlier one"
        raise RunError(f"{path}: can't be written ({error.strerror or error}); {kept}") from error


def csv_text(rows: list[dict]) -> str:
    """Rows with the same keys as a CSV with a header row; floats as their shortest exact text."""
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return text.getvalue()


def write_csv(path: Path, rows: list[dict]) -> None:
    """:func:`csv_text` in a file."""
    write_atomic(path, csv_text(rows).encode())


def parse_csv(text: str) -> list[dict[str, str]]:
    """The rows of a CSV with a header row, values as text; ValueError where it was cut, or rows differ in length."""
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise ValueError(str(error)) from error
    if (text and not text.endswith("\n")) or any(None in row or None in row.values() for row in rows):
        raise ValueError("its last line is cut" if not text.endswith("\n") else "its rows differ in length")
    return rows


def read_csv(path: Path) -> list[dict[str, str]]:
    """What :func:`parse_csv` makes of a file; an absent file has no rows. Raises OSError; UsageError if damaged."""
    return _read(path, parse_csv) if Path(path).exists() else []


def _read(path: Path, parse: Callable[[str], Any]) -> Any:
    try:
        return parse(Path(path).read_bytes().decode())
    except (RecursionError, ValueError) as error:  # a JSON of brackets alone, and all else
        raise UsageError(f"{path}: damaged ({error})") from error


def read_toml(path: str | Path) -> dict:
    """What a TOML file says; raises OSError or ValueError where it can't be read."""
    return tomllib.loads(Path(path).read_text(encoding="utf-8"))


def read_json(path: Path) -> Any:
    """What a JSON file holds; raises OSError, and UsageError where it is damaged."""
    return _read(path, json.loads)


def write_json(path: Path, content: object) -> None:
    """``content`` as indented JSON with a newline at the end."""
    write_atomic(path, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())


def writable_folder(path: str | Path) -> Path:
    """Make the folder ``path`` if need be, and prove that it can be written; raises UsageError where it can't."""
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".{os.getpid()}.probe"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise UsageError(f"{path}: not a folder that can be written ({error.strerror or error})") from error
    return path

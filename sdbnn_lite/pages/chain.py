"""The notebook chain: find it, execute it, clean it for committing, and say what is wrong with a committed notebook.

    python -m sdbnn_lite.pages.chain            execute every notebook in place, clean and check it (``make notebooks``)
    python -m sdbnn_lite.pages.chain --check    only check, execute nothing

Also a pytest plugin (``-p sdbnn_lite.pages.chain``): nbval compares the outputs of all notebooks, but of those in
``WITH_IMAGES`` only where ``SDBNN_DATA`` names none.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
from pathlib import Path
from typing import Any

from ..errors import UsageError, unknown
from ..system.paths import REPOSITORY
from .hygiene import EXPLORER, GUESS, IGNORE_OUTPUT, WIDGET_VIEW, behind_guesses, check_hygiene, is_guess, tags

NOTEBOOKS = REPOSITORY / "notebooks"
CHAIN = tuple(sorted(path.name for path in NOTEBOOKS.glob("[0-9][0-9]_*.ipynb")))
WITH_IMAGES = ("05_", "06_")  # where SDBNN_DATA has the images they say more than the committed text
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


class NotebookFailed(RuntimeError):
    """A notebook stopped before its end: the message names the notebook, the cell and the error."""


def find_notebooks() -> list[Path]:
    """The notebooks of the chain in reading order; UsageError where there are none (an installed package has none)."""
    if not CHAIN:
        raise UsageError("the notebooks aren't part of the installed package: run this from a clone of the repository")
    return [NOTEBOOKS / name for name in CHAIN]


def execute(path: str | Path, out_path: str | Path, *, timeout: float = 600) -> float:
    """Run the notebook ``path`` from top to bottom, write it with its outputs to ``out_path``; returns seconds.

    ``timeout`` is seconds per cell. The kernel runs in the notebook's own folder, so relative paths mean what they mean
    in JupyterLab.

    Raises UsageError for wrong use (a missing file, or a UsageError that a cell raised), and NotebookFailed for a cell
    that fails or takes too long. ``out_path`` then shows how far it got, unless it is ``path``, which stays as it was.
    """
    nbclient = _import("nbclient")
    _import("ipykernel")  # else the kernel would be missing, which reads worse
    path, out_path = Path(path), Path(out_path)
    nb = read(path)
    started = 0  # position of the last cell that was started, from 1

    def on_cell_start(cell: Any, cell_index: int) -> None:
        nonlocal started
        started = cell_index + 1

    client = nbclient.NotebookClient(
        nb,
        kernel_name=KERNEL["name"],
        timeout=timeout,
        record_timing=False,  # time stamps would make every commit differ
        coalesce_streams=True,  # how a print is split into messages is chance
        on_cell_start=on_cell_start,
        extra_arguments=["--log-level=ERROR"],  # ipykernel warns of unencrypted TCP, between two processes of one user
        resources={"metadata": {"path": str(path.resolve().parent)}},
    )
    begin = time.perf_counter()
    errors = nbclient.exceptions
    try:
        client.execute()
    except (errors.CellExecutionError, errors.CellTimeoutError, errors.DeadKernelError) as error:
        kept = ""
        if out_path.resolve() != path.resolve():
            write(nb, out_path)
            kept = f" (what it got done is in {out_path})"
        if getattr(error, "ename", None) == "UsageError":
            raise UsageError(f"{path.name}: {error.evalue}") from None
        raise NotebookFailed(f"{path.name} stopped at cell {started}: {_reason(error, timeout)}{kept}") from error
    write(nb, out_path)
    return time.perf_counter() - begin


def _reason(error: Exception, timeout: float) -> str:
    if hasattr(error, "ename"):
        return f"{error.ename}: {error.evalue}"
    return f"it took longer than {timeout:g} s" if isinstance(error, TimeoutError) else "the kernel died"


def clean(nb: Any) -> Any:
    """Take out of an executed notebook what differs from run to run or machine to machine; changes and returns ``nb``.

    Widgets go altogether: without a kernel they are dead, and the static picture above each says the same. nbval would
    miss them, so such a cell gets the tags ``nbval-ignore-output`` and ``explorer`` (or ``guess``). What a guess is
    about stays hidden until a click, or until the cell is run.
    """
    nb.metadata.pop("widgets", None)
    nb.metadata["kernelspec"] = dict(KERNEL)
    nb.metadata["language_info"] = {"name": "python"}
    for cell in nb.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type != "code":
            continue
        kept = [output for output in cell.outputs if WIDGET_VIEW not in output.get("data", {})]
        if len(kept) < len(cell.outputs):
            cell.outputs = kept
            kind = GUESS if is_guess(cell) else EXPLORER
            cell.metadata["tags"] = list(dict.fromkeys([*tags(cell), kind, IGNORE_OUTPUT]))
    for at in behind_guesses(nb):
        nb.cells[at].metadata["jupyter"] = {"outputs_hidden": True}
    return nb


def read(path: str | Path) -> Any:
    """The notebook in ``path``, as nbformat's version 4; UsageError where there is none."""
    nbformat = _import("nbformat")
    try:
        return nbformat.read(path, as_version=4)
    except OSError as error:
        raise UsageError(f"can't read the notebook {path}: {error.strerror}") from error
    except (ValueError, TypeError, AttributeError, nbformat.ValidationError) as error:  # all of these, by trying
        raise UsageError(f"{path} isn't a notebook") from error


def write(nb: Any, path: str | Path) -> None:
    """Write ``nb`` to ``path``, whose folder is made where it is missing."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _import("nbformat").write(nb, path)
    except OSError as error:
        raise UsageError(f"can't write the notebook {path}: {error.strerror}") from error


def refresh(path: Path) -> float:
    """Execute and clean a notebook in place; returns seconds. It stays as it was where a cell fails."""
    seconds = execute(path, path)
    write(clean(read(path)), path)
    return seconds


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise UsageError(f"running notebooks needs {error.name}: pip install 'sdbnn-lite[notebooks]'") from error


def pytest_collection_modifyitems(items: list[Any]) -> None:
    """For pytest: nbval's ``--nbval-lax`` for ``WITH_IMAGES`` alone, where there are images; all cells have to run."""
    lax = WITH_IMAGES if os.environ.get("SDBNN_DATA") else ()
    for item in items:
        if item.path.suffix == ".ipynb" and item.path.name.startswith(lax):
            asked_for = "NBVAL_CHECK_OUTPUT" in item.cell.source or "nbval-check-output" in tags(item.cell)
            item.options["check"] = asked_for


def main(argv: list[str] | None = None) -> int:
    """The command; returns 0, 1 for a notebook that fails or isn't clean, 2 for wrong use."""
    about = "Execute the notebooks in place, clean and check them."
    parser = argparse.ArgumentParser(prog="python -m sdbnn_lite.pages.chain", description=about)
    parser.add_argument("names", nargs="*", metavar="NOTEBOOK", help="file names in notebooks/ (default: all)")
    parser.add_argument("--check", action="store_true", help="only check what is there, execute nothing")
    args = parser.parse_args(argv)
    status = 0
    try:
        notebooks = {path.name: path for path in find_notebooks()}
        for name in args.names or notebooks:
            if name not in notebooks:
                raise unknown("notebook", name, notebooks)
            done = "checked" if args.check else f"{refresh(notebooks[name]):.0f} s"
            print(f"{name}: {done}", flush=True)
            for complaint in check_hygiene(read(notebooks[name])):
                print(f"  {complaint}", flush=True)
                status = 1
    except (UsageError, NotebookFailed) as error:
        print(error, file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    return status


if __name__ == "__main__":
    sys.exit(main())

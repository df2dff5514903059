"""A run's folder: what it holds, what it may be resumed with.

log.csv                  a row per epoch: t, learning rate, losses, accuracies, seconds, images/s
signs.csv                a row per epoch and binary layer: the signs of 256 test images from the whole set
run.json                 recipe, method, seed, data set, hardware, versions, command, and in the end the result
checkpoint.safetensors   everything the run needs to resume, written after every epoch
weights.safetensors      the network of the last epoch
"""

import dataclasses
import hashlib
import json
import math
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import UsageError, check_fields, check_whole
from ..system.files import read_csv, read_json, writable_folder, write_json
from ..system.locks import hold
from ..weights.files import CHECKPOINT, WEIGHTS, read_tensors
from .checkpoint import table_rows
from .options import Row, Said
from .recipe import Recipe

LOG, SIGNS, RUN = "log.csv", "signs.csv", "run.json"
LOCK = ".lock"  # there while a process trains
_TOLD = {"recipe": str, "method": str, "seed": int, "data": str, "train_images": int, "test_images": int,
         "command": str, "started": str, "machine": dict}  # besides the recipe's settings
_RESULT = {"protocol": str, "test_accuracy": float, "test_top5": float, "test_loss": float, "test_images": int}


def identity(recipe: Recipe, method: str, seed: int, teacher: str | None = None) -> Said:
    """What has to be the same for a run to be resumed, ready for JSON; ``teacher``: its weights' fingerprint.

    Raises UsageError for a seed that isn't one.
    """
    check_whole(0, 2**63 - 1, seed=seed)
    settings = dataclasses.asdict(recipe)
    name = settings.pop("name")
    del settings["about"]
    described = {"recipe": name, "method": method, "seed": int(seed), **settings, "teacher": teacher}
    return json.loads(json.dumps(described))  # tuples become lists


def look_into(out: Path, wanted: Said, resume: bool,
              restarted: bool = False) -> tuple[dict[str, Tensor], Said] | None:  # fmt: skip
    """With ``resume``, what the checkpoint in the folder ``out`` holds: (tensors, about). Nothing is made or changed.

    ``restarted``, by the launch of torchrun that started it, a run resumes from the checkpoint if there is one yet.
    Raises UsageError where the folder holds a run already (no ``resume``), none to resume, or another than ``wanted``.
    """
    checkpoint = out / CHECKPOINT
    if restarted:
        resume = checkpoint.exists()
    if not resume:
        if not restarted and is_begun(out):
            raise UsageError(f"{out}: holds a run already; add --resume to go on with it, or choose another --out")
        return None
    if not checkpoint.exists():
        raise UsageError(f"{out}: nothing to resume, there is no {CHECKPOINT}; start without --resume")
    tensors, about = read_tensors(checkpoint)
    if differences := differing(about.get("identity", {}), wanted):
        raise UsageError(f"{out}: another run can't be resumed with these settings: {'; '.join(differences)}")
    return tensors, about


def read_run(out: Path) -> tuple[Said, list[Row]]:
    """run.json and the log of the run in ``out``. UsageError where there is no run.json, or either is damaged: other
    types, impossible values, a log that isn't the checkpoint's or ends before the result.
    """
    try:
        run = read_json(out / RUN)
    except (OSError, ValueError) as error:
        inside = ", ".join(str(found.parent) for found in sorted(out.glob(f"*/{RUN}"))[:3])
        hint = f"; there are runs in it: {inside}" if inside else ""
        raise UsageError(f"{out}: not a run's folder, it has no {RUN} that can be read{hint}") from error
    run = checked(run, out / RUN)
    log = read_table(out, LOG)
    if run["result"] and log and len(log) != run["epochs"]:
        raise UsageError(f"{out / LOG}: {len(log)} epochs, but {RUN} tells the result of {run['epochs']}")
    return run, log


def checked(run: Any, source: object) -> Said:
    """What a run.json says, without its digest, which earlier versions' lack.

    UsageError, naming ``source``, where it was changed, or can't be a run's: what the run was isn't known then.
    """
    check_fields(source, run, {})
    run = dict(run)
    digest = run.pop("digest", None)
    if digest not in (None, _digest(run)):
        raise UsageError(f"{source}: was changed since it was written; what the run was can't be known")
    check_fields(source, run, _TOLD | ({} if run.get("result", "") is None else {"result": _RESULT}))
    check_fields(source, run, {"earlier": list, "init": dict}, optional=True)
    for part in run.get("earlier", []):
        check_fields(f"{source}: earlier", part, {"epochs": int, "machine": dict})
    settings = {field.name: run[field.name] for field in dataclasses.fields(Recipe) if field.name in run}
    try:
        Recipe(**{**settings, "name": run["recipe"], "about": ""})
    except (TypeError, UsageError) as error:
        raise UsageError(f"{source}: {error}") from error
    return run


def write_run(out: Path, run: Said) -> None:
    """run.json, with a digest of what it says."""
    write_json(out / RUN, {**run, "digest": _digest(run)})


def _digest(run: Said) -> str:
    return hashlib.sha256(json.dumps(run, sort_keys=True).encode()).hexdigest()


def read_table(out: Path, table: str) -> list[Row]:
    """The rows of log.csv or signs.csv; the checkpoint's, with a line on stderr, where it has others than the file.

    Raises UsageError, naming the file, where it is damaged and the checkpoint has none.
    """
    path, kept = out / table, None
    if (out / CHECKPOINT).is_file():
        kept = table_rows(read_tensors(out / CHECKPOINT)[0], table)
    try:
        rows = read_csv(path)
        if table == LOG and not _is_log(rows):
            raise UsageError(f"{path}: damaged (without a number where one belongs)")
        if kept is not None and rows[: len(kept)] != kept:
            raise UsageError(f"{path}: damaged (other rows than were written)")
        return rows
    except (OSError, UsageError) as error:
        if kept is None:
            raise UsageError(f"{error}; put it back, or remove it") from error
        print(f"{error}; the rows in {CHECKPOINT} are read instead", file=sys.stderr)
        return kept


def _is_log(rows: list[Row]) -> bool:
    """Whether all values are finite numbers, the epochs 1, 2, …"""
    try:
        finite = all(math.isfinite(float(value)) for row in rows for value in row.values())
        return finite and [row["epoch"] for row in rows] == [str(number + 1) for number in range(len(rows))]
    except (KeyError, ValueError):
        return False


def is_begun(out: Path) -> bool:
    """Whether a run's state lies in ``out``; its run.json alone is what a kill before the first checkpoint leaves."""
    return (out / CHECKPOINT).exists() or (out / WEIGHTS).exists()


def result_of(out: Path) -> Said | None:
    """The result of the run in ``out``; None where it isn't finished, with its weights."""
    try:
        result = read_json(out / RUN)["result"] if (out / WEIGHTS).is_file() else None
        check_fields(out / RUN, result, _RESULT)
        return result
    except (OSError, ValueError, KeyError, TypeError):
        return None


def complete(found: Said) -> Said:
    """``found`` with what an earlier version's run doesn't name: settings that then had today's default."""
    return {f.name: f.default for f in dataclasses.fields(Recipe) if f.default is not dataclasses.MISSING} | found


def differing(found: Said, wanted: Said) -> list[str]:
    """Every setting of the run ``found`` that isn't as ``wanted``, in words."""
    found = complete(found)
    return [f"{k} is {found.get(k)!r} there, {v!r} here" for k, v in wanted.items() if found.get(k) != v]


def open_folder(out: Path) -> ExitStack:
    """Make the run's folder, or remove a killed process's leftovers; locked until the returned context is closed.

    Raises UsageError where it can't be written, or another process is training in it.
    """
    lock = hold(writable_folder(out) / LOCK, f"{out}: another process is training in it; choose another --out, or wait")
    for leftover in out.glob(".*.tmp"):  # of a process that was killed while it wrote
        leftover.unlink(missing_ok=True)
    return lock


def rows_until(out: Path, table: str, tensors: dict[str, Tensor], epoch: int) -> list[Row]:
    """The rows of a log up to and with ``epoch``, from a checkpoint's ``tensors``; an earlier version's has none, then
    from the file, in which a kill may have left rows of an epoch that has to be run again. UsageError if damaged.
    """
    try:
        kept = table_rows(tensors, table)
        rows = read_csv(out / table) if kept is None else kept
        return [row for row in rows if int(row["epoch"]) <= epoch]
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(f"{out / table}: damaged; put it back, or remove it to go on without its rows") from error


def origin(out: Path, epochs: int, machine: Said) -> Said:
    """From which network, by which command and when the run in ``out`` was started; resuming after ``epochs`` keeps it.

    "earlier", where other machines (or threads, versions) than ``machine`` finished an epoch before it: each of them
    as {"epochs": how many were finished when it stopped, "machine": as ``describe_machine`` gave it}.
    """
    try:
        begun = checked(read_json(out / RUN), out / RUN)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        print(f"{error}; it is written anew, and no longer says how the run was started", file=sys.stderr)
        return {}
    about = {key: begun[key] for key in ("init", "command", "started") if key in begun}
    earlier = begun.get("earlier", [])
    if begun["machine"] != machine and epochs > (earlier[-1]["epochs"] if earlier else 0):
        earlier = [*earlier, {"epochs": epochs, "machine": begun["machine"]}]
    return about | ({"earlier": earlier} if earlier else {})

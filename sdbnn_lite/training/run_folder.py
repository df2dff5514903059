"""A run's folder: what it holds, what it may be resumed with.

log.csv                  a row per epoch: t, learning rate, losses, accuracies, seconds, images/s
signs.csv                a row per epoch and binary layer: the signs of 256 test images from the whole set
run.json                 recipe, method, seed, data set, hardware, versions, command, and in the end the result
checkpoint.safetensors   everything the run needs to resume, written after every epoch
weights.safetensors      the network of the last epoch
"""

import dataclasses
import json
from contextlib import ExitStack
from pathlib import Path

from ..errors import UsageError, check_whole
from ..system.files import read_csv, read_json, writable_folder
from ..system.locks import hold
from ..weights.files import CHECKPOINT, WEIGHTS, read_tensors
from .recipe import Recipe

LOG, SIGNS, RUN = "log.csv", "signs.csv", "run.json"
LOCK = ".lock"  # there while a process trains


def identity(recipe: Recipe, method: str, seed: int, teacher: str | None = None) -> dict:
    """What has to be the same for a run to be resumed, ready for JSON; ``teacher``: its weights' fingerprint.

    Raises UsageError for a seed that isn't one.
    """
    check_whole(0, 2**63 - 1, seed=seed)
    settings = dataclasses.asdict(recipe)
    name = settings.pop("name")
    del settings["about"]
    described = {"recipe": name, "method": method, "seed": int(seed), **settings, "teacher": teacher}
    return json.loads(json.dumps(described))  # tuples become lists


def look_into(out: Path, wanted: dict, resume: bool, restarted: bool = False) -> tuple[dict, dict] | None:
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


def read_run(out: Path) -> tuple[dict, list[dict]]:
    """run.json and the log of the run in ``out``; UsageError where there is no run.json, or one can't be read."""
    try:
        run = read_json(out / RUN)
        return run | {"result": run["result"]}, read_csv(out / LOG)
    except (OSError, ValueError, KeyError, TypeError) as error:
        inside = ", ".join(str(found.parent) for found in sorted(out.glob(f"*/{RUN}"))[:3])
        hint = f"; there are runs in it: {inside}" if inside else ""
        raise UsageError(f"{out}: not a run's folder, it has no {RUN} that can be read{hint}") from error


def is_begun(out: Path) -> bool:
    """Whether a run's state lies in ``out``; its run.json alone is what a kill before the first checkpoint leaves."""
    return (out / CHECKPOINT).exists() or (out / WEIGHTS).exists()


def result_of(out: Path) -> dict | None:
    """The result of the run in ``out``; None where it isn't finished, with its weights."""
    try:
        return read_json(out / RUN)["result"] if (out / WEIGHTS).is_file() else None
    except (OSError, ValueError, KeyError):
        return None


def differing(found: dict, wanted: dict) -> list[str]:
    """Every setting of the run ``found`` that isn't as ``wanted``, in words."""
    defaults = {f.name: f.default for f in dataclasses.fields(Recipe) if f.default is not dataclasses.MISSING}
    found = {**defaults, **found}  # an earlier version's run doesn't name what then had the value of today's default
    return [f"{k} is {found.get(k)!r} there, {v!r} here" for k, v in wanted.items() if found.get(k) != v]


def open_folder(out: Path) -> ExitStack:
    """Make the run's folder, or remove a killed process's leftovers; locked until the returned context is closed.

    Raises UsageError where it can't be written, or another process is training in it.
    """
    lock = hold(writable_folder(out) / LOCK, f"{out}: another process is training in it; choose another --out, or wait")
    for leftover in out.glob(".*.tmp"):  # of a process that was killed while it wrote
        leftover.unlink(missing_ok=True)
    return lock


def rows_until(path: Path, epoch: int) -> list[dict]:
    """The rows of a log up to and with ``epoch``: a kill may have left rows of an epoch that has to be run again."""
    return [row for row in read_csv(path) if int(row["epoch"]) <= epoch]


def origin(out: Path, epochs: int, machine: dict) -> dict:
    """From which network, by which command and when the run in ``out`` was started; resuming after ``epochs`` keeps it.

    "earlier", where other machines (or threads, versions) than ``machine`` finished an epoch before it: each of them
    as {"epochs": how many were finished when it stopped, "machine": as ``describe_machine`` gave it}.
    """
    try:
        begun = read_json(out / RUN)
        about = {key: begun[key] for key in ("init", "command", "started") if key in begun}
        earlier = begun.get("earlier", [])
        if begun["machine"] != machine and epochs > (earlier[-1]["epochs"] if earlier else 0):
            earlier = [*earlier, {"epochs": epochs, "machine": begun["machine"]}]
        return about | ({"earlier": earlier} if earlier else {})
    except (OSError, ValueError, KeyError):
        return {}

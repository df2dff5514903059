"""Compare methods: train each with several seeds, then gather what the figures and notebooks read.

OUT/<method>-seed<k>/    a run's folder each (see ``run_folder``); a study that was stopped resumes
results/<recipe>/        runs.csv, epochs.csv, signs.csv (a row per run / epoch / epoch and layer), study.json;
                         given the images, final_signs.csv and final_gradients.csv too (see ``final_signs`` and
                         ``ede_gradients``)
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from ..core.methods import get_method
from ..core.models import BinaryNet
from ..errors import UsageError
from ..system.files import read_csv, writable_folder, write_atomic, write_csv, write_json
from ..training import run_folder
from ..training.options import DEFAULTS, RunOptions
from ..training.recipe import Recipe
from ..training.recipes import RECIPES
from ..training.train import train
from ..weights.files import CHECKPOINT, WEIGHTS
from ..weights.zoo import load
from .tables import FINAL_GRADIENTS, FINAL_SIGNS, run_name

FINAL = ("test_accuracy", "test_top5", "test_loss", "test_images")


def default_folder(recipe: Recipe) -> Path:
    """Where a study's runs lie unless the user says so: another length has a folder of its own."""
    usual = recipe.name in RECIPES and RECIPES[recipe.name].epochs == recipe.epochs
    return Path("runs") / f"{recipe.name}-study{'' if usual else f'-{recipe.epochs}-epochs'}"


def plan(methods: Sequence[str], seeds: int) -> list[tuple[str, int]]:
    """Every (method, seed), seeds 0 … seeds-1. Raises UsageError for no seed or an unknown method."""
    if seeds < 1:
        raise UsageError(f"seeds={seeds}: at least 1 is needed")
    for method in methods:
        get_method(method)
    return [(method, seed) for method in dict.fromkeys(methods) for seed in range(seeds)]


def run_study(
    recipe: Recipe, out: str | Path, methods: Sequence[str], seeds: int, options: RunOptions = DEFAULTS
) -> list[dict]:
    """Train every method with seeds 0 … seeds-1 into ``out``; finished runs are kept, started ones resumed.

    ``options`` go to :func:`train`. Returns the rows of runs.csv. Raises UsageError for no seed or an unknown method,
    and what :func:`train` raises; Ctrl-C raises KeyboardInterrupt after the state is saved.
    """
    planned = plan(methods, seeds)
    out = writable_folder(out)
    rows = []
    for method, seed in planned:
        who = {"method": method, "seed": seed}
        folder = out / run_name(who)
        started = (folder / CHECKPOINT).exists()
        result = train(recipe, folder, method=method, seed=seed, resume=started, options=options)
        if not result.finished:
            raise KeyboardInterrupt
        rows.append({**who, **final_row(folder)})
        print(f"{method:8} seed {seed}: {100 * rows[-1]['test_accuracy']:.2f} %", flush=True)
    return rows


def finished(recipe: Recipe, out: str | Path, methods: Sequence[str], seeds: int) -> tuple[list[dict], list[dict]]:
    """What a study that was stopped has so far: the rows of runs.csv, and who is left out and why. Nothing is trained.

    A run counts where its last epoch is done and its settings are the recipe's, so that all have the same length; the
    others are {"method", "seed", "why"}. Raises UsageError where none counts.
    """
    rows, left_out = [], []
    for method, seed in plan(methods, seeds):
        who = {"method": method, "seed": seed}
        folder = Path(out) / run_name(who)
        why = why_not(folder, run_folder.identity(recipe, method, seed))
        if why:
            left_out.append({**who, "why": why})
        else:
            rows.append({**who, **final_row(folder)})
    if not rows:
        raise UsageError(f"{out}: no finished run of recipe {recipe.name} with {recipe.epochs} epochs")
    return rows, left_out


def why_not(folder: Path, wanted: dict) -> str:
    """Why the run in ``folder`` isn't a finished run of ``wanted``; empty where it is one."""
    try:
        run = json.loads((folder / run_folder.RUN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "not begun"
    wanted = {key: value for key, value in wanted.items() if key != "teacher"}  # its weights may be elsewhere by now
    differences = run_folder.differing(run, wanted)
    if differences:
        return "; ".join(differences)
    done = len(read_csv(folder / run_folder.LOG))
    return "" if run["result"] else f"{done} of {wanted['epochs']} epochs"


def check_replaces(to: Path, epochs: int, planned: Sequence[tuple[str, int]]) -> None:
    """Raise UsageError where the study in ``to`` is longer, or as long and has runs that aren't ``planned`` now.

    A longer study replaces a shorter one; nothing that took longer is ever lost by a command that was typed to see
    whether it works.
    """
    if not (to / "study.json").is_file():
        return
    there = json.loads((to / "study.json").read_text(encoding="utf-8"))
    if there["epochs"] > epochs:
        raise UsageError(
            f"{to}: holds a study of {there['epochs']} epochs, which one of {epochs} doesn't replace; leave --publish "
            f"out (the tables then go beside the runs), or train {there['epochs']} epochs or more"
        )
    if there["epochs"] == epochs:
        rows = read_csv(to / "runs.csv")
        missing = [f"{r['method']} seed {r['seed']}" for r in rows if (r["method"], int(r["seed"])) not in set(planned)]
        if missing:
            raise UsageError(f"{to}: holds runs of as many epochs that this study lacks: {', '.join(missing)}; "
                             f"name their methods and seeds too")  # fmt: skip


def final_row(folder: Path) -> dict:
    """What runs.csv says of one finished run."""
    run = json.loads((folder / run_folder.RUN).read_text())
    seconds = sum(float(row["seconds"]) for row in read_csv(folder / run_folder.LOG))
    return {**{key: run["result"][key] for key in FINAL}, "train_seconds": round(seconds, 1)}


def gather(out: Path, rows: list[dict], to: Path, command: str, left_out: Sequence[dict] = ()) -> None:
    """Write the study's four files into the folder ``to``, from the runs that ``rows`` names.

    study.json names the first run's machine; "elsewhere", for each run that isn't all from there, its own.
    ``left_out``: what :func:`finished` says of the others; study.json keeps it.
    """
    to = writable_folder(to)
    write_csv(to / "runs.csv", rows)
    for measured in (FINAL_SIGNS, FINAL_GRADIENTS):
        (to / measured).unlink(missing_ok=True)  # of the runs that were there before
    for name, file in (("epochs.csv", run_folder.LOG), ("signs.csv", run_folder.SIGNS)):
        gathered = []
        for row in rows:
            who = {key: row[key] for key in ("method", "seed")}
            gathered += [{**who, **line} for line in read_csv(out / run_name(row) / file)]
        write_csv(to / name, gathered)
    done = {name: json.loads((out / name / run_folder.RUN).read_text()) for name in map(run_name, rows)}
    run = next(iter(done.values())).copy()
    elsewhere = {
        name: {key: one[key] for key in ("earlier", "machine") if key in one}
        for name, one in done.items()
        if "earlier" in one or one["machine"] != run["machine"]
    }
    for key in ("method", "seed", "result", "started", "earlier", "launch"):
        run.pop(key, None)
    seeds = sorted({row["seed"] for row in rows})
    write_json(to / "study.json", {**run, "methods": list(dict.fromkeys(r["method"] for r in rows)), "seeds": seeds,
                                   "protocol": "last epoch, all test images", "command": command,
                                   **({"elsewhere": elsewhere} if elsewhere else {}),
                                   **({"left_out": list(left_out)} if left_out else {})})  # fmt: skip


def measure_runs(out: Path, rows: list[dict], to: Path, measure: Callable[[BinaryNet], list[dict]]) -> None:
    """Write the table ``to``: what ``measure`` finds in the network of each run that ``rows`` names, beside its method
    and seed. No file where it finds nothing, as in the float twin alone."""
    found = []
    for row in rows:
        who = {key: row[key] for key in ("method", "seed")}
        found += [{**who, **line} for line in measure(load(out / run_name(row)))]
    if found:
        write_csv(writable_folder(to.parent) / to.name, found)


def publish(out: Path, rows: list[dict], zoo: Path, prefix: str) -> None:
    """Copy the seed-0 network of every method into the zoo as ``<prefix>_<method>.safetensors``."""
    zoo = writable_folder(zoo)
    for row in rows:
        if row["seed"] == 0:
            weights = out / run_name(row) / WEIGHTS
            write_atomic(zoo / f"{prefix}_{row['method']}.safetensors", weights.read_bytes())

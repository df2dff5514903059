"""Compare methods: train each with several seeds, then gather what the figures and notebooks read.

OUT/<method>-seed<k>/    a run's folder each (see ``runs``); a study that was stopped goes on where it was
results/<recipe>/        runs.csv, epochs.csv, signs.csv (a row per run / epoch / epoch and layer), study.json
"""

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from . import runs
from .checkpoints import CHECKPOINT, WEIGHTS
from .errors import UsageError
from .files import read_csv, writable_folder, write_atomic, write_csv, write_json
from .methods import METHODS, get_method
from .recipes import Recipe
from .train import train

RESULTS = Path(__file__).parent / "results"
FINAL = ("test_accuracy", "test_top5", "test_loss", "test_images")


def run_study(recipe: Recipe, out: str | Path, methods: Sequence[str], seeds: int, **options) -> list[dict]:
    """Train every method with seeds 0 … seeds-1 into ``out``; finished runs are kept, begun ones resumed.

    ``options`` go to :func:`train`. Returns the rows of runs.csv. Raises UsageError for no seed or an unknown method,
    and RuntimeError's kin from :func:`train`; Ctrl-C raises KeyboardInterrupt after the state is saved.
    """
    if seeds < 1:
        raise UsageError(f"seeds={seeds}: at least 1 is needed")
    for method in methods:
        get_method(method)
    out = writable_folder(out)
    rows = []
    for method in methods:
        for seed in range(seeds):
            folder = out / f"{method}-seed{seed}"
            begun = (folder / CHECKPOINT).exists()
            result = train(recipe, folder, method=method, seed=seed, resume=begun, **options)
            if not result.finished:
                raise KeyboardInterrupt
            rows.append({"method": method, "seed": seed, **final_row(folder)})
            print(f"{method:8} seed {seed}: {100 * rows[-1]['test_accuracy']:.2f} %", flush=True)
    return rows


def final_row(folder: Path) -> dict:
    """What runs.csv says of one finished run."""
    run = json.loads((folder / runs.RUN).read_text())
    seconds = sum(float(row["seconds"]) for row in read_csv(folder / runs.LOG))
    return {**{key: run["result"][key] for key in FINAL}, "train_seconds": round(seconds, 1)}


def gather(out: Path, rows: list[dict], to: Path, command: str) -> None:
    """Write the study's four files into the folder ``to``, from the runs that ``rows`` names."""
    to = writable_folder(to)
    write_csv(to / "runs.csv", rows)
    for name, file in (("epochs.csv", runs.LOG), ("signs.csv", runs.SIGNS)):
        gathered = []
        for row in rows:
            who = {key: row[key] for key in ("method", "seed")}
            gathered += [{**who, **line} for line in read_csv(out / f"{row['method']}-seed{row['seed']}" / file)]
        write_csv(to / name, gathered)
    first = rows[0]
    run = json.loads((out / f"{first['method']}-seed{first['seed']}" / runs.RUN).read_text())
    for key in ("method", "seed", "result", "started"):
        run.pop(key)
    seeds = sorted({row["seed"] for row in rows})
    write_json(to / "study.json", {**run, "methods": list(dict.fromkeys(r["method"] for r in rows)), "seeds": seeds,
                                   "protocol": "last epoch, all test images", "command": command})  # fmt: skip


def publish(out: Path, rows: list[dict], zoo: Path, prefix: str) -> None:
    """Copy the seed-0 network of every method into the zoo as ``<prefix>_<method>.safetensors``."""
    zoo = writable_folder(zoo)
    for row in rows:
        if row["seed"] == 0:
            weights = out / f"{row['method']}-seed0" / WEIGHTS
            write_atomic(zoo / f"{prefix}_{row['method']}.safetensors", weights.read_bytes())


def read_study(name: str, file: str = "runs.csv") -> pd.DataFrame:
    """One table of a committed study as a DataFrame. Raises UsageError where there is none of that name."""
    path = RESULTS / name / file
    if not path.is_file():
        known = sorted(p.name for p in RESULTS.glob("*") if p.is_dir())
        raise UsageError(f"no results {name}/{file} in the package; there are {', '.join(known) or 'none'}")
    return pd.read_csv(path)


def study_facts(name: str) -> dict:
    """study.json of a committed study: data set, recipe, epochs, seeds, hardware, versions, command."""
    read_study(name)
    return json.loads((RESULTS / name / "study.json").read_text())


def summary(table: pd.DataFrame, value: str = "test_accuracy") -> pd.DataFrame:
    """n, mean and sample standard deviation of ``value`` per method, in the order of ``methods.METHODS``."""
    grouped = table.groupby("method")[value].agg(n="count", mean="mean", std="std")
    return grouped.reindex([m for m in METHODS if m in grouped.index])

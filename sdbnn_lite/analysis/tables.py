"""Where the committed results lie, and how they are read; no other module spells these paths.

results/<study>/       runs.csv, epochs.csv, signs.csv, study.json, final_signs.csv, final_gradients.csv (see ``study``)
results/runs/<name>/   a published run: run.json, log.csv, signs.csv, predictions.csv and the two final_ tables (see
                       ``publish``)
results/bench/         measured speed (see ``speed``)
"""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ..core.methods import METHODS
from ..errors import UsageError, check_fields
from ..system.files import read_json
from ..system.paths import PACKAGE
from ..training.recipe import KINDS
from ..training.run_folder import LOG, RUN, checked, complete

RESULTS = PACKAGE / "results"
STUDIES = ("digits", "cifar10-resnet20-evening", "cifar10-resnet20")  # those that are committed
FINAL_SIGNS, FINAL_GRADIENTS, PREDICTIONS = "final_signs.csv", "final_gradients.csv", "predictions.csv"
_RECIPE = [field for field in KINDS if field not in ("name", "about", "published")]
SAME = ["recipe", *_RECIPE, "teacher", "data", "test_images"]  # in all runs of one row
_TEXT = ["method", "layer", "share_histogram"]  # the columns that aren't numbers
_FACTS = {"recipe": str, "network": str, "dataset": str, "data": str, "epochs": int, "methods": list, "seeds": list,
          "command": str, "machine": dict}  # fmt: skip


def study_folder(name: str) -> Path:
    """The folder of a committed study's tables."""
    return RESULTS / name


def has_study(name: str, file: str = "study.json") -> bool:
    """Whether a study, or one file of it, is in the package."""
    return (study_folder(name) / file).is_file()


def read_study(name: str, file: str = "runs.csv") -> pd.DataFrame:
    """One table of a committed study as a DataFrame. Raises UsageError where there is none of that name."""
    if not has_study(name, file):
        known = sorted(p.parent.name for p in RESULTS.glob(f"*/{file}"))
        raise UsageError(f"no results {name}/{file} in the package; there are {', '.join(known) or 'none'}")
    return read_table(study_folder(name) / file)


def study_facts(name: str) -> dict:
    """study.json of a committed study: data set, recipe, epochs, seeds, hardware, versions, command."""
    read_study(name)
    return complete(read_facts(study_folder(name)))


def read_facts(study: Path) -> dict:
    """study.json in the folder ``study``; UsageError where it isn't one."""
    facts = read_json(study / "study.json")
    check_fields(study / "study.json", facts, _FACTS)
    return facts


def read_table(path: Path) -> pd.DataFrame:
    """A table of a study or run. Raises UsageError, naming it, where it is cut or holds no number where one belongs."""
    content = path.read_bytes()
    try:
        table = pd.read_csv(io.BytesIO(content), index_col=False)
    except ValueError as error:  # pandas' own kinds too
        raise UsageError(f"{path}: damaged ({error})") from error
    numbers = table.drop(columns=_TEXT, errors="ignore")
    finite = numbers.select_dtypes("number").shape == numbers.shape and np.isfinite(numbers.to_numpy()).all()
    if not finite or table.isna().to_numpy().any() or not content.endswith(b"\n"):
        raise UsageError(f"{path}: damaged (cut, or without a number where one belongs)")
    return table


def run_name(row: Mapping) -> str:
    """The folder of a study's run: method and seed."""
    return f"{row['method']}-seed{row['seed']}"


def facts_of(facts: Mapping, row: Mapping) -> dict:
    """study.json as it holds for one run: with its method's settings, and its machine, where they are its own."""
    own = facts.get("tuned", {}).get(row["method"], {})
    return {**facts, **own, **facts.get("elsewhere", {}).get(run_name(row), {})}


def facts_for(facts: Mapping, methods: Sequence[str]) -> dict:
    """study.json as it holds for the runs of ``methods`` alone: with the machine and command of the first of them."""
    first, *others = ({"method": method, "seed": seed} for method in methods for seed in facts["seeds"])
    base, elsewhere = facts_of(facts, first), facts.get("elsewhere", {})
    base.pop("elsewhere", None)
    own = {name: elsewhere[name] for name in map(run_name, others) if name in elsewhere}
    own = {name: more for name, more in own.items() if {**base, **more} != base}
    return base | ({"elsewhere": own} if own else {})


def summary(table: pd.DataFrame, value: str = "test_accuracy") -> pd.DataFrame:
    """n, mean and sample standard deviation of ``value`` per method, in the order of ``methods.METHODS``."""
    grouped = table.groupby("method")[value].agg(n="count", mean="mean", std="std")
    return grouped.reindex([m for m in METHODS if m in grouped.index])


def runs_folder() -> Path:
    """The folder that holds the published runs' folders."""
    return RESULTS / "runs"


def results_of(name: str) -> Path:
    """The folder of the published run ``name``."""
    return runs_folder() / name


def published_runs(dataset: str, finished: bool = True) -> dict[str, dict]:
    """The run.json of every published run on a data set, by its name; those that aren't finished count in no table."""
    found = {p.parent.name: complete(checked(read_json(p), p)) for p in sorted(runs_folder().glob(f"*/{RUN}"))}
    return {name: run for name, run in found.items() if run["dataset"] == dataset and bool(run["result"]) == finished}


def over_seeds(dataset: str) -> list[dict[str, dict]]:
    """:func:`published_runs`, those together that are equal in method and ``SAME``."""
    same: dict[str, dict[str, dict]] = {}
    for name, run in published_runs(dataset).items():
        same.setdefault(json.dumps([run["method"], *(run[key] for key in SAME)]), {})[name] = run
    return list(same.values())


def run_log(name: str) -> pd.DataFrame:
    """A published run's epochs, a row each."""
    return read_table(results_of(name) / LOG)

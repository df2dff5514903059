"""Settings of its own for every method of a study: the best trial of a search for each, all with the same budget.

DIR/<method>/    the folder of ``sdbnn-lite search RECIPE --method <method>``
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from ..errors import UsageError, check_fields
from ..system.files import read_csv, read_json
from ..training import run_folder
from ..training.options import Row, Said
from ..training.recipe import Recipe
from ..training.search import ABOUT, TRIALS
from ..training.search_space import ENDS, KINDS, with_settings
from .study import NOT_TUNED, Tuned

BUDGET = ("epochs", "seed", "data", "space", "teacher")  # the same in all searches, besides the number of trials


def read_tuned(folder: str | Path | None, recipe: Recipe, methods: Sequence[str]) -> Tuned:
    """What the searches in ``folder``, if any, found for the ``methods``; ``recipe`` may be longer than their trials.

    Raises UsageError where a search is missing or has no complete trial, where it is another recipe's, and where two
    searches didn't have the same budget.
    """
    if folder is None:
        return NOT_TUNED
    recipes, trials, budgets = {}, [], {}
    for method in methods:
        about, rows = read_search(Path(folder) / method, recipe, method)
        recipes[method] = with_settings(recipe, best_settings(rows, about["space"], Path(folder) / method / TRIALS))
        trials += [{"method": method, **row} for row in rows]
        budgets[method] = {"trials": len(rows), **{key: about.get(key) for key in BUDGET}}
    first, budget = next(iter(budgets.items()))
    for method, other in budgets.items():
        if different := [f"{key} {budget[key]} and {other[key]}" for key in budget if budget[key] != other[key]]:
            raise UsageError(f"--searches {folder}: {first} and {method} didn't get the same: {'; '.join(different)}")
    names = dict.fromkeys("ede" if name in ENDS else name for name in budget["space"])
    usual = {name: getattr(recipe, name) for name in names}
    own = {method: {name: getattr(changed, name) for name in names} for method, changed in recipes.items()}
    return Tuned(recipes, {**usual, "tuned": own, "searches": budget}, trials)


def read_search(folder: Path, recipe: Recipe, method: str) -> tuple[Said, list[Row]]:
    """search.json and the rows of trials.csv; UsageError where they aren't of this recipe and method."""
    try:
        about, rows = read_json(folder / ABOUT), read_csv(folder / TRIALS)
    except OSError as error:
        make = f"sdbnn-lite search {recipe.name} --method {method} --space FILE --trials N --out {folder}"
        raise UsageError(f"{folder}: no search of {method}; make it first: {make}") from error
    check_fields(folder / ABOUT, about, {"seed": int, "epochs": int, "data": str, "space": dict})
    wanted = run_folder.identity(recipe, method, about["seed"])
    free = {"epochs", "warmup_epochs", "teacher", *about["space"], *(["ede"] if {*ENDS} & {*about["space"]} else [])}
    if different := run_folder.differing(about, {key: value for key, value in wanted.items() if key not in free}):
        raise UsageError(f"{folder}: a search with other settings; {'; '.join(different)}")
    return about, rows


def best_settings(rows: list[Row], names: Iterable[str], source: Path) -> Said:
    """The ``names``' values in the best complete trial; UsageError, naming ``source``, where there is none."""
    try:
        complete = [row for row in rows if row["state"] == "complete"]
        best = max(complete, key=lambda row: float(row["validation_accuracy"]), default=None)
        if best is not None:
            return {name: best[name] == "True" if KINDS[name] is bool else KINDS[name](best[name]) for name in names}
    except (KeyError, ValueError) as error:
        raise UsageError(f"{source}: damaged ({error})") from error
    raise UsageError(f"{source}: no complete trial among {len(rows)}")

"""A search's best settings trained anew: longer, with other seeds, judged by the same held-out images."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev

from optuna.trial import FrozenTrial

from ..errors import RunError
from ..system.files import writable_folder, write_csv
from ..system.locks import Held, hold
from ..weights.files import CHECKPOINT
from . import run_folder
from .recipe import Recipe
from .search import Search
from .search_space import with_settings
from .train import train

CONFIRMED, RUNS = "confirmed.csv", "confirmed"


def confirm(search: Search, best: int, epochs: int, seeds: Sequence[int]) -> list[dict]:
    """A row for each of the ``best`` trials: its settings, a run's accuracy per seed, their mean and std (over n - 1).

    Several processes may call it; each leaves out the runs that others are training, whose accuracies are None until
    it's called again. A run that fails stays None too. Ctrl-C raises KeyboardInterrupt; the same call resumes.
    """
    chosen = search.best()[:best]
    writable_folder(search.folder / RUNS)
    for trial in chosen:
        recipe = with_settings(search.recipe, trial.params).with_epochs(epochs)
        for seed in seeds:
            out = folder(search, trial, epochs, seed)
            try:
                with hold(out.with_suffix(".lock"), "another process is training it"):
                    finished = run_folder.is_finished(out) or train_one(search, recipe, out, seed)
            except (Held, RunError) as error:
                print(f"trial {trial.number}, seed {seed}: {error}", flush=True)
            else:
                if not finished:
                    raise KeyboardInterrupt
    rows = [row(search, trial, epochs, seeds) for trial in chosen]
    with search.locked():
        write_csv(search.folder / CONFIRMED, rows)
    return rows


def train_one(search: Search, recipe: Recipe, out: Path, seed: int) -> bool:
    """Start or resume one run; False where Ctrl-C stopped it."""
    options = replace(search.options, teacher=search.options.teacher if recipe.distill else None)
    resume = (out / CHECKPOINT).exists()
    return train(recipe, out, method=search.method, seed=seed, resume=resume, options=options).finished


def folder(search: Search, trial: FrozenTrial, epochs: int, seed: int) -> Path:
    """Where the run of a trial's settings lies."""
    return search.folder / RUNS / f"trial{trial.number}-{epochs}epochs-seed{seed}"


def row(search: Search, trial: FrozenTrial, epochs: int, seeds: Sequence[int]) -> dict:
    """What is known of one trial's settings."""
    places = {seed: folder(search, trial, epochs, seed) / run_folder.RUN for seed in seeds}
    reached = {
        seed: json.loads(place.read_text())["result"]["test_accuracy"] if run_folder.is_finished(place.parent) else None
        for seed, place in places.items()
    }
    found = [accuracy for accuracy in reached.values() if accuracy is not None]
    return {
        "trial": trial.number, **trial.params, "epochs": epochs, "n": len(found),
        **{f"seed_{seed}": accuracy for seed, accuracy in reached.items()},
        "mean": fmean(found) if found else None, "std": stdev(found) if len(found) > 1 else None,
    }  # fmt: skip

"""A search's best settings trained anew: longer, with other seeds, judged by the same held-out images."""

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
from .options import Row, Said
from .search import Search
from .search_space import with_settings
from .train import train

CONFIRMED, RUNS = "confirmed.csv", "confirmed"


def confirm(search: Search, best: int, epochs: int, seeds: Sequence[int]) -> list[Row]:
    """A row for each of the ``best`` trials: its settings, a run's accuracy per seed, their mean and std (over n - 1).

    Several processes may call it; each leaves out the runs that others are training, whose accuracies are None until
    it's called again. A run that fails stays None too. Ctrl-C raises KeyboardInterrupt; the same call resumes.
    """
    chosen = search.best()[:best]
    writable_folder(search.folder / RUNS)
    for trial in chosen:
        recipe = with_settings(search.recipe, trial.params).with_epochs(epochs)
        options = replace(search.options, teacher=search.options.teacher if recipe.distill else None)
        for seed in seeds:
            out = folder(search, trial, epochs, seed)
            try:
                with hold(out.with_suffix(".lock"), "another process is training it"):
                    how: Said = {"method": search.method, "seed": seed, "resume": (out / CHECKPOINT).exists()}
                    stopped = not run_folder.result_of(out) and train(recipe, out, options=options, **how).stopped
            except (Held, RunError) as error:
                print(f"trial {trial.number}, seed {seed}: {error}", flush=True)
            else:
                if stopped:
                    raise KeyboardInterrupt
    rows = [row(search, trial, epochs, seeds) for trial in chosen]
    with search.locked():
        write_csv(search.folder / CONFIRMED, rows)
    return rows


def folder(search: Search, trial: FrozenTrial, epochs: int, seed: int) -> Path:
    """Where the run of a trial's settings lies."""
    return search.folder / RUNS / f"trial{trial.number}-{epochs}epochs-seed{seed}"


def row(search: Search, trial: FrozenTrial, epochs: int, seeds: Sequence[int]) -> Row:
    """What is known of one trial's settings."""
    results = {f"seed_{seed}": run_folder.result_of(folder(search, trial, epochs, seed)) for seed in seeds}
    reached = {name: result["test_accuracy"] if result else None for name, result in results.items()}
    found = [accuracy for accuracy in reached.values() if accuracy is not None]
    return {"trial": trial.number, **trial.params, "epochs": epochs, "n": len(found), **reached,
            "mean": fmean(found) if found else None, "std": stdev(found) if len(found) > 1 else None}  # fmt: skip

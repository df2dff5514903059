"""Search a recipe's settings: many short runs, judged by training images that are held out, never by test images.

    trial      the recipe with settings drawn from the space, trained as any run, by the same trainer
    judged by  the accuracy on ``VALIDATION`` held-out training images after its last epoch
    pruned     where after an epoch it is below the median of the earlier trials at that epoch
    failed     where the loss isn't finite or the settings don't go together: counted, and the search goes on

Trials lie in an SQLite file (Optuna, arXiv:1907.10902), so that a stopped search goes on where it was, and several
processes may work on one. Settings are proposed by the tree-structured Parzen estimator.
"""

import json
import tempfile
from functools import partial
from pathlib import Path

import optuna
from filelock import FileLock
from optuna.trial import TrialState

from .. import data
from ..data.in_memory import ImageSet
from ..errors import RunError, UsageError
from ..system.files import writable_folder, write_json
from ..system.machine import describe_machine
from .evaluate import Score
from .initial import fingerprint, initial_network, load_teacher
from .options import DEFAULTS, RunOptions
from .recipe import Recipe
from .search_space import Space, with_settings
from .steps.processes import join
from .trainer import Trainer

VALIDATION = 5000
STORAGE, ABOUT, LOCK = "search.db", "search.json", ".lock"


def search(
    recipe: Recipe, space: Space, out: str | Path, *, trials: int = 40, method: str = "sdbnn", seed: int = 0,
    options: RunOptions = DEFAULTS,
) -> optuna.Study:  # fmt: skip
    """Try ``trials`` settings in all, those that earlier calls finished in the folder ``out`` among them.

    Raises UsageError for a folder of another search, images that aren't in memory or too few to hold some out.
    """
    folder, processes = writable_folder(Path(out)), join(options.device)
    teacher = load_teacher(options.teacher, recipe, options.download)
    images = validation_images(recipe, options)
    about = {
        "recipe": recipe.name, "method": method, "epochs": recipe.epochs, "seed": seed, "data": images.label,
        "space": {name: str(values) for name, values in space.items()}, "teacher": teacher and fingerprint(teacher),
    }  # fmt: skip
    study = open_study(folder, about, options)
    while trial := next_trial(study, folder, space, seed, trials):
        outcome = {"state": TrialState.FAIL}
        try:
            tried = with_settings(recipe, trial.params)
            net = initial_network(tried, method, seed, images)
            trainer = Trainer(tried, net, images, seed, teacher, processes)
            trainer.after_epoch = partial(judge, trial, tried.epochs)
            with tempfile.TemporaryDirectory() as place:
                score = trainer.run(Path(place), show=options.progress)
            if score is None:
                raise KeyboardInterrupt
            outcome = {"values": score.top1}
        except optuna.TrialPruned:
            outcome = {"state": TrialState.PRUNED}
        except (RunError, UsageError) as error:
            trial.set_user_attr("failed", str(error))
        finally:
            study.tell(trial, **outcome)
    return study


def judge(trial: optuna.Trial, epochs: int, epoch: int, score: Score) -> None:
    """Report an epoch's validation accuracy; raise TrialPruned where it is below the median of the trials before."""
    trial.report(score.top1, epoch)
    if epoch < epochs and trial.should_prune():
        raise optuna.TrialPruned


def validation_images(recipe: Recipe, options: RunOptions) -> ImageSet:
    """The recipe's training images, ``VALIDATION`` of them held out in place of the test images."""
    images = data.load(recipe.dataset, options.data_dir, image_size=recipe.image_size, progress=options.progress)
    if not isinstance(images, ImageSet):
        raise UsageError(f"{recipe.name}: a search needs images that fit into memory; {images.label} is streamed")
    return images.validation_split(VALIDATION)


def open_study(folder: Path, about: dict, options: RunOptions) -> optuna.Study:
    """The study in ``folder``, made where there is none; UsageError where it searches something else than ``about``."""
    file = folder / ABOUT
    with FileLock(folder / LOCK):
        if file.exists():
            found = json.loads(file.read_text())
            differing = [f"{k} is {found.get(k)!r} there, {v!r} here" for k, v in about.items() if found.get(k) != v]
            if differing:
                raise UsageError(f"{folder}: holds another search: {'; '.join(differing)}; choose another --out")
        else:
            machine = describe_machine(join(options.device).device)
            write_json(file, about | {"command": options.command, "machine": machine})
        pruner = optuna.pruners.MedianPruner(n_startup_trials=8, n_warmup_steps=2)
        place = {"storage": f"sqlite:///{folder / STORAGE}", "study_name": "search", "load_if_exists": True}
        return optuna.create_study(**place, direction="maximize", pruner=pruner)


def next_trial(study: optuna.Study, folder: Path, space: Space, seed: int, trials: int) -> optuna.Trial | None:
    """A trial with settings from ``space``, which follow from ``seed`` and what was tried; None after ``trials``."""
    with FileLock(folder / LOCK):
        number = len(study.get_trials(deepcopy=False))
        if number >= trials:
            return None
        study.sampler = optuna.samplers.TPESampler(seed=seed + number, multivariate=True, constant_liar=True)
        return study.ask(space)

"""Search a recipe's settings: many short runs, judged by training images that are held out, never by test images.

    trial      the recipe with settings drawn from the space, trained as any run, by the same trainer
    judged by  the accuracy on the held-out images after its last epoch
    pruned     where it is below the median of at least 8 complete trials at the same epoch, from the second on
    failed     where the loss isn't finite or the settings don't go together: counted, and the search goes on

Trials lie in an SQLite file (Optuna, arXiv:1907.10902), on which several processes may work; the tree-structured Parzen
estimator (Bergstra et al. 2011) proposes settings. What a stopped process was trying is tried again by the next one.
"""

import dataclasses
import tempfile
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import optuna
from filelock import FileLock
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from ..data.in_memory import SPLIT_SEED
from ..errors import RunError, UsageError
from ..system.files import writable_folder, write_csv, write_json
from ..system.locks import Held, hold
from ..system.machine import describe_machine
from . import run_folder
from .evaluate import Score
from .initial import fingerprint, initial_network, load_teacher
from .options import DEFAULTS, Row, RunOptions, Said
from .recipe import Recipe
from .search_space import Space, as_written, values, with_settings
from .steps.processes import join
from .train import load_images
from .trainer import Trainer

VALIDATION = 5000  # held-out images where the options don't say
STORAGE, TRIALS, ABOUT, LOCK = "search.db", "trials.csv", "search.json", ".lock"
FINISHED = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}


class Search:
    """One search in the folder ``out``, started or resumed; :meth:`run` makes trials.

    Raises UsageError for a folder of another search, images that aren't in memory, and too few to hold some out.
    """

    def __init__(self, recipe: Recipe, space: Space, out: str | Path, method: str = "sdbnn", seed: int = 0,
                 options: RunOptions = DEFAULTS):  # fmt: skip
        self.recipe, self.space, self.folder, self.method, self.seed = recipe, space, Path(out), method, seed
        self.options = dataclasses.replace(options, validation=options.validation or VALIDATION)
        self.processes = join(options.device)
        if not self.processes.single:
            raise UsageError("a search isn't started by torchrun: start the command itself several times")
        most = max(values(space["distill"])) if "distill" in space else recipe.distill
        self.teacher = load_teacher(options.teacher, dataclasses.replace(recipe, distill=most), options.download)
        identity = run_folder.identity(recipe, method, seed, fingerprint(self.teacher))
        writable_folder(self.folder)
        with self.locked():  # the first process decodes the images, the others find them
            self.images = load_images(recipe, self.teacher, self.options, self.processes)
            initial_network(recipe, method, seed, self.images)  # or a UsageError that all trials would meet
            written = {name: as_written(distribution) for name, distribution in space.items()}
            self.study = self.open_study({**identity, "data": self.images.label, "space": written})

    def locked(self) -> FileLock:
        """The lock of the whole folder: one process at a time looks for what to do next, or writes tables."""
        return FileLock(self.folder / LOCK)

    def open_study(self, about: Said) -> optuna.Study:
        """The study in the folder, made where there is none; UsageError where it isn't one of ``about``."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        file = self.folder / STORAGE
        pruner = optuna.pruners.MedianPruner(n_startup_trials=8, n_warmup_steps=2)
        try:
            patient = {"connect_args": {"timeout": 60}}  # seconds that it waits for another process's transaction
            storage = optuna.storages.RDBStorage(f"sqlite:///{file}", engine_kwargs=patient)
            study = optuna.create_study(storage=storage, study_name="search", direction="maximize", pruner=pruner,
                                        load_if_exists=True)  # fmt: skip
        except (SQLAlchemyError, RuntimeError) as error:
            raise UsageError(f"{file}: not the storage of a search ({str(error).splitlines()[0]})") from error
        found = study.user_attrs.get("settings")
        if found is None:
            study.set_user_attr("settings", about)
            more = {"validation_images": self.images.num_test, "split_seed": SPLIT_SEED, "optuna": optuna.__version__}
            more |= {"command": self.options.command, "machine": describe_machine(self.processes.device)}
            write_json(self.folder / ABOUT, about | more)
        elif different := differences(found, about):
            raise UsageError(f"{self.folder}: holds another search: {'; '.join(different)}; choose another --out")
        return study

    def run(self, trials: int) -> None:
        """Make trials until there are ``trials`` in all; returns when the other processes' are finished too.

        Ctrl-C raises KeyboardInterrupt; finished trials are kept.
        """
        while True:
            with self.locked():
                running = self.running()
                asked = len({t.number for t in [*running, *self.finished()]})  # one may have ended in between
                found = self.next_trial(asked) if asked < trials else None
            if found:
                trial, held = found
                with held:
                    self.try_settings(trial)
                with self.locked():
                    write_csv(self.folder / TRIALS, self.rows())
                print(described(self.study.trials[trial.number]), flush=True)
            elif running:
                time.sleep(1)
            else:
                return

    def running(self) -> list[FrozenTrial]:
        """The trials that processes are at; what a dead process left is put back to be tried again."""
        running = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        alive = []
        for trial in running:
            try:
                hold(self.lock_of(trial.number), "").close()
                self.study.tell(trial.number, state=TrialState.FAIL)
                self.study.enqueue_trial(trial.params)
            except Held:
                alive.append(trial)
            except ValueError:  # it has ended since the trials were read
                pass
        return alive

    def next_trial(self, asked: int) -> tuple[optuna.Trial, ExitStack]:
        """A trial whose settings follow from the seed and the ``asked`` before it, and the lock that says it's made.

        Those that were stopped don't count, so that a search that resumes tries what it would have tried.
        """
        seed = (self.seed + asked) % 2**32  # not the same first proposals in every process
        self.study.sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)
        trial = self.study.ask({**self.space})
        return trial, hold(self.lock_of(trial.number), "")

    def lock_of(self, number: int) -> Path:
        """The file that is locked while the trial is made."""
        return self.folder / f".trial{number}.lock"

    def try_settings(self, trial: optuna.Trial) -> None:
        """Train one trial to its end and tell the study what became of it; Ctrl-C raises KeyboardInterrupt."""
        try:
            recipe = with_settings(self.recipe, trial.params)
            net = initial_network(recipe, self.method, self.seed, self.images)
            trainer = Trainer(recipe, net, self.images, self.seed, self.teacher, self.processes)
            trainer.after_epoch.append(partial(judge, trial, recipe.epochs))
            with tempfile.TemporaryDirectory() as place:
                score = trainer.run(Path(place), self.options.progress)
            if score is not None:
                self.study.tell(trial, score.top1)
        except optuna.TrialPruned:
            self.study.tell(trial, state=TrialState.PRUNED)
        except (RunError, UsageError) as error:
            trial.set_user_attr("failed", str(error))
            self.study.tell(trial, state=TrialState.FAIL)
            return
        if trainer.stop():
            raise KeyboardInterrupt

    def finished(self) -> list[FrozenTrial]:
        """The trials that count, in order: complete, pruned and failed ones; not those that were stopped."""
        trials = self.study.get_trials(deepcopy=False, states=tuple(FINISHED))
        return [t for t in trials if t.state != TrialState.FAIL or "failed" in t.user_attrs]

    def best(self) -> list[FrozenTrial]:
        """The complete trials, the best first."""
        complete = [t for t in self.finished() if t.state == TrialState.COMPLETE]
        return sorted(complete, key=lambda trial: -(trial.value or 0))

    def rows(self) -> list[Row]:
        """A row per finished trial: number, state, settings, epochs, last validation accuracy, seconds."""
        rows = []
        for trial in self.finished():
            epochs = max(trial.intermediate_values, default=0)
            rows.append({"trial": trial.number, "state": FINISHED[trial.state],
                         **{n: trial.params[n] for n in self.space}, "epochs": epochs,
                         "validation_accuracy": trial.intermediate_values.get(epochs),
                         "seconds": trial.duration and round(trial.duration.total_seconds(), 1)})  # fmt: skip
        return rows


def judge(trial: optuna.Trial, epochs: int, epoch: int, score: Score) -> None:
    """Report an epoch's validation accuracy; raise TrialPruned where it is below the complete trials' median."""
    trial.report(score.top1, epoch)
    if epoch < epochs and trial.should_prune():
        raise optuna.TrialPruned


def differences(found: Said, wanted: Said) -> list[str]:
    """In words: every setting, and every entry of the space, of the search ``found`` that isn't as ``wanted``."""
    there, here = found["space"], wanted["space"]
    entries = [f"space's {name} is {there.get(name)} there, {here.get(name)} here"
               for name in sorted({*there, *here}) if there.get(name) != here.get(name)]  # fmt: skip
    return run_folder.differing({**found, "space": here}, wanted) + entries


def described(trial: FrozenTrial) -> str:
    """One line: what was tried and what became of it."""
    tried = ", ".join(f"{name} {f'{v:.4g}' if isinstance(v, float) else v}" for name, v in trial.params.items())
    if trial.state == TrialState.FAIL:
        return f"trial {trial.number}: failed ({trial.user_attrs['failed']}); {tried}"
    epochs, accuracy = max(trial.intermediate_values.items())
    pruned = " (pruned)" if trial.state == TrialState.PRUNED else ""
    return f"trial {trial.number}: {accuracy:.2%} after {epochs} epochs{pruned}; {tried}"

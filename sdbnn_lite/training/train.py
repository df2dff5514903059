"""Train one network by a recipe into a folder: check, build, train, report. The loop itself: ``trainer``."""

import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

from .. import data
from ..core.models import BinaryNet
from ..system.machine import describe_machine
from ..weights.files import WEIGHTS, save_weights
from ..weights.torchvision_nets import Teacher
from . import run_folder, tensorboard
from .evaluate import Images, Score
from .fine_tune import describe_start, start_from
from .initial import check_fits, fingerprint, has_published_teacher, initial_network, load_teacher
from .options import DEFAULTS, Row, RunOptions, Said
from .recipe import Recipe
from .steps.processes import Processes, check_batch, check_images, join, launch, restarted
from .trainer import Trainer


@dataclass
class Result:
    """A finished run: the network, the score of its last epoch, its folder and log; or a stopped one, without score.

    ``stopped``: by Ctrl-C, SIGTERM or SIGHUP; so is a finished one where that came in its last epoch.
    """

    net: BinaryNet
    score: Score | None
    label: str  # what a figure on these images may be called
    out: Path
    log: list[Row]
    stopped: bool = False

    @property
    def finished(self) -> bool:
        """Whether its last epoch was reached."""
        return self.score is not None


def train(recipe: Recipe, out: str | Path, *, method: str = "sdbnn", seed: int = 0, resume: bool = False,
          options: RunOptions = DEFAULTS) -> Result:  # fmt: skip
    """Train by ``recipe`` into the folder ``out`` (see ``run_folder``), and return the network with its last score.

    The same recipe, method, seed and thread count on the CPU give the same weights to the last bit, whether or not
    the run was killed and resumed in between. Under torchrun every process calls this: see ``steps.processes``.

    Raises UsageError for wrong use, before anything is written, and RunError where the run can't continue.
    """
    folder, processes = Path(out), join(options.device)
    processes.agree(lambda: check_batch(recipe.batch_size, processes.count))
    processes.agree(lambda: tensorboard.check(options.tensorboard))
    teacher = processes.one_first(lambda: load_teacher(options.teacher, recipe, options.download))
    identity = run_folder.identity(recipe, method, seed, fingerprint(teacher))
    again = restarted(folder / run_folder.RUN)
    look = partial(run_folder.look_into, folder, identity, resume, again)
    processes.agree(look)  # before the images are loaded, which may take minutes
    images = load_images(recipe, teacher, options, processes)
    net = initial_network(recipe, method, seed, images)
    start = {} if options.init is None else {"init": start_from(net, options.init)}
    trainer = Trainer(recipe, net, images, seed, teacher, processes)
    with processes.agree(lambda: run_folder.open_folder(folder) if processes.is_main else ExitStack()) as held:
        found = processes.agree(look)  # again: what another process has done meanwhile
        if found:
            processes.agree(lambda: trainer.resume(*found, folder))
        elif start and processes.is_main:
            print(describe_start(start["init"], net.options["num_classes"]), file=sys.stderr, flush=True)
        if options.tensorboard is not None and processes.is_main:
            board = tensorboard.Board(trainer, options.tensorboard, folder)
            held.callback(board.writer.close)
            trainer.after_epoch.append(board.after_epoch)
        if options.after_epoch is not None and processes.is_main:
            trainer.after_epoch.append(partial(tell, trainer, options.after_epoch))
        return run(trainer, folder, options, {} if found else start, resumed=bool(found))


def tell(trainer: Trainer, told: Callable[[Row, list[Row]], None], epoch: int, _: Score) -> None:
    """Give ``told`` the epoch's rows of log.csv and signs.csv."""
    told(trainer.log[-1], [row for row in trainer.signs if row["epoch"] == epoch])


def load_images(recipe: Recipe, teacher: BinaryNet | Teacher | None, options: RunOptions,
                processes: Processes) -> Images:  # fmt: skip
    """The recipe's images, checked: enough for all processes, and fit for the teacher."""
    how: Said = {"download": options.download and not has_published_teacher(recipe), "strict": options.strict}
    how |= {"progress": options.progress and processes.is_main, "workers": options.workers}
    how |= {"validation": options.validation, "image_size": recipe.image_size}
    images = processes.one_first(lambda: data.load(recipe.dataset, options.data_dir, **how))

    def check() -> None:
        check_images(images.label, images.num_train, images.num_test, processes.count)
        if teacher is not None:
            check_fits(teacher, images, f"teacher {options.teacher or teacher.name}")

    processes.agree(check)
    return images


def run(trainer: Trainer, folder: Path, options: RunOptions, start: Said, resumed: bool) -> Result:
    """Train to the end or to Ctrl-C; a run that was finished before is only scored again. ``start``: for run.json."""
    if resumed and trainer.progress.epoch == trainer.recipe.epochs and run_folder.result_of(folder):
        score: Score | None = trainer.score()
    else:
        about = start | describe_run(trainer, folder, options.command, resumed)
        if trainer.processes.is_main:
            run_folder.write_run(folder, {**about, "result": None})
        score = trainer.run(folder, options.progress)
        if score is not None:
            report(trainer, folder, about, score, "test" if options.validation is None else "held-out training")
    label, stopped = trainer.whole.label, score is None or trainer.stop()
    return Result(trainer.scored.eval(), score, label, folder, trainer.log, stopped)


def describe_run(trainer: Trainer, folder: Path, command: str, resumed: bool) -> Said:
    """run.json but for the result: settings, images, command, start, machine; where ``resumed``, as it was started."""
    images, processes = trainer.whole, trainer.processes
    machine = describe_machine(processes.device) | ({} if processes.single else {"processes": processes.count})
    return {**trainer.identity, "data": images.label, "train_images": images.num_train, "test_images": images.num_test,
            "command": command, "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            **(run_folder.origin(folder, trainer.progress.epoch, machine) if resumed else {}),
            **({"launch": launch()} if launch() else {}), "machine": machine}  # fmt: skip


def report(trainer: Trainer, folder: Path, about: Said, score: Score, scored: str) -> None:
    """Write the result: the weights, and run.json with the score and how the steps were computed."""
    result = {"protocol": f"last epoch, all {scored} images", "test_accuracy": score.top1, "test_top5": score.top5}
    result |= {"test_loss": score.loss, "test_images": score.images}
    if trainer.processes.is_main:
        named = {"dataset": trainer.recipe.dataset, "data": about["data"], "identity": trainer.identity}
        save_weights(folder / WEIGHTS, trainer.scored, **named, result=result)
        run_folder.write_run(folder, {**about, "path": trainer.step.path, "result": result})
    trainer.processes.total(0)  # wait for all: whoever reads these files next finds them

"""Train one network by a recipe: readable, resumable to the bit, and it never loses a finished epoch."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from .. import data
from ..core.binarize import ede_schedule
from ..core.layers import binary_layers, set_ede
from ..core.models import BinaryNet
from ..core.record import record_signs, summary_row
from ..errors import UsageError
from ..fast import fast_forward
from ..system.devices import convolutions, keep_freed_memory
from ..system.files import write_csv, write_json
from ..system.interrupt import first_interrupt_waits
from ..system.machine import describe_machine
from ..weights.files import CHECKPOINT, WEIGHTS, save_weights
from . import run_folder
from .averaging import Average
from .checkpoint import restore, save_checkpoint
from .evaluate import Score, evaluate
from .guards import check_loss, check_weights, enough_memory, smaller_batch
from .initial import augmentation_of, check_fits, fingerprint, has_published_teacher, initial_network, load_teacher
from .losses import TrainingLoss
from .optimizers import make_optimizer, set_lr
from .progress import Progress
from .recipe import Recipe
from .steps import processes
from .steps.cuda_graph import CudaStep
from .steps.data_parallel import SharedStep
from .steps.half_precision import gpu_forward, on_device
from .steps.processes import ALONE, Place
from .steps.readable import Step

SIGN_IMAGES = 256  # test images whose signs are recorded after every epoch
FREE = "free the memory that other programs hold, or use --device cpu"


@dataclass
class Result:
    """A finished (or stopped) run: the network, the score of its last epoch, its folder, and whether it finished."""

    net: BinaryNet
    score: Score | None
    label: str  # what a figure on these images may be called
    out: Path
    finished: bool
    log: list[dict] = field(default_factory=list)


def pick_forward(net: BinaryNet, device: torch.device) -> Callable[[Tensor], Tensor]:
    """What computes the logits while ``net`` trains on ``device``, and scores it after every epoch but the last.

    The digits train in seconds either way: there the readable path keeps the committed tables what the command makes.
    """
    if device.type == "cuda":
        return gpu_forward(net, device)
    return net if net.name == "digits_convnet" else fast_forward(net) or net


class Trainer:
    """One run. ``run`` trains until the last epoch or Ctrl-C; every finished epoch is on the disk.

    ``net`` is what learns; ``scored`` is what is scored, recorded and saved in the end: ``net`` itself, or the average
    of its weights where the recipe has one (``ema``).
    """

    def __init__(self, recipe: Recipe, method: str, seed: int, images, device: torch.device, init: str | None,
                 teacher: BinaryNet | None = None, place: Place = ALONE):  # fmt: skip
        self.recipe, self.device, self.place = recipe, device, place
        if device.type == "cpu":
            keep_freed_memory()
        self.identity = run_folder.identity(recipe, method, seed, teacher and fingerprint(teacher))
        net = initial_network(recipe, method, seed, images, init)
        with enough_memory("while images and network were copied to it", FREE, "nothing was written"):
            self.whole, self.net = images.to(device), on_device(net, device)
            self.images = self.whole if place.alone else replace(self.whole, shard=(place.rank, place.processes))
            self.average = Average(self.net, recipe.ema) if recipe.ema else None
            teach = teacher and teacher.to(device).classify
        self.scored = self.net if self.average is None else self.average.net
        self.forward = pick_forward(self.net, device)
        self.forward_scored = self.forward if self.scored is self.net else pick_forward(self.scored, device)
        self.optimizer = make_optimizer(self.net, recipe)
        loss = TrainingLoss(recipe.label_smoothing, recipe.distill, teach)
        parts = (self.forward, self.optimizer, loss, self.average, device)
        if not place.alone:
            self.step = SharedStep(self.net, self.optimizer, loss, self.average, place)
        elif device.type == "cuda":
            steps = self.images.num_batches(recipe.batch_size) * recipe.epochs
            self.step = CudaStep(*parts, batch_size=recipe.batch_size, steps=steps)
        else:
            self.step = Step(*parts)
        self.seed = seed
        self.generator = torch.Generator().manual_seed(seed)  # order, crops and flips of all epochs
        self.epoch_start = self.generator.get_state()
        self.progress = Progress()
        self.kept = "nothing was saved yet"
        self.log: list[dict] = []
        self.signs: list[dict] = []

    def resume(self, tensors: dict, about: dict, out: Path) -> None:
        """Put the run back to where its checkpoint was written, also within an epoch."""
        self.epoch_start = restore(tensors, self.net, self.optimizer, out / CHECKPOINT)
        if self.average is not None:
            self.average.restore(tensors)
        self.progress = Progress(**about["progress"])
        self.kept = f"the checkpoint of {self.progress} is kept"
        self.log = run_folder.rows_until(out / run_folder.LOG, self.progress.epoch)
        self.signs = run_folder.rows_until(out / run_folder.SIGNS, self.progress.epoch)

    def save(self, out: Path) -> None:
        """Logs first, then the checkpoint: a kill in between leaves rows that resuming cuts off, never too few.

        Of several processes one writes; the others have the same to say.
        """
        if self.place.leads:
            self.write(out)
        self.kept = f"the checkpoint of {self.progress} is kept"

    def write(self, out: Path) -> None:
        """The files of :meth:`save`."""
        write_csv(out / run_folder.LOG, self.log)
        write_csv(out / run_folder.SIGNS, self.signs)
        about = {"identity": self.identity, "progress": vars(self.progress), "dataset": self.recipe.dataset}
        extra = {} if self.average is None else self.average.tensors()
        save_checkpoint(out / CHECKPOINT, self.net, self.optimizer, self.epoch_start, about, extra)

    def batches(self, images, generator: torch.Generator, start: int = 0):
        """The current epoch's training batches of ``images``, from batch number ``start`` on."""
        varied = augmentation_of(self.recipe, self.progress.epoch)
        start = min(start, images.num_batches(self.recipe.batch_size))  # fewer, were the last too small for all
        return images.epoch(self.recipe.batch_size, generator, varied, start=start)

    def run_epoch(self, bar: tqdm, stop) -> bool:
        """Train from the current step to the end of the epoch; False where ``stop()`` ended it after a step.

        Several processes stop together: after the step at which they next exchange their sums.
        """
        recipe, now, step, place = self.recipe, self.progress, self.step, self.place
        set_ede(self.net, ede_schedule(now.epoch, recipe.epochs, *recipe.ede))
        set_lr(self.optimizer, recipe.lr_at(now.epoch))
        self.generator.set_state(self.epoch_start)
        self.net.train()
        step.begin(*((now.loss_sum, now.correct) if place.leads else (0.0, 0)))
        seen = now.seen if place.leads else 0
        steps, clock = self.images.num_batches(recipe.batch_size), time.perf_counter()
        for x, y in self.batches(self.images, self.generator, now.step):
            step(x, y)
            now.step += 1
            seen += len(y)
            stopped = place.alone and stop()
            if stopped or now.step == steps or now.step % step.look_every == 0:
                now.loss_sum, *counts = place.total(*step.sums(), seen, stopped or stop())
                now.correct, now.seen, stopped = map(int, counts)
                check_loss(now.loss_sum, self.where(), recipe.lr_at(now.epoch), self.kept)
                elapsed = time.perf_counter() - clock
                now.seconds, clock = now.seconds + elapsed, clock + elapsed
                bar.set_postfix_str(now.text, False)
            bar.update()
            if stopped:
                return False
        return True

    def where(self) -> str:
        """Epoch and step of what was just computed; on a GPU, which isn't asked at every step, the last it can be."""
        by = "" if self.step.look_every == 1 else "by "
        return f"epoch {self.progress.epoch + 1}, {by}step {self.progress.step}"

    def end_epoch(self) -> Score:
        """Score the test images, record signs, add the epoch's rows, move on to the next epoch.

        The last epoch's score is the run's result: it comes from the readable path, whatever ``forward`` is.
        """
        now, recipe = self.progress, self.recipe
        if self.average is not None:
            self.average.refresh(self.batches(self.whole, torch.Generator().manual_seed(self.seed)))
        forward = None if now.epoch + 1 == recipe.epochs else self.forward_scored
        score = self.place.combine(evaluate(self.scored, self.images, forward=forward))
        self.log.append(now.row(recipe, score))
        if self.place.leads and binary_layers(self.scored):
            with convolutions(tf32=False):
                recorded = record_signs(self.scored, self.whole.test_sample(SIGN_IMAGES))
            self.signs += [{"epoch": now.epoch + 1, "layer": name, **summary_row(s)} for name, s in recorded.items()]
        now.finish_epoch()
        self.epoch_start = self.generator.get_state()
        return score

    def run(self, out: Path, show: bool) -> Score | None:
        """Train to the end; return the last score, or None where Ctrl-C stopped it (the state is saved first)."""
        recipe, now = self.recipe, self.progress
        score = None
        steps = self.images.num_batches(recipe.batch_size)
        done, quiet = steps * now.epoch + now.step, not (show and self.place.leads)
        bar = tqdm(total=steps * recipe.epochs, initial=done, disable=quiet, unit="step")
        with first_interrupt_waits() as stop, bar, self.place.in_touch(lambda: self.kept):
            if now.epoch == now.step == 0:
                self.save(out)
            while now.epoch < recipe.epochs:
                bar.set_description(f"epoch {now.epoch + 1}/{recipe.epochs}")
                training = f"epoch {now.epoch + 1} with batch size {recipe.batch_size}"
                with enough_memory(f"in {training}", smaller_batch(recipe.batch_size), self.kept):
                    whole = self.run_epoch(bar, stop)
                check_weights(self.net, self.where(), recipe.lr_at(now.epoch), self.kept)
                if whole:
                    with enough_memory("while the test images were scored", FREE, self.kept):
                        score = self.end_epoch()
                self.save(out)
                stopping, *_ = self.place.total(stop())
                if stopping and now.epoch < recipe.epochs:
                    return None
            return score or self.place.combine(evaluate(self.scored, self.images))


def train(
    recipe: Recipe,
    out: str | Path,
    *,
    method: str = "sdbnn",
    seed: int = 0,
    data_dir: str | Path | None = None,
    device: str = "auto",
    resume: bool = False,
    init: str | None = None,
    teacher: str | Path | None = None,
    progress: bool = True,
    download: bool = False,
    command: str = "",
    strict: bool = False,
    workers: int | None = None,
) -> Result:
    """Train by ``recipe`` into the folder ``out`` (see ``runs``), and return the network with its last score.

    The same recipe, method, seed and thread count on the CPU give the same weights to the last bit, whether or not
    the run was killed and resumed in between. ``init`` takes the first weights from a trained network; ``teacher`` is
    the trained network that a recipe with ``distill`` learns from (see ``prepare.load_teacher``).

    Under torchrun every process calls this; what several compute together, and how they restart, says ``distributed``.
    ``download`` fetches the images or, for ImageNet, the teacher; ``strict`` and ``workers`` are ``data.load``'s.

    Raises UsageError for wrong use, before anything is written, and RunError where the run can't go on.
    """
    if not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise UsageError(f"seed={seed!r}: a whole number from 0 to 2^63-1 is needed")
    place = processes.join(device)
    place.agree(lambda: processes.check_batch(recipe.batch_size, place.processes))
    taught_by = place.in_turn(lambda: load_teacher(teacher, recipe, download))
    wanted = run_folder.identity(recipe, method, seed, taught_by and fingerprint(taught_by))
    again = processes.restarted(Path(out) / run_folder.RUN)

    def look() -> tuple[Path, tuple | None]:
        return run_folder.look_into(out, wanted, resume, again)

    folder, found = place.agree(look)
    options = {"download": download and not has_published_teacher(recipe), "progress": progress and place.leads}
    options |= {"strict": strict, "workers": workers}
    images = place.in_turn(lambda: data.load(recipe.dataset, data_dir, image_size=recipe.image_size, **options))

    def prepare() -> None:
        processes.check_images(images.label, images.num_train, images.num_test, place.processes)
        if taught_by is not None:
            check_fits(taught_by, images, f"teacher {teacher or taught_by.name}")

    place.agree(prepare)
    trainer = Trainer(recipe, method, seed, images, place.device, init, taught_by, place)
    with place.agree(lambda: run_folder.open_folder(folder) if place.leads else nullcontext()):
        folder, found = place.agree(look)  # what another process has done meanwhile
        if found:
            trainer.resume(*found, folder)
        if found and trainer.progress.epoch == recipe.epochs and run_folder.is_finished(folder):
            score = place.combine(evaluate(trainer.scored, images))
            return Result(trainer.scored.eval(), score, images.label, folder, True, trainer.log)

        machine = describe_machine(place.device) | ({} if place.alone else {"processes": place.processes})
        about = {
            **wanted,
            "data": images.label,
            "train_images": images.num_train,
            "test_images": images.num_test,
            "command": command,
            "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            **(run_folder.origin(folder, trainer.progress.epoch, machine) if found else {}),
            **({"launch": processes.launch()} if processes.launch() else {}),
            "machine": machine,
        }
        if place.leads:
            write_json(folder / run_folder.RUN, {**about, "result": None})
        score = trainer.run(folder, progress)
        if score is None:
            return Result(trainer.scored, None, images.label, folder, False, trainer.log)
        result = {"protocol": "last epoch, all test images", "test_accuracy": score.top1, "test_top5": score.top5}
        result |= {"test_loss": score.loss, "test_images": score.images}
        named = {"dataset": recipe.dataset, "data": images.label, "identity": wanted, "result": result}
        if place.leads:
            save_weights(folder / WEIGHTS, trainer.scored, **named)
            write_json(folder / run_folder.RUN, {**about, "path": trainer.step.path, "result": result})
        place.wait()  # whoever reads these files next finds them
        return Result(trainer.scored.eval(), score, images.label, folder, True, trainer.log)

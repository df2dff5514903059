"""The training loop: epoch by epoch, resumable to the bit, and it never loses a finished epoch."""

import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..core.binarize import ede_schedule
from ..core.layers import binary_layers, set_ede
from ..core.models import BinaryNet
from ..core.record import record_signs
from ..data.base import Batches
from ..data.in_memory import ImageSet
from ..errors import UsageError, check_fields
from ..system.devices import convolutions, keep_freed_memory
from ..system.files import csv_text, write_atomic
from ..system.interrupt import first_interrupt_waits
from ..system.terminal import Bar
from ..system.threads import one_torch_thread
from ..weights.files import CHECKPOINT
from ..weights.preprocessing import Preprocessing
from ..weights.torchvision_nets import Teacher
from . import run_folder
from .averaging import Average
from .checkpoint import restore, save_checkpoint, table_tensors
from .evaluate import Forward, Images, Score, evaluate
from .guards import check_loss, check_weights, enough_memory, smaller_batch
from .initial import augmentation_of, fingerprint
from .losses import TrainingLoss
from .optimizers import make_optimizer, set_lr
from .options import Row, Said
from .recipe import Recipe
from .sign_rows import summary_row
from .steps import choose, pick_forward
from .steps.half_precision import on_device
from .steps.processes import SINGLE, Processes

SIGN_IMAGES = 256  # test images whose signs are recorded after every epoch
FREE = "free the memory that other programs hold, or use --device cpu"


@dataclass
class Progress:
    """Where a run stands: ``epoch`` epochs and ``step`` steps of the next one, with their sums over ``seen`` images."""

    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    correct: int = 0
    seen: int = 0
    seconds: float = 0.0

    @classmethod
    def read(cls, given: Any, recipe: Recipe, images: Images, source: str) -> "Progress":
        """That of a checkpoint; UsageError, naming ``source``, where a run of ``recipe`` on ``images`` can't be."""
        kinds, batch = {field.name: field.type for field in fields(cls)}, recipe.batch_size
        check_fields(source, given, kinds)
        now = cls(**{name: given[name] for name in kinds})
        if now.step == 0:
            fits = now.epoch <= recipe.epochs and now == cls(now.epoch)
        else:
            least = batch * (now.step - 1) if isinstance(images, ImageSet) else 0  # streamed: some are unreadable
            fits = now.epoch < recipe.epochs and least < now.seen <= min(batch * now.step, images.num_train)
            fits = fits and now.correct <= now.seen and now.seconds > 0
        if not fits:
            raise UsageError(f"{source}: {given}, but {recipe.epochs} epochs of {images.num_train:,} images, {batch} a "
                             "step, were to be trained")  # fmt: skip
        return now

    def __str__(self) -> str:
        return f"epoch {self.epoch}" if self.step == 0 else f"epoch {self.epoch + 1}, step {self.step}"

    @property
    def text(self) -> str:
        """The running figures, for the progress bar."""
        mean, share, rate = self.loss_sum / self.seen, self.correct / self.seen, self.seen / self.seconds
        return f"loss {mean:.3f}, acc {share:.1%}, {rate:,.0f} images/s"

    def row(self, recipe: Recipe, score: Score) -> Row:
        """The epoch's row in log.csv: schedules, training figures (on the way, augmented), test figures, speed."""
        return {"epoch": self.epoch + 1, "ede_t": ede_schedule(self.epoch, recipe.epochs, *recipe.ede),
                "lr": recipe.lr_at(self.epoch), "train_loss": self.loss_sum / self.seen,
                "train_accuracy": self.correct / self.seen, "test_loss": score.loss, "test_accuracy": score.top1,
                "test_top5": score.top5, "seconds": round(self.seconds, 3),
                "images_per_second": round(self.seen / self.seconds, 1)}  # fmt: skip


class Trainer:
    """One run: ``net`` is trained; ``scored``, the same or its weights' average (``ema``), is scored and saved."""

    def __init__(self, recipe: Recipe, net: BinaryNet, images: Images, seed: int = 0,
                 teacher: BinaryNet | Teacher | None = None, processes: Processes = SINGLE):  # fmt: skip
        self.recipe, self.seed, self.processes, device = recipe, seed, processes, processes.device
        if device.type == "cpu":
            keep_freed_memory()
        self.identity = run_folder.identity(recipe, net.options["method"], seed, fingerprint(teacher))
        with enough_memory("while images and network were copied to it", FREE, "nothing was written"):
            self.whole, self.net = images.to(device), on_device(net, device)
            self.net.about = {"images": Preprocessing.of(images).described()}  # goes into its files
            self.average = Average(self.net, recipe.ema) if recipe.ema else None
            teach = teacher and teacher.to(device).classify
        self.images = self.whole if processes.single else replace(self.whole, shard=(processes.rank, processes.count))
        self.steps = self.images.num_batches(recipe.batch_size)  # in an epoch
        self.scored = self.net if self.average is None else self.average.net
        forward = pick_forward(self.net, device, recipe.gradient_bits)
        self.own_threads = processes.single and device.type == "cpu" and forward is not self.net  # for kernels
        self.forward_scored = forward if self.scored is self.net else pick_forward(self.scored, device)
        self.optimizer = make_optimizer(self.net, recipe)
        loss = TrainingLoss(recipe.label_smoothing, recipe.distill, teach)
        parts, steps = (forward, self.optimizer, loss, self.average), self.steps * recipe.epochs
        self.step = choose(self.net, parts, processes, batch_size=recipe.batch_size, steps=steps)
        self.generator = torch.Generator().manual_seed(seed)  # order, crops and flips of all epochs
        self.epoch_start = self.generator.get_state()
        self.progress, self.kept = Progress(), "nothing was saved yet"
        self.log, self.signs = list[Row](), list[Row]()
        self.stop: Callable[[], bool] = bool  # whether a signal asks to
        self.after_epoch: list[Callable[[int, Score], None]] = []  # who is told: to prune, to draw

    def resume(self, tensors: dict[str, Tensor], about: Said, out: Path) -> None:
        """Put the run back to where its checkpoint was written, also within an epoch; UsageError for a damaged one."""
        source = f"{out / CHECKPOINT}: progress"
        self.progress = Progress.read(about.get("progress"), self.recipe, self.whole, source)
        self.epoch_start = restore(tensors, self.net, self.optimizer, out / CHECKPOINT)
        if self.average is not None:
            self.average.restore(tensors, out / CHECKPOINT)
        self.kept = f"the checkpoint of {self.progress} is kept"
        self.log = run_folder.rows_until(out, run_folder.LOG, tensors, self.progress.epoch)
        self.signs = run_folder.rows_until(out, run_folder.SIGNS, tensors, self.progress.epoch)

    def save(self, out: Path) -> None:
        """Logs first, then the checkpoint, which holds them too: a kill in between leaves rows that resuming cuts off.

        Of several processes the main one writes; all hold the same state.
        """
        if self.processes.is_main:
            texts = {run_folder.LOG: csv_text(self.log), run_folder.SIGNS: csv_text(self.signs)}
            for name, text in texts.items():
                write_atomic(out / name, text.encode())
            about = {"identity": self.identity, "progress": vars(self.progress), "dataset": self.recipe.dataset}
            extra = table_tensors(texts) | ({} if self.average is None else self.average.tensors())
            save_checkpoint(out / CHECKPOINT, self.net, self.optimizer, self.epoch_start, about, extra)
        self.kept = f"the checkpoint of {self.progress} is kept"

    def batches(self, images: Images, generator: torch.Generator, start: int = 0) -> Batches:
        """The current epoch's training batches of ``images``, from batch number ``start`` on."""
        varied = augmentation_of(self.recipe, self.progress.epoch)
        start = min(start, images.num_batches(self.recipe.batch_size))  # fewer, were the last too small for all
        return images.epoch(self.recipe.batch_size, generator, varied, start=start)

    def run_epoch(self, bar: Bar) -> bool:
        """Train from the current step to the end of the epoch; False where ``stop`` ended it after a step.

        Several processes stop together: after the step at which they next exchange their sums.
        """
        recipe, now, step, processes = self.recipe, self.progress, self.step, self.processes
        t = ede_schedule(now.epoch, recipe.epochs, *recipe.ede)
        set_ede(self.net, t, 1 / t if recipe.ede_k == "peak" else None)
        set_lr(self.optimizer, recipe.lr_at(now.epoch))
        self.generator.set_state(self.epoch_start)
        self.net.train()
        step.begin(*((now.loss_sum, now.correct) if processes.is_main else (0.0, 0)))
        seen = now.seen if processes.is_main else 0
        clock = time.perf_counter()
        with one_torch_thread(self.own_threads):
            for x, y in self.batches(self.images, self.generator, now.step):
                step(x, y)
                now.step += 1
                seen += len(y)
                stopped: int = processes.single and self.stop()
                if stopped or now.step == self.steps or now.step % step.look_every == 0:
                    now.loss_sum, *counts = processes.total(*step.sums(), seen, stopped or self.stop())
                    now.correct, now.seen, stopped = map(int, counts)
                    check_loss(now.loss_sum, self.where(), recipe.lr_at(now.epoch), self.kept)
                    elapsed = time.perf_counter() - clock
                    now.seconds, clock = now.seconds + elapsed, clock + elapsed
                bar.update()
                if stopped:
                    return False
        return True

    def where(self) -> str:
        """Epoch and step of what was just computed; on a GPU, which isn't asked at every step, the last it can be."""
        by = "" if self.step.look_every == 1 else "by "
        return f"epoch {self.progress.epoch + 1}, {by}step {self.progress.step}"

    def score(self, forward: Forward | None = None) -> Score:
        """The score of all test images, each seen by one process; ``forward``: by default the readable path."""
        with one_torch_thread(self.own_threads and forward is not None):
            return self.processes.combine(evaluate(self.scored, self.images, forward=forward))

    def end_epoch(self) -> Score:
        """Score the test images, record signs, add the epoch's rows, move on to the next epoch.

        The last epoch's score is the run's result: it comes from the readable path, whatever computes the others.
        """
        now, recipe = self.progress, self.recipe
        if self.average is not None:
            self.average.refresh(self.batches(self.whole, torch.Generator().manual_seed(self.seed)))
        score = self.score(None if now.epoch + 1 == recipe.epochs else self.forward_scored)
        self.log.append(now.row(recipe, score))
        if self.processes.is_main and binary_layers(self.scored):
            with convolutions(tf32=False):
                recorded = record_signs(self.scored, self.whole.test_sample(SIGN_IMAGES))
            self.signs += [{"epoch": now.epoch + 1, "layer": name, **summary_row(s)} for name, s in recorded.items()]
        vars(now).update(vars(Progress(now.epoch + 1)))  # with empty sums
        self.epoch_start = self.generator.get_state()
        return score

    def run(self, out: Path, show: bool) -> Score | None:
        """Train to the end; return the last score, or None where a signal stopped it (the state is saved first)."""
        recipe, now = self.recipe, self.progress
        score = None
        done = self.steps * now.epoch + now.step
        bar = Bar(self.steps * recipe.epochs, initial=done, show=show and self.processes.is_main)
        bar.note = lambda: now.text if now.seen else self.log and f"test {self.log[-1]['test_accuracy']:.1%}"
        with first_interrupt_waits() as self.stop, bar, self.processes.watch_peers(lambda: self.kept):
            if now.epoch == now.step == 0:
                self.save(out)
            while now.epoch < recipe.epochs:
                bar.title = f"epoch {now.epoch + 1}/{recipe.epochs}"
                training = f"epoch {now.epoch + 1} with batch size {recipe.batch_size}"
                with enough_memory(f"in {training}", smaller_batch(recipe.batch_size), self.kept):
                    whole = self.run_epoch(bar)
                check_weights(self.net, self.where(), recipe.lr_at(now.epoch), self.kept)
                if whole:
                    with enough_memory("while the test images were scored", FREE, self.kept):
                        score = self.end_epoch()
                    for told in self.after_epoch:
                        told(now.epoch, score)
                self.save(out)
                stopping, *_ = self.processes.total(self.stop())
                if stopping and now.epoch < recipe.epochs:
                    return None
            return score or self.score()

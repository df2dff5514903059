"""Train one network by a recipe: readable, resumable to the bit, and it never loses a finished epoch."""

import signal
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from . import data, runs
from .augment import Augmentation
from .binarize import ede_schedule
from .checkpoints import CHECKPOINT, WEIGHTS, load, load_state, restore, save_checkpoint, save_weights
from .errors import RunError, UsageError
from .evaluate import Score, evaluate
from .files import write_csv, write_json
from .layers import binary_layers, set_ede
from .machine import describe_machine, pick_device
from .models import BinaryNet, build
from .recipes import Recipe
from .record import record_signs, summary_row

SIGN_IMAGES = 256  # test images whose signs are recorded after every epoch


@dataclass
class Progress:
    """Where a run stands: ``epoch`` epochs are finished and ``step`` steps of the next one, with their sums."""

    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    correct: int = 0
    seen: int = 0
    seconds: float = 0.0

    def finish_epoch(self) -> None:
        self.__init__(epoch=self.epoch + 1)


@dataclass
class Result:
    """A finished (or stopped) run: the network, the score of its last epoch, its folder, and whether it finished."""

    net: BinaryNet
    score: Score | None
    label: str  # what a figure on these images may be called
    out: Path
    finished: bool
    log: list[dict] = field(default_factory=list)


def make_optimizer(net: BinaryNet, recipe: Recipe) -> torch.optim.Optimizer:
    """SGD with momentum or Adam, weight decay on every parameter, as the recipe says."""
    if recipe.optimizer == "adam":
        return torch.optim.Adam(net.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay)
    return torch.optim.SGD(net.parameters(), recipe.lr, recipe.momentum, weight_decay=recipe.weight_decay)


def initial_network(recipe: Recipe, method: str, seed: int, images: data.ImageSet, init: str | None) -> BinaryNet:
    """The network of a recipe with weights drawn from ``seed``, or taken from ``init`` (stage 2 from stage 1)."""
    sized = {"image_size": images.image_size} if recipe.network in ("digits_convnet", "cifar10_vgg_small") else {}
    with torch.random.fork_rng():  # the caller's random numbers stay as they were
        torch.manual_seed(seed)
        net = build(
            recipe.network, method, images.num_classes, stage=recipe.stage, in_channels=images.channels, **sized
        )
    if init is not None:
        load_state(net, load(init).state_dict(), init)
    return net


def pick_forward(net: BinaryNet, device: torch.device) -> Callable[[Tensor], Tensor]:
    """What computes the logits while ``net`` trains on ``device``, and scores it after every epoch but the last."""
    return net


@contextmanager
def first_interrupt_waits():
    """Yield a function that says whether Ctrl-C was pressed. The first press only sets that; the second one raises.

    Only the main thread gets signals; elsewhere Ctrl-C stays what it was.
    """
    pressed = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield pressed.is_set
        return

    def on_interrupt(number, frame):
        if pressed.is_set():
            raise KeyboardInterrupt
        pressed.set()

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, before)


class Trainer:
    """One run. ``run`` trains until the last epoch or Ctrl-C; every finished epoch is on the disk."""

    def __init__(self, recipe: Recipe, method: str, seed: int, images, device: torch.device, init: str | None):
        self.recipe, self.method, self.seed = recipe, method, seed
        self.device = device
        self.images = images.to(device)
        self.net = initial_network(recipe, method, seed, images, init).to(device)
        self.forward = pick_forward(self.net, device)
        self.optimizer = make_optimizer(self.net, recipe)
        self.generator = torch.Generator().manual_seed(seed)  # order, crops and flips of all epochs
        self.epoch_start = self.generator.get_state()
        self.progress = Progress()
        self.log: list[dict] = []
        self.signs: list[dict] = []

    def resume(self, tensors: dict, about: dict, out: Path) -> None:
        """Put the run back to where its checkpoint was written, also within an epoch."""
        self.epoch_start = restore(tensors, self.net, self.optimizer, out / CHECKPOINT)
        self.progress = Progress(**about["progress"])
        self.log = runs.rows_until(out / runs.LOG, self.progress.epoch)
        self.signs = runs.rows_until(out / runs.SIGNS, self.progress.epoch)

    def save(self, out: Path) -> None:
        """Logs first, then the checkpoint: a kill in between leaves rows that resuming cuts off, never too few."""
        write_csv(out / runs.LOG, self.log)
        write_csv(out / runs.SIGNS, self.signs)
        about = {
            "identity": runs.identity(self.recipe, self.method, self.seed),
            "progress": vars(self.progress),
            "dataset": self.recipe.dataset,
        }
        save_checkpoint(out / CHECKPOINT, self.net, self.optimizer, self.epoch_start, about)

    def run_epoch(self, bar: tqdm, stop) -> bool:
        """Train from the current step to the end of the epoch; False where ``stop()`` ended it after a step."""
        recipe, now = self.recipe, self.progress
        set_ede(self.net, ede_schedule(now.epoch, recipe.epochs, *recipe.ede))
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.lr_at(now.epoch)
        self.generator.set_state(self.epoch_start)
        augmentation = Augmentation(recipe.pad, recipe.flip)
        self.net.train()
        clock = time.perf_counter()
        for x, y in self.images.epoch(recipe.batch_size, self.generator, augmentation, start=now.step):
            logits = self.forward(x)
            loss = F.cross_entropy(logits, y)
            value = loss.item()
            if not value < float("inf"):
                raise RunError(
                    f"the loss became {value} in epoch {now.epoch + 1}, step {now.step + 1}; "
                    f"the checkpoint of epoch {now.epoch} is kept; a smaller lr may help"
                )
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()

            now.step += 1
            now.seen += len(y)
            now.loss_sum += value * len(y)
            now.correct += (logits.argmax(1) == y).sum().item()
            elapsed = time.perf_counter() - clock
            now.seconds, clock = now.seconds + elapsed, clock + elapsed
            rate = now.seen / now.seconds
            bar.set_postfix_str(
                f"loss {now.loss_sum / now.seen:.3f}, acc {now.correct / now.seen:.1%}, {rate:,.0f} images/s", False
            )
            bar.update()
            if stop():
                return False
        return True

    def end_epoch(self) -> Score:
        """Score the test images, record signs, add the epoch's rows, move on to the next epoch."""
        now, recipe = self.progress, self.recipe
        last = now.epoch + 1 == recipe.epochs
        score = evaluate(self.net, self.images, forward=None if last else self.forward)  # the result: the readable path
        self.log.append(
            {
                "epoch": now.epoch + 1,
                "ede_t": ede_schedule(now.epoch, recipe.epochs, *recipe.ede),
                "lr": recipe.lr_at(now.epoch),
                "train_loss": now.loss_sum / now.seen,
                "train_accuracy": now.correct / now.seen,
                "test_loss": score.loss,
                "test_accuracy": score.top1,
                "test_top5": score.top5,
                "seconds": round(now.seconds, 3),
                "images_per_second": round(now.seen / now.seconds, 1),
            }
        )
        if binary_layers(self.net):
            x, _ = next(iter(self.images.test_batches(SIGN_IMAGES)))
            recorded = record_signs(self.net, x)
            self.signs += [{"epoch": now.epoch + 1, "layer": name, **summary_row(s)} for name, s in recorded.items()]
        now.finish_epoch()
        self.epoch_start = self.generator.get_state()
        return score

    def run(self, out: Path, show: bool) -> Score | None:
        """Train to the end; return the last score, or None where Ctrl-C stopped it (the state is saved first)."""
        recipe, now = self.recipe, self.progress
        score = None
        steps = self.images.num_batches(recipe.batch_size)
        bar = tqdm(total=steps * recipe.epochs, initial=steps * now.epoch + now.step, disable=not show, unit="step")
        with first_interrupt_waits() as stop, bar:
            if now.epoch == now.step == 0:
                self.save(out)
            while now.epoch < recipe.epochs:
                bar.set_description(f"epoch {now.epoch + 1}/{recipe.epochs}")
                whole = self.run_epoch(bar, stop)
                if whole:
                    score = self.end_epoch()
                self.save(out)
                if stop() and now.epoch < recipe.epochs:
                    return None
        return score or evaluate(self.net, self.images)


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
    progress: bool = True,
    download: bool = False,
    command: str = "",
) -> Result:
    """Train by ``recipe`` into the folder ``out`` (see ``runs``), and return the network with its last score.

    The same recipe, method, seed and thread count on the CPU give the same weights to the last bit, whether or not
    the run was killed and resumed in between. ``init`` takes the first weights from a trained network.

    Raises UsageError for wrong use, before anything is written, and RunError where the run can't go on.
    """
    if not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise UsageError(f"seed={seed!r}: a whole number from 0 to 2^63-1 is needed")
    wanted = runs.identity(recipe, method, seed)
    chosen = pick_device(device)
    folder, found = runs.open_folder(out, wanted, resume)
    images = data.load(recipe.dataset, data_dir, image_size=recipe.image_size, download=download, progress=progress)
    trainer = Trainer(recipe, method, seed, images, chosen, init)
    if found:
        trainer.resume(*found, folder)

    about = {
        **wanted,
        "data": images.label,
        "train_images": images.num_train,
        "test_images": images.num_test,
        "command": command,
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        **(runs.origin(folder) if found else {}),
        "machine": describe_machine(chosen),
    }
    write_json(folder / runs.RUN, {**about, "result": None})
    score = trainer.run(folder, progress)
    if score is None:
        return Result(trainer.net, None, images.label, folder, False, trainer.log)
    result = {"protocol": "last epoch, all test images", "test_accuracy": score.top1, "test_top5": score.top5}
    result |= {"test_loss": score.loss, "test_images": score.images}
    named = {"dataset": recipe.dataset, "data": images.label, "identity": wanted, "result": result}
    save_weights(folder / WEIGHTS, trainer.net, **named)
    write_json(folder / runs.RUN, {**about, "result": result})
    return Result(trainer.net.eval(), score, images.label, folder, True, trainer.log)

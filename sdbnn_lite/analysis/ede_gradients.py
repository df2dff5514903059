"""How large the latent weights' gradients are at each temperature t of EDE, in a network that is otherwise held fixed.

EDE's derivative k·t·(1 - tanh²(t·x)) is at most 1 while t <= 1 and peaks at t beyond: each layer on the way back may
multiply the gradient by t, where its inputs lie near 0.

final_gradients.csv   a row per run, t and binary layer: gradient and weight, the norms |dL/dW| and |W| of the latent
                      weights; inside, the share of the weights (as they go into the sign) with |t·w| < 1
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from pandas import read_csv
from scipy.interpolate import PchipInterpolator
from torch import Tensor

from ..core.binarize import ede_schedule
from ..core.layers import binary_layers, set_ede
from ..core.methods import METHODS
from ..core.models import BinaryNet, build
from ..data.in_memory import ImageSet
from ..system.devices import convolutions
from ..training.initial import set_gamma
from ..training.recipes import RECIPES
from ..training.run_folder import LOG
from . import study
from .captions import schedule_in_words, span
from .cifar10 import COMPRESSED
from .tables import FINAL_GRADIENTS, has_study, over_seeds, read_study, results_of, study_facts

TEMPERATURES = (0.01, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0)
IMAGES = 256
AT_ONE = 0.75  # of the schedule: there t is 1 on its way from 0.001 to 10
SUMMARY = ["method", "schedule", "optimizer", "t", "grows", "first", "step", "train", "test"]
HEADS = ("method", "schedule", "optimizer", "last t", "gradient ×", "first step", "last step", "points, training",
         "points, test")  # of summary
SCHEDULE = ("epochs", "optimizer", "schedule", "lr", "batch_size", "ede")  # published runs with other ones are shown
OURS = RECIPES["cifar10-resnet20-evening"]
STARTS = ("γ of batch norm", "values at ±1", "gradient, first block over last")  # heads of at_start


def at_start(gammas: Sequence[float] = (1.0, OURS.initial_gamma), t: float = OURS.ede[0],
             images: int = 64) -> list[tuple[float, str, str]]:  # fmt: skip
    """A row per γ that an untrained ResNet-20 starts from (:func:`set_gamma`), seen on ``images`` of noise.

    Of its 9 blocks' outputs x: the share that Hardtanh clips, and ‖dL/dx‖ behind the first over that behind the last.
    """
    rows = []
    for gamma in gammas:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            net, x = build("cifar10_resnet20"), torch.randn(images, 3, 32, 32)
        set_gamma(net, gamma)
        set_ede(net, t)
        maps: list[Tensor] = []
        for block in (block for stage in net.layers for block in stage):
            block.register_forward_hook(lambda *seen, maps=maps: maps.append(seen[-1]))
        first, *_, last = torch.autograd.grad(F.cross_entropy(net(x), torch.arange(images) % 10), maps)
        clipped = np.mean([100 * (out.abs() == 1).double().mean().item() for out in maps])
        rows.append((gamma, f"{clipped:.0f} %", f"{(first.norm() / last.norm()).item():.2g}"))
    return rows


def gradient_rows(net: BinaryNet, images: Tensor, labels: Tensor, temperatures: Sequence[float]) -> list[dict]:
    """|dL/dW| of the cross-entropy L of ``images`` (N, C, H, W) with ``labels`` (N,), for each t and binary layer.

    Batch norm as in training, in a copy of the net. None for the float twin. UsageError unless every t is above 0.
    """
    net = copy.deepcopy(net).train()
    layers, rows = binary_layers(net), []
    for t in temperatures if layers else ():
        set_ede(net, t)
        with convolutions(tf32=False):
            loss = F.cross_entropy(net(images), labels)
        found = torch.autograd.grad(loss, [layer.weight for layer in layers.values()])
        for (name, layer), gradient in zip(layers.items(), found, strict=True):
            inside = (t * layer.shifted_weight().detach()).abs() < 1
            norms = {"gradient": gradient.norm().item(), "weight": layer.weight.detach().norm().item()}
            rows.append({"t": t, "layer": name, **norms, "inside": inside.double().mean().item()})
    return rows


def final_rows(net: BinaryNet, images: ImageSet) -> list[dict]:
    """The rows of final_gradients.csv for ``net``, as loaded from its run's file: at ``TEMPERATURES`` and at the t of
    its last epoch, on its device, seen on ``IMAGES`` test images of the whole set."""
    run, device = net.about["identity"], next(net.parameters()).device
    sample, labels = images.test_sample(IMAGES).to(device), images.test_labels[images.sampled_places(IMAGES)].to(device)
    last = ede_schedule(run["epochs"] - 1, run["epochs"], *run["ede"])
    rows = gradient_rows(net, sample, labels, sorted({*TEMPERATURES, last}))
    return [{**row, "images": len(sample)} for row in rows]


def write_study_gradients(out: Path, rows: list[dict], to: Path, images: ImageSet) -> None:
    """final_gradients.csv of a study whose runs lie in ``out``, into the folder ``to``; ``rows`` are runs.csv's."""
    study.measure_runs(out, rows, Path(to) / FINAL_GRADIENTS, lambda net: final_rows(net, images))


def over_layers(table: pd.DataFrame) -> pd.DataFrame:
    """A row per method, seed and t: relative, |dL/dW| / |W| over all layers at once."""
    groups = table.groupby(["method", "seed", "t"], sort=False)
    norm = {key: groups[key].agg(lambda norms: np.sqrt(np.square(norms).sum())) for key in ("gradient", "weight")}
    return (norm["gradient"] / norm["weight"]).rename("relative").reset_index()


@dataclass(frozen=True)
class Course:
    """What EDE's gradients did to one method's steps under one schedule; all are means over its seeds.

    schedule   in words: the epochs, and what else differs from ``COMPRESSED``
    relative   |dL/dW| / |W| of the trained networks, by t
    log        a row per epoch, the columns of log.csv
    """

    method: str
    schedule: str
    optimizer: str
    relative: pd.Series
    log: pd.DataFrame

    def steps(self) -> pd.DataFrame:
        """A row per epoch: share of the schedule done, t, and step, lr·|dL/dW|/|W| over its value where t = 1.

        Between two measured t the gradient is interpolated, both scales logarithmic. Only SGD's step grows with the
        gradient; Adam divides by its size, so that lr alone stands for it. Where t stays below 1, the value after
        ``AT_ONE`` of the schedule is taken, where it starts above 1 the first one.
        """
        share, t, lr = (self.log["epoch"] - 1) / len(self.log), self.log["ede_t"], self.log["lr"]
        known = np.log(self.relative.index), np.log(self.relative)

        def size(t: float, lr: float) -> float:
            return lr * (np.exp(np.interp(np.log(t), *known)) if self.optimizer == "sgd" else 1)

        start = np.interp(0, np.log(t), share) if t.max() > 1 else AT_ONE
        one = size(np.exp(np.interp(start, share, np.log(t))), PchipInterpolator(share, lr)(start))
        return pd.DataFrame({"share": share, "t": t, "step": size(t, lr) / one})

    def end(self) -> dict | None:
        """A row of :func:`summary`; None where gradients weren't measured at t = 1 and the last t, or no epoch is late
        enough."""
        log, t = self.log, self.log["ede_t"].iloc[-1]
        late = log[log["ede_t"] > 1 if log["ede_t"].max() > 1 else log["epoch"] > AT_ONE * len(log)]
        at_one, at_last = (self.relative[np.isclose(self.relative.index, x)] for x in (1.0, t))
        if late.empty or at_one.empty or at_last.empty:
            return None
        change = 100 * (late.iloc[-1] - late.iloc[0])
        first, *_, step = self.steps()["step"]
        return {"method": self.method, "schedule": self.schedule, "optimizer": self.optimizer, "t": t,
                "grows": at_last.iloc[0] / at_one.iloc[0], "first": first, "step": step,
                "train": change["train_accuracy"], "test": change["test_accuracy"]}  # fmt: skip


def courses_of(table: pd.DataFrame, epochs: pd.DataFrame, facts: Mapping, schedule: str) -> list[Course]:
    """A Course per method that learns with EDE, from the rows of final_gradients.csv and epochs.csv of a study."""
    relative, found = over_layers(table).groupby(["method", "t"])["relative"].mean(), []
    for method in (m for m in METHODS if METHODS[m].weight_gradient == "ede" and m in relative.index):
        log = epochs[epochs["method"] == method].groupby("epoch").mean(numeric_only=True).reset_index()
        if len(log) > 1:
            found.append(Course(method, schedule, facts["optimizer"], relative.loc[method], log))
    return found


def courses() -> list[Course]:
    """Those of the compressed schedule, then the published runs' of its network whose settings are others."""
    facts = study_facts(COMPRESSED)
    found = []
    if has_study(COMPRESSED, FINAL_GRADIENTS):
        tables = (read_study(COMPRESSED, name) for name in (FINAL_GRADIENTS, "epochs.csv"))
        found = courses_of(*tables, facts, f"{facts['epochs']} epochs")
    for same in over_seeds(facts["dataset"]):
        run = next(iter(same.values()))
        seeds = [(folder, r["seed"]) for folder, r in zip(map(results_of, same), same.values())
                 if (folder / FINAL_GRADIENTS).is_file()]  # fmt: skip
        differs = any(run[key] != facts[key] for key in SCHEDULE) or run["method"] not in facts["methods"]
        if seeds and differs and run["network"] == facts["network"]:
            tables = ([read_csv(folder / file).assign(method=run["method"], seed=seed) for folder, seed in seeds]
                      for file in (FINAL_GRADIENTS, LOG))  # fmt: skip
            found += courses_of(*map(pd.concat, tables), run, schedule_in_words(run, facts))
    return found


def summary(found: Sequence[Course]) -> pd.DataFrame:
    """A row per Course that has one.

    t: of the last epoch; grows: the relative gradient there over that at t = 1; first, step: the first and the last
    epoch's of :meth:`Course.steps`; train, test: points of accuracy since the first epoch with t > 1, or after
    ``AT_ONE`` of the schedule.
    """
    return pd.DataFrame([row for course in found if (row := course.end())], columns=SUMMARY)


def _named(part: pd.DataFrame) -> str:
    groups = part.groupby("schedule", sort=False)["method"]
    return ", ".join(f"{', '.join(f'`{m}`' for m in methods)} ({schedule})" for schedule, methods in groups)


def agreeing(found: pd.DataFrame) -> int:
    """In how many rows of :func:`summary` training accuracy fell where the step grew, and didn't where it shrank."""
    return int(((found["step"] > 1) == (found["train"] < 0)).sum())


def in_words(found: pd.DataFrame) -> str:
    """What :func:`summary` says, and no more."""
    if found.empty:
        return "No network that learns with EDE has come to temperatures above 1 yet."
    said = []
    for part in (found[found["step"] > 1], found[found["step"] <= 1]):
        if len(part):
            changed = " to ".join(dict.fromkeys(f"{end:+.2f}" for end in (part["train"].min(), part["train"].max())))
            said.append(f"{_named(part)}: from t = 1 to the last epoch gradients grow {span(part['grows'])} times, "
                        f"their product with the learning rate ends at {span(part['step'], 2)} times what it was, and "
                        f"above t = 1 training accuracy changed by {changed} points.")  # fmt: skip
    if (found["optimizer"] == "adam").any():
        said.append("Adam divides by the gradient's size: its step is the learning rate alone.")
    said.append(f"Training accuracy fell where that product, the step, grew, and didn't where it shrank, in "
                f"{agreeing(found)} of {len(found)} cases. (The first epoch's step was {span(found['first'], 1)} times "
                f"that at t = 1, when there was little to lose.)")  # fmt: skip
    return " ".join(said)

"""How large the latent weights' gradients are at each temperature t of EDE, in a network that is otherwise held fixed.

EDE's derivative k·t·(1 - tanh²(t·x)) is at most 1 while t <= 1 and peaks at t beyond: each layer on the way back may
multiply the gradient by t, where its inputs lie near 0.

final_gradients.csv   a row per run, t and binary layer: gradient and weight, the norms |dL/dW| and |W| of the latent
                      weights; inside, the share of the weights (as they go into the sign) with |t·w| < 1
"""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from ..core.binarize import ede_schedule
from ..core.layers import binary_layers, set_ede
from ..core.methods import METHODS
from ..core.models import BinaryNet
from ..data.in_memory import ImageSet
from ..system.devices import convolutions
from ..training.run_folder import LOG
from . import study
from .captions import span
from .tables import FINAL_GRADIENTS, results_of

TEMPERATURES = (0.01, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0)
IMAGES = 256
SUMMARY = ["method", "t", "train", "test", "grows"]


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


def summary(table: pd.DataFrame, epochs: pd.DataFrame) -> pd.DataFrame:
    """A row per method that learns with EDE, came to t > 1, and is measured in ``table`` at t = 1 and its last t.

    All are means over the seeds. t: of the last epoch. train, test: points of accuracy since the first epoch with
    t > 1. grows: the relative gradient at that t over that at t = 1.
    """
    relative, rows = over_layers(table).groupby(["method", "t"])["relative"].mean(), []
    for method in (m for m in METHODS if METHODS[m].weight_gradient == "ede" and m in relative.index):
        means = epochs[epochs["method"] == method].groupby("epoch")[["ede_t", "train_accuracy", "test_accuracy"]].mean()
        steep, mine = means[means["ede_t"] > 1], relative.loc[method]
        if steep.empty:
            continue
        t, (_, train, test) = steep["ede_t"].iloc[-1], 100 * (steep.iloc[-1] - steep.iloc[0])
        at_one, at_last = (mine[np.isclose(mine.index, x)] for x in (1.0, t))
        if len(at_one) and len(at_last):
            rows.append((method, t, train, test, at_last.iloc[0] / at_one.iloc[0]))
    return pd.DataFrame(rows, columns=SUMMARY)


def run_summary(name: str, run: Mapping) -> pd.DataFrame:
    """:func:`summary` of a published run, one row or none; ``run`` is its run.json."""
    path = results_of(name) / FINAL_GRADIENTS
    if not path.is_file():
        return pd.DataFrame(columns=SUMMARY)
    who = {"method": run["method"], "seed": run["seed"]}
    return summary(pd.read_csv(path).assign(**who), pd.read_csv(path.with_name(LOG)).assign(**who))


def in_words(found: pd.DataFrame, longer: pd.DataFrame, epochs: int) -> str:
    """What :func:`summary` says, and a ``longer`` run of so many ``epochs`` (its :func:`run_summary`), and no more."""
    if found.empty:
        return "No network that learns with EDE has come to temperatures above 1 yet."
    lost, kept = found[found["train"] < 0], found[found["train"] >= 0]
    said = [
        f"{', '.join('`' + part['method'] + '`')} {verb} training accuracy after t had passed 1; there gradients grow "
        f"{span(part['grows'])} times from t = 1 to the last epoch's {span(part['t'], 1)}"
        for part, verb in ((lost, "lost"), (kept, "kept or gained"))
        if len(part)
    ]
    said += [
        f"In the run of {epochs} epochs, `{row.method}`'s gradients grow {row.grows:,.0f} times from t = 1 to its last "
        f"{row.t:.1f}, and its training accuracy changed by {row.train:+.2f} points after t had passed 1"
        for row in longer.itertuples()
    ]
    return (f"{'. '.join(said)}. So much is measured. Whether the larger steps are what costs the points isn't; a run "
            "whose t stays below 1 would test it: `sdbnn-lite train cifar10-resnet20 --epochs 15 --ede 0.001 1 --data "
            "DIR`.")  # fmt: skip

"""How many weight signs WSD flips: expected by hand before training, counted after it, in every committed run."""

import math

import pandas as pd
import torch
from torch import Tensor

from ..core.layers import binary_layers
from ..core.methods import METHODS, get_method
from ..core.models import build
from ..core.wsd import WSD_CONSTANT, per_filter
from ..errors import UsageError
from .captions import span
from .cifar10 import TITLES
from .final_signs import last_signs, read_signs
from .tables import published_runs, results_of, study_facts

SHARE = WSD_CONSTANT / 2  # of a filter's mean, by which WSD shifts at the start: σ(0) = 1/2
STUDIES = ("digits", "cifar10-resnet20")
DATA = {"digits": "digits", "cifar10": "CIFAR-10", "imagenette": "Imagenette"}
NETWORKS = {"digits_convnet": "small network", **TITLES, "imagenet_resnet18": "ResNet-18"}
CLOSEST = 0.001  # standard deviations: as near to zero as WSD's shifts reach
_RUN = ["data", "network", "method", "epochs", "n"]


def expected_flips(fan_in: int, share: float = SHARE) -> float:
    """The share of signs that w + share·mean(w) flips, for a filter of ``fan_in`` normal weights of mean 0.

    A weight and its shifted self are jointly normal, and their signs differ with the angle between them over π:

        arctan(share·√(n-1) / (n + share)) / π,     nearly share / (π·√n) where the share is small

    The weights' spread drops out. ``share`` = σ(α)·constant, 0.005 at the start of the published training.
    """
    if fan_in < 1 or not share >= 0:
        raise UsageError(f"fan_in={fan_in}, share={share}: at least 1 and at least 0 are needed")
    return math.atan2(share * math.sqrt(fan_in - 1), fan_in + share) / math.pi


def flipped(w: Tensor, shift: Tensor) -> Tensor:
    """True where w + shift has another sign than w; the shape of ``w``."""
    return (w >= 0) != (w + shift >= 0)


def excess(w: Tensor) -> tuple[float, float]:
    """What may let WSD flip more signs of latent weights w (O, …) than of fresh ones: two factors, each 1 when fresh.

    How many times larger the filters' means are, in the weights' standard deviations; and how many times more weights
    lie within ``CLOSEST`` standard deviations of 0.
    """
    std = w.std()
    means = w.mean(dim=per_filter(w)).abs().mean() / (std * math.sqrt(2 / (math.pi * w[0].numel())))
    crowd = (w.abs() < CLOSEST * std).double().mean() / math.erf(CLOSEST / math.sqrt(2))
    return float(means), float(crowd)


def committed() -> pd.DataFrame:
    """A row per binary layer of each committed run with WSD (of a study: each method, mean over n seeds), last epoch.

    Columns: data, network, method, epochs, n; layer, weights (their number), ``flips`` (share of them), and ``fresh``:
    the share that is expected by hand before training. Runs whose weights are still real (stage 1) don't count.
    """
    rows = []
    for study in STUDIES:
        table, facts = last_signs(study)[0], study_facts(study)
        for method, mine in table.groupby("method", sort=False):
            rows += _rows(facts, method, mine)
    for data in ("cifar10", "imagenette"):
        for name, run in published_runs(data).items():
            if run["stage"] == 2:
                rows += _rows(run, run["method"], read_signs(results_of(name))[0].assign(seed=run["seed"]))
    return pd.DataFrame(rows)


def _rows(facts: dict, method: str, signs: pd.DataFrame) -> list[dict]:
    if get_method(method).weight_shift != "wsd":
        return []
    with torch.device("meta"):  # only the shapes
        layers = binary_layers(build(facts["network"], method))
    about = {"data": DATA[facts["dataset"]], "network": NETWORKS[facts["network"]], "method": METHODS[method].short,
             "epochs": facts["epochs"], "n": signs["seed"].nunique()}  # fmt: skip
    return [{**about, "layer": name, "weights": layers[name].weight.numel(), "flips": share,
             "fresh": expected_flips(layers[name].weight[0].numel())}
            for name, share in signs.groupby("layer", sort=False)["weight_flips"].mean().items()]  # fmt: skip


def by_run(table: pd.DataFrame) -> pd.DataFrame:
    """:func:`committed` with a row per run, the longest trained last: ``flips`` and ``fresh`` over all its weights,
    and the ``lowest`` and ``highest`` of its layers' flips."""
    rows = []
    for about, mine in table.groupby(_RUN, sort=False):
        shares = {key: (mine[key] * mine["weights"]).sum() / mine["weights"].sum() for key in ("flips", "fresh")}
        rows.append({**dict(zip(_RUN, about)), **shares, "lowest": mine["flips"].min(), "highest": mine["flips"].max()})
    return pd.DataFrame(rows).sort_values("epochs", kind="stable", ignore_index=True)


def run_in_words(run: pd.Series) -> str:
    """One row of :func:`by_run` in a sentence."""
    return (f"{run['network']}, {run['epochs']} epochs of {run['method']} on {run['data']} (n = {run['n']}): WSD flips "
            f"{100 * run['flips']:.3f} % of all weight signs, {span(100 * run[['lowest', 'highest']], 3)} % by layer, "
            f"{run['flips'] / run['fresh']:.1f} times what is expected before training.")  # fmt: skip

"""How many weight signs WSD flips: expected by hand before training, counted after it, in every committed run."""

import copy
import math
from collections.abc import Mapping

import pandas as pd
import torch
from torch import Tensor, nn

from ..core.layers import binary_layers
from ..core.methods import METHODS, get_method
from ..core.models import build
from ..core.wsd import WSD_CONSTANT, per_filter
from ..errors import UsageError
from . import ablation, final_signs
from .captions import spread
from .final_signs import last_signs
from .input_shares import NETWORKS
from .tables import STUDIES, read_study, study_facts

DATA = {"digits": "digits", "cifar10": "CIFAR-10", "imagenette": "Imagenette"}


def expected_flips(fan_in: int, share: float = WSD_CONSTANT / 2) -> float:
    """The share of signs that w + share·mean(w) flips, for a filter of ``fan_in`` normal weights of mean 0.

    A weight and its shifted self are jointly normal, and their signs differ with the angle between them over π:

        arctan(share·√(n-1) / (n + share)) / π,     nearly share / (π·√n) where the share is small

    The weights' spread drops out. ``share`` = σ(α)·constant, 0.005 at the start of the published training.
    """
    if fan_in < 1 or not share >= 0:
        raise UsageError(f"fan_in={fan_in}, share={share}: at least 1 and at least 0 are needed")
    return math.atan2(share * math.sqrt(fan_in - 1), fan_in + share) / math.pi


def flipped(w: Tensor, shifted: Tensor) -> Tensor:
    """True where ``shifted`` has another sign than w; the shape of both."""
    return (w >= 0) != (shifted >= 0)


def in_deviations(net: nn.Module) -> Tensor:
    """All latent weights of a network's binary layers in one row, in standard deviations of their layer."""
    weights = [layer.weight.detach() for layer in binary_layers(net).values()]
    return torch.cat([(w / w.std()).flatten() for w in weights])


def crowd(scaled: Tensor, near: float = 0.01) -> float:
    """How many times more of the values, in standard deviations, lie within ``near`` of 0 than of a bell curve's."""
    return (scaled.abs() < near).double().mean().item() / math.erf(near / math.sqrt(2))


@torch.no_grad()
def explain(net: nn.Module) -> list[tuple]:
    """Why the flips of a trained network aren't those of a fresh one: a row per layer.

    Its name; flips expected when fresh; how many times larger the filters' means are, in the weights' standard
    deviations; the :func:`crowd` within reach of the shifts; what the three make together; flips found; and how many
    of these went to the sign of their filter's mean.
    """
    rows = []
    for name, layer in binary_layers(net).items():
        w, dims, fan_in = layer.weight, per_filter(layer.weight), layer.weight[0].numel()
        mean, hit = w.mean(dim=dims, keepdim=True), flipped(w, layer.shifted_weight())
        fresh = expected_flips(fan_in) * w.numel()
        means = (mean.abs().mean() / (w.std() * math.sqrt(2 / (math.pi * fan_in)))).item()
        times = crowd(w / w.std(), near=0.001)  # as far as the shifts reach
        towards = (hit & ((mean >= 0) != (w >= 0))).sum().item()
        rows.append((name, fresh, means, times, fresh * means * times, hit.sum().item(), towards))
    return rows


def with_wsd(net: nn.Module, alpha: float = 0.0, constant: float = WSD_CONSTANT) -> nn.Module:
    """A copy of ``net`` with these α and constant in every binary layer."""
    net = copy.deepcopy(net)
    for layer in binary_layers(net).values():
        layer.wsd.constant = constant
        layer.wsd.alpha.data.fill_(alpha)
    return net


def with_random_flips(net: nn.Module, draw: torch.Generator) -> nn.Module:
    """A copy of ``net``, in each layer as many random weights with the other sign as WSD flips there."""
    net = copy.deepcopy(net)
    for layer in binary_layers(net).values():
        w, number = layer.weight.data, flipped(layer.weight, layer.shifted_weight()).sum()
        w.view(-1)[torch.randperm(w.numel(), generator=draw)[:number]] *= -1
    return net


def committed() -> pd.DataFrame:
    """A row per binary layer of each committed run with WSD (of a study: each method, mean over n seeds), last epoch.

    Columns: run (its first folder), data, network, method, epochs, n; layer, weights (their number), ``flips`` (share
    of them), and ``fresh``: the share that is expected by hand before training. Real weights (stage 1) don't count.
    """
    rows = []
    for facts, folders, table in final_signs.committed(("cifar10", "imagenette")):
        for method, signs in table.groupby("method", sort=False):
            if facts["stage"] != 2 or get_method(method).weight_shift != "wsd":
                continue
            with torch.device("meta"):  # only the shapes
                layers = binary_layers(build(facts["network"], method))
            trained = METHODS[method].short + " by Adam" * (facts["optimizer"] == "adam")
            about = {"run": folders[0].name, "data": DATA[facts["dataset"]], "network": NETWORKS[facts["network"]],
                     "epochs": facts["epochs"], "method": trained, "n": signs["seed"].nunique()}
            for name, share in signs.groupby("layer", sort=False)["weight_flips"].mean().items():
                w = layers[name].weight
                rows.append({**about, "layer": name, "weights": w.numel(), "flips": share,
                             "fresh": expected_flips(w[0].numel())})  # fmt: skip
    return pd.DataFrame(rows)


def by_run(table: pd.DataFrame) -> pd.DataFrame:
    """:func:`committed` with a row per run, the longest trained last: ``fresh`` and ``flips`` over all its weights,
    and the ``lowest`` and ``highest`` of its layers' flips, all in percent."""
    rows, run = [], ["run", "data", "network", "epochs", "method", "n"]
    for about, mine in table.groupby(run, sort=False):
        of_all = {key: (mine[key] * mine["weights"]).sum() / mine["weights"].sum() for key in ("fresh", "flips")}
        shares = {**of_all, "lowest": mine["flips"].min(), "highest": mine["flips"].max()}
        rows.append(dict(zip(run[1:], about[1:])) | {key: 100 * share for key, share in shares.items()})
    return pd.DataFrame(rows).sort_values("epochs", kind="stable", ignore_index=True)


def run_in_words(run: Mapping) -> str:
    """One row of :func:`by_run` in a sentence."""
    about = f"{run['network']}, {run['epochs']} epochs of {run['method']} on {run['data']} (n = {run['n']})"
    return (f"{about}: WSD flips {run['flips']:.2g} % of the weight signs, {run['flips'] / run['fresh']:.1f} times "
            "what is expected before training; from layer to layer {lowest:.2g} to {highest:.2g} %.".format(**run))


def verdict_in_words() -> list[str]:
    """Claim 4 in sentences: the flips, the outputs' entropy beside that of the control, and what WSD earns."""
    found, signs = by_run(committed()), last_signs("digits")[0]
    runs = [found[found["data"] == DATA["digits"]].iloc[0], found[found["data"] != DATA["digits"]].iloc[-1]]
    bits = signs.groupby(["method", "seed"])["entropy"].mean()
    wsd, ede = bits["wsd"], bits[ablation.CONTROL]
    same = abs(wsd.mean() - ede.mean()) <= max(wsd.std(), ede.std())
    so = "the same within" if same else "they differ by more than"
    said = [*map(run_in_words, runs), f"Entropy of the output signs on the digits: {spread(wsd)} bit with WSD, "
            f"{spread(ede)} bit with its control; {so} the seeds' spread."]  # fmt: skip
    for study in STUDIES:
        facts = study_facts(study)
        said += [f"Accuracy on {DATA[facts['dataset']]} (recipe {study}), {c.part} ({c.one} less {c.other}): "
                 f"{c.points:+.1f} points; {c.verdict}."
                 for c in ablation.contrasts(read_study(study), facts["test_images"])
                 if c.part.startswith("WSD")]  # fmt: skip
    return [f"**Claim 4 holds {'in part' if same else 'here'}.**", *said]

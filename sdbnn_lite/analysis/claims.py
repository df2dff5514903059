"""The paper's five claims, each beside what we measured: live, from the trained networks and tables in the package.

What the paper says stands in claims.toml. Whatever our sentences say comes from a number that was just computed; a
Claim carries both, so that notebooks and tests can assert the numbers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.stats import kruskal
from torch.nn.modules.module import register_module_forward_pre_hook

from ..core.layers import BinaryConv2d, binary_layers
from ..core.methods import METHODS
from ..core.models import BinaryNet, build
from ..core.record import LayerSigns, record_signs
from ..cost.fold_scale import extra_operations, fold_scale
from ..data.sets import digit_images
from ..errors import UsageError
from ..system.devices import one_thread
from ..system.files import read_toml
from ..weights import zoo
from . import ablation, cifar10, input_shares
from . import imagenet as imagenet_results
from .ablation import CONTROL
from .captions import in_percent, spread
from .output_share import correlation, predicted_share
from .shift_words import tanh_in_words
from .silent_channels import silent_channels, silent_in_words
from .tables import read_study, study_facts, summary
from .weight_flips import flipped

YES, PARTLY, NO, UNDECIDED = VERDICTS = ("yes", "partly", "no", "not decided here")
STUDY = "digits"
BINARY = tuple(m.name for m in METHODS.values() if m.binary)
SCALED = tuple(m.name for m in METHODS.values() if m.scale)
COUNTED = {"digits_convnet": 8, "cifar10_resnet18": 32}  # networks whose extra operations are counted; pixels a side
SEED = 0
Nets, Recorded = Mapping[str, BinaryNet], Mapping[str, Mapping[str, LayerSigns]]  # by method, and by layer


@dataclass(frozen=True)
class Claim:
    """One claim of the paper."""

    number: int  # 1 to 5
    claim: str  # what the paper says, in our words
    paper: str  # the paper's own number or wording for it
    where: str  # the notebook in which to see it
    headline: str  # the one number that stands for all of them, in a short sentence
    measured: str  # what we measured: data set, epochs and n in the sentence
    holds: str  # one of ``VERDICTS``
    numbers: Mapping[str, float]  # what ``measured`` is made of, and the pictures of plots.cards

    def __post_init__(self) -> None:
        if self.holds not in VERDICTS:
            raise UsageError(f"holds={self.holds!r}: choose one of {', '.join(VERDICTS)}")


def said() -> dict[int, dict[str, str]]:
    """What the paper says, by the claim's number: claim, paper and where, as in :class:`Claim`."""
    return {int(number): texts for number, texts in read_toml(Path(__file__).with_name("claims.toml")).items()}


def _claim(number: int, headline: str, measured: str, holds: str, numbers: Mapping[str, float]) -> Claim:
    return Claim(number, **said()[number], headline=headline, measured=measured, holds=holds, numbers=numbers)


def measure() -> list[Claim]:
    """All five, measured now; a few seconds, the same each time, whatever number of threads torch is set to.

    Raises UsageError where the study's tables or networks aren't in the package.
    """
    with one_thread():
        nets = {method: zoo.load(f"{STUDY}_{method}") for method in BINARY}
        images = digit_images()
        recorded = {method: record_signs(net, images) for method, net in nets.items()}
        facts = study_facts(STUDY)
        last = read_study(STUDY, "signs.csv").query(f"epoch == {facts['epochs']}")
        about = f"{facts['data'].split(' (')[0]}, {facts['epochs']} epochs"
        return [_scaling(nets, recorded, len(images), about), _distribution(nets, recorded, len(images), about),
                _asd(last, recorded["asd"], _frozen(nets["asd"], images), about), _wsd(last, nets, about),
                _accuracy_and_cost(nets, images, facts, about)]  # fmt: skip


def markdown(claims: Sequence[Claim], folder: str = "notebooks/") -> str:
    """The claims as Markdown, a section each, the number first; links to notebooks begin with ``folder``."""
    return "\n\n".join(
        f"## Claim {c.number}: {c.holds}\n\n> {c.claim}\n\n**{c.headline}**\n\n{c.measured}\n\n"
        f"The paper: {c.paper}. To be seen in [{c.where[:2]}]({folder}{c.where})."
        for c in claims
    )


def _scaling(nets: Nets, recorded: Recorded, images: int, about: str) -> Claim:
    layers = [layer for method in SCALED for layer in recorded[method].values()]
    flips, outputs = sum(layer.scale_flips for layer in layers), sum(layer.outputs for layer in layers)
    with torch.no_grad():
        factors = {m: torch.cat([layer.scale() for layer in binary_layers(nets[m]).values()]) for m in SCALED}
    numbers = {"flips": flips, "outputs": outputs, "smallest_factor": min(s.min().item() for s in factors.values())}
    for m, s in factors.items():
        numbers |= {f"{m}_lowest": s.min().item(), f"{m}_highest": s.max().item()}
    names = {m: METHODS[m].short for m in SCALED}
    ones = [f" ({names[m]}'s are all 1)" for m, s in factors.items() if (s == 1).all()]
    return _claim(
        1,
        f"{flips:,} of {outputs:,} output signs change with the scaling factors.",
        f"The factors of {', '.join(names.values())}{''.join(ones)} change {flips:,} of {outputs:,} output signs "
        f"({about}, {images} test images, n = 1 seed each).",
        YES if flips == 0 else NO,
        numbers,
    )


def _distribution(nets: Nets, recorded: Recorded, images: int, about: str) -> Claim:
    names = [(method, layer) for method in nets for layer in recorded[method]]
    every = [recorded[method][layer] for method, layer in names]
    weights = [layer.binary_weight().detach().numpy() for net in nets.values() for layer in binary_layers(net).values()]
    fits = [correlation(predicted_share(w, seen.input_after), seen.output) for w, seen in zip(weights, every)]
    entropies, dead = np.concatenate([seen.entropy for seen in every]), sum(int(seen.dead.sum()) for seen in every)
    numbers = {"layers": len(fits), "channels": len(entropies)}
    numbers |= {"r_lowest": float(min(fits)), "r_median": float(np.median(fits)), "r_highest": float(max(fits))}
    numbers |= {f"{method}_{layer}_r": fit for (method, layer), fit in zip(names, fits)}
    numbers |= {"dead": dead, "below_half_a_bit": int((entropies < 0.5).sum())}
    photographs = silent_channels()
    if photographs:
        numbers |= {f"imagenette_{key}": value for key, value in photographs.counts.items()}
    return _claim(
        2,
        f"r = {np.median(fits):.2f} between predicted and measured shares of +1 (the layers' median).",
        f"Each channel's share of +1, predicted from the shares of its inputs and its weights as if inputs were "
        f"independent, follows the measured one: r = {min(fits):.2f} to {max(fits):.2f} over the channels of a layer, "
        f"median {np.median(fits):.2f} ({len(fits)} layers of {len(nets)} methods). Silent channels: on the "
        f"digits {dead} of {len(entropies):,} are dead, {numbers['below_half_a_bit']} carry less than half a bit "
        f"({about}, {images} test images, n = 1 seed)"
        f"{f'; on photographs {silent_in_words(photographs)}.' if photographs else '.'}",
        YES if np.median(fits) > 0.7 else PARTLY,
        numbers,
    )


@torch.no_grad()
def _frozen(net: BinaryNet, images: torch.Tensor) -> float:
    """Share of input signs that would differ if each channel's shift were its mean over the images; the worst layer."""
    shares = []

    def watch(layer, inputs):
        if isinstance(layer, BinaryConv2d):
            (a,) = inputs
            shift = layer.activation_shift(a)
            shares.append(((a + shift >= 0) != (a + shift.mean(dim=0) >= 0)).double().mean().item())

    with register_module_forward_pre_hook(watch):
        net(images)
    return max(shares)


def _asd(last: pd.DataFrame, recorded: Mapping[str, LayerSigns], frozen: float, about: str) -> Claim:
    # Moves to -1: of all flips, those that the share of +1 didn't gain.
    back = [s.input_flips - (s.input_after.mean() - s.input_before.mean()) for s in recorded.values()]
    flips = last.loc[last["method"] == "asd", "input_flips"]
    per_seed = last.pivot(index="seed", columns=["method", "layer"], values="entropy")
    entropy = {layer: (per_seed["asd", layer], per_seed[CONTROL, layer]) for layer in last["layer"].unique()}
    compared = [f"{spread(ours)} bit in {layer}, {spread(ede)} without" for layer, (ours, ede) in entropy.items()]
    lower = sum(int((ours < control).sum()) for ours, control in entropy.values())
    pairs = len(per_seed) * len(entropy)
    numbers = {"flips_lowest": float(flips.min()), "flips_highest": float(flips.max())}
    numbers |= {"moved_to_minus": float(np.abs(back).max() / 2), "frozen": frozen, "lower": lower, "pairs": pairs}
    numbers |= {f"{layer}_difference": float(ours.mean() - ede.mean()) for layer, (ours, ede) in entropy.items()}
    numbers |= {f"{layer}_{m}_{seed}": bits for (m, layer), column in per_seed.items() if m in ("asd", CONTROL)
                for seed, bits in column.items()}  # fmt: skip
    first = min(entropy)
    return _claim(
        3,
        f"{numbers[f'{first}_difference']:+.2f} bit: what ASD adds to the entropy of {first}'s output signs.",
        f"It flips {100 * flips.min():.0f} to {100 * flips.max():.0f} % of the input signs, "
        f"{'all' if np.abs(back).max() < 1e-9 else 'most'} of them to +1; with each channel's shift frozen at its mean "
        f"over the images, {100 * frozen:.1f} % of the signs at most would differ (n = 1). The convolution's output "
        f"signs, before batch norm, then differ {'*less*' if lower > pairs / 2 else 'more'}: entropy "
        f"{'; '.join(compared)}; lower in {lower} of {pairs} pairs of layer and seed ({about}, mean ± std, "
        f"n = {len(per_seed)} seeds, EDE's gradient in both).\n\n{tanh_in_words(last)}{_compensated()}",
        PARTLY if lower else YES,
        numbers,
    )


def _compensated() -> str:
    """Whether the shift makes most inputs +1 on photographs too, from the committed runs."""
    said = input_shares.in_words(input_shares.ends())
    return f"\n\n{said}" if said else ""


def _wsd(last: pd.DataFrame, nets: Nets, about: str) -> Claim:
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        fresh = binary_layers(build("cifar10_resnet18", "wsd")).values()
    with torch.no_grad():
        moved = [flipped(x.weight, x.shifted_weight()).sum().item() for x in fresh]
        alpha = max(x.wsd.alpha.abs().max().item() for x in binary_layers(nets["wsd"]).values())
    above = 10.0 ** np.ceil(np.log10(alpha)) if alpha else 0
    weights = sum(x.weight.numel() for x in fresh)
    flips = last.loc[last["method"] == "wsd", "weight_flips"]
    ours, control = (last[last["method"] == m].groupby("seed")["entropy"].mean() for m in ("wsd", CONTROL))
    difference, noise = abs(ours.mean() - control.mean()), max(ours.std(), control.std())
    same = difference <= noise
    numbers = {"weights": weights, "flips_at_init": sum(moved) / weights, "alpha": alpha}
    numbers |= {"flips_lowest": float(flips.min()), "flips_highest": float(flips.max())}
    numbers |= {"difference": float(difference), "spread": float(noise)}
    return _claim(
        4,
        f"{100 * flips.mean():.2f} % of the trained network's weight signs are flipped by WSD.",
        f"It flips {100 * numbers['flips_at_init']:.3f} % of the {weights / 1e6:.1f} million weight signs of an "
        f"untrained cifar10_resnet18 (n = 1), and {100 * flips.min():.2f} to {100 * flips.max():.2f} % after training "
        f"({about}, n = {len(ours)} seeds). Its learned α is still next to 0 there (|α| < {above:g}, n = 1). The "
        f"outputs' entropy, {spread(ours)} bit against {spread(control)} without WSD, "
        f"{'is the same within' if same else 'differs by more than'} the seeds' spread.",
        PARTLY if same else YES,
        numbers,
    )


def _accuracy_and_cost(nets: Nets, images: torch.Tensor, facts: Mapping, about: str) -> Claim:
    runs = read_study(STUDY)
    table = summary(runs).loc[list(BINARY)]
    p = float(kruskal(*(runs.loc[runs["method"] == m, "test_accuracy"] for m in BINARY)).pvalue)
    ours, best = table.loc["sdbnn"], METHODS[table["mean"].idxmax()].short
    with torch.no_grad():
        changed = sum(int((nets[m](images).argmax(1) != fold_scale(nets[m])(images).argmax(1)).sum()) for m in SCALED)
    cost = {network: extra_operations(network, size) for network, size in COUNTED.items()}
    low, high = float(table["mean"].min()), float(table["mean"].max())
    numbers = {"n": int(ours["n"]), "sdbnn": float(ours["mean"]), "lowest": low, "highest": high, "p": p}
    numbers |= {"predictions_changed_by_folding": changed, "predictions": len(SCALED) * len(images)}
    for row in table.itertuples():
        numbers |= {f"{row.Index}_mean": float(row.mean), f"{row.Index}_std": float(row.std)}
    for network, extra in cost.items():
        numbers |= {f"{network}_{key}": value for key, value in (*vars(extra).items(), ("asd", extra.asd))}
    big = cost["cifar10_resnet18"]
    return _claim(
        5,
        f"p = {p:.2f}: how often chance alone would part the {len(table)} methods' accuracies this far.",
        f"*Accuracy*: {_elsewhere()}\nOn {about}, SD-BNN reaches "
        f"{in_percent(100 * ours['mean'], 100 * ours['std'], 1)}, the {len(table)} binary methods' means lie between "
        f"{100 * low:.1f} and {100 * high:.1f} % ({best}), and the seeds' spread "
        f"{'hides any' if p > 0.05 else 'is smaller than the'} difference (n = {ours['n']:.0f} seeds, "
        f"{facts['test_images']} test images; Kruskal-Wallis p = {p:.2f}).\n\n*Cost*, extra operations for one image "
        f"in cifar10_resnet18: ASD {big.asd:,}, XNOR-Net's scales of inputs and filters {big.two_sided_scale:,}, a "
        f"scale per filter alone {big.scale:,}, and {big.folded_scale} once it is folded into batch norm (changing "
        f"{changed} of {numbers['predictions']:,} predictions). ASD's real weights take {big.asd_bytes / 1024:.0f} KiB "
        f"beside {big.packed_bytes / 1024:,.0f} KiB of packed ones.",
        UNDECIDED,
        numbers,
    )


def _elsewhere() -> str:
    """What was measured on the paper's own data sets so far."""
    cifar = " ".join(filter(None, (cifar10.in_words(), ablation.means_in_words())))
    no_run = "{} hasn't been run here yet."
    imagenet = imagenet_results.in_words("imagenet") or no_run.format("ImageNet")
    return f"{cifar or no_run.format('CIFAR-10')} {imagenet}"

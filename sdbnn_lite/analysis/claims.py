"""The paper's five claims, each beside what we measured: live, from the trained networks and tables in the package.

Whatever a sentence here says comes from a number that was just computed; a Claim carries both, so that a notebook or a
test can assert the numbers. A claim that these small networks can't decide says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from scipy.stats import kruskal, norm

from ..core.layers import binary_layers
from ..core.methods import METHODS
from ..core.models import BinaryNet, build
from ..core.record import LayerSigns, record_signs
from ..cost.fold_scale import extra_operations, fold_scale
from ..data.sets import digit_images
from ..errors import UsageError
from ..system.devices import one_thread
from ..system.text import markdown_table
from ..weights import zoo
from . import ablation, cifar10
from . import imagenet as imagenet_results
from .tables import read_study, study_facts, summary

YES, PARTLY, NO, UNDECIDED = VERDICTS = ("yes", "partly", "no", "not decided here")
STUDY = "digits"
BINARY = tuple(m.name for m in METHODS.values() if m.binary)
SCALED = tuple(m.name for m in METHODS.values() if m.scale)
CONTROL = "ede"  # the same gradient as ASD, WSD and both, without a shift
COUNTED = {"digits_convnet": 8, "cifar10_resnet18": 32}  # networks whose extra operations are counted; pixels a side
SEED = 0


@dataclass(frozen=True)
class Claim:
    """One claim of the paper.

    number     1 to 5
    claim      what the paper says, in our words
    paper      the paper's own figure or wording for it
    measured   what we measured: data set, epochs and n in the sentence
    holds      one of ``VERDICTS``
    where      the notebook in which to see it
    numbers    what ``measured`` is made of, to be asserted
    """

    number: int
    claim: str
    paper: str
    measured: str
    holds: str
    where: str
    numbers: Mapping[str, float]

    def __post_init__(self) -> None:
        if self.holds not in VERDICTS:
            raise UsageError(f"holds={self.holds!r}: choose one of {', '.join(VERDICTS)}")


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
        return [
            _scaling(nets, recorded, len(images), about),
            _distribution(nets, recorded, len(images), about),
            _asd(last, recorded["asd"], _frozen(nets["asd"], images), about),
            _wsd(last, nets, about),
            _accuracy_and_cost(nets, images, facts, about),
        ]


def markdown(claims: Sequence[Claim], folder: str = "notebooks/") -> str:
    """The claims as a Markdown table; links to notebooks begin with ``folder``."""
    head = ("", "The paper says", "Its figure", "We measured", "Holds?", "See")
    return markdown_table(head, [
        (c.number, c.claim, c.paper, c.measured, f"**{c.holds}**", f"[{c.where[:2]}]({folder}{c.where})")
        for c in claims
    ])  # fmt: skip


# --- 1: scaling factors ----------------------------------------------------------------------------------------------


def _scaling(
    nets: Mapping[str, BinaryNet], recorded: Mapping[str, Mapping[str, LayerSigns]], images: int, about: str
) -> Claim:
    layers = [layer for method in SCALED for layer in recorded[method].values()]
    flips, outputs = sum(layer.scale_flips for layer in layers), sum(layer.outputs for layer in layers)
    with torch.no_grad():
        factors = {m: torch.cat([layer.scale() for layer in binary_layers(nets[m]).values()]) for m in SCALED}
    names = {m: METHODS[m].short for m in SCALED}
    ones = [f" ({names[m]}'s are all 1)" for m, s in factors.items() if (s == 1).all()]
    return Claim(
        1,
        "Scaling factors are positive, so they never change a sign and add nothing to binary features.",
        "an argument, no figure",
        f"The factors of {', '.join(names.values())}{''.join(ones)} change {flips:,} of {outputs:,} output signs "
        f"({about}, {images} test images, n = 1 seed each).",
        YES if flips == 0 else NO,
        "01_sign_distribution_problem.ipynb",
        {"flips": flips, "outputs": outputs, "smallest_factor": min(s.min().item() for s in factors.values())},
    )


# --- 2: what decides a sign ------------------------------------------------------------------------------------------


def predicted_share(w: np.ndarray, p: np.ndarray) -> np.ndarray:
    """(O,) share of +1 of each output, predicted from the signs ``w`` (O, C, k, k) and the inputs' shares ``p`` (C,).

    As if all inputs were independent (and none padded): y has mean Σ w·(2p-1) and variance Σ 4p(1-p), and is about
    normal; P(y >= 0) = Φ((mean + 1) / std), since y moves in steps of 2.
    """
    _, _, *kernel = w.shape
    mean = (w.sum(axis=(2, 3)) * (2 * p - 1)).sum(axis=1)
    std = np.sqrt(np.prod(kernel) * (4 * p * (1 - p)).sum())
    if std == 0:
        return (mean >= 0).astype(float)
    return norm.cdf((mean + 1) / std)


def _distribution(
    nets: Mapping[str, BinaryNet], recorded: Mapping[str, Mapping[str, LayerSigns]], images: int, about: str
) -> Claim:
    fits, entropies, dead = [], [], 0
    for method, net in nets.items():
        for name, layer in binary_layers(net).items():
            seen = recorded[method][name]
            predicted = predicted_share(layer.binary_weight().detach().numpy(), seen.input_after)
            fits.append(np.corrcoef(predicted, seen.output)[0, 1])
            entropies.append(seen.entropy)
            dead += int(seen.dead.sum())
    entropies = np.concatenate(entropies)
    numbers = {
        "layers": len(fits),
        "channels": len(entropies),
        "r_lowest": float(min(fits)),
        "r_median": float(np.median(fits)),
        "r_highest": float(max(fits)),
        "dead": dead,
        "lowest_entropy": float(entropies.min()),
        "below_half_a_bit": int((entropies < 0.5).sum()),
    }
    return Claim(
        2,
        "How the +1s and −1s of inputs and weights are distributed decides an output's sign; "
        "a channel with nearly always the same sign says nothing.",
        "an argument, no figure",
        f"Each channel's share of +1, predicted from the shares of its inputs and its weights as if inputs were "
        f"independent, follows the measured one: r = {min(fits):.2f} to {max(fits):.2f} over the channels of a layer, "
        f"median {np.median(fits):.2f} ({len(fits)} layers of {len(nets)} methods). Silent channels are rare here: "
        f"{dead} of {len(entropies):,} are dead, {numbers['below_half_a_bit']} carry less than half a bit ({about}, "
        f"{images} test images, n = 1 seed).",
        YES if np.median(fits) > 0.7 else PARTLY,
        "01_sign_distribution_problem.ipynb",
        numbers,
    )


# --- 3 and 4: the two shifts -----------------------------------------------------------------------------------------


def _per_seed(last: pd.DataFrame, method: str, layer: str, column: str) -> np.ndarray:
    chosen = last[(last["method"] == method) & (last["layer"] == layer)].sort_values("seed")
    return chosen[column].to_numpy()


def _spread(values: np.ndarray) -> str:
    return f"{values.mean():.3f} ± {values.std(ddof=1):.3f}"


@torch.no_grad()
def _frozen(net: BinaryNet, images: torch.Tensor) -> float:
    """Share of input signs that would differ if each channel's shift were its mean over the images; the worst layer."""
    shares = []

    def watch(layer, inputs, output):
        (a,) = inputs
        shift = layer.activation_shift(a)
        shares.append(((a + shift >= 0) != (a + shift.mean(dim=0) >= 0)).double().mean().item())

    hooks = [layer.register_forward_hook(watch) for layer in binary_layers(net).values()]
    net(images)
    for hook in hooks:
        hook.remove()
    return max(shares)


def _asd(last: pd.DataFrame, recorded: Mapping[str, LayerSigns], frozen: float, about: str) -> Claim:
    # Moves to -1: of all flips, those that the share of +1 didn't gain.
    back = [s.input_flips - (s.input_after.mean() - s.input_before.mean()) for s in recorded.values()]
    flips = np.concatenate([_per_seed(last, "asd", layer, "input_flips") for layer in last["layer"].unique()])
    entropy = {
        layer: (_per_seed(last, "asd", layer, "entropy"), _per_seed(last, CONTROL, layer, "entropy"))
        for layer in last["layer"].unique()
    }
    compared = [
        f"{_spread(ours)} bit in {layer}, {_spread(control)} without" for layer, (ours, control) in entropy.items()
    ]
    lower = sum(int((ours < control).sum()) for ours, control in entropy.values())
    pairs = sum(len(ours) for ours, _ in entropy.values())
    numbers = {
        "flips_lowest": float(flips.min()),
        "flips_highest": float(flips.max()),
        "moved_to_minus": float(np.abs(back).max() / 2),
        "frozen": frozen,
        "lower": lower,
        "pairs": pairs,
        **{f"{layer}_difference": float(ours.mean() - control.mean()) for layer, (ours, control) in entropy.items()},
    }
    return Claim(
        3,
        "ASD lets each input shift its own activations before the sign, and so makes the outputs' signs differ more.",
        "“improve the sign differences of the outputs of the convolution”, no figure",
        f"It moves {100 * flips.min():.0f} to {100 * flips.max():.0f} % of the input signs, "
        f"{'all' if np.abs(back).max() < 1e-9 else 'most'} of them to +1; with each channel's shift frozen at its mean "
        f"over the images, {100 * frozen:.1f} % of the signs at most would differ (n = 1). The convolution's output "
        f"signs, before batch norm, then differ {'*less*' if lower > pairs / 2 else 'more'}: entropy "
        f"{'; '.join(compared)}; lower in {lower} of {pairs} pairs of layer and seed ({about}, mean ± std, "
        f"n = {pairs // len(entropy)} seeds, EDE's gradient in both).",
        PARTLY if lower else YES,
        "02_activation_self_distribution.ipynb",
        numbers,
    )


def _wsd(last: pd.DataFrame, nets: Mapping[str, BinaryNet], about: str) -> Claim:
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        fresh = binary_layers(build("cifar10_resnet18", "wsd")).values()
    with torch.no_grad():
        moved = [((x.weight >= 0) != (x.shifted_weight() >= 0)).sum().item() for x in fresh]
        alpha = max(x.wsd.alpha.abs().max().item() for x in binary_layers(nets["wsd"]).values())
    weights = sum(x.weight.numel() for x in fresh)
    flips = last.loc[last["method"] == "wsd", "weight_flips"]
    ours, control = (
        last[last["method"] == method].groupby("seed")["entropy"].mean().to_numpy() for method in ("wsd", CONTROL)
    )
    difference, spread = abs(ours.mean() - control.mean()), max(ours.std(ddof=1), control.std(ddof=1))
    same = difference <= spread
    numbers = {
        "weights": weights,
        "flips_at_init": sum(moved) / weights,
        "flips_lowest": float(flips.min()),
        "flips_highest": float(flips.max()),
        "alpha": alpha,
        "difference": float(difference),
        "spread": float(spread),
    }
    return Claim(
        4,
        "WSD shifts the weights of each filter before the sign, and so fine-tunes how the outputs' signs are "
        "distributed.",
        "“fine-tune the sign distribution of the outputs of the convolution”, no figure",
        f"It flips {100 * numbers['flips_at_init']:.3f} % of the {weights / 1e6:.1f} million weight signs of an "
        f"untrained cifar10_resnet18 (n = 1), and {100 * flips.min():.2f} to {100 * flips.max():.2f} % after training "
        f"({about}, n = {len(ours)} seeds). Its learned α is still next to 0 there (|α| < {_upper(alpha)}, n = 1). The "
        f"outputs' entropy, {_spread(ours)} bit against {_spread(control)} without WSD, "
        f"{'is the same within' if same else 'differs by more than'} the seeds' spread.",
        PARTLY if same else YES,
        "03_weight_self_distribution.ipynb",
        numbers,
    )


def _upper(x: float) -> str:
    """The power of ten above x > 0."""
    return f"{10.0 ** np.ceil(np.log10(x)):g}" if x > 0 else "0"


# --- 5: accuracy and cost --------------------------------------------------------------------------------------------


def _accuracy_and_cost(nets: Mapping[str, BinaryNet], images: torch.Tensor, facts: Mapping, about: str) -> Claim:
    runs = read_study(STUDY)
    table = summary(runs).loc[list(BINARY)]
    p = float(kruskal(*(runs.loc[runs["method"] == m, "test_accuracy"] for m in BINARY)).pvalue)
    ours, best = table.loc["sdbnn"], table["mean"].idxmax()
    gaps, spreads = (ours["mean"] - table["mean"]).abs(), np.hypot(ours["std"], table["std"])
    with torch.no_grad():
        changed = sum(int((nets[m](images).argmax(1) != fold_scale(nets[m])(images).argmax(1)).sum()) for m in SCALED)
    cost = {network: extra_operations(network, size) for network, size in COUNTED.items()}
    numbers = {
        "n": int(ours["n"]),
        "sdbnn": float(ours["mean"]),
        "sdbnn_std": float(ours["std"]),
        "lowest": float(table["mean"].min()),
        "highest": float(table["mean"].max()),
        "p": p,
        "largest_gap_in_spreads": float((gaps / spreads).max()),
        "predictions_changed_by_folding": changed,
        "predictions": len(SCALED) * len(images),
    }
    for network, extra in cost.items():
        numbers |= {f"{network}_{key}": value for key, value in (*vars(extra).items(), ("asd", extra.asd))}
    big = cost["cifar10_resnet18"]
    title = METHODS[best].short
    return Claim(
        5,
        "With both and no scaling factor, SD-BNN is more accurate than the BNNs of its time, at less cost than "
        "XNOR-Net's scaling.",
        "CIFAR-10: ResNet-18 92.5 %, ResNet-20 86.9 %, VGG-Small 90.8 %; "
        "ImageNet: ResNet-18 66.5 % top-1, 86.7 % top-5",
        f"*Accuracy*: {_elsewhere()} On {about}, SD-BNN reaches "
        f"{_percent(ours)}, the {len(table)} binary methods' means lie between {100 * table['mean'].min():.1f} and "
        f"{100 * table['mean'].max():.1f} % ({title}), and the seeds' spread "
        f"{'hides any' if p > 0.05 else 'is smaller than the'} difference (n = {ours['n']:.0f} seeds, "
        f"{facts['test_images']} test images; Kruskal-Wallis p = {p:.2f}). *Cost*, extra operations for one image in "
        f"cifar10_resnet18: ASD {big.asd:,}, XNOR-Net's scales of inputs and filters {big.two_sided_scale:,}, a scale "
        f"per filter alone {big.scale:,}, and {big.folded_scale} once it is folded into batch norm (which changes "
        f"{changed} of {numbers['predictions']:,} predictions). ASD's real weights take {big.asd_bytes / 1024:.0f} KiB "
        f"beside {big.packed_bytes / 1024:,.0f} KiB of packed ones.",
        UNDECIDED,
        "04_output_sign_histograms.ipynb",
        numbers,
    )


def _elsewhere() -> str:
    """What was measured on the paper's own data sets so far."""
    cifar = " ".join(filter(None, (cifar10.in_words(), ablation.means_in_words())))
    no_run = "{} hasn't been run here yet."
    imagenet = imagenet_results.in_words("imagenet") or no_run.format("ImageNet")
    return f"{cifar or no_run.format('CIFAR-10')} {imagenet}"


def _percent(row: pd.Series) -> str:
    return f"{100 * row['mean']:.1f} ± {100 * row['std']:.1f} %"

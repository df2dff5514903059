"""One filter's latent weights with and without WSD's shift: which signs it flips, and what the outputs do.

    ŵ = sign(w + shift),  shift = σ(α) · constant · mean(w)

In the published code α starts at 0 and the constant is 0.01.
"""

import math
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.layers import binary_layers
from ...data.sets import digit_images
from ...errors import UsageError, unknown
from ...weights.zoo import load
from .activation_shift import layer_inputs

NETWORK = "digits_wsd"
TRAINED, FRESH = "trained", "fresh"
NAMES = {TRAINED: "trained weights", FRESH: "fresh Kaiming weights"}


@dataclass(frozen=True)
class Stats:
    """One filter before and after the shift. Every sign is that of ``x >= 0``.

    w            (C, k, k) latent weights; ``mean`` of them, ``shift`` = σ(α)·constant·mean
    before, after        (C, k, k) bool: the weight's sign is +1, without and with the shift
    y_before, y_after    outputs at all places of all test images, integers, for the same inputs
    """

    weights: str
    layer: str
    filter: int
    alpha: float
    constant: float
    seed: int
    w: np.ndarray
    mean: float
    shift: float
    before: np.ndarray
    after: np.ndarray
    y_before: np.ndarray
    y_after: np.ndarray
    images: int

    @property
    def flipped(self) -> np.ndarray:
        """(C, k, k) bool: the weights whose sign the shift flips."""
        return self.before != self.after

    @property
    def flipped_outputs(self) -> int:
        """How many outputs flip their sign."""
        return int(((self.y_before >= 0) != (self.y_after >= 0)).sum())


@cache
@torch.no_grad()
def _layers() -> dict[str, tuple[Tensor, Tensor, int]]:
    """Per layer of the trained network: â over all test images (N, C, H, W), w (O, C, k, k), the padding."""
    net = load(NETWORK)
    seen = layer_inputs(net, digit_images())
    return {
        name: (layer.binary_activation(seen[name].a), layer.weight.detach(), layer.padding)
        for name, layer in binary_layers(net).items()
    }


@lru_cache(maxsize=8)
def fresh_weights(layer: str, seed: int) -> Tensor:
    """(O, C, k, k) Kaiming-normal weights in the shape of ``layer``, as a network has them before its training."""
    w = torch.empty_like(_layers()[layer][1])
    return nn.init.kaiming_normal_(w, generator=torch.Generator().manual_seed(seed))


def _outputs(layer: str, plus: Tensor) -> np.ndarray:
    """What the filter of signs ``plus`` (C, k, k), True for +1, gives at all places of all test images."""
    inputs, _, padding = _layers()[layer]
    with torch.no_grad():
        y = F.conv2d(inputs, torch.where(plus, 1.0, -1.0)[None], padding=padding)
    return y.flatten().round().to(torch.int64).numpy()


@lru_cache(maxsize=128)
def _before(weights: str, layer: str, filter: int, seed: int) -> np.ndarray:
    w = _layers()[layer][1] if weights == TRAINED else fresh_weights(layer, seed)
    return _outputs(layer, w[filter] >= 0)


def compute(weights: str, layer: str, filter: int, alpha: float, constant: float, seed: int) -> Stats:
    """One filter with and without its shift. Fresh weights see what the trained network's layer sees.

    Raises UsageError for an unknown kind of weights or layer, a filter that isn't there, and a number that isn't
    finite.
    """
    if weights not in NAMES:
        raise unknown("weights", weights, NAMES)
    if layer not in _layers():
        raise unknown("layer", layer, _layers())
    every = _layers()[layer][1] if weights == TRAINED else fresh_weights(layer, seed)
    if not 0 <= filter < len(every):
        raise UsageError(f"filter={filter}: {layer} has filters 0 to {len(every) - 1}")
    if not (math.isfinite(alpha) and math.isfinite(constant)):
        raise UsageError(f"alpha={alpha}, constant={constant}: both have to be finite")
    w = every[filter]
    mean = w.mean()
    shift = torch.sigmoid(torch.tensor(float(alpha))) * constant * mean
    before, after = w >= 0, w + shift >= 0
    y_before = _before(weights, layer, filter, seed if weights == FRESH else 0)
    y_after = y_before if torch.equal(before, after) else _outputs(layer, after)
    return Stats(weights, layer, filter, float(alpha), float(constant), seed, w.numpy(), float(mean), float(shift),
                 before.numpy(), after.numpy(), y_before, y_after, len(_layers()[layer][0]))  # fmt: skip


def expected_flips(fan_in: int, share: float) -> float:
    """The share of signs that w + share·mean(w) flips, for a filter of ``fan_in`` normal weights of mean 0.

    A weight and its shifted self are jointly normal, and their signs differ with the angle between them over π:

        arctan(share·√(n-1) / (n + share)) / π,     nearly share / (π·√n) where the share is small

    The weights' spread drops out. ``share`` = σ(α)·constant, 0.005 at the start of the published training.
    """
    if fan_in < 1 or not share >= 0:
        raise UsageError(f"fan_in={fan_in}, share={share}: at least 1 and at least 0 are needed")
    return math.atan2(share * math.sqrt(fan_in - 1), fan_in + share) / math.pi

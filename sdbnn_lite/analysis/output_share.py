"""How well a channel's share of +1 can be predicted from its inputs' and its weights' signs, by three rules."""

from collections.abc import Mapping

import numpy as np
from scipy.stats import norm

from ..core import signs
from ..core.layers import BinaryConv2d, binary_layers
from ..core.models import BinaryNet
from ..core.record import LayerSigns


def predicted_share(w: np.ndarray, p: np.ndarray) -> np.ndarray:
    """(O,) share of +1 of each output, predicted from the signs ``w`` (O, C, k, k) and the inputs' shares ``p`` (C,).

    As if all inputs were independent (and none padded): y has mean Σ w·(2p-1) and variance Σ 4p(1-p), and is about
    normal; P(y >= 0) = Φ((mean + 1) / std), since y moves in steps of 2.
    """
    mean = (w.sum(axis=(2, 3)) * (2 * p - 1)).sum(axis=1)
    std = np.sqrt(np.prod(w.shape[2:]) * (4 * p * (1 - p)).sum())
    return norm.cdf((mean + 1) / std) if std else (mean >= 0).astype(float)


def share_rules(layer: BinaryConv2d, seen: LayerSigns) -> dict[str, np.ndarray]:
    """(O,) predicted share of +1 by each rule: the layer's one p and the filter's q as random signs; with the filter
    held fixed; and :func:`predicted_share`, where each input channel has its own p."""
    p, n, w = seen.input_after, seen.fan_in, layer.binary_weight().detach().cpu().numpy()
    return {"random signs": np.array([signs.random_signs(p.mean(), q, n).plus for q in seen.weight_after]),
            "fixed filter": np.array([signs.fixed_filter(p.mean(), q, n).plus for q in seen.weight_after]),
            "p per input channel": predicted_share(w, p)}  # fmt: skip


def correlation(predicted: np.ndarray, measured: np.ndarray) -> float:
    """Pearson's r over the channels."""
    return float(np.corrcoef(predicted, measured)[0, 1])


def fits(net: BinaryNet, recorded: Mapping[str, LayerSigns]) -> list[tuple[str, str, float, float]]:
    """(layer, rule, correlation over the channels with what was measured, mean error) for each layer and rule."""
    rows = []
    for name, seen in recorded.items():
        for rule, predicted in share_rules(binary_layers(net)[name], seen).items():
            error = float(abs(predicted - seen.output).mean())
            rows.append((name, rule, correlation(predicted, seen.output), error))
    return rows

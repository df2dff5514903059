"""Made-up results to draw: runs, epochs, and the signs of layers."""

import numpy as np
import pandas as pd

from sdbnn_lite.core.methods import METHODS
from sdbnn_lite.core.record import LayerSigns

FACTS = {
    "dataset": "digits", "data": "digits (scikit-learn, 8x8 scans)", "network": "digits_convnet", "epochs": 40,
    "test_images": 360, "command": "sdbnn-lite study digits",
    "machine": {"gpu": None, "cpu": "Intel(R) Xeon(R) Processor @ 2.80GHz", "threads": 2},
}  # fmt: skip


def made_runs(methods=tuple(METHODS), seeds=3):
    """A row per run; accuracies that differ for every method and seed."""
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {"method": m, "seed": s, "test_accuracy": round(random.uniform(0.9, 1), 4)}
        for m in methods for s in range(seeds)
    )  # fmt: skip


def made_epochs(methods, seeds=3, epochs=40):
    random = np.random.default_rng(1)
    return pd.DataFrame(
        {"method": m, "seed": s, "epoch": e + 1, "test_accuracy": 0.97 - 0.5 / (e + 1) + random.uniform(0, 0.02)}
        for m in methods for s in range(seeds) for e in range(epochs)
    )  # fmt: skip


def made_layer(output=None, before=None, after=None, flips=0.1, seed=0):
    random = np.random.default_rng(seed)
    share = [random.beta(8, 8, n) if given is None else np.asarray(given, dtype=float)
             for n, given in ((32, before), (32, after), (64, output))]  # fmt: skip
    unused = np.zeros(64)
    return LayerSigns(
        fan_in=288, input_before=share[0], input_after=share[1], input_flips=flips, weight_before=unused,
        weight_after=unused, weight_flips=0.0, output=share[2], output_zeros=unused, output_mean=unused,
        output_std=unused, scale_flips=0, outputs=64,
    )  # fmt: skip


def made_signs(methods=("bnn", "xnor", "irnet", "asd", "wsd", "sdbnn"), layers=("conv2", "conv3")):
    return {m: {n: made_layer(seed=10 * i + k) for k, n in enumerate(layers)} for i, m in enumerate(methods)}

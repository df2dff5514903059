"""The explorers that the site shows without a kernel, and what their scripts need from Python."""

import json
from dataclasses import asdict

import numpy as np
from torch import nn

from ..data.sets import digit_images
from ..lessons.explorers import activation_shift, sum_of_signs
from ..weights.zoo import load

EXPLORERS = {"sum_of_signs": sum_of_signs, "activation_shift": activation_shift}
UNUSED = "seed"  # of a simulation; the scripts have the closed form alone


def script() -> str:
    """A script that sets ``explorerData``: for each explorer its ``controls`` and ``presets``, and the ``network``.

    The network digits_asd: ``weight``, and ``scale`` and ``offset`` of the batch norm behind it, for each layer; for
    binary ones also ASD's ``squeeze`` and ``expand``, and ``usual``, (channels, 21): how many of all images' inputs lie
    in each bin. An image is 64 letters, "a" to "q" for 17 levels of ink; ``inputs``: what the network receives.
    """
    made = {}
    for name, explorer in EXPLORERS.items():
        controls = [asdict(c) | {"choices": c.choices and c.pairs} for c in explorer.CONTROLS if c.name != UNUSED]
        made[name] = {"controls": controls, "presets": explorer.PRESETS}
    return f"window.explorerData = {json.dumps(made | {'network': _network()})};\n"


def _network() -> dict:
    net = load(activation_shift.NETWORK).double().requires_grad_(False)
    digits, seen, layers = activation_shift.scene()
    _, level = np.unique(digits.test_images.numpy().reshape(-1, 64), return_inverse=True)
    made = {"images": [bytes(97 + image).decode() for image in level.reshape(-1, 64).astype(np.uint8)],
            "inputs": digit_images().double().unique().tolist(), "labels": digits.test_labels.tolist(),
            "conv1": {"weight": net.conv1.weight.flatten(1).tolist(), **_folded(net.bn1)}}  # fmt: skip
    for name, norm in (("conv2", net.bn2), ("conv3", net.bn3)):
        layer, channels = layers[name], seen[name].a.transpose(0, 1).numpy()
        made[name] = {"weight": "".join("01"[int(w >= 0)] for w in layer.shifted_weight().flatten()),
                      "squeeze": layer.asd.squeeze.weight.tolist(), "expand": layer.asd.expand.weight.tolist(),
                      "usual": [np.histogram(a, activation_shift.EDGES)[0].tolist() for a in channels],
                      **_folded(norm)}  # fmt: skip
    return made


def _folded(norm: nn.BatchNorm2d) -> dict[str, list[float]]:
    """norm(x) = scale·x + offset, in evaluation."""
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return {"scale": scale.tolist(), "offset": (norm.bias - norm.running_mean * scale).tolist()}

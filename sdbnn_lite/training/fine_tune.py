"""Start a run from a trained network: tensors that fit are taken, the others stay as they were drawn.

So a network gets another head (other classes), another method's parts (ASD, WSD, scales), or more channels. Of one in
bit form (the zoo's CIFAR and Imagenette networks) only the latent weights' signs ŵ are known. Training starts from

    w = ŵ·s_o        s_o: the standard deviation of the layer's weights as drawn (XNOR-Net: the stored factor s_o)

where a sign flips about as easily as in a fresh network. WSD's shift, at most 1 % of a filter's mean, flips none of
these signs, and IR-Net's balancing none but those of a filter of equal signs: the logits are the stored network's.
"""

import re
from pathlib import Path
from typing import Any

import torch

from ..core.models import BinaryNet
from ..errors import UsageError
from ..weights.bits import packable_layers
from ..weights.files import in_bits
from ..weights.zoo import load


@torch.no_grad()
def start_from(net: BinaryNet, init: str | Path) -> dict[str, Any]:
    """Put into ``net`` every tensor of the trained network ``init`` (what ``load`` takes) of the same name and shape.

    Returns what run.json says of it: {"from": name, "taken": number of tensors, "new": names of the others in ``net``,
    "latent": where its latent weights come from}. Raises UsageError where no weight of a layer fits.
    """
    start, own = load(init), net.state_dict()
    given = start.state_dict()
    for name, layer in packable_layers(start).items() if in_bits(start) else ():
        key, factors = f"{name}.weight", layer.scale() if net.method.scale == "analytic" else None
        if key in own:
            given[key] = layer.weight * (own[key].std() if factors is None else factors.view(-1, 1, 1, 1))
    taken = {name: value for name, value in given.items() if name in own and own[name].shape == value.shape}
    if all(value.ndim < 2 for value in taken.values()):
        raise UsageError(f"--init {init}: no weight of its {start.name} fits this {net.name}")
    net.load_state_dict(own | taken)
    latent = "its signs times the spread of fresh weights" if in_bits(start) else "its own"
    return {"from": Path(init).name, "taken": len(taken), "new": [n for n in own if n not in taken], "latent": latent}


def describe_start(start: dict[str, Any], classes: int) -> str:
    """One line on what :func:`start_from` returned; new tensors whose names differ by numbers alone are counted."""
    alike: dict[str, list[str]] = {}
    for name in start["new"]:
        alike.setdefault(re.sub(r"\d+", "*", name), []).append(name)
    new = ", ".join(names[0] if len(names) == 1 else f"{kind} ({len(names)})" for kind, names in alike.items())
    head = f" ({classes} classes)" if "linear.weight" in start["new"] else ""
    latent = "" if start["latent"] == "its own" else f"; latent weights: {start['latent']}"
    return f"init {start['from']}: {start['taken']} tensors taken; new: {new or 'none'}{head}{latent}"

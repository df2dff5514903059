"""Start a run from a trained network: tensors that fit are taken, the others stay as they were drawn.

So a network can get another head (other classes), another method's parts (ASD, WSD, scales), or more channels. In bit
form (the zoo's CIFAR and Imagenette networks) only the signs ŵ of the latent weights are known; training starts from

    w = ŵ·s_o        s_o: the layer's standard deviation as drawn (for XNOR-Net: the factor stored for the filter o)

from where a sign flips about as easily as in a fresh network. WSD's shift of w, at most 1 % of a filter's mean, flips
none of these signs, and IR-Net's balancing none but those of a filter whose signs are all the same: the network starts
with the logits of the one that was stored.
"""

import re
from collections import Counter
from pathlib import Path

import torch

from ..core.layers import BinaryConv2d
from ..core.models import BinaryNet
from ..errors import UsageError
from ..weights.bits import packable_layers
from ..weights.files import in_bits
from ..weights.zoo import load


@torch.no_grad()
def start_from(net: BinaryNet, init: str | Path) -> dict:
    """Put into ``net`` every tensor of the trained network ``init`` (what ``load`` takes) of the same name and shape.

    Returns what run.json says of it: {"from": name, "taken": number of tensors, "new": names of the others in ``net``,
    "latent": where its latent weights come from}. Raises UsageError where no weight of a layer fits.
    """
    start, own = load(init), net.state_dict()
    given = start.state_dict()
    if in_bits(start):
        for name, layer in packable_layers(start).items():
            given[f"{name}.weight"] = layer.weight * magnitude(net, name, layer)
    taken = {name: value for name, value in given.items() if name in own and own[name].shape == value.shape}
    if all(value.ndim < 2 for value in taken.values()):
        raise UsageError(f"--init {init}: no weight of its {start.name} fits this {net.name}")
    net.load_state_dict(own | taken)
    latent = "its signs times the spread of fresh weights" if in_bits(start) else "its own"
    return {"from": Path(init).name, "taken": len(taken), "new": [n for n in own if n not in taken], "latent": latent}


def magnitude(net: BinaryNet, name: str, stored: BinaryConv2d) -> torch.Tensor:
    """s_o of the layer ``name`` of a fresh ``net``, for the latent weights of the ``stored`` one: (O or 1, 1, 1, 1)."""
    fresh = dict(net.named_modules()).get(name)
    if not isinstance(fresh, BinaryConv2d):
        return stored.weight.new_ones(1, 1, 1, 1)  # no layer takes them
    if fresh.method.scale == "analytic" and stored.learned_scale is not None:
        return stored.scale()[:, None, None, None]
    return fresh.weight.std().view(1, 1, 1, 1)


def describe_start(start: dict, classes: int) -> str:
    """One line on what :func:`start_from` returned, the new tensors of many layers counted."""
    ends = [re.sub(r"^.*\b(conv\d*|convs\.\d+)\.", "….", name) for name in start["new"]]
    many = Counter(ends)
    seen = dict.fromkeys(end if many[end] > 1 else name for name, end in zip(start["new"], ends))
    new = [f"{name} ({many[name]})" if many[name] > 1 else name for name in seen]
    head = f" ({classes} classes)" if "linear.weight" in new else ""
    latent = "" if start["latent"] == "its own" else f"; latent weights: {start['latent']}"
    return f"init {start['from']}: {start['taken']} tensors taken; new: {', '.join(new) or 'none'}{head}{latent}"

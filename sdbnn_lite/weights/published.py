"""What the published SD-BNN code (arXiv:2103.02394) wrote: its state dicts in our networks' names."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from ..core.models import NETWORKS, build
from ..errors import UsageError, unknown

# Published names on the left, ours on the right; every rule is applied, in order.
_STAGE = (r"^layer(\d)\.", lambda m: f"layers.{int(m[1]) - 1}.")
_CIFAR_SHIFTS = [(r"\.alpha$", ".wsd.alpha"), (r"\.dybeta\.fc\.0\.", ".asd.squeeze."),
                 (r"\.dybeta\.fc\.2\.", ".asd.expand.")]  # fmt: skip
_VGG = [(r"^conv(\d)\.", lambda m: f"convs.{int(m[1]) - 1}." if int(m[1]) else "conv1."),
        (r"^bn(\d)\.", r"bns.\1."), (r"^fc\.", "linear."), *_CIFAR_SHIFTS]  # fmt: skip
_IMAGENET = [
    _STAGE,
    (r"\.binary_conv\.weights$", ".conv.weight"),  # stored flat, (O·C·k·k, 1)
    (r"\.binary_conv\.alpha$", ".conv.wsd.alpha"),
    (r"\.binary_conv\.beta\.fc\.0\.", ".conv.asd.squeeze."),
    (r"\.binary_conv\.beta\.fc\.2\.", ".conv.asd.expand."),
    (r"^(layers\..*)\.bn1\.", r"\1.bn."),
    (r"\.downsample\.", ".shortcut."),
    (r"^fc\.", "linear."),
]
_RULES = dict.fromkeys(("cifar10_resnet20", "cifar10_resnet18"), [_STAGE, *_CIFAR_SHIFTS])
_RULES |= {"cifar10_vgg_small": _VGG, **dict.fromkeys(("imagenet_resnet18", "imagenet_resnet34"), _IMAGENET)}
IMPORTABLE = tuple(n for n in NETWORKS if n in _RULES)


def rename(key: str, network: str) -> str:
    """Our name for the published parameter ``key`` (with or without ``module.``) of ``network``."""
    key = key.removeprefix("module.")
    for pattern, ours in _RULES[network]:
        key = re.sub(pattern, ours, key)
    return key


def from_original(state_dict: Mapping[str, Tensor], network: str) -> dict[str, Tensor]:
    """A state dict for ``build(network)`` from one of the published code; dtype and device stay as they are.

    ``module.`` (DataParallel) is dropped, ImageNet's flat weights get their (O, C, k, k) back. The published files have
    no k and t: they are set to the end of the schedule, t = 10 and k = 1; :func:`set_ede` changes them. Both ImageNet
    stages share one layout (``imagenet_resnet18_stage1`` and the like are understood too). ASD's function is taken to
    be σ: a file doesn't say whether the tanh in the published code's comment stood in its place.

    Raises UsageError for another network, and where keys or shapes don't fit: it names every one of them.
    """
    if not isinstance(state_dict, Mapping):
        raise UsageError(f"state_dict: {type(state_dict).__name__} given, names and their tensors are needed")
    network = re.sub(r"_stage[12]$", "", str(network))
    if network not in _RULES:
        raise unknown("network", network, IMPORTABLE)
    mapped, published = {}, {}
    for key, value in state_dict.items():
        if not isinstance(key, str):
            raise UsageError(f"state_dict: the key {key!r} is no text; a state dict of the published code is needed")
        if not isinstance(value, Tensor):
            raise UsageError(f"{key}: a tensor is needed, {type(value).__name__} given")
        ours = rename(key, network)
        if ours in mapped:
            raise UsageError(f"state_dict: {published[ours]} and {key} are the same parameter; give one of them")
        mapped[ours], published[ours] = value, key
    with torch.device("meta"):
        expected = build(network, **stored_options(mapped, network)).state_dict()
    complaints = [f"{published[k]} has no place in {network}" for k in mapped if k not in expected]
    for key, tensor in expected.items():
        one_column = network.startswith("imagenet") and key.endswith(".conv.weight")  # may be stored flat
        if key not in mapped:
            if key.endswith(("ede_k", "ede_t")):
                mapped[key] = torch.tensor(10.0 if key.endswith("ede_t") else 1.0)
            else:
                complaints.append(f"{key} (our name) is missing")
        elif mapped[key].shape not in (tensor.shape, (tensor.numel(), 1) if one_column else tensor.shape):
            complaints.append(f"{published[key]}: {tuple(mapped[key].shape)} given, {tuple(tensor.shape)} needed")
        else:
            mapped[key] = mapped[key].reshape(tensor.shape)
    if complaints:
        raise UsageError(f"state_dict doesn't fit {network}, {len(complaints)} keys: " + "; ".join(complaints))
    return mapped


def stored_options(state: Mapping[str, Tensor], network: str) -> dict:
    """The arguments of ``build`` that a mapped state dict tells: number of classes and, for VGG-Small, image size."""
    head = state.get("linear.weight")
    if head is None or head.ndim != 2:
        return {}
    side = int((head.shape[1] / 512) ** 0.5) * 8  # VGG-Small's classifier sees 512 · (side / 8)² values
    return {"num_classes": head.shape[0]} | ({"image_size": side} if network == "cifar10_vgg_small" and side else {})

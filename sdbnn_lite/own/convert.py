"""Any network made binary: its convolutions become binary ones, and their weights the latent weights."""

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import nn
from torch.nn.modules.conv import _ConvNd

from ..core.layers import BinaryConv2d, BinaryLayer, BinaryLinear
from ..core.methods import Method, get_method
from ..errors import UsageError, unknown
from ..system.text import aligned_table

FIRST_AND_LAST = "first_and_last"
KEEP, BATCH_NORM_FIRST = ORDERS = ("conv-bn-act", "bn-sign-conv")
Skip = str | Iterable[str] | Callable[[str, nn.Module], bool] | None


@dataclass(frozen=True)
class Conversion:
    """What :func:`convert` did, as a table to print: (name, what it was, what it is, why) of each layer."""

    rows: tuple[tuple[str, str, str, str], ...]

    def __str__(self) -> str:
        return aligned_table([("layer", "was", "is", "why"), *self.rows], [False] * 4)


def convert(net: nn.Module, method: Method | str = "sdbnn", skip: Skip = FIRST_AND_LAST, *,
            linear: bool = False, order: str = KEEP, reduction: int = 16) -> nn.Module:  # fmt: skip
    """A copy of ``net`` with binary convolutions; ``print(copy.conversion)`` says what each layer became, and why.

    method      one of ``methods.METHODS``, or a Method of your own
    skip        what stays real. "first_and_last": of the convolutions and linear layers in the order of the modules, as
                in published binary networks, and depthwise convolutions, whose outputs add kh·kw signs only. Or names
                (with * and ?), or a function of a layer's name and the layer, that say all of it. None: nothing
    linear      linear layers become binary too
    order       "conv-bn-act" keeps the modules' order, but for each ReLU before the last binary layer puts a Hardtanh:
                behind a ReLU all signs are +1, and nearly all behind a max pool. A ReLU that ``forward`` calls as a
                function can't be seen. "bn-sign-conv" cures all of these: a batch norm in front of each binary layer
                (XNOR-Net, arXiv:1603.05279, section 3.2), and ReLUs stay
    reduction   r of ASD, at most the layer's channels

    Weights and biases are kept, the weights as latent weights. The copy has to be trained: sums of signs are not those
    of weights. ``set_ede``, ``record_signs``, ``cost`` and ``pack`` take it.

    Raises UsageError for an unknown name, and where no layer can be made binary (with the table).
    """
    if not isinstance(net, nn.Module):
        raise UsageError(f"net: {type(net).__name__} given, an nn.Module is needed")
    if order not in ORDERS:
        raise unknown("order", order, ORDERS)
    method, net = get_method(method), copy.deepcopy(net)
    layers, why = _layers(net), {}
    skipped = _skipped(layers, skip)
    for name, layer in layers.items():
        why[name] = _why_not(layer, linear) or skipped(name, layer)
    was = {name: f"{type(m).__name__} {'×'.join(map(str, m.weight.shape))}" for name, m in layers.items()}
    conversion = Conversion(tuple((name, was[name], *_outcome(m, why[name])) for name, m in layers.items()))
    chosen = [name for name in layers if not why[name] and not isinstance(layers[name], BinaryLayer)]  # as seeds draw
    if not chosen:
        raise UsageError(f"net: {type(net).__name__} has no layer to make binary\n{conversion}")
    new = {id(layers[name]): _binary(layers[name], method, reduction, order) for name in chosen}
    if order == KEEP:
        new |= _hardtanh(net, layers[chosen[-1]])
    for name, module in list(net.named_modules(remove_duplicate=False)):
        if id(module) in new and name:
            parent, _, last = name.rpartition(".")
            setattr(net.get_submodule(parent), last, new[id(module)])
    net = new.get(id(net), net)
    net.conversion = conversion
    return net


def _layers(net: nn.Module) -> dict[str, nn.Module]:
    """Convolutions and linear layers by name, without what is inside a binary layer (ASD's two matrices)."""
    layers = {name: m for name, m in net.named_modules() if isinstance(m, (_ConvNd, nn.Linear))}
    inside = {id(part) for m in layers.values() if isinstance(m, BinaryLayer) for part in m.modules() if part is not m}
    return {name: m for name, m in layers.items() if id(m) not in inside}


def _skipped(layers: dict[str, nn.Module], skip: Skip) -> Callable[[str, nn.Module], str]:
    """``skip`` as a function of name and layer: why it stays real, or "". Raises UsageError for an unknown name."""
    if skip == FIRST_AND_LAST:
        ends = dict(zip([*layers][:: max(len(layers) - 1, 1)], ("first layer", "last layer"), strict=False))
        return lambda name, layer: ends.get(name) or _depthwise(layer)
    if callable(skip):
        return lambda name, layer: "skipped" if skip(name, layer) else ""
    patterns = [skip] if isinstance(skip, str) else list(skip or ())
    for pattern in patterns:
        if not any(fnmatchcase(name, str(pattern)) for name in layers):
            raise unknown("layer to skip", pattern, [FIRST_AND_LAST, *layers])
    return lambda name, layer: "skipped" if any(fnmatchcase(name, pattern) for pattern in patterns) else ""


def _depthwise(layer: nn.Module) -> str:
    groups = getattr(layer, "groups", 1)
    if groups == 1 or groups < layer.in_channels:
        return ""
    return f"depthwise: an output would be a sum of {layer.weight[0].numel()} signs"


def _why_not(layer: nn.Module, linear: bool) -> str:
    """Why a layer can't be made binary; "" where it can, or is already."""
    if isinstance(layer, BinaryLayer) or type(layer) is nn.Conv2d:
        return ""
    if type(layer) is nn.Linear:
        return "" if linear else "linear: linear=True makes it binary"
    return "not an nn.Conv2d or nn.Linear itself"


def _outcome(layer: nn.Module, why: str) -> tuple[str, str]:
    if isinstance(layer, BinaryLayer):
        return "binary", "was already"
    return ("real", why) if why else ("binary", "")


def _binary(layer: nn.Module, method: Method, reduction: int, order: str) -> nn.Module:
    """The binary layer with the weights of ``layer``; behind a batch norm where ``order`` wants one."""
    rest = {"bias": layer.bias is not None, "device": layer.weight.device, "dtype": layer.weight.dtype}
    rest["method"] = method
    if isinstance(layer, nn.Linear):
        channels, norm = layer.in_features, nn.BatchNorm1d
        new = BinaryLinear(channels, layer.out_features, reduction=min(reduction, channels), **rest)
    else:
        channels, norm = layer.in_channels, nn.BatchNorm2d
        same = ("out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "padding_mode")
        rest |= {name: getattr(layer, name) for name in same}
        new = BinaryConv2d(channels, reduction=min(reduction, channels), **rest)
    new.weight, new.bias = layer.weight, layer.bias
    new.train(layer.training)
    return nn.Sequential(norm(channels).to(layer.weight), new) if order == BATCH_NORM_FIRST else new


def _hardtanh(net: nn.Module, last: nn.Module) -> dict[int, nn.Module]:
    """A Hardtanh for each ReLU that stands before the layer ``last``."""
    modules = list(net.modules())
    before = modules[: next(place for place, module in enumerate(modules) if module is last)]
    return {id(module): nn.Hardtanh() for module in before if type(module) in (nn.ReLU, nn.ReLU6)}

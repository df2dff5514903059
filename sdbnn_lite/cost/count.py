"""Cost breakdown: what one image costs, layer by layer, in operations, parameters and bytes.

    BOPs   products of ±1 with ±1 (and their sum): C_in·k²·C_out·H'·W' of a binary convolution
    FLOPs  products of real numbers (and their sum), one each: real convolutions, the classifier, a method's own parts
    OPs    BOPs/64 + FLOPs, as XNOR-Net and Bi-Real Net count: 64 of the former are one instruction

Padded taps count as products, as in every published count. Batch norm, Hardtanh, PReLU, pooling and the shortcuts'
additions are counted by nobody, and not here.

What a method adds (per image and binary convolution, C inputs of H × W pixels, C_out outputs of H' × W'):

    ASD's mean        C·H·W           additions; stay
    ASD's matrices    2·C·max(C//r,1) products; stay
    shift             C·H·W           additions of ASD or RSign; fold away: sign(a + s) = [a >= -s]
    scale             C_out·H'·W'     products of a factor per filter; fold away into batch norm
    balance, WSD      0               of the weights alone, done once and for all

and, for comparison only, what XNOR-Net's own input scale K would add: C·H·W + k²·H'·W' + 2·C_out·H'·W' (the mean of |a|
over the channels, a k × k mean of it, and two products an output).
"""

import copy
import json
from dataclasses import asdict, dataclass

import pandas as pd
import torch
from torch import nn

from ..core.layers import BinaryLayer, binary_layers
from ..core.models import IMAGE_SIZES, SIZED, build
from ..data.image_file import MOST_SIDE
from ..errors import UsageError, check_whole
from ..system.text import aligned_table

WORD = 64  # ±1 products in one instruction


@dataclass(frozen=True)
class LayerCost:
    """One layer's row. ``stays`` and ``folds``: the method's own real operations that stay, and that fold away;
    ``input_scale``: what XNOR-Net's K would add. ``real_params`` are 32 bits each, ``bytes`` is all of it packed."""

    name: str
    kind: str  # "binary conv", "binary linear", "real conv", "linear" or "norms"
    outputs: str  # C×H×W
    bops: int = 0
    flops: int = 0
    stays: int = 0
    folds: int = 0
    input_scale: int = 0
    binary_params: int = 0
    real_params: int = 0

    @property
    def ops(self) -> float:
        """BOPs/64 + FLOPs, the method's own that stay included."""
        return self.bops / WORD + self.flops + self.stays

    @property
    def bytes(self) -> int:
        """Binary weights at one bit each, rounded up to a byte; real ones at four bytes."""
        return -(-self.binary_params // 8) + 4 * self.real_params


SUMS = ("bops", "flops", "stays", "folds", "input_scale", "binary_params", "real_params", "ops", "bytes")


@dataclass(frozen=True)
class Cost:
    """The layers' rows of one network, for one image of ``image_size`` pixels a side."""

    network: str
    method: str
    image_size: int
    layers: tuple[LayerCost, ...]

    def total(self, what: str) -> float:
        """The sum over the layers of one of ``SUMS``."""
        return sum(getattr(layer, what) for layer in self.layers)

    def frame(self) -> pd.DataFrame:
        """A row per layer."""
        return pd.DataFrame([{**asdict(row), "ops": row.ops, "bytes": row.bytes} for row in self.layers])

    def to_json(self) -> str:
        """Layers and totals."""
        about = {key: getattr(self, key) for key in ("network", "method", "image_size")}
        totals = {key: self.total(key) for key in SUMS}
        return json.dumps({**about, "total": totals, "layers": self.frame().to_dict("records")}, indent=2)

    def text(self) -> str:
        """An aligned table with the totals under it."""
        heads = ("layer", "kind", "outputs", "BOPs", "FLOPs", "method", "folds away", "OPs", "1-bit", "32-bit", "bytes")
        keys = ("bops", "flops", "stays", "folds", "ops", "binary_params", "real_params", "bytes")
        lines = [(r.name, r.kind, r.outputs, *(f"{getattr(r, key):,.0f}" for key in keys)) for r in self.layers]
        total = ("in all", "", "", *(f"{self.total(key):,.0f}" for key in keys))
        return "\n".join([
            f"{self.network}, method {self.method}, one image of {self.image_size}×{self.image_size} pixels",
            aligned_table([heads, *lines, total], [i >= 3 for i in range(len(heads))]),
            f"OPs = BOPs/64 + FLOPs + method = {self.total('ops'):,.0f}",
            f"XNOR-Net's input scale K would add {self.total('input_scale'):,} FLOPs",
        ])  # fmt: skip


def cost(network: str | nn.Module, method: str = "sdbnn", *, image_size: int | None = None,
         num_classes: int | None = None) -> Cost:  # fmt: skip
    """The cost breakdown of ``network`` with ``method``; ``image_size`` in pixels (default: 8, 32 or 224).

    A module, such as ``convert`` makes, may stand for the name; its layers say what their methods are.
    Raises UsageError for what :func:`build` refuses, and for images that don't fit.
    >>> cost("digits_convnet", "bnn").layers[1].bops  # 64 outputs of 8×8 pixels, 3·3·32 products each
    1179648
    """
    check_whole(1, MOST_SIDE, image_size=8 if image_size is None else image_size)
    if not isinstance(network, nn.Module):
        size = IMAGE_SIZES.get(network, 32) if image_size is None else image_size
        sized = {"image_size": size} if network in SIZED else {}
        with torch.random.fork_rng():
            net = build(network, method, num_classes, **sized)
        net = net.to("meta") if size > 512 else net  # shapes alone: gigabytes of numbers would be computed else
        return Cost(network, method, size, _rows(net, size))
    size = IMAGE_SIZES.get(getattr(network, "name", None), 224) if image_size is None else image_size
    methods = {layer.method.name for layer in binary_layers(network).values()} or {"float"}
    return Cost(type(network).__name__, ", ".join(sorted(methods)), size, _rows(copy.deepcopy(network), size))


def _rows(net: nn.Module, size: int) -> tuple[LayerCost, ...]:
    """A row per layer, and one for the norms."""
    rows: list[LayerCost] = []  # ASD's two linear layers, or your shift's, are in that of their convolution
    layers = {name: m for name, m in net.named_modules() if isinstance(m, (nn.Conv2d, nn.Linear))}
    layers = {name: m for name, m in layers.items() if ".asd." not in name and ".own_shift" not in name}
    for name, layer in layers.items():
        layer.register_forward_hook(lambda module, x, y, name=name: rows.append(_row(name, module, x[0], y)))
    first = next((m for m in layers.values() if isinstance(m, nn.Conv2d)), None)
    if first is None:
        raise UsageError(f"network: {type(net).__name__} has no convolution; its images' channels can't be told")
    with torch.no_grad():
        net.eval()(first.weight.new_zeros(1, first.in_channels, size, size))
    unneeded = ("wsd.alpha", "learned_scale.factor")  # to predict: they are in ŵ already, and in batch norm
    needed = sum(p.numel() for name, p in net.named_parameters() if not name.endswith(unneeded))
    needed += sum(b.numel() for name, b in net.named_buffers() if name.endswith(("running_mean", "running_var")))
    rest = needed - sum(row.binary_params + row.real_params for row in rows)
    return (*rows, LayerCost("norms", "norms", "", real_params=rest))


def _row(name: str, module: nn.Module, x: torch.Tensor, y: torch.Tensor) -> LayerCost:
    linear, shape = isinstance(module, nn.Linear), "×".join(map(str, y.shape[1:]))
    weights, outputs = module.weight.numel(), y.numel()
    products = weights * (outputs // module.weight.shape[0])
    bias = 0 if module.bias is None else module.bias.numel()
    if not isinstance(module, BinaryLayer) or not module.method.binary:
        return LayerCost(name, "linear" if linear else "real conv", shape, flops=products, real_params=weights + bias)
    values, kernel = x.numel(), module.weight[0, 0].numel()
    dynamic = module.own_shift if module.asd is None else module.asd
    matrices = 0 if dynamic is None else sum(p.numel() for p in dynamic.parameters())
    static = 0 if module.rsign is None else module.channels[1]
    return LayerCost(name, "binary linear" if linear else "binary conv", shape, bops=products,
                     stays=matrices + (values if dynamic is not None else 0),
                     folds=(values if module.method.activation_shift else 0) + (outputs if module.method.scale else 0),
                     input_scale=values + kernel * (outputs // module.channels[0]) + 2 * outputs, binary_params=weights,
                     real_params=matrices + static + bias)  # fmt: skip

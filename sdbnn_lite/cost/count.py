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

import json
from dataclasses import asdict, dataclass

import pandas as pd
import torch
from torch import nn

from ..core.layers import BinaryConv2d
from ..core.models import IMAGE_SIZES, build
from ..errors import UsageError
from ..system.text import aligned_table

WORD = 64  # ±1 products in one instruction


@dataclass(frozen=True)
class LayerCost:
    """One layer's row. ``stays`` and ``folds``: the method's own real operations that stay, and that fold away;
    ``input_scale``: what XNOR-Net's K would add. ``real_params`` are 32 bits each, ``bytes`` is all of it packed."""

    name: str
    kind: str  # "binary conv", "real conv", "linear" or "norms"
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


def cost(network: str, method: str = "sdbnn", *, image_size: int | None = None, num_classes: int | None = None) -> Cost:
    """The cost breakdown of ``network`` with ``method``; ``image_size`` in pixels (default: 8, 32 or 224).

    Raises UsageError for what :func:`build` refuses, and for images that don't fit.
    """
    size = IMAGE_SIZES.get(network, 32) if image_size is None else image_size
    if not isinstance(size, int) or size < 1:
        raise UsageError(f"image_size={image_size!r}: a whole number from 1 up is needed")
    sized = {"image_size": size} if network in ("digits_convnet", "cifar10_vgg_small") else {}
    with torch.random.fork_rng():
        net = build(network, method, num_classes, **sized).eval()
    rows: list[LayerCost] = []  # ASD's two linear layers are in that of their convolution
    for name, module in net.named_modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)) and ".asd." not in name:
            module.register_forward_hook(lambda module, x, y, name=name: rows.append(_row(name, module, x[0], y)))
    with torch.no_grad():
        net(torch.zeros(1, net.options["in_channels"], size, size))
    unneeded = ("wsd.alpha", "learned_scale.factor")  # to predict: they are in ŵ already, and in batch norm
    needed = sum(p.numel() for name, p in net.named_parameters() if not name.endswith(unneeded))
    needed += sum(b.numel() for name, b in net.named_buffers() if name.endswith(("running_mean", "running_var")))
    rest = needed - sum(row.binary_params + row.real_params for row in rows)
    return Cost(network, method, size, (*rows, LayerCost("norms", "norms", "", real_params=rest)))


def _row(name: str, module: nn.Module, x: torch.Tensor, y: torch.Tensor) -> LayerCost:
    shape = "×".join(map(str, y.shape[1:]))
    weights = module.weight.numel()
    if isinstance(module, nn.Linear):
        return LayerCost(name, "linear", shape, flops=weights, real_params=sum(p.numel() for p in module.parameters()))
    pixels, products = y[0, 0].numel(), weights * y[0, 0].numel()
    if not isinstance(module, BinaryConv2d) or not module.method.binary:
        return LayerCost(name, "real conv", shape, flops=products, real_params=weights)
    values, kernel = x.numel(), module.weight[0, 0].numel()
    matrices = 0 if module.asd is None else sum(p.numel() for p in module.asd.parameters())
    static = 0 if module.rsign is None else module.in_channels
    return LayerCost(
        name,
        "binary conv",
        shape,
        bops=products,
        stays=matrices + (values if module.asd is not None else 0),
        folds=(values if module.method.activation_shift else 0) + (y.numel() if module.method.scale else 0),
        input_scale=values + kernel * pixels + 2 * y.numel(),
        binary_params=weights,
        real_params=matrices + static,
    )

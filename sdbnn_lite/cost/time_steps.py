"""``sdbnn-lite bench train``: one training step of each CIFAR network in five implementations.

    published   signs as the published code takes them (torch.sign; EDE's backward through tanh and its square)
    readable    the package's own modules
    fast        the fused layers of ``sdbnn_lite.fast``, gradients rounded to 16 bits
    fast8       the same, gradients rounded to 8 bits
    float       the readable network's real-valued twin: plain convolutions

Every round runs one step of each, interleaved; ratios are those of a round: their median and 10th-90th percentile.
"""

from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from ..core import layers
from ..core.binarize import binarize
from ..core.layers import set_ede
from ..core.models import BinaryNet, build
from ..fast import fast_forward
from ..system.devices import keep_freed_memory
from ..system.target import target
from ..system.threads import one_torch_thread
from ..system.timing import interleaved, ratio

NETWORKS = ("cifar10_resnet20", "cifar10_resnet18", "cifar10_vgg_small")
BATCH, ROUNDS, WARM_UP = 128, 7, 1
EDE_T = 0.1
GOALS = {"cifar10_resnet20": 4.0, "cifar10_resnet18": 4.0, "cifar10_vgg_small": 4.5}  # published / fast8, AVX-512
NARROW_GOAL = 1.8  # on shorter vectors


class PublishedSign(Function):
    """torch.sign forward, k·t·(1 - tanh²(t·x)) backward, one operation after the other as the published code does."""

    @staticmethod
    def forward(ctx, x: Tensor, k: Tensor, t: Tensor) -> Tensor:
        ctx.save_for_backward(x, k, t)
        return torch.sign(x)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None, None]:
        x, k, t = ctx.saved_tensors
        return k * t * (1 - torch.pow(torch.tanh(x * t), 2)) * grad, None, None


def published_binarize(x: Tensor, gradient: str, k: Tensor, t: Tensor) -> Tensor:
    """``binarize`` as the published code has it for "ede"; the package's own for other gradients."""
    return PublishedSign.apply(x, k, t) if gradient == "ede" else binarize(x, gradient, k, t)


def bench_train(rounds: int = ROUNDS, batch: int = BATCH, networks: tuple[str, ...] = NETWORKS) -> list[dict[str, Any]]:
    """Per network: median step times in ms, the ratios with their spread, and the bytes saved for the backward pass."""
    keep_freed_memory()  # as `train` does; it serves all
    return [_measure(name, rounds, batch) for name in networks]


def _measure(name: str, rounds: int, batch: int) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(batch, 3, 32, 32, generator=generator)
    labels = torch.randint(10, (batch,), generator=generator)
    seen = interleaved(_ways(name, images, labels), rounds, WARM_UP)
    row: dict[str, Any] = {"network": name, "batch": batch, "rounds": rounds}
    for way in ("published", "readable", "fast", "fast8", "float"):
        row[f"{way}_ms"] = round(float(np.median(seen[way])), 1) if way in seen else None
    for way, other in (("published", "fast"), ("published", "fast8"), ("readable", "fast"), ("float", "fast")):
        row[f"{way}/{other}"] = ratio(seen[way], seen[other], digits=2) if other in seen else None
    for way, forward in (("readable", plain(name)), ("fast", fast_forward(plain(name)))):
        row[f"{way}_saved_mb"] = round(kept_bytes(forward, images) / 2**20, 1) if forward else None
    row["goal"] = goal = GOALS.get(name) if target().vector == 64 else NARROW_GOAL
    row["met"] = "fast8" in seen and bool(np.median(seen["published"] / seen["fast8"]) >= (goal or 0))
    return row


def plain(name: str, method: str = "sdbnn") -> BinaryNet:
    """A network in training mode, always the same, with EDE at ``EDE_T``."""
    torch.manual_seed(0)
    net = build(name, method=method).train()
    set_ede(net, EDE_T)
    return net


def _ways(name: str, images: Tensor, labels: Tensor) -> dict[str, Callable[[], None]]:
    """A training step of each implementation; without the fast ones where this machine has none."""
    published = mock.patch.object(layers, "binarize", published_binarize)
    fast = {way: fast_forward(plain(name), bits) for way, bits in (("fast", 16), ("fast8", 8))}
    return {"published": _step(plain(name), images, labels, around=published),
            "readable": _step(plain(name), images, labels),
            **{way: _step(forward, images, labels, net=forward.net) for way, forward in fast.items() if forward},
            "float": _step(plain(name, "float"), images, labels)}  # fmt: skip


def _step(forward, images: Tensor, labels: Tensor, *, net=None, around=None) -> Callable[[], None]:
    """SGD with momentum on cross-entropy, fused as our recipes train; ``around``, the published code's, isn't.

    ``net``, a fast forward's network: torch has one thread then, as in training.
    """
    parameters, fused = (net or forward).parameters(), around is None
    optimizer = torch.optim.SGD(parameters, lr=0.01, momentum=0.9, weight_decay=1e-4, fused=fused)

    def step() -> None:
        with around or one_torch_thread(net is not None):
            optimizer.zero_grad(set_to_none=True)
            F.cross_entropy(forward(images), labels).backward()
            optimizer.step()

    return step


def kept_bytes(forward: Callable[[Tensor], Tensor], images: Tensor) -> int:
    """Bytes of the distinct tensors that autograd keeps for the backward pass; parameters count too."""
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        logits = forward(images)
    del logits
    return sum(kept.values())

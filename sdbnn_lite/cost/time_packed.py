"""``sdbnn-lite bench packed``: bit-packed convolutions and networks, beside torch's best float32 of the same shape.

torch gets three chances, and its fastest counts: NCHW, channels_last, and the latter with weights prepacked by mkldnn.
Ours has two columns: the popcount convolution alone, and with packing the activations, which is what a network needs.
Every round runs all of them, interleaved; ratios are those of a round: their median and 10th-90th percentile.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from ..core.models import build
from ..packed import engines, pack
from ..packed.network import BareLayer
from ..system.devices import keep_freed_memory
from ..system.target import target
from ..system.timing import interleaved, ratio

SHAPES = ((64, 56), (128, 28), (256, 14), (512, 7))  # channels in and out, pixels a side: ResNet-18's at 224²
BATCHES = (1, 32)
NETWORKS = (("cifar10_resnet18", 32), ("cifar10_vgg_small", 32), ("cifar10_resnet20", 32), ("imagenet_resnet18", 224))
ROUNDS, WARM_UP, RUNS = 15, 2, 3  # RUNS in each turn of a round, at least
NETWORK_GOALS = {"cifar10_resnet18": 6.0, "cifar10_vgg_small": 7.0, "cifar10_resnet20": 4.0, "imagenet_resnet18": 5.0}


def goal(what: str, batch: int) -> float | None:
    """The ratio aimed at, packing included: on AVX-512; on shorter vectors for single layers only."""
    if "@" in what:
        return {("64@56", 32): 9.0, ("512@7", 32): 12.0}.get((what, batch), 8.0) if target().vector == 64 else 4.0
    return NETWORK_GOALS.get(what) if target().vector == 64 else None


def bench_packed(rounds: int = ROUNDS, shapes=SHAPES, batches=BATCHES, networks=NETWORKS) -> list[dict[str, Any]]:
    """A row per convolution (3×3, padding 1) and per network, for each batch size."""
    keep_freed_memory()  # else both sides are timed with the page faults of their outputs
    rows = [_convolution(c, side, batch, rounds) for batch in batches for c, side in shapes]
    return rows + [_network(name, side, batch, max(rounds // 3, 2)) for name, side in networks for batch in batches]


def _convolution(channels: int, side: int, batch: int, rounds: int) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, side, side, channels)).astype(np.float32)
    w = rng.choice(np.float32([-1, 1]), (channels, channels, 3, 3))
    ways = implementations(x, w, BareLayer(w))
    with torch.inference_mode():
        same = torch.equal(ways["NCHW"]().permute(0, 2, 3, 1), torch.from_numpy(ways["packed"]()).float())
    return _row(f"{channels}@{side}", batch, ways, rounds, same)


def implementations(x: np.ndarray, w: np.ndarray, layer: BareLayer) -> dict[str, Callable[[], Any]]:
    """Functions that convolve the signs of ``x`` (N, H, W, C) with ``w`` (O, C, 3, 3), which ``layer`` holds packed.

    NCHW, channels_last, prepacked: torch's, given the signs as floats, (N, O, H, W). popcount: given packed signs, and
    packed: given ``x`` itself, (N, H, W, O).
    """
    last = torch.from_numpy(np.where(x >= 0, np.float32(1), np.float32(-1))).permute(0, 3, 1, 2)
    plain, weight = last.contiguous(), torch.from_numpy(w)
    weight_last = weight.contiguous(memory_format=torch.channels_last)
    engine, shift = engines.engine(), np.zeros((len(x), x.shape[-1]), np.float32)
    padded = engine.sign_words(x, shift, 1)
    return {"NCHW": lambda: F.conv2d(plain, weight, padding=1),
            "channels_last": lambda: F.conv2d(last, weight_last, padding=1), **prepacked(last, weight),
            "popcount": lambda: engine.convolve(padded, layer),
            "packed": lambda: engine.convolve(engine.sign_words(x, shift, 1), layer)}  # fmt: skip


def prepacked(last: torch.Tensor, weight: torch.Tensor) -> dict[str, Callable[[], Any]]:
    """torch's 3×3 convolution of ``last`` (channels_last), with weights in the library's own layout; {} where this
    torch has none."""
    if not torch.backends.mkldnn.is_available():
        return {}
    ones, library = [1, 1], torch.ops.mkldnn
    try:
        inside = library._reorder_convolution_weight(weight, ones, ones, ones, 1, list(last.shape))

        def run() -> torch.Tensor:  # what torch.compile calls for weights in this layout
            return library._convolution_pointwise(last, inside, None, ones, ones, ones, 1, "none", [], "")

        run()
    except (RuntimeError, AttributeError, TypeError):
        return {}
    return {"prepacked": run}


def _network(name: str, side: int, batch: int, rounds: int) -> dict[str, Any]:
    torch.manual_seed(0)
    images = torch.randn(batch, 3, side, side)
    last = images.contiguous(memory_format=torch.channels_last)
    twin, twin_last = (build(name, "float").eval() for _ in range(2))
    twin_last = twin_last.to(memory_format=torch.channels_last)
    packed = pack(build(name, "sdbnn").eval())
    ways = {"NCHW": lambda: twin(images), "channels_last": lambda: twin_last(last), "packed": lambda: packed(images)}
    return _row(name, batch, ways, rounds)


def _row(name: str, batch: int, ways: dict[str, Callable], rounds: int, equal: bool | None = None) -> dict[str, Any]:
    with torch.inference_mode():
        times = interleaved(ways, rounds, WARM_UP, RUNS)
    middle = {way: float(np.median(values)) for way, values in times.items()}
    best = min(middle.keys() - {"popcount", "packed"}, key=middle.get)
    alone, wanted = "popcount" in times, goal(name, batch)
    return {
        "what": name, "batch": batch, "float32": best, "float32_ms": round(middle[best], 3),
        "popcount_ms": round(middle["popcount"], 3) if alone else None, "packed_ms": round(middle["packed"], 3),
        "float32/popcount": ratio(times[best], times["popcount"]) if alone else None,
        "float32/packed": ratio(times[best], times["packed"]), "equal": equal, "goal": wanted,
        "met": None if wanted is None else bool(np.median(times[best] / times["packed"]) >= wanted),
    }  # fmt: skip

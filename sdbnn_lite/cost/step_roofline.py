"""``sdbnn-lite bench train --roofline``: a training step of the fused layers in its parts, beside the chip's peak.

    multiply-adds   C·9·O·H'·W' an image, forward and for each of the two gradients; padded taps count
    bytes           of all arrays that the part reads or writes, each once
    ms              processor time, the fastest of the rounds part by part; the step is their sum
    peak share      multiply-adds a second, over those of the same instructions with everything in registers: XOR and
                    popcount forward, 16-bit products in pairs for the gradients

All is of one thread, on one core.
"""

import time
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from ..core.layers import binary_layers
from ..core.models import IMAGE_SIZES
from ..errors import UsageError, check_whole
from ..fast import fast_forward
from ..system.devices import keep_freed_memory, one_thread
from ..system.target import target
from .roofline import best
from .time_steps import BATCH, plain

NETWORK, ROUNDS = "cifar10_resnet20", 5
PASSES = {"convolve": "forward", "convolve_back": "input gradient", "weight_gradient": "weight gradient"}
PARTS = {
    "sign_words": "signs", "pool": "pooling", "normalise": "batch norm, shortcut, Hardtanh",
    "unclip": "their gradients", **dict.fromkeys(("quantise", "quantise_pooled"), "gradients rounded"),
    **dict.fromkeys(("convolve_images", "image_weight_gradient"), "stem"), "optimizer": "optimizer",
}  # fmt: skip
REST = "the rest: ASD, weights, classifier, real shortcuts"  # torch's own operations


@lru_cache(maxsize=1)
def step_peaks() -> dict[str, float]:
    """Multiply-adds a second of one core at best: "signs" by XOR and popcount, "pairs" in 16 bits."""
    from . import peaks as loops
    turns = 50_000
    return {"signs": turns * loops.SIGNS_A_TURN / best(lambda: loops.signs(turns), 20),
            "pairs": turns * loops.PAIRS_A_TURN / best(lambda: loops.pairs(turns), 20)}  # fmt: skip


def bench_roofline(network: str = NETWORK, batch: int = BATCH, rounds: int = ROUNDS) -> list[dict[str, Any]]:
    """A row per convolution and pass, one for each other part, and the whole step.

    Raises UsageError for a network that has no fused layers here, and for numbers below 1.
    """
    check_whole(batch=batch, rounds=rounds)
    net = plain(network)
    forward = fast_forward(net)
    if forward is None:
        raise UsageError(f"network {network}: no training step of fused layers here (kernels: {target().name})")
    from ..fast.launch import Kernel
    keep_freed_memory()
    size, channels = IMAGE_SIZES.get(network, 32), net.options.get("in_channels", 3)
    images, labels = torch.randn(batch, channels, size, size), torch.randint(10, (batch,))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4, fused=True)
    seen: list[list[tuple[str, float, int, int]]] = []
    Kernel.watch = lambda kernel, seconds, arrays: seen[-1].append((kernel, seconds, *_sizes(kernel, arrays)))
    try:
        with one_thread():
            for _ in range(rounds + 1):
                seen.append([])
                start = time.process_time()
                optimizer.zero_grad(set_to_none=True)
                F.cross_entropy(forward(images), labels).backward()
                before = time.process_time()
                optimizer.step()
                end = time.process_time()
                known = end - before + sum(seconds for _, seconds, *_ in seen[-1])
                seen[-1] += [("optimizer", end - before, 0, 0), ("rest", end - start - known, 0, 0)]
    finally:
        Kernel.watch = None
    return _rows(seen[1:], {name: batch * layer.weight.numel() for name, layer in binary_layers(net).items()})


def _sizes(kernel: str, arrays: list[np.ndarray]) -> tuple[int, int]:
    """(bytes, the pixels of a convolution's output) of a kernel's arguments."""
    border, y = {"convolve": (0, -2), "convolve_back": (2, 0), "weight_gradient": (0, 0)}.get(kernel, (0, 0))
    height, width = arrays[y].shape[2:4]
    return sum(a.nbytes for a in arrays), (height - border) * (width - border)


def _rows(seen: list[list[tuple[str, float, int, int]]], products: dict[str, int]) -> list[dict[str, Any]]:
    """Of the rounds' calls, the same ones in each; ``products`` of a batch for each pixel, of the layers in order."""
    ahead = {"convolve": [*products][::-1], "convolve_back": [*products], "weight_gradient": [*products]}
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for calls in zip(*seen, strict=True):
        kernel, _, moved, pixels = calls[0]
        where = (ahead[kernel].pop(), PASSES[kernel]) if kernel in PASSES else (PARTS.get(kernel, REST), "")
        new = {"part": where[0], "pass": where[1], "multiply_adds": 0, "bytes": 0, "ms": 0.0, "peak_share_%": None}
        row = rows.setdefault(where, new)
        row["ms"] += 1000 * min(seconds for _, seconds, *_ in calls)
        row["bytes"] += moved
        if kernel in PASSES:
            row["multiply_adds"] = pixels * products[where[0]]
            peak = step_peaks()["signs" if kernel == "convolve" else "pairs"]
            row["peak_share_%"] = 100 * row["multiply_adds"] / peak / row["ms"] * 1000
    keys = ("multiply_adds", "bytes", "ms")
    total = {"part": "in all", "pass": "", **{key: sum(row[key] for row in rows.values()) for key in keys}}
    whole = [*rows.values(), {**total, "peak_share_%": None}]
    return [{**row, "step_share_%": 100 * row["ms"] / total["ms"]} for row in whole]

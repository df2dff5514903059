"""Reproducible values for a state dict of given shapes: how the golden files' weights are made again."""

import hashlib

import numpy as np
import torch


def _draw(key: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    normal = rng.standard_normal(shape)
    if key.endswith("running_var"):  # positive
        return 0.5 + rng.random(shape)
    if key.endswith("running_mean"):
        return 0.5 * normal
    if ".prelu." in "." + key:  # slopes between 0 and 0.5
        return 0.5 * rng.random(shape)
    if len(shape) == 4 or key.endswith("weights"):  # a mean that isn't 0, so that WSD flips some signs
        return 0.05 * normal + 0.02
    if len(shape) == 2:
        return normal / np.sqrt(shape[1])
    return normal


def filled(shapes: dict[str, list[int]], seed: int) -> dict[str, torch.Tensor]:
    """float64 tensors, one stream of random numbers per key: the first 8 bytes of sha256("seed:key") seed it."""
    state = {}
    for key, shape in shapes.items():
        if key.endswith("num_batches_tracked"):
            state[key] = torch.tensor(1)
        else:
            digest = hashlib.sha256(f"{seed}:{key}".encode()).digest()
            rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
            state[key] = torch.from_numpy(np.ascontiguousarray(_draw(key, tuple(shape), rng)))
    return state

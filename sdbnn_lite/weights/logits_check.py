"""500 synthetic images, the same on every machine, on which a network's predictions are compared without real images.

Soft blobs of colour on a slanted background, as smooth, bright and varied as photographs, so that a trained network
predicts many different classes. Made with PCG64's raw 64-bit numbers, which NumPy promises never to change, and +, -, ·
and / in float64, which IEEE 754 rounds alike everywhere; no exp, no sum whose order a library chooses.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ..data.augment import normalise
from ..system.devices import one_thread

PROBE_IMAGES = 500
PROBE_SEED = 2103_02394
_BLOBS = 6


def uniform(count: int, seed: int) -> np.ndarray:
    """``count`` numbers in [0, 1), float64, from the 53 upper bits of PCG64's raw output."""
    return (np.random.PCG64(seed).random_raw(count) >> np.uint64(11)) * 2.0**-53


def probe_pixels(size: int, channels: int = 3, count: int = PROBE_IMAGES, seed: int = PROBE_SEED) -> np.ndarray:
    """uint8 (count, channels, size, size). A blob of radius r around p adds colour·(1 - |x - p|² / r²)² inside r."""
    per_image = 3 * channels + _BLOBS * (3 + channels)
    draws = uniform(count * per_image, seed).reshape(count, per_image, 1, 1)
    at = (np.arange(size) + 0.5) / size  # pixel centres in (0, 1)
    y, x = at[:, None], at[None, :]
    pixels = np.empty((count, channels, size, size), np.uint8)
    for image, draw in zip(pixels, draws, strict=True):
        base, slant_x, slant_y = draw[: 3 * channels].reshape(3, channels, 1, 1)
        value = 40 + 150 * base + 80 * (slant_x - 0.5) * (x - 0.5) + 80 * (slant_y - 0.5) * (y - 0.5)
        for blob in draw[3 * channels :].reshape(_BLOBS, 3 + channels, 1, 1):
            radius, colour = 0.1 + 0.4 * blob[2], 360 * (blob[3:] - 0.5)
            distance = ((x - blob[0]) * (x - blob[0]) + (y - blob[1]) * (y - blob[1])) / (radius * radius)
            inside = np.maximum(1 - distance, 0)
            value = value + colour * (inside * inside)
        image[...] = np.floor(np.clip(value, 0, 255))
    return pixels


def probe_images(size: int, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """The probe normalised as the network's own images are: float32 (500, C, size, size), C = len(mean)."""
    statistics = (torch.tensor(values).view(-1, 1, 1) for values in (mean, std))
    return normalise(torch.from_numpy(probe_pixels(size, len(mean))), *statistics)


@torch.no_grad()
def probe_logits(net: nn.Module, images: Tensor, batch_size: int = 100) -> Tensor:
    """Logits of ``net``, as it is, for ``images``: (N, classes), computed with one thread."""
    with one_thread():
        return torch.cat([net(batch) for batch in images.split(batch_size)])


def predicted_classes(logits: Tensor) -> str:
    """The class of every image as text: a digit each, or numbers separated by blanks for more than ten classes."""
    return ("" if logits.shape[1] <= 10 else " ").join(map(str, logits.argmax(1).tolist()))

"""Notebook 08's pictures: two photographs of scikit-learn's, cut into patches; and a network's first look at them."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from ..core.record import record_signs
from ..data.augment import Augmentation
from ..data.in_memory import ImageSet

SIDE = 16  # pixels
SCORED = range(4, 640 // SIDE, 5)  # every fifth column of patches


def cut_patches(folder: str | Path) -> dict[str, np.ndarray]:
    """Write ``folder``/{train,val}/{temple,flower}/ROW-COLUMN.png; returns the photographs, uint8 (427, 640, 3)."""
    from PIL import Image
    from sklearn.datasets import load_sample_images
    photos = dict(zip(("temple", "flower"), load_sample_images().images))
    for name, photo in photos.items():
        for row, column in np.ndindex(photo.shape[0] // SIDE, photo.shape[1] // SIDE):
            path = Path(folder, "val" if column in SCORED else "train", name, f"{row:02}-{column:02}.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            patch = photo[row * SIDE :, column * SIDE :][:SIDE, :SIDE]
            Image.fromarray(patch).save(path)
    return photos


def random_overlap(seed: int = 0) -> float:
    """Were as many patches cut at random places, and a fifth of them drawn to be scored: the share of these that would
    have a pixel in common with one to learn from."""
    draw, number = np.random.default_rng(seed), 26 * 40  # of each photograph
    places = draw.integers(0, (427 - SIDE + 1, 640 - SIDE + 1), (number, 2))
    scored, learned = places[: number // 5], places[number // 5 :]
    near = abs(scored[:, None] - learned).max(axis=2) < SIDE
    return float(near.any(axis=1).mean())


@torch.no_grad()
def first_look(network: nn.Module, images: ImageSet) -> tuple[list[float], int]:
    """Let the batch norms of an untrained network measure the training pictures; then, on those to be scored, the share
    of +1 that each binary layer receives, and how many different answers the network gives (to three decimals)."""
    network.train()
    for batch, _ in images.epoch(64, torch.Generator().manual_seed(0), Augmentation(pad=0)):
        network(batch)
    pictures = images.test_sample(images.num_test)
    shares = [float(layer.input_before.mean()) for layer in record_signs(network, pictures).values()]
    return shares, len(network.eval()(pictures).round(decimals=3).unique(dim=0))

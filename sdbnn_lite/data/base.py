"""What an image set is asked for, and what each has: names, the statistics that normalise, its shard of every batch."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import UsageError
from . import imagenet_augment
from .augment import Augmentation, batch_slices, normalise

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # the published CIFAR training uses them too

Batches = Iterator[tuple[Tensor, Tensor]]  # (float32 (B, C, H, W), int64 (B,))
Statistics = tuple[tuple[float, ...], tuple[float, ...]]  # mean and std of each channel
FOUND_OUT: Statistics = ((), ())


@dataclass(frozen=True)
class Options:
    """What ``load`` was asked for. ``folder``: DIR/name, "." for a set that needs none.

    Of a known set size, channels and statistics are given; of the user's own, 0 and ``FOUND_OUT`` are found out.
    """

    name: str
    folder: Path
    image_size: int
    channels: int
    statistics: Statistics
    download: bool
    progress: bool
    seed: int
    strict: bool
    workers: int | None
    train_only: bool


@dataclass(kw_only=True, eq=False)
class ImageSetBase:
    """Names, number of classes, and the statistics that normalise: x = (pixel / 255 - mean) / std."""

    name: str
    label: str  # what a figure measured on this set may be called
    classes: tuple[str, ...]
    mean: tuple[float, ...] = IMAGENET_MEAN  # per channel
    std: tuple[float, ...] = IMAGENET_STD
    shard: tuple[int, int] = (0, 1)  # which of how many equal parts of every batch this process makes

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    @property
    def channels(self) -> int:
        return len(self.mean)

    def num_batches(self, batch_size: int) -> int:
        """Batches in one epoch of training: the last may be smaller, but one of a single image is left out."""
        return len(self.train_slices(batch_size))

    def train_slices(self, batch_size: int, start: int = 0) -> list[slice]:
        """The slices of 0 … num_train-1 that make this ``shard`` of the training batches from number ``start`` on.

        ``batch_size`` is that of all shards together. A last batch with fewer images than there are shards is left out.
        """
        shards = self.shard[1]
        whole = batch_slices(self.num_train, batch_size, start)  # type: ignore[attr-defined]  # each set has its own
        return shard([batch for batch in whole if batch.stop - batch.start >= shards], self.shard)

    def test_slices(self, batch_size: int) -> list[slice]:
        """The same of the test images, ``batch_size`` in each shard: every image is in exactly one shard's batches."""
        images: int = self.num_test  # type: ignore[attr-defined]  # as above
        return shard(batch_slices(images, batch_size * self.shard[1], drop_lone=False), self.shard)

    def sampled_places(self, count: int) -> list[int]:
        """Which test images ``test_sample`` takes: every k-th one, k = num_test // count, so from all classes."""
        images: int = self.num_test  # type: ignore[attr-defined]  # as above
        return [place * max(1, images // count) for place in range(min(count, images))]

    def check(self, augmentation: Augmentation) -> None:
        """Raise UsageError for an augmentation that these images can't have: without colours, none can vary."""
        if augmentation.colours and self.channels != 3:
            raise UsageError(f"jitter, lighting: {self.label} has {self.channels} channels; colours need 3")

    def _statistics(self, device: torch.device | str) -> tuple[Tensor, Tensor]:
        mean, std = (torch.tensor(values, device=device).view(-1, 1, 1) for values in (self.mean, self.std))
        return mean, std

    def _normalised(self, pixels: Tensor, u: np.ndarray | None, augmentation: Augmentation) -> Tensor:
        """uint8 (B, C, H, W) -> float32: colours varied by the numbers ``u`` (B, NUMBERS), normalised."""
        mean, std = self._statistics(pixels.device)
        if u is None or not augmentation.colours:
            return normalise(pixels, mean, std)
        x = normalise(pixels, torch.zeros_like(mean), torch.ones_like(std))
        x = imagenet_augment.jitter(x, u, augmentation.jitter) if augmentation.jitter else x
        x = imagenet_augment.lighting(x, u, augmentation.lighting) if augmentation.lighting else x
        return (x - mean).div_(std)


def shard(batches: list[slice], which: tuple[int, int]) -> list[slice]:
    """Part ``which[0]`` of ``which[1]`` parts of every batch, as equal as possible; parts without images left out."""
    place, shards = which
    parts = []
    for batch in batches:
        first, images = batch.start, batch.stop - batch.start
        parts.append(slice(first + images * place // shards, first + images * (place + 1) // shards))
    return [part for part in parts if part.stop > part.start]

"""An image set that doesn't fit in memory: ImageNet, read from the disk while the network trains."""

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ..errors import UsageError
from . import imagenet_augment
from .augment import Augmentation
from .base import Batches, ImageSetBase
from .image_file import centre_crop
from .pixels import to_channels
from .prefetch import Batch, prefetch
from .resized_copy import PackedSplit, side_for
from .tree import Split

NONE = Augmentation(pad=0, flip=False)


@dataclass(kw_only=True, eq=False)
class StreamedImageSet(ImageSetBase):
    """A set too large for memory: ``workers`` threads read its images while the network trains; grey with one channel.

    Training images: a random box (8-100 % of the area, aspect 3/4-4/3) resized to ``image_size``, flipped, colours
    varied. Test images: resized to 256/224 of ``image_size``, cropped in the middle. The usual ImageNet protocol
    (Szegedy et al. 2015, arXiv:1409.4842; torchvision's reference).

    train, test   image files, or their resized copy, several times as fast
    reduced       decode JPEG for training no larger than the box needs (``image_file``); test images never
    strict        stop at the first unreadable training image; else it is named, left out of its batch and counted in
                  ``unreadable`` (messages). An unreadable test image always stops: a score is one of *all* images
    """

    train: Split | PackedSplit
    test: Split | PackedSplit
    image_size: int = 224
    device: torch.device | str = "cpu"
    workers: int = max(2, min(16, os.cpu_count() or 1))
    reduced: bool = True
    strict: bool = False
    unreadable: set[str] = field(default_factory=set, repr=False)

    @property
    def num_train(self) -> int:
        return len(self.train)

    @property
    def num_test(self) -> int:
        return len(self.test)

    def to(self, device: torch.device | str) -> "StreamedImageSet":
        """The same set, whose batches will be on ``device``."""
        return replace(self, device=device)

    def check(self, augmentation: Augmentation) -> None:
        """Raise UsageError for an augmentation that only sets in memory have, or only those in colour."""
        super().check(augmentation)
        if augmentation.reflect or augmentation.cutout or augmentation.epoch is not None:
            raise UsageError(f"{self.label}: reflect, cutout and alternate_flip are for image sets held in memory")

    def epoch(self, batch_size: int, generator: torch.Generator, augmentation: Augmentation, start: int = 0) -> Batches:
        """As :meth:`ImageSet.epoch`; any ``pad`` above 0 stands for ``resized``; with neither, the test images' crop.

        Each image's random numbers follow from the epoch's key and its place (``imagenet_augment``): neither ``start``
        nor ``shard`` nor the number of workers changes a pixel.
        """
        self.check(augmentation)
        slices = self.train_slices(batch_size, start)
        order = torch.randperm(self.num_train, generator=generator)
        key = imagenet_augment.draw_key(generator)
        return self._epoch(slices, order, key, augmentation)

    def _epoch(self, slices: list[slice], order: Tensor, key: int, augmentation: Augmentation) -> Batches:
        def image(place: int) -> np.ndarray:
            index, (u,) = int(order[place]), imagenet_augment.numbers(key, slice(place, place + 1))
            flip = bool(augmentation.flip and imagenet_augment.flips(u))
            if augmentation.pad or augmentation.resized:
                box = partial(imagenet_augment.random_box, u)
                return self.train.crop(index, box, self.image_size, self.reduced, flip)
            middle = self._centre_crop(self.train, index)
            return middle[:, ::-1] if flip else middle

        for batch in self._batches(slices, image):
            labels, u = self.train.labels[order[batch.part]], imagenet_augment.numbers(key, batch.part)
            if batch.failed:
                kept = self._readable(batch)
                batch, labels, u = batch._replace(pixels=batch.pixels[kept]), labels[kept], u[kept.numpy()]
            yield self._images(batch.pixels, u, augmentation), self._to_device(labels)

    def test_batches(self, batch_size: int) -> Batches:
        """All test images of this shard in order, normalised; none is left out. UsageError for an unreadable one."""
        for batch in self._batches(self.test_slices(batch_size), lambda place: self._centre_crop(self.test, place)):
            for _, error in batch.failed:
                raise error
            yield self._images(batch.pixels), self._to_device(self.test.labels[batch.part])

    def test_sample(self, count: int) -> Tensor:
        """As :meth:`ImageSet.test_sample`. UsageError for an unreadable image."""
        pixels = np.stack([self._centre_crop(self.test, place) for place in self.sampled_places(count)])
        return self._images(torch.from_numpy(pixels))

    def _batches(self, slices: list[slice], make: Callable[[int], np.ndarray]) -> Iterator[Batch]:
        pinned = torch.device(self.device).type == "cuda"
        return prefetch(slices, make, self.image_size, self.workers, pinned)

    def _centre_crop(self, split: Split | PackedSplit, index: int) -> np.ndarray:
        return centre_crop(split.picture(index), side_for(self.image_size), self.image_size)

    def _images(self, pixels: Tensor, u: np.ndarray | None = None, augmentation: Augmentation = NONE) -> Tensor:
        """uint8 (B, H, W, 3) -> float32 (B, C, H, W) on the device, colours varied, normalised."""
        images = to_channels(self._to_device(pixels).permute(0, 3, 1, 2), self.channels)
        return self._normalised(images, u, augmentation)

    def _to_device(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.device, non_blocking=True)

    def _readable(self, batch: Batch) -> Tensor:
        """Which images of the batch could be read, bool (B,); the others are named on stderr, once, and counted."""
        kept = torch.ones(len(batch.pixels), dtype=torch.bool)
        for place, error in batch.failed:
            if self.strict:
                raise error
            kept[place] = False
            if (about := str(error)) not in self.unreadable:
                self.unreadable.add(about)
                print(f"{about}; left out ({len(self.unreadable)} so far, --strict stops instead)", file=sys.stderr)
        if not kept.any():
            raise UsageError(f"{self.label}: not one image of a batch can be read; the last: {batch.failed[-1][1]}")
        return kept

"""An image set in memory: images, labels, and normalised batches of them, augmented or not."""

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from sklearn.model_selection import train_test_split
from torch import Tensor

from ..errors import UsageError
from . import imagenet_augment
from .augment import Augmentation, Draws, crop, draw, draw_centres, erase, normalise, pixel_table
from .base import Batches, ImageSetBase

SPLIT_SEED = 0  # of the images held out for validation: the same ones in every search


@dataclass(kw_only=True, eq=False)
class ImageSet(ImageSetBase):
    """A set that lives in memory (the CPU's or a GPU's): images uint8 (N, C, H, W), labels int64 (N,)."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    _table: tuple[tuple[int, bool], Tensor] | None = field(default=None, init=False, repr=False)  # of the last padding

    @property
    def num_train(self) -> int:
        return len(self.train_images)

    @property
    def num_test(self) -> int:
        return len(self.test_images)

    @property
    def image_size(self) -> int:
        return self.train_images.shape[-1]

    def to(self, device: torch.device | str) -> "ImageSet":
        """The same set with its images and labels on ``device``, where its batches will be made."""
        names = ("train_images", "train_labels", "test_images", "test_labels")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})

    def validation_split(self, count: int) -> "ImageSet":
        """``count`` training images as test images, the same ones every time, and the rest to train on.

        Every class keeps its share. No test image of this set is in it. Raises UsageError unless both parts hold an
        image of every class.
        """
        if type(count) is not int or not self.num_classes <= count <= self.num_train - self.num_classes:
            most = self.num_train - self.num_classes
            raise UsageError(f"validation={count!r}: {self.label} has {self.num_train} training images; "
                             f"{self.num_classes} to {most} of them can be held out")  # fmt: skip
        labels = self.train_labels.cpu()
        rest, held = train_test_split(range(len(labels)), test_size=count, stratify=labels, random_state=SPLIT_SEED)
        return replace(self, label=f"{self.label}, {count:,} training images held out",
                       train_images=self.train_images[rest], train_labels=self.train_labels[rest],
                       test_images=self.train_images[held], test_labels=self.train_labels[held])  # fmt: skip

    def check(self, augmentation: Augmentation) -> None:
        """Raise UsageError where the images are too small to be mirrored by as much, or have no colours to vary."""
        super().check(augmentation)
        pad, least = augmentation.pad, min(self.train_images.shape[2:])
        if augmentation.reflect and pad >= least:
            raise UsageError(f"pad={pad}: images of {least} pixels can only be mirrored by less than that")

    def epoch(self, batch_size: int, generator: torch.Generator, augmentation: Augmentation, start: int = 0) -> Batches:
        """The training batches of one epoch, shuffled and augmented, from batch number ``start`` on.

        All random numbers are drawn here, at once, from the CPU ``generator``: with the generator in the same state,
        ``start=k`` yields exactly what follows the first k batches: so a run resumes within an epoch. Only this
        ``shard`` of each batch is made. Raises UsageError where ``batch_size`` < 1 or ``start`` isn't one of
        0 … ``num_batches(batch_size)``.
        """
        self.check(augmentation)
        slices = self.train_slices(batch_size, start)
        device, (height, width) = self.train_images.device, self.train_images.shape[2:]
        draws, centres = draw(self.num_train, augmentation, generator).to(device), None
        if augmentation.cutout:
            centres = draw_centres(self.num_train, height, width, generator).to(device)
        key = imagenet_augment.draw_key(generator) if augmentation.resized or augmentation.colours else None
        return self._epoch(slices, draws, centres, key, augmentation)

    def _epoch(self, slices: list[slice], draws: Draws, centres: Tensor | None, key: int | None,
               augmentation: Augmentation) -> Batches:  # fmt: skip
        for part in slices:
            batch = draws.part(part)
            u = None if key is None else imagenet_augment.numbers(key, part)
            made = self._boxes(batch, u) if u is not None and augmentation.resized else self._crops(batch, augmentation)
            images = self._normalised(made, u, augmentation)
            if centres is not None:
                erase(images, centres[part], augmentation.cutout)
            yield images, self.train_labels[batch.image]

    def _crops(self, batch: Draws, augmentation: Augmentation) -> Tensor:
        padding = augmentation.pad, augmentation.reflect
        if self._table is None or self._table[0] != padding:
            self._table = padding, pixel_table(self.train_images, *padding)
        return crop(self._table[1], batch, augmentation.pad)

    def _boxes(self, batch: Draws, u: np.ndarray) -> Tensor:
        heights, widths = ([side] * len(u) for side in self.train_images.shape[2:])
        boxes = torch.from_numpy(imagenet_augment.random_boxes(u, heights, widths))
        return imagenet_augment.resize_boxes(self.train_images[batch.image], boxes, self.image_size, batch.flip)

    def test_batches(self, batch_size: int) -> Batches:
        """All test images of this shard in order, normalised; none is left out."""
        statistics = self._statistics(self.test_images.device)
        for part in self.test_slices(batch_size):
            yield normalise(self.test_images[part], *statistics), self.test_labels[part]

    def test_sample(self, count: int) -> Tensor:
        """``count`` test images (all, where there are fewer) from the whole set, in its order, normalised."""
        return normalise(self.test_images[self.sampled_places(count)], *self._statistics(self.test_images.device))

"""An image set that doesn't fit in memory: ImageNet, decoded while the network trains."""

import os
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from .augment import Augmentation, normalise
from .errors import UsageError
from .folder import Split
from .imageset import Batches, Described


@dataclass(kw_only=True, eq=False)
class StreamedImageSet(Described):
    """A set too large for memory: its files are decoded by ``workers`` processes while the network trains.

    Training images are cut by RandomResizedCrop (area 8-100 %, aspect 3/4-4/3), test images resized to 256/224 of
    ``image_size`` and cut in the middle: the usual ImageNet protocol (Szegedy et al. 2015; torchvision's reference).
    """

    train: Split
    test: Split
    image_size: int = 224
    device: torch.device | str = "cpu"
    workers: int = min(8, os.cpu_count() or 1)

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
        """Raise UsageError for an augmentation that only sets in memory have."""
        if augmentation.reflect or augmentation.cutout or augmentation.epoch is not None:
            raise UsageError(f"{self.label}: reflect, cutout and alternate_flip are for image sets held in memory")

    def epoch(self, batch_size: int, generator: torch.Generator, augmentation: Augmentation, start: int = 0) -> Batches:
        """As :meth:`ImageSet.epoch`; any ``pad`` above 0 stands for RandomResizedCrop, 0 for the test images' crop.

        Each image has its own seed, drawn here, so neither ``start`` nor the number of workers changes a pixel.
        Raises UsageError for an augmentation that only sets in memory have.
        """
        self.check(augmentation)
        slices = self.train_slices(batch_size, start)
        order = torch.randperm(self.num_train, generator=generator)
        seeds = torch.randint(2**32, (self.num_train,), generator=generator)  # torch's generator takes 32 bits
        cut = [v2.RandomResizedCrop(self.image_size)] if augmentation.pad else self._middle()
        flip = [v2.RandomHorizontalFlip()] if augmentation.flip else []
        return self._batches(_Seeded(self.train, cut + flip), slices, order, seeds)

    def test_batches(self, batch_size: int) -> Batches:
        """All test images of this share in order, normalised; none is left out."""
        slices = self.test_slices(batch_size)
        order = torch.arange(self.num_test)
        return self._batches(_Seeded(self.test, self._middle()), slices, order, seeds=order)

    def _middle(self) -> list[v2.Transform]:
        return [v2.Resize(round(self.image_size * 256 / 224)), v2.CenterCrop(self.image_size)]

    def _batches(self, images: Dataset, slices: list[slice], order: Tensor, seeds: Tensor) -> Batches:
        statistics = self._statistics(self.device)
        loader = DataLoader(
            images,
            batch_sampler=(list(zip(order[part].tolist(), seeds[part].tolist())) for part in slices),
            num_workers=self.workers,
            collate_fn=_collate,
            pin_memory=torch.device(self.device).type == "cuda",
            generator=torch.Generator(),  # else the loader would draw a number from the global one
        )
        for batch in loader:
            if isinstance(batch, UsageError):
                raise batch
            x, y = (part.to(self.device, non_blocking=True) for part in batch)
            yield normalise(x, *statistics), y


class _Seeded(Dataset):
    """``images[(index, seed)]``: image ``index``, transformed with torch's generator set to ``seed`` for it alone."""

    def __init__(self, split: Split, transforms: list[v2.Transform]):
        self.split, self.transform = split, v2.Compose([*transforms, v2.PILToTensor()])

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, int] | UsageError:
        index, seed = key
        try:
            picture, label = self.split[index]
        except UsageError as error:
            return error  # raised in a worker process it would come out wrapped in that process's traceback
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            return self.transform(picture), label


def _collate(samples: list) -> tuple[Tensor, Tensor] | UsageError:
    error = next((sample for sample in samples if isinstance(sample, UsageError)), None)
    if error:
        return error
    images, labels = zip(*samples)
    return torch.stack(images), torch.tensor(labels)

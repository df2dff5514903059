"""The image sets by name: ``load(name, data_dir)`` gives images, labels and normalised batches.

    name         images                        where they come from
    digits       1,437 + 360, 8x8, grey        scikit-learn's load_digits (UCI optical digits, real scans), embedded
    cifar10      50,000 + 10,000, 32x32        DIR/cifar10/cifar-10-batches-py, or DIR/cifar10/{train,test}/<class>/*
    imagenette   ten ImageNet classes          DIR/imagenette/{train,val}/<class>/*
    imagenet     as many classes as there are  DIR/imagenet/{train,val}/<class>/*, read from disk while training

DIR is ``data_dir`` or the environment's SDBNN_DATA. The first three fit in memory: an :class:`ImageSet`. ImageNet
doesn't: a :class:`StreamedImageSet`, which has the same attributes and methods except for the images themselves.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.datasets import CIFAR10
from torchvision.transforms import v2

from .augment import Augmentation, Draws, batch_slices, crop, draw, normalise, pixel_table
from .errors import UsageError, unknown
from .folder import Decoded, Split, Tree, decode, open_tree

DATASETS = ("digits", "cifar10", "imagenet", "imagenette")
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # the published CIFAR training uses them too
SPLIT_SEED = 0  # which digits are test images: the same ones whatever the seed of a training run

Batches = Iterator[tuple[Tensor, Tensor]]  # (float32 (B, C, H, W), int64 (B,))


@dataclass(kw_only=True, eq=False)
class _Described:
    """What both kinds of set have: names, and the statistics that normalise, x = (pixel / 255 - mean) / std."""

    name: str
    label: str  # what a figure measured on this set may be called
    classes: tuple[str, ...]
    mean: tuple[float, ...] = IMAGENET_MEAN  # per channel
    std: tuple[float, ...] = IMAGENET_STD

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    @property
    def channels(self) -> int:
        return len(self.mean)

    def num_batches(self, batch_size: int) -> int:
        """Batches in one epoch of training: the last may be smaller, but one of a single image is left out."""
        return len(batch_slices(self.num_train, batch_size))

    def _statistics(self, device: torch.device | str) -> tuple[Tensor, Tensor]:
        mean, std = (torch.tensor(values, device=device).view(-1, 1, 1) for values in (self.mean, self.std))
        return mean, std


@dataclass(kw_only=True, eq=False)
class ImageSet(_Described):
    """A set that lives in memory (the CPU's or a GPU's): images uint8 (N, C, H, W), labels int64 (N,)."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    _table: tuple[int, Tensor] | None = field(default=None, init=False, repr=False)  # the last pad and its pixel table

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

    def epoch(self, batch_size: int, generator: torch.Generator, augmentation: Augmentation, start: int = 0) -> Batches:
        """The training batches of one epoch, shuffled and augmented, from batch number ``start`` on.

        All random numbers are drawn here, at once, from the CPU ``generator``: with the generator in the same state,
        ``start=k`` yields exactly what follows the first k batches. That is how a run resumes within an epoch.

        Raises UsageError where ``batch_size`` < 1 or ``start`` isn't one of 0 … ``num_batches(batch_size)``.
        """
        slices = batch_slices(self.num_train, batch_size, start)
        draws = draw(self.num_train, augmentation, generator)
        return self._epoch(slices, draws, augmentation.pad)

    def _epoch(self, slices: list[slice], draws: Draws, pad: int) -> Batches:
        device = self.train_images.device
        if self._table is None or self._table[0] != pad:
            self._table = pad, pixel_table(self.train_images, pad)
        table, draws, statistics = self._table[1], draws.to(device), self._statistics(device)
        for part in slices:
            batch = draws[part]
            yield normalise(crop(table, batch, pad), *statistics), self.train_labels[batch.image]

    def test_batches(self, batch_size: int) -> Batches:
        """All test images in order, normalised; none is left out."""
        statistics = self._statistics(self.test_images.device)
        for part in batch_slices(self.num_test, batch_size, drop_lone=False):
            yield normalise(self.test_images[part], *statistics), self.test_labels[part]


@dataclass(kw_only=True, eq=False)
class StreamedImageSet(_Described):
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

    def epoch(self, batch_size: int, generator: torch.Generator, augmentation: Augmentation, start: int = 0) -> Batches:
        """As :meth:`ImageSet.epoch`; any ``pad`` above 0 stands for RandomResizedCrop, 0 for the test images' crop.

        Each image has its own seed, drawn here, so neither ``start`` nor the number of workers changes a pixel.
        """
        slices = batch_slices(self.num_train, batch_size, start)
        order = torch.randperm(self.num_train, generator=generator)
        seeds = torch.randint(2**32, (self.num_train,), generator=generator)  # torch's generator takes 32 bits
        cut = [v2.RandomResizedCrop(self.image_size)] if augmentation.pad else self._middle()
        flip = [v2.RandomHorizontalFlip()] if augmentation.flip else []
        return self._batches(_Seeded(self.train, cut + flip), slices, order, seeds)

    def test_batches(self, batch_size: int) -> Batches:
        """All test images in order, normalised; none is left out."""
        slices = batch_slices(self.num_test, batch_size, drop_lone=False)
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


def load(
    name: str,
    data_dir: str | Path | None = None,
    *,
    image_size: int | None = None,
    channels: int | None = None,
    download: bool = False,
    progress: bool = True,
    seed: int = SPLIT_SEED,
) -> ImageSet | StreamedImageSet:
    """The image set ``name``, one of ``DATASETS``, from ``data_dir``/``name`` (SDBNN_DATA where it is None).

    ``image_size``: pixels a side; digits (8) are resized, imagenette (128) and imagenet (224) resized and cropped,
    cifar10 is 32. ``channels``: 1 or 3 for digits (1), the others have 3. ``download``: fetch cifar10, with its
    checksum. ``progress``: draw a bar while files are decoded. ``seed``: of the split of digits.

    Raises UsageError, saying what to do, for an unknown name, a size or channel count that the set can't have, and
    a folder that isn't given, is missing or doesn't hold the set.
    """
    if name not in DATASETS:
        raise unknown("data set", name, DATASETS)
    if image_size is not None and (not isinstance(image_size, int) or image_size < 1):
        raise UsageError(f"image_size={image_size!r}: give a whole number of pixels, 1 or more")
    allowed = (1, 3) if name == "digits" else (3,)
    if channels is not None and channels not in allowed:
        raise UsageError(f"channels={channels!r}: {name} can have {' or '.join(map(str, allowed))}")
    if name == "digits":
        return _digits(image_size or 8, channels or 1, seed)
    if download and name != "cifar10":
        raise UsageError(f"download: {name} can't be downloaded here; put it into DIR/{name}/{{train,val}}/<class>/*")

    folder = _data_folder(name, data_dir, download)
    if name == "cifar10":
        if image_size not in (None, 32):
            raise UsageError(f"image_size={image_size}: cifar10 has 32x32 images")
        return _cifar10(folder, download, progress)
    if name == "imagenette":
        return _imagenette(folder, image_size or 128, progress)
    tree = open_tree(folder, ("val", "test"))
    return StreamedImageSet(
        name=name, label="ImageNet (image tree)", classes=tree.classes, train=tree.train, test=tree.test,
        image_size=image_size or 224,
    )  # fmt: skip


def _data_folder(name: str, data_dir: str | Path | None, download: bool) -> Path:
    """DIR/``name``, after the checks of DIR."""
    given = data_dir or os.environ.get("SDBNN_DATA")
    if not given:
        hint = ", and --download to fetch it there" if name == "cifar10" else ""
        raise UsageError(f"data set {name!r} needs a folder: give --data DIR or set SDBNN_DATA{hint}")
    folder = Path(given).expanduser()
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--data {folder} is a file: give the folder that holds {name}/")
    if not folder.exists() and not download:
        raise UsageError(f"--data {folder} is missing: give the folder that holds {name}/")
    return folder / name


def _digits(image_size: int, channels: int, seed: int) -> ImageSet:
    """The 8x8 scans, 0 … 16 scaled to 0 … 255; a fifth of every class (360 in all) are test images."""
    digits = load_digits()
    images = torch.from_numpy(digits.images).unsqueeze(1) * (255 / 16)  # float64 (1797, 1, 8, 8)
    if image_size != 8:
        images = torch.nn.functional.interpolate(images, size=(image_size, image_size), mode="bilinear", antialias=True)
    images = images.round().clamp(0, 255).to(torch.uint8).repeat(1, channels, 1, 1)
    labels = torch.from_numpy(digits.target).long()
    train, test = train_test_split(range(len(labels)), test_size=0.2, stratify=digits.target, random_state=seed)
    return ImageSet(
        name="digits", label="digits (scikit-learn, 8x8 scans)", classes=tuple(map(str, digits.target_names)),
        mean=(0.5,) * channels, std=(0.5,) * channels,
        train_images=images[train], train_labels=labels[train], test_images=images[test], test_labels=labels[test],
    )  # fmt: skip


def _cifar10(folder: Path, download: bool, progress: bool) -> ImageSet:
    """torchvision's files in ``folder`` or its parent, else an image tree in ``folder``."""
    root = next((root for root in (folder, folder.parent) if (root / CIFAR10.base_folder).is_dir()), None)
    if root or download:
        return _cifar10_original(root or folder, download)
    tree = open_tree(folder, ("test", "val"), classes=10)
    lossy = any(path.lower().endswith((".jpg", ".jpeg")) for path in tree.train.paths + tree.test.paths)
    label = "CIFAR-10 (JPEG copy)" if lossy else "CIFAR-10 (image tree)"
    return _from_tree("cifar10", label, tree, decode(tree, 32, exact=True, progress=progress))


def _cifar10_original(root: Path, download: bool) -> ImageSet:
    """The published files, pickles all of them: torchvision opens one only if its MD5 is that of the original."""
    try:
        train, test = (CIFAR10(root, train=train, download=download) for train in (True, False))
    except (OSError, RuntimeError) as error:  # no network: URLError, an OSError; a wrong checksum: RuntimeError
        remedy = "put the files there by hand" if download else "remove it, or fetch it again with --download"
        reason = str(error).partition("\n")[0]
        raise UsageError(f"cifar10: {root / CIFAR10.base_folder} can't be had: {remedy} ({reason})") from error
    train_images, test_images = (torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous() for part in (train, test))
    return ImageSet(
        name="cifar10", label="CIFAR-10", classes=tuple(train.classes),
        train_images=train_images, train_labels=torch.tensor(train.targets),
        test_images=test_images, test_labels=torch.tensor(test.targets),
    )  # fmt: skip


def _imagenette(folder: Path, image_size: int, progress: bool) -> ImageSet:
    tree = open_tree(folder, ("val", "test"), classes=10)
    pixels = decode(tree, image_size, progress=progress)
    native = f", {pixels.native}" if pixels.native else ""
    return _from_tree("imagenette", f"Imagenette (image tree{native})", tree, pixels)


def _from_tree(name: str, label: str, tree: Tree, pixels: Decoded) -> ImageSet:
    return ImageSet(
        name=name, label=label, classes=tree.classes,
        train_images=pixels.train, train_labels=tree.train.labels,
        test_images=pixels.test, test_labels=tree.test.labels,
    )  # fmt: skip

"""The image sets by name: ``load(name, data_dir)`` gives images, labels and normalised batches.

    name         images                        where they come from
    digits       1,437 + 360, 8x8, grey        scikit-learn's load_digits (UCI optical digits, real scans), embedded
    cifar10      50,000 + 10,000, 32x32        DIR/cifar10/cifar-10-batches-py, or DIR/cifar10/{train,test}/<class>/*
    imagenette   ten ImageNet classes          DIR/imagenette/{train,val}/<class>/*
    imagenet     as many classes as there are  DIR/imagenet/{train,val}/<class>/*, read from disk while training;
                                               faster from a resized copy (`sdbnn-lite pack-images`)

DIR is ``data_dir`` or the environment's SDBNN_DATA. The first three fit in memory: an :class:`ImageSet`. ImageNet
doesn't: a :class:`StreamedImageSet`, which has the same attributes and methods except for the images themselves.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor
from torchvision.datasets import CIFAR10

from ..errors import UsageError, unknown
from .base import IMAGENET_MEAN, IMAGENET_STD
from .decoded import Decoded, decode
from .in_memory import ImageSet
from .resized_copy import open_packed, side_for
from .streamed import StreamedImageSet
from .tree import Tree, open_tree

MOST_WORKERS = 256
SPLIT_SEED = 0  # which digits are test images: the same ones whatever the seed of a training run


@dataclass(frozen=True)
class Options:
    """What :func:`load` was asked for; ``folder`` is DIR/name, None for a set that needs none."""

    folder: Path | None
    image_size: int
    channels: int
    download: bool
    progress: bool
    seed: int
    strict: bool
    workers: int | None
    train_only: bool


@dataclass(frozen=True)
class SetInfo:
    """One set: pixels a side (``fixed``: no others), channels it can have, mean and std of each, and what opens it."""

    size: int
    channels: tuple[int, ...]  # the first unless others are asked for
    statistics: tuple[tuple[float, ...], tuple[float, ...]]
    opener: Callable[[Options], ImageSet | StreamedImageSet]
    fixed: bool = False
    on_disk: bool = True


def load(
    name: str,
    data_dir: str | Path | None = None,
    *,
    image_size: int | None = None,
    channels: int | None = None,
    download: bool = False,
    progress: bool = True,
    seed: int = SPLIT_SEED,
    strict: bool = False,
    workers: int | None = None,
    validation: int | None = None,
) -> ImageSet | StreamedImageSet:
    """The image set ``name``, one of ``DATASETS``, from ``data_dir``/``name`` (SDBNN_DATA where it is None).

    ``image_size``: pixels a side; digits (8) are resized, imagenette (128) and imagenet (224) resized and cropped,
    cifar10 is 32. ``channels``: 1 or 3 for digits (1), the others have 3. ``download``: fetch cifar10, with its
    checksum. ``progress``: draw a bar while files are decoded. ``seed``: of the split of digits.
    ``strict``: refuse unreadable training images instead of leaving them out (test images are always refused).
    ``workers``: threads that read imagenet (its resized copy where there is one, see ``resized_copy``).
    ``validation``: so many training images take the test images' place (``ImageSet.validation_split``); those of
    cifar10 and imagenette aren't read then, and need not be there. Imagenet, which is streamed, can't have it.

    Raises UsageError, saying what to do, for an unknown name, a size or channel count that the set can't have, and
    a folder that isn't given, is missing or doesn't hold the set.
    """
    if name not in DATASETS:
        raise unknown("data set", name, DATASETS)
    info, folder = SETS[name], None
    if image_size is not None and (not isinstance(image_size, int) or image_size < 1):
        raise UsageError(f"image_size={image_size!r}: give a whole number of pixels, 1 or more")
    if channels is not None and channels not in info.channels:
        raise UsageError(f"channels={channels!r}: {name} can have {' or '.join(map(str, info.channels))}")
    if info.on_disk:
        if download and name != "cifar10":
            raise UsageError(
                f"download: {name} can't be downloaded here; put it into DIR/{name}/{{train,val}}/<class>/*"
            )
        check_workers(workers)
        folder = _data_folder(name, data_dir, download)
    if info.fixed and image_size not in (None, info.size):
        raise UsageError(f"image_size={image_size}: {name} has {info.size}x{info.size} images")
    if validation is not None and name == "imagenet":
        raise UsageError(f"validation={validation}: images can be held out of a set in memory; imagenet is streamed")
    size, channels = image_size or info.size, channels or info.channels[0]
    options = Options(folder, size, channels, download, progress, seed, strict, workers, validation is not None)
    images = info.opener(options)
    return images if validation is None else images.validation_split(validation)


def described(images: ImageSet | StreamedImageSet) -> dict:
    """What has to be known to feed a network trained on ``images``, as JSON can hold it: dataset (its name), label,
    classes (names, in the order of the logits), image_size (pixels a side), channels, mean and std (one per channel).
    """
    keys = ("label", "classes", "image_size", "channels", "mean", "std")
    found = {key: getattr(images, key) for key in keys}
    return {"dataset": images.name, **{k: list(v) if isinstance(v, tuple) else v for k, v in found.items()}}


def digit_images() -> Tensor:
    """All test images of the digits, as the networks take them: float32 (360, 1, 8, 8)."""
    return torch.cat([x for x, _ in load("digits").test_batches(500)])


def check_workers(workers: int | None) -> None:
    """Raise UsageError unless ``workers`` is None or a number of threads that make sense; 0: none but the caller's."""
    if workers is not None and (not isinstance(workers, int) or not 0 <= workers <= MOST_WORKERS):
        raise UsageError(f"workers={workers!r}: a whole number from 0 to {MOST_WORKERS} is needed")


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


def _digits(asked: Options) -> ImageSet:
    """The 8x8 scans, 0 … 16 scaled to 0 … 255; a fifth of every class (360 in all) are test images."""
    digits = load_digits()
    images = torch.from_numpy(digits.images).unsqueeze(1) * (255 / 16)  # float64 (1797, 1, 8, 8)
    if asked.image_size != 8:
        size = (asked.image_size, asked.image_size)
        images = torch.nn.functional.interpolate(images, size=size, mode="bilinear", antialias=True)
    images = images.round().clamp(0, 255).to(torch.uint8).repeat(1, asked.channels, 1, 1)
    labels = torch.from_numpy(digits.target).long()
    train, test = train_test_split(range(len(labels)), test_size=0.2, stratify=digits.target, random_state=asked.seed)
    mean, std = (values[: asked.channels] for values in SETS["digits"].statistics)
    return ImageSet(
        name="digits", label="digits (scikit-learn, 8x8 scans)", classes=tuple(map(str, digits.target_names)),
        mean=mean, std=std,
        train_images=images[train], train_labels=labels[train], test_images=images[test], test_labels=labels[test],
    )  # fmt: skip


def _cifar10(asked: Options) -> ImageSet:
    """torchvision's files in the set's folder or its parent, else an image tree in that folder."""
    folder = asked.folder
    root = next((root for root in (folder, folder.parent) if (root / CIFAR10.base_folder).is_dir()), None)
    if root or asked.download:
        return _cifar10_original(root or folder, asked)
    tree = open_tree(folder, () if asked.train_only else ("test", "val"), classes=10)
    lossy = any(path.lower().endswith((".jpg", ".jpeg")) for path in tree.train.paths + tree.test.paths)
    label = "CIFAR-10 (JPEG copy)" if lossy else "CIFAR-10 (image tree)"
    return _from_tree("cifar10", label, tree, decode(tree, 32, True, asked.progress, asked.strict))


def _cifar10_original(root: Path, asked: Options) -> ImageSet:
    """The published files, pickles all of them: torchvision opens one only if its MD5 is that of the original."""
    try:
        splits = (True,) if asked.train_only else (True, False)
        parts = [CIFAR10(root, train=train, download=asked.download) for train in splits]
    except (OSError, RuntimeError) as error:  # no network: URLError, an OSError; a wrong checksum: RuntimeError
        remedy = "put the files there by hand" if asked.download else "remove it, or fetch it again with --download"
        reason = str(error).partition("\n")[0]
        raise UsageError(f"cifar10: {root / CIFAR10.base_folder} can't be had: {remedy} ({reason})") from error
    images = [torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous() for part in parts]
    labels = [torch.tensor(part.targets) for part in parts]
    return ImageSet(
        name="cifar10", label="CIFAR-10", classes=tuple(parts[0].classes),
        train_images=images[0], train_labels=labels[0], test_images=images[-1], test_labels=labels[-1],
    )  # fmt: skip


def _imagenette(asked: Options) -> ImageSet:
    tree = open_tree(asked.folder, () if asked.train_only else ("val", "test"), classes=10)
    pixels = decode(tree, asked.image_size, progress=asked.progress, strict=asked.strict)
    native = f", {pixels.native}" if pixels.native else ""
    return _from_tree("imagenette", f"Imagenette (image tree{native})", tree, pixels)


def _from_tree(name: str, label: str, tree: Tree, pixels: Decoded) -> ImageSet:
    return ImageSet(
        name=name, label=label, classes=tree.classes,
        train_images=pixels.train, train_labels=pixels.labels(tree),
        test_images=pixels.test, test_labels=tree.test.labels,
    )  # fmt: skip


def imagenet_tree(data_dir: str | Path | None = None) -> Tree:
    """ImageNet's image files in ``data_dir``/imagenet, checked; UsageError as :func:`load`."""
    return open_tree(_data_folder("imagenet", data_dir, False), ("val", "test"))


def _imagenet(asked: Options) -> StreamedImageSet:
    tree = open_tree(asked.folder, ("val", "test"))
    copy = open_packed(tree, side_for(asked.image_size))
    whole = copy and len(copy[0]) == len(tree.train)  # else unreadable images were left out
    train, test = copy if copy and (whole or not asked.strict) else (tree.train, tree.test)
    given = {} if asked.workers is None else {"workers": asked.workers}
    return StreamedImageSet(
        name="imagenet", label="ImageNet (image tree)", classes=tree.classes, train=train, test=test,
        image_size=asked.image_size, strict=asked.strict, **given,
    )  # fmt: skip


_HALF, _IMAGENET = ((0.5,) * 3, (0.5,) * 3), (IMAGENET_MEAN, IMAGENET_STD)
SETS = {
    "digits": SetInfo(8, (1, 3), _HALF, _digits, on_disk=False),
    "cifar10": SetInfo(32, (3,), _IMAGENET, _cifar10, fixed=True),
    "imagenet": SetInfo(224, (3,), _IMAGENET, _imagenet),
    "imagenette": SetInfo(128, (3,), _IMAGENET, _imagenette),
}
DATASETS = tuple(SETS)

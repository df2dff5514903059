"""The image sets by name: ``load(name, data_dir)`` gives images, labels and normalised batches.

    name           images                        where they come from
    digits         1,437 + 360, 8x8, grey        scikit-learn's load_digits (UCI optical digits, real scans), embedded
    mnist          60,000 + 10,000, 28x28, grey  DIR/mnist/MNIST/raw, or the four files in DIR/mnist
    fashion_mnist  as many, alike                DIR/fashion_mnist/FashionMNIST/raw, or the files in DIR/fashion_mnist
    cifar10        50,000 + 10,000, 32x32        DIR/cifar10/cifar-10-batches-py, or DIR/cifar10/{train,test}/<class>/*
    cifar100       as many, 100 (fine) classes   DIR/cifar100/cifar-100-python, or a tree as cifar10's
    imagenette     ten ImageNet classes          DIR/imagenette/{train,val}/<class>/*
    imagenet       as many classes as there are  DIR/imagenet/{train,val}/<class>/*, read from disk while training;
                                                 faster from a resized copy (`sdbnn-lite pack-images`)
    any other      what there is                 DIR/<name>/{train,val}/<class>/*: a set of your own (``tree_sets.own``)

DIR is ``data_dir`` or the environment's SDBNN_DATA. What fits in memory is an :class:`ImageSet`. ImageNet, or more than
4 GiB of your own, is a :class:`StreamedImageSet`, with the same attributes and methods but for the images themselves.

Mean and std that normalise are constants for the known sets: ½ for digits, those of their own training images for
mnist, fashion_mnist and cifar100, and ImageNet's for the others (as the published CIFAR-10 training has it). For sets
of your own they are measured.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor
from torchvision.datasets import CIFAR10, CIFAR100, MNIST, FashionMNIST

from ..errors import UsageError, check_whole, unknown
from . import tree_sets
from .base import FOUND_OUT, IMAGENET_MEAN, IMAGENET_STD, Options, Statistics
from .image_file import MOST_SIDE
from .in_memory import ImageSet
from .pixels import resize
from .streamed import StreamedImageSet
from .torchvision_sets import cifar, mnist
from .tree import Tree, open_tree

MOST_WORKERS = 256
SPLIT_SEED = 0  # which digits are test images: the same ones whatever the seed of a training run


@dataclass(frozen=True)
class SetInfo:
    """One set: pixels a side (``fixed``: no others), channels it can have, mean and std of each, and what opens it."""

    size: int | None  # None: found out, as are the channels then
    channels: tuple[int, ...]  # the first unless others are asked for
    statistics: Statistics | None  # None: measured
    opener: Callable[[Options], ImageSet | StreamedImageSet]
    fixed: bool = False
    on_disk: bool = True
    downloads: bool = False


def load(name: str, data_dir: str | Path | None = None, *, image_size: int | None = None, channels: int | None = None,
         download: bool = False, progress: bool = True, seed: int = SPLIT_SEED, strict: bool = False,
         workers: int | None = None, validation: int | None = None) -> ImageSet | StreamedImageSet:  # fmt: skip
    """The image set ``name``, one of ``DATASETS`` or a folder's, from ``data_dir``/``name`` (default: SDBNN_DATA).

    ``image_size``: pixels a side; digits (8) and MNIST (28) are resized, imagenette (128), imagenet (224) and your own
    (:func:`tree_sets.own`) resized and cropped, CIFAR is 32. ``channels``: 1 or 3, where the set can have both.
    ``download``: fetch CIFAR or MNIST. ``progress``: draw a bar while files are decoded. ``seed``: of digits' split.
    ``strict``: refuse unreadable training images, don't leave them out (test images are always refused). ``workers``:
    threads that read imagenet. ``validation``: so many training images take the test images' place
    (``ImageSet.validation_split``); those on the disk need not be there. What is streamed can't have it.

    Raises UsageError, saying what to do, for an unknown name, a size or channel count that the set can't have, and
    a folder that isn't given, is missing or doesn't hold the set.
    >>> load("digits").num_train, load("digits").num_test
    (1437, 360)
    """
    if name not in DATASETS:
        _check_own(name, data_dir)
    info, folder = SETS[name] if name in DATASETS else OWN, Path()
    if image_size is not None:
        check_whole(1, MOST_SIDE, image_size=image_size)
    if channels is not None and (type(channels) is not int or channels not in info.channels):
        raise UsageError(f"channels={channels!r}: {name} can have {' or '.join(map(str, info.channels))}")
    if info.on_disk:
        if download and not info.downloads:
            where = f"DIR/{name}/{{train,val}}/<class>/*"
            raise UsageError(f"download: {name} can't be downloaded here; put it into {where}")
        check_workers(workers)
        folder = _data_folder(name, data_dir, download)
    if info.fixed and image_size not in (None, info.size):
        raise UsageError(f"image_size={image_size}: {name} has {info.size}x{info.size} images")
    statistics = FOUND_OUT
    if info.statistics:
        channels = channels or info.channels[0]
        mean, std = info.statistics
        statistics = mean[:channels], std[:channels]
    only = validation is not None
    how = (download, progress, seed, strict, workers, only)
    images = info.opener(Options(name, folder, image_size or info.size or 0, channels or 0, statistics, *how))
    if validation is None:
        return images
    if isinstance(images, StreamedImageSet):
        raise UsageError(f"validation={validation!r}: images can be held out of a set in memory; {name} is streamed")
    return images.validation_split(validation)


def described(images: ImageSet | StreamedImageSet) -> dict[str, Any]:
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
    if workers is not None:
        check_whole(0, MOST_WORKERS, workers=workers)


def _check_own(name: str, data_dir: str | Path | None) -> None:
    """Raise UsageError unless ``name`` is a folder's in DIR: no path, not hidden, not a known set's spelt otherwise."""
    plain = isinstance(name, str) and name.isprintable() and not set("/\\") & set(name) and name[:1] not in ("", ".")
    fits = plain and re.sub(r"[\W_]", "", name).lower() not in {known.replace("_", "") for known in DATASETS}
    given = given_folder(data_dir)
    place = Path(given or "DIR").expanduser() / (name if fits else "NAME")
    if not (fits and given and os.path.isdir(place)):
        raise UsageError(f"{unknown('data set', name, DATASETS)}; or give --data DIR that holds a set of your "
                         f"own, {place}/{{train,val}}/<class>/*")  # fmt: skip


def given_folder(data_dir: str | Path | None) -> str | Path | None:
    """``data_dir``, else SDBNN_DATA, else None. Raises UsageError for what can't be a path."""
    if not isinstance(data_dir, (str, os.PathLike, type(None))):
        raise UsageError(f"data_dir={data_dir!r}: give a folder's path")
    return data_dir or os.environ.get("SDBNN_DATA")


def _data_folder(name: str, data_dir: str | Path | None, download: bool) -> Path:
    """DIR/``name``, after the checks of DIR."""
    given = given_folder(data_dir)
    if not given:
        hint = ", and --download to fetch it there" if SETS[name].downloads else ""
        raise UsageError(f"data set {name!r} needs a folder: give --data DIR or set SDBNN_DATA{hint}")
    folder = Path(given).expanduser()
    if not folder.is_dir() and (folder.exists() or not download):
        what = "a file" if folder.exists() else "missing"
        raise UsageError(f"--data {folder} is {what}: give the folder that holds {name}/")
    return folder / name


def _digits(asked: Options) -> ImageSet:
    """The 8x8 scans, 0 … 16 scaled to 0 … 255; a fifth of every class (360 in all) are test images."""
    digits = load_digits()
    images = torch.from_numpy(digits.images).unsqueeze(1) * (255 / 16)  # float64 (1797, 1, 8, 8)
    images = resize(images, asked.image_size).repeat(1, asked.channels, 1, 1)
    labels = torch.from_numpy(digits.target).long()
    train, test = train_test_split(range(len(labels)), test_size=0.2, stratify=digits.target, random_state=asked.seed)
    mean, std = asked.statistics
    return ImageSet(name=asked.name, label="digits (scikit-learn, 8x8 scans)",
                    classes=tuple(map(str, digits.target_names)), mean=mean, std=std, train_images=images[train],
                    train_labels=labels[train], test_images=images[test], test_labels=labels[test])  # fmt: skip


def imagenet_tree(data_dir: str | Path | None = None, name: str = "imagenet") -> Tree:
    """ImageNet's image files in ``data_dir``/imagenet, or those of a set of one's own; UsageError as :func:`load`."""
    if name != "imagenet":
        if name in DATASETS:
            raise UsageError(f"{name} is read once and kept in memory; imagenet is packed, or a set of your own")
        _check_own(name, data_dir)
    return open_tree(_data_folder(name, data_dir, False), ("val", "test"))


def _cifar(kind: type, classes: int, asked: Options) -> ImageSet:
    return cifar(kind, f"CIFAR-{classes}", asked) or tree_sets.cifar_tree(classes, asked)


_HALF, _IMAGENET = ((0.5,) * 3, (0.5,) * 3), (IMAGENET_MEAN, IMAGENET_STD)
_MNIST, _FASHION = ((0.1307,) * 3, (0.3081,) * 3), ((0.2860,) * 3, (0.3530,) * 3)
_CIFAR100 = (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)
SETS = {
    "digits": SetInfo(8, (1, 3), _HALF, _digits, on_disk=False),
    "mnist": SetInfo(28, (1, 3), _MNIST, partial(mnist, MNIST, "MNIST"), downloads=True),
    "fashion_mnist": SetInfo(28, (1, 3), _FASHION, partial(mnist, FashionMNIST, "Fashion-MNIST"), downloads=True),
    "cifar10": SetInfo(32, (3,), _IMAGENET, partial(_cifar, CIFAR10, 10), fixed=True, downloads=True),
    "cifar100": SetInfo(32, (3,), _CIFAR100, partial(_cifar, CIFAR100, 100), fixed=True, downloads=True),
    "imagenet": SetInfo(224, (3,), _IMAGENET, tree_sets.imagenet),
    "imagenette": SetInfo(128, (3,), _IMAGENET, tree_sets.imagenette),
}
OWN = SetInfo(None, (1, 3), None, tree_sets.own)
DATASETS = tuple(SETS)

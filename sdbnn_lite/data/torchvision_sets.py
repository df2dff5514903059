"""CIFAR, MNIST and Fashion-MNIST as published: torchvision reads their files, and can fetch them."""

from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torchvision.datasets import CIFAR10, MNIST
from torchvision.datasets.utils import extract_archive

from ..errors import UsageError
from .base import Options
from .image_file import first_line
from .in_memory import ImageSet
from .pixels import resize, to_channels


def cifar(kind: type[CIFAR10], label: str, asked: Options) -> ImageSet | None:
    """torchvision's files in DIR/<name> or DIR; None where there are none, and none are to be fetched."""
    places = (asked.folder, asked.folder.parent)
    root = next((root for root in places if (root / kind.base_folder).is_dir()), None)
    if root or asked.download:
        root = root or asked.folder
        return _read(kind, label, root, root / kind.base_folder, asked)
    return None


def mnist(kind: type[MNIST], label: str, asked: Options) -> ImageSet:
    """torchvision's files in DIR/<name>/<Name>/raw or DIR/<Name>/raw, or all four, compressed, in DIR/<name>."""
    folder, raw, names = asked.folder, Path(kind.__name__, "raw"), [name for name, _ in kind.resources]
    root = next((root for root in (folder, folder.parent) if (root / raw).is_dir()), None)
    if root or not all((folder / name).is_file() for name in names):
        if not (root or asked.download):
            raise UsageError(f"{asked.name}: put {', '.join(names)} into {folder}, or fetch them with --download")
        return _read(kind, label, root or folder, (root or folder) / raw, asked)
    with TemporaryDirectory() as unpacked:
        Path(unpacked, raw).mkdir(parents=True)
        for name in names:
            try:
                extract_archive(str(folder / name), str(Path(unpacked, raw)))
            except Exception as error:  # gzip's, zlib's and the disk's
                raise UsageError(f"{asked.name}: {folder / name} can't be unpacked ({first_line(error)})") from error
        return _read(kind, label, unpacked, folder, asked)


def _read(kind: type, label: str, root: str | Path, place: Path, asked: Options) -> ImageSet:
    """The set from torchvision, which opens CIFAR's pickles only if their MD5 is that of the originals."""
    try:
        splits = (True,) if asked.train_only else (True, False)
        parts = [kind(root, train=train, download=asked.download) for train in splits]
        labels = [torch.as_tensor(part.targets).long() for part in parts]
        if any(len(part.data) != len(part.targets) for part in parts):
            raise ValueError("as many labels as images are needed")
    except Exception as error:  # no network, a wrong checksum, a damaged file: each in its own way
        remedy = "put the files there by hand" if asked.download else "remove it, or fetch it again with --download"
        raise UsageError(f"{asked.name}: {place} can't be had: {remedy} ({first_line(error)})") from error
    pixels = [torch.as_tensor(part.data) for part in parts]  # (N, H, W, 3), or grey (N, H, W)
    images = [x.permute(0, 3, 1, 2).contiguous() if x.ndim == 4 else x[:, None] for x in pixels]
    images = [to_channels(resize(x, asked.image_size), asked.channels) for x in images]
    mean, std = asked.statistics
    return ImageSet(
        name=asked.name, label=label, classes=tuple(parts[0].classes), mean=mean, std=std,
        train_images=images[0], train_labels=labels[0], test_images=images[-1], test_labels=labels[-1],
    )  # fmt: skip

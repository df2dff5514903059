"""What a network was trained on: how a picture becomes what it takes, and what its logits are called.

A weights' file says it under "images", as ``data.described`` does of an image set. An older file names one of the
package's sets under "dataset", from which it follows.
"""

import math
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from ..core.models import BinaryNet
from ..data import described
from ..data.augment import normalise
from ..data.base import ImageSetBase
from ..data.image_file import MOST_SIDE, centre_crop, to_rgb
from ..data.resized_copy import side_for
from ..data.sets import SETS
from ..data.streamed import StreamedImageSet
from ..data.tree_sets import CIFAR10_CLASSES, IMAGENETTE_CLASSES
from ..errors import UsageError, check_fields, check_whole, unknown

# The places of Imagenette's classes among ImageNet's thousand, by folder.
IMAGENETTE = dict(zip(IMAGENETTE_CLASSES, (0, 217, 482, 491, 497, 566, 569, 571, 574, 701), strict=True))


@dataclass(frozen=True)
class Preprocessing:
    """x = (pixel / 255 - mean) / std of the middle ``image_size``² pixels of a picture whose short side is ``side``.

    classes     in the order of the logits, as the set's folders are called; () where the names aren't known
    mean, std   for each channel: one (grey) or three (RGB)
    """

    classes: tuple[str, ...]
    image_size: int
    side: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    dataset: str = ""
    label: str = ""

    @classmethod
    def of(cls, images: "ImageSetBase | dict | Preprocessing") -> "Preprocessing":
        """That of an image set, or of what ``data.described`` says of one. Raises UsageError for anything else."""
        if isinstance(images, cls):
            return images
        try:
            said = described(images) if isinstance(images, ImageSetBase) else images
            size, dataset = said["image_size"], said["dataset"]
            streamed = isinstance(images, StreamedImageSet) or dataset == "imagenet"
            side = said.get("side") or (side_for(size) if streamed else size)
            classes, mean, std = (tuple(said[name]) for name in ("classes", "mean", "std"))
            check_whole(1, MOST_SIDE, image_size=size)
            check_whole(1, 2 * MOST_SIDE, side=side)
            check_fields("images", {"dataset": dataset, "label": said["label"]}, {"dataset": str, "label": str})
            if len(mean) != len(std) or not all(map(math.isfinite, mean + std)) or min(std) <= 0:
                raise TypeError(f"mean {mean}, std {std}")
            return cls(tuple(map(str, classes)), size, side, mean, std, dataset, said["label"])
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            raise UsageError(f"images: no description of an image set ({type(error).__name__}: {error})") from error

    @property
    def channels(self) -> int:
        return len(self.mean)

    @property
    def names(self) -> tuple[str, ...]:
        """The classes' names to be read: torchvision's for ImageNet's folders, which are called n and eight digits."""
        places = [IMAGENETTE.get(name) for name in self.classes]
        if len(places) == 1000 and all(len(name) == 9 and name[0] == "n" for name in self.classes):
            places = range(1000)
        return self.classes if None in places else tuple(_imagenet_names()[place] for place in places)

    def described(self) -> dict:
        """The same as ``data.described`` says it, and ``side``."""
        said = {**asdict(self), "channels": self.channels}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in said.items()}

    def prepare(self, picture: Image.Image) -> Tensor:
        """float32 (C, image_size, image_size) of any picture; ValueError for pixels that have no range."""
        pixels = centre_crop(to_rgb(picture), self.side, self.image_size)
        if self.channels == 1:
            pixels = np.asarray(Image.fromarray(pixels).convert("L"))[..., None]
        statistics = (torch.tensor(values).view(-1, 1, 1) for values in (self.mean, self.std))
        return normalise(torch.tensor(pixels).permute(2, 0, 1)[None], *statistics)[0]


def preprocessing_of(net: nn.Module, dataset: str | None = None) -> Preprocessing | None:
    """That of ``net``, or of the package's set ``dataset`` for it; None where nothing is known that fits its layers.

    Raises UsageError for an unknown set, and one whose images have other channels.
    """
    net = getattr(net, "net", net)  # a packed network holds the one that it was made from
    about, options = getattr(net, "about", {}), options_of(net) if isinstance(net, BinaryNet) else {}
    found = Preprocessing.of(about["images"]) if "images" in about else None
    if found is None or dataset not in (None, found.dataset):
        if dataset is None and about.get("dataset") not in SETS:
            return None
        found = _of_known_set(dataset or about["dataset"], about, options)
    channels, count = options.get("in_channels", found.channels), options.get("num_classes", len(found.classes))
    if dataset is not None and channels != found.channels:
        raise UsageError(f"data set {dataset!r}: images of {found.channels} channels, but the network takes {channels}")
    found = found if count == len(found.classes) else replace(found, classes=())
    return found if channels == found.channels else None


def options_of(net: BinaryNet) -> dict:
    """``net.options``, with the classes and channels of the layers that are there now: they may be new ones."""
    classes = getattr(net.linear, "out_features", net.options["num_classes"])
    return {**net.options, "num_classes": classes, "in_channels": net.conv1.weight.shape[1]}


def _of_known_set(dataset: str, about: dict, options: dict) -> Preprocessing:
    """What follows from a set's name, and from the size that the run or the classifier has."""
    if dataset not in SETS:
        raise unknown("data set", dataset, SETS)
    known = SETS[dataset]
    channels = options["in_channels"] if options.get("in_channels") in known.channels else known.channels[0]
    names = {"digits": tuple("0123456789"), "cifar10": CIFAR10_CLASSES, "imagenette": IMAGENETTE_CLASSES}
    classes = _imagenet_names() if dataset == "imagenet" else names.get(dataset, ())
    said = {"dataset": dataset, "label": about.get("data", dataset), "classes": classes}
    said["image_size"] = about.get("identity", {}).get("image_size") or options.get("image_size") or known.size
    return Preprocessing.of({**said, **{k: v[:channels] for k, v in zip(("mean", "std"), known.statistics)}})


def _imagenet_names() -> tuple[str, ...]:
    from torchvision.models import ResNet34_Weights
    return tuple(ResNet34_Weights.IMAGENET1K_V1.meta["categories"])

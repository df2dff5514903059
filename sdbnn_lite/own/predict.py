"""What a trained network takes a picture for."""

import os
from contextlib import nullcontext
from itertools import islice
from typing import Any, NamedTuple

import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms.functional import to_pil_image

from ..core.record import evaluation_mode
from ..data.base import ImageSetBase
from ..data.image_file import first_line, read_image
from ..errors import UsageError, check_whole
from ..packed import PackedModule, PackedNet
from ..system.devices import convolutions
from ..weights.files import checked_path
from ..weights.preprocessing import Preprocessing, preprocessing_of
from ..weights.zoo import load

AT_ONCE = 50  # images in a batch
FORMS = "a path, a PIL image, pixels (uint8: array (H, W) or (H, W, C), tensor (C, H, W)) or a float tensor (C, H, W)"


class Prediction(NamedTuple):
    """A class, and the probability from 0 to 1 that the network gives to it."""

    name: str
    probability: float


def predict(net: Any, image: Any, top: int = 5, *, like: ImageSetBase | Preprocessing | None = None) -> list:
    """The ``top`` classes that ``net`` takes a picture for, likeliest first: a list of :class:`Prediction`.

    net     a network, also a packed one; or a zoo name, a file or a run's folder, as :func:`sdbnn_lite.load` takes it
    image   pixels, prepared as the test images on which the network was scored: a path, a PIL image, a uint8 array
            (H, W) or (H, W, C), a uint8 tensor (C, H, W), C = 1, 3 or 4; or a float tensor (C, H, W), which is taken
            as normalised already. Several, in a list or as one array or tensor (N, …), give a list of lists
    top     how many classes; all, where there are fewer
    like    the image set, or ``Preprocessing``, whose pixels and classes are the network's, where it doesn't know them

    Probabilities are the softmax of the logits. A class without a known name is called by its number. ``net`` stays as
    it is. Raises UsageError, naming the argument, for all else: an unreadable file, other shapes or types, NaN.
    """
    check_whole(top=top)
    net = net if isinstance(net, nn.Module | PackedNet | PackedModule) else load(checked_path(net, "net"))
    known = preprocessing_of(net) if like is None else Preprocessing.of(like)
    several = isinstance(image, list | tuple) or getattr(image, "ndim", 0) == 4
    images = list(image) if several else [image]
    if not images:
        raise UsageError("image: an empty list; give one image or more")
    inputs = (_input(one, known, f"image[{i}]" if several else "image") for i, one in enumerate(images))
    found: list[list[Prediction]] = []
    while batch := list(islice(inputs, AT_ONCE)):
        logits = _logits(net, batch)
        classes = logits.shape[1]
        names = known.names if known and len(known.classes) == classes else list(map(str, range(classes)))
        values, places = logits.double().softmax(1).topk(min(top, classes))
        pairs = zip(places.tolist(), values.tolist())
        found += [[Prediction(names[place], value) for place, value in zip(*pair)] for pair in pairs]
    return found if several else found[0]


def _input(image: object, known: Preprocessing | None, name: str) -> Tensor:
    """(C, H, W): what the network takes for one image, called ``name`` in messages."""
    if isinstance(image, Tensor) and image.is_floating_point():
        if image.ndim != 3 or not image.numel() or not torch.isfinite(image).all():
            raise UsageError(f"{name}: float {tuple(image.shape)} given; (C, H, W) without NaN or infinity is needed")
        return image
    if known is None:
        raise UsageError("net: doesn't say which images it was trained on, so pixels can't be prepared for it; give "
                         "`like`, the image set, or a float tensor that is normalised already")  # fmt: skip
    try:
        if isinstance(image, str | os.PathLike):
            image = read_image(image)
        elif str(getattr(image, "dtype", "")).rpartition(".")[2] == "uint8":
            image = to_pil_image(image)
        elif not isinstance(image, Image.Image):
            raise TypeError(f"{type(image).__name__} {getattr(image, 'dtype', '')}".strip() + " given")
        return known.prepare(image)
    except UsageError:  # names the file
        raise
    except (ArithmeticError, OSError, SyntaxError, TypeError, ValueError) as error:  # torchvision's, or PIL's
        raise UsageError(f"{name}: {first_line(error)}; {FORMS} is needed") from error


@torch.no_grad()
def _logits(net: nn.Module | PackedNet | PackedModule, inputs: list[Tensor]) -> Tensor:
    """(N, classes) on the CPU, in evaluation mode; every part of the network keeps the mode that it had."""
    like = next(getattr(net, "net", net).parameters(), inputs[0])
    try:
        with convolutions(tf32=False), evaluation_mode(net) if isinstance(net, nn.Module) else nullcontext():
            logits = net(torch.stack(inputs).to(like))
    except RuntimeError as error:  # of several shapes, or of a network without checks of its own
        raise UsageError(f"image: {tuple(inputs[0].shape)} doesn't fit the network ({first_line(error)})") from error
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        raise UsageError(f"net: {type(net).__name__} gives no logits (N, classes)")
    return logits.cpu()

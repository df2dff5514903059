"""Trained networks for other tools: ONNX files, which onnxruntime and converters read.

The file holds the float network as it is, sign and all (see ``onnx_graph``), and in its metadata what a tool has to
know to feed it: how pixels become ``images``, and what the places of ``logits`` are called.
"""

import json
from pathlib import Path

import torch

from ..core.models import IMAGE_SIZES, BinaryNet
from ..errors import UsageError, check_whole
from ..system.files import write_atomic
from ..version import __version__
from .onnx_graph import onnx_model
from .preprocessing import preprocessing_of

NORMALISATION = "images = (pixels / 255 - mean) / std, per channel; (batch, channels, height, width), RGB or grey"


def export_onnx(net: BinaryNet, path: str | Path, *, image_size: int | None = None,
                dataset: str | None = None) -> dict[str, str]:  # fmt: skip
    """Write ``net``, in evaluation mode, as an ONNX file: images (batch, C, size, size) -> logits (batch, classes).

    image_size   pixels a side (default: those it was trained on, or the network's usual ones)
    dataset      whose normalisation and class names the file tells (default: the set it was trained on, if it says so)

    The type is the network's: float32, or float64 for tools that can compute in it (onnxruntime's convolution can't).
    Another tool rounds otherwise: an activation within rounding of its threshold (a few images in 1,000 for the zoo's
    ResNet-20; where ASD's σ rounds to 1, every clipped -1) gets the other sign, and that image's logits move.

    Returns the metadata that the file carries, see :func:`metadata`. Raises UsageError for another kind of network, a
    type, size or data set that it can't have, and without the package ``onnx``; RunError where it can't be written.
    """
    if not isinstance(net, BinaryNet):
        raise UsageError(f"net: {type(net).__name__} given; one of sdbnn_lite's networks is needed (sd.build, sd.load)")
    if net.conv1.weight.dtype not in (torch.float32, torch.float64):
        raise UsageError(f"net: it computes in {net.conv1.weight.dtype}; float32 or float64 is needed: net.float()")
    about = metadata(net, image_size, dataset)
    model = onnx_model(net, int(about["image_size"]), about)
    write_atomic(Path(path), model.SerializeToString())
    return about


def metadata(net: BinaryNet, image_size: int | None = None, dataset: str | None = None) -> dict[str, str]:
    """What the file says of itself, each a text (lists and numbers as JSON):

        sdbnn_lite (the version), network, method, stage, image_size
        recipe, epochs, seed, data (what a figure measured on it may be called)         where the weights' file knows
        dataset, normalisation, mean, std (a number per channel), classes (their names) where the data set is known

    Raises UsageError for a size or data set that the network can't have.
    """
    trained, images = getattr(net, "about", {}), preprocessing_of(net, dataset)
    identity = trained.get("identity", {})
    about = {"sdbnn_lite": __version__, "network": net.name, "method": net.method.name, "stage": net.options["stage"]}
    about |= {key: identity[key] for key in ("recipe", "epochs", "seed") if key in identity}
    if "data" in trained and (images is None or images.dataset == trained.get("dataset")):
        about["data"] = trained["data"]
    if images:
        about |= {"dataset": images.dataset, "normalisation": NORMALISATION, "mean": images.mean, "std": images.std}
        about |= {"classes": images.names} if images.classes else {}
    usual = images.image_size if images else net.options.get("image_size") or IMAGE_SIZES[net.name]
    size = usual if image_size is None else image_size
    check_whole(image_size=size)
    about["image_size"] = int(size)
    if not net.takes(size, size):
        raise UsageError(f"image_size={size}: {net.name} needs {net.sizes}")
    return {k: v if isinstance(v, str) else json.dumps(v, ensure_ascii=False) for k, v in about.items()}

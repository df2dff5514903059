"""Trained networks for other tools: ONNX files, which onnxruntime and converters read.

The file holds the float network as it is, sign and all (see ``onnx_graph``), and in its metadata what a tool has to
know to feed it: how pixels become ``images``, and what the places of ``logits`` are called.
"""

import json
from pathlib import Path

import torch

from ..core.models import IMAGE_SIZES, BinaryNet
from ..data.sets import DATASETS
from ..errors import UsageError, unknown
from ..system.files import write_atomic
from ..version import __version__
from .cards import probe_settings
from .onnx_graph import onnx_model

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
IMAGENETTE = (0, 217, 482, 491, 497, 566, 569, 571, 574, 701)  # its ten classes' places among ImageNet's thousand
NORMALISATION = "images = (pixels / 255 - mean) / std, per channel; (batch, channels, height, width), RGB or grey"


def export_onnx(
    net: BinaryNet, path: str | Path, *, image_size: int | None = None, dataset: str | None = None
) -> dict[str, str]:
    """Write ``net``, in evaluation mode, as an ONNX file: images (batch, C, size, size) -> logits (batch, classes).

    image_size   pixels a side (default: those it was trained on, or the network's usual ones)
    dataset      whose normalisation and class names the file tells (default: the set it was trained on, if it says so)

    The type is the network's: float32, or float64 for tools that can compute in it (onnxruntime's convolution can't).
    Another tool adds in another order: where an activation lies within rounding of its threshold (a few images in 1,000
    for the zoo's ResNet-20 in float32), its sign is the other one, and that image's logits move, by 0.1 to 1.5 there.

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
    trained = getattr(net, "about", {})
    identity, known = trained.get("identity", {}), trained.get("dataset")
    size = identity.get("image_size") if image_size is None else image_size
    usual = net.options.get("image_size") or IMAGE_SIZES[net.name]
    about = {"sdbnn_lite": __version__, "network": net.name, "method": net.method.name, "stage": net.options["stage"]}
    about |= {key: identity[key] for key in ("recipe", "epochs", "seed") if key in identity}
    if dataset in (None, known) and "data" in trained:
        about["data"] = trained["data"]
    if dataset or known:
        described, usual = describe_images(net, dataset or known)
        about |= described
    about["image_size"] = size = usual if size is None else size
    if not isinstance(size, int) or size < 1:
        raise UsageError(f"image_size={size!r}: give a whole number of pixels, 1 or more")
    if not net.takes(size, size):
        raise UsageError(f"image_size={size}: {net.name} needs {net.sizes}")
    return {k: v if isinstance(v, str) else json.dumps(v, ensure_ascii=False) for k, v in about.items()}


def describe_images(net: BinaryNet, dataset: str) -> tuple[dict, int]:
    """What has to be known of a data set's images, and their usual size; UsageError where they don't suit the net."""
    if dataset not in DATASETS:
        raise unknown("data set", dataset, DATASETS)
    images, names = probe_settings(net, dataset, None), class_names(dataset)
    mean, channels = images["mean"], net.options["in_channels"]
    if len(mean) != channels:
        raise UsageError(f"data set {dataset!r}: images of {len(mean)} channels, but the network takes {channels}")
    about = {"dataset": dataset, "normalisation": NORMALISATION, "mean": mean, "std": images["std"]}
    about |= {"classes": names} if len(names) == net.options["num_classes"] else {}
    return about, images["image_size"]


def class_names(dataset: str) -> list[str]:
    """The names of a set's classes in the order of the logits; ImageNet's are torchvision's."""
    if dataset == "digits":
        return list(map(str, range(10)))
    if dataset == "cifar10":
        return list(CIFAR10)
    from torchvision.models import ResNet34_Weights

    names = ResNet34_Weights.IMAGENET1K_V1.meta["categories"]
    return list(names) if dataset == "imagenet" else [names[i] for i in IMAGENETTE]

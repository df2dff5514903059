"""What a run starts from: the network, checked against its images, and the teacher where the recipe has one."""

import hashlib
from pathlib import Path

import torch
from torch import nn

from ..core.layers import binary_layers
from ..core.models import BinaryNet, build
from ..data.augment import Augmentation
from ..data.in_memory import ImageSet
from ..errors import UsageError
from ..weights.files import in_bits, load_state
from ..weights.torch_files import is_torch_file
from ..weights.torchvision_nets import Teacher, published_teacher, read_teacher
from ..weights.zoo import load
from .evaluate import Images
from .recipe import Recipe


def augmentation_of(recipe: Recipe, epoch: int) -> Augmentation:
    """How the recipe varies its training images in ``epoch`` = 0, 1, …"""
    turn = epoch if recipe.alternate_flip else None
    colours = {"jitter": recipe.jitter, "lighting": recipe.lighting}
    return Augmentation(recipe.pad, recipe.flip, recipe.reflect, recipe.cutout, turn, recipe.resized, **colours)


def initial_network(
    recipe: Recipe, method: str, seed: int, images: Images, init: str | Path | None = None
) -> BinaryNet:
    """The network of a recipe with weights drawn from ``seed``, or taken from ``init`` (stage 2 from stage 1).

    Raises UsageError where the images don't fit the network, or the weights in ``init`` don't.
    """
    sized = {"image_size": images.image_size} if recipe.network in ("digits_convnet", "cifar10_vgg_small") else {}
    sized |= {"stage": recipe.stage, "in_channels": images.channels}
    with torch.random.fork_rng():  # the caller's random numbers stay as they were
        torch.manual_seed(seed)
        net = build(recipe.network, method, images.num_classes, **sized)
    with torch.no_grad():
        for layer in binary_layers(net).values():
            layer.weight *= recipe.initial_scale
    if init is not None:
        start = load(init)
        if in_bits(start):
            raise UsageError(f"--init {init}: stored as bits, without the latent weights that training moves; "
                             f"give the run's own folder or weights file")  # fmt: skip
        load_state(net, start.state_dict(), init)
    check_fits(net, images, recipe.network)
    images.check(augmentation_of(recipe, 0))
    return net


def check_fits(net: BinaryNet | Teacher, images: Images, name: object) -> None:
    """Raise UsageError unless ``net``, called ``name``, takes ``images``: size, channels, classes, labels."""
    channels, classes, size = net.options["in_channels"], net.options["num_classes"], images.image_size
    if not net.takes(size, size):
        raise UsageError(f"{name} needs images of {net.sizes}; those of {images.label} are {size}×{size}")
    if channels != images.channels:
        raise UsageError(f"{name} takes {channels} channels, the images of {images.label} have {images.channels}")
    if classes != images.num_classes:
        raise UsageError(f"{name} has {classes} classes, {images.label} has {images.num_classes}")
    for split, number, least in (("train", images.num_train, 2), ("test", images.num_test, 1)):  # batch norm needs two
        if number < least:
            raise UsageError(f"{images.label}: {number} {split} images; at least {least} are needed")
    if isinstance(images, ImageSet):
        _check_tensors(images)


def _check_tensors(images: ImageSet) -> None:
    """Every image square and of one size, a label for each, and each label one of the classes."""
    size, label = images.image_size, images.label
    for split in ("train", "test"):
        pixels, labels = getattr(images, f"{split}_images"), getattr(images, f"{split}_labels")
        wanted = (len(labels), images.channels, size, size)
        if tuple(pixels.shape) != wanted:
            raise UsageError(f"{label}: {split} images have shape {tuple(pixels.shape)}, {wanted} is needed")
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= images.num_classes:
            raise UsageError(f"{label}: {split} labels {low} to {high}; {images.num_classes} classes allow 0 to "
                             f"{images.num_classes - 1}")  # fmt: skip


def load_teacher(weights: str | Path | None, recipe: Recipe, download: bool = False) -> BinaryNet | Teacher | None:
    """The trained network that a recipe with ``distill`` > 0 learns from, in evaluation mode; None for another recipe.

    ``weights``: a file, a run's folder or a zoo name of ours, or a torchvision ResNet's state dict (.pth, .pt); any
    network for the same images and classes will do. For ImageNet the default is torchvision's ResNet-34, which
    ``download`` fetches. Raises UsageError where a teacher is needed and missing, or given and not used.
    """
    if recipe.distill == 0:
        if weights is not None:
            raise UsageError(f"--teacher {weights}: recipe {recipe.name} learns without one (its `distill` is 0)")
        return None
    if weights is not None:
        return read_teacher(weights) if is_torch_file(weights) else load(weights).requires_grad_(False)
    if has_published_teacher(recipe):
        return published_teacher(download)
    own = recipe.dataset == "imagenette"
    command = "imagenette-teacher" if own else f"{recipe.name.removesuffix('-best')} --method float"
    raise UsageError(f"recipe {recipe.name} learns from a teacher: give --teacher FILE, a run's folder or a zoo name; "
                     f"train one with `sdbnn-lite train {command}`")  # fmt: skip


def has_published_teacher(recipe: Recipe) -> bool:
    """Whether there is a teacher to fetch for the recipe: ImageNet's, where it learns from one."""
    return recipe.distill > 0 and recipe.dataset == "imagenet"


def fingerprint(net: nn.Module) -> str:
    """SHA-256 (its first 16 hex digits) over names, types and values of the weights."""
    digest = hashlib.sha256()
    for name, tensor in net.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()[:16]

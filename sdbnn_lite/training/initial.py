"""What a run starts from: the network, checked against its images, and the teacher where the recipe has one."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from ..core.layers import binary_layers
from ..core.models import SIZED, BinaryNet, BiRealBlock, ResNet18Block, ResNet20Block, build
from ..data.augment import Augmentation
from ..data.in_memory import ImageSet
from ..data.sets import SETS
from ..errors import UsageError
from ..weights.files import digest
from ..weights.torch_files import is_torch_file
from ..weights.torchvision_nets import Teacher, published_teacher, read_teacher
from ..weights.zoo import load
from .evaluate import Images
from .recipe import Recipe
from .recipes import RECIPES

MULTIPLES = {**SIZED, "imagenet_resnet18": 32, "imagenet_resnet34": 32}  # of a side
ADDED = {ResNet20Block: ("bn1", "bn2"), ResNet18Block: ("bn2",), BiRealBlock: ("bn",)}  # to a shortcut


def augmentation_of(recipe: Recipe, epoch: int) -> Augmentation:
    """How the recipe varies its training images in ``epoch`` = 0, 1, …"""
    turn = epoch if recipe.alternate_flip else None
    colours = {"jitter": recipe.jitter, "lighting": recipe.lighting}
    return Augmentation(recipe.pad, recipe.flip, recipe.reflect, recipe.cutout, turn, recipe.resized, **colours)


def next_size(network: str, size: int) -> int:
    """``size``, or the next larger one that ``network`` takes."""
    multiple = MULTIPLES.get(network, 1)
    return -(-size // multiple) * multiple


def fitting(recipe: Recipe) -> Recipe:
    """``recipe`` with an image size that its network takes, where its known data set's own isn't one."""
    if recipe.image_size is not None or recipe.dataset not in SETS or (own := SETS[recipe.dataset].size) is None:
        return recipe
    size = next_size(recipe.network, own)
    return recipe if size == own else replace(recipe, image_size=size)


def initial_network(recipe: Recipe, method: str, seed: int, images: Images) -> BinaryNet:
    """The network of a recipe, for these images' classes, channels and size, with weights drawn from ``seed``.

    Raises UsageError where the network can't have such images.
    """
    if recipe.network in SIZED and (near := next_size(recipe.network, images.image_size)) != images.image_size:
        raise UsageError(f"image_size={images.image_size}: {recipe.network} needs a multiple of "
                         f"{MULTIPLES[recipe.network]}; give --image-size {near}")  # fmt: skip
    sized = {"image_size": images.image_size} if recipe.network in SIZED else {}
    sized |= {"stage": recipe.stage, "in_channels": images.channels}
    with torch.random.fork_rng():  # the caller's random numbers stay as they were
        torch.manual_seed(seed)
        net = build(recipe.network, method, images.num_classes, **sized)
    with torch.no_grad():
        for layer in binary_layers(net).values():
            layer.weight *= recipe.initial_scale
    set_gamma(net, recipe.initial_gamma)
    check_fits(net, images, recipe.network)
    images.check(augmentation_of(recipe, 0))
    return net


def set_gamma(net: nn.Module, gamma: float) -> None:
    """γ = ``gamma`` in every channel of the batch norms to which a shortcut is added."""
    for block in net.modules():
        for name in ADDED.get(type(block), ()):
            nn.init.constant_(getattr(block, name).weight, gamma)


def check_fits(net: BinaryNet | Teacher, images: Images, name: object) -> None:
    """Raise UsageError unless ``net``, called ``name``, takes ``images``: size, channels, classes, labels."""
    channels, classes, size = net.options["in_channels"], net.options["num_classes"], images.image_size
    if not net.takes(size, size):
        near = f"; give --image-size {next_size(net.name, size)}" if net.name in MULTIPLES and name == net.name else ""
        raise UsageError(f"{name} needs images of {net.sizes}; those of {images.label} are {size}×{size}{near}")
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
    named = "imagenette-teacher" if "-stage" in recipe.name else recipe.name.removesuffix("-best")
    more = "" if named.endswith("-teacher") else " --method float"
    more += "" if RECIPES.get(named, recipe).dataset == recipe.dataset else f" --dataset {recipe.dataset}"
    raise UsageError(f"recipe {recipe.name} learns from a teacher: give --teacher FILE, a run's folder or a zoo name; "
                     f"train one with `sdbnn-lite train {named}{more}`, or learn without one: --distill 0")  # fmt: skip


def has_published_teacher(recipe: Recipe) -> bool:
    """Whether there is a teacher to fetch for the recipe: ImageNet's, where it learns from one."""
    return recipe.distill > 0 and recipe.dataset == "imagenet"


def fingerprint(net: nn.Module | None) -> str | None:
    """The first 16 hex digits of SHA-256 over names, types and values of the weights; None for no network."""
    return None if net is None else digest(net.state_dict().items())[:16]

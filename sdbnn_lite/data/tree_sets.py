"""Image sets from trees of image files: CIFAR's, Imagenette, ImageNet, and any tree of the user's own."""

import re
from dataclasses import replace
from statistics import median_low

from ..errors import UsageError
from .base import FOUND_OUT, Options
from .decoded import Decoded, decode
from .image_file import header_size, read_image
from .in_memory import ImageSet
from .pixels import measure
from .resized_copy import open_packed, side_for
from .streamed import StreamedImageSet
from .tree import Split, Tree, open_tree

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
IMAGENETTE_CLASSES = ("n01440764", "n02102040", "n02979186", "n03000684", "n03028079",
                      "n03394916", "n03417042", "n03425413", "n03445777", "n03888257")  # fmt: skip
IN_MEMORY = 2**32  # bytes of pixels, three a pixel: a set of the user's own that has more is streamed
SAMPLED = 1000  # training images by whose sizes (if streamed, colours and statistics too) a set is judged
MOST_SIDE = 224  # pixels that images get without being asked for


def cifar_tree(classes: int, asked: Options) -> ImageSet:
    """Ten or a hundred classes of 32x32 pixels; CIFAR-100's names aren't known here, so it isn't called that."""
    tree = _open(asked, ("test", "val"), classes)
    lossy = any(path.lower().endswith((".jpg", ".jpeg")) for path in tree.train.paths + tree.test.paths)
    label = "CIFAR-10 (JPEG copy)" if lossy else "CIFAR-10 (image tree)"
    if tree.classes != CIFAR10_CLASSES:
        label = _own_label(asked, tree, ", not CIFAR-10" if classes == 10 else "")
    return _held(label, tree, decode(tree, 32, True, asked.progress, asked.strict), asked)


def imagenette(asked: Options) -> ImageSet:
    """Ten classes, resized and cropped."""
    tree = _open(asked, ("val", "test"), 10)
    pixels = decode(tree, asked.image_size, progress=asked.progress, strict=asked.strict)
    label = f"Imagenette (image tree{pixels.native and f', {pixels.native}'})"
    if tree.classes != IMAGENETTE_CLASSES:
        label = _own_label(asked, tree, ", not Imagenette")
    return _held(label, tree, pixels, asked)


def imagenet(asked: Options) -> StreamedImageSet:
    """Streamed."""
    tree = open_tree(asked.folder, ("val", "test"))
    true = len(tree.classes) == 1000 and all(re.fullmatch(r"n\d{8}", name) for name in tree.classes)
    label = "ImageNet (image tree)" if true else _own_label(asked, tree, ", not ImageNet")
    return _streamed(label, tree, asked)


def own(asked: Options) -> ImageSet | StreamedImageSet:
    """Any tree: what isn't asked for is found out.

    image_size   the median of the training images' shorter sides, 224 at most, from a sample's headers
    channels     1 where every image is grey (a single channel), else 3; converted where the other is asked for
    mean, std    measured on all training images as the network gets them

    Images are resized and cropped in the middle, and kept in memory. With more than ``IN_MEMORY`` bytes they are
    streamed, from the resized copy where there is one; colours and statistics are a sample's: ``SAMPLED`` training
    images, evenly from all of them.
    """
    tree = _open(asked, ("val", "test"))
    if len(tree.classes) < 2:
        raise UsageError(f"{asked.folder} has 1 class ({tree.classes[0]}): at least 2 are needed")
    size, label = asked.image_size or usual_side(tree.train), _own_label(asked, tree)
    how, most = {"progress": asked.progress, "strict": asked.strict}, IN_MEMORY // (3 * size**2)  # images
    if len(tree.train) + len(tree.test) <= most:
        return _held(label, tree, decode(tree, size, **how), asked)
    sample = decode(tree.sample(max(1, min(SAMPLED, most))), size, **how).in_channels(asked.channels or None)
    asked = replace(asked, image_size=size, statistics=sample.statistics or measure(sample.train))
    return _streamed(label, tree, asked)


def usual_side(split: Split) -> int:
    """The size of :func:`own`'s images. Raises UsageError where not one header of the sample can be read."""
    paths = split.paths[:: -(-len(split) // SAMPLED)]
    sizes = [size for path in paths if (size := header_size(path))]
    if not sizes:
        read_image(paths[0])  # raises the error that names it
    return min(MOST_SIDE, median_low(map(min, sizes)))


def _open(asked: Options, test_names: tuple[str, ...], classes: int | None = None) -> Tree:
    return open_tree(asked.folder, () if asked.train_only else test_names, classes)


def _own_label(asked: Options, tree: Tree, but: str = "") -> str:
    return f"{asked.name} (image tree, {len(tree.classes)} classes{but})"


def _held(label: str, tree: Tree, pixels: Decoded, asked: Options) -> ImageSet:
    pixels = pixels.in_channels(asked.channels or None)
    known = asked.statistics if asked.statistics != FOUND_OUT else pixels.statistics
    mean, std = known or measure(pixels.train)
    return ImageSet(name=asked.name, label=label, classes=tree.classes, mean=mean, std=std, train_images=pixels.train,
                    train_labels=pixels.labels(tree), test_images=pixels.test,
                    test_labels=tree.test.labels)  # fmt: skip


def _streamed(label: str, tree: Tree, asked: Options) -> StreamedImageSet:
    """From the resized copy where there is one, unless ``strict`` and that left out unreadable images."""
    copy = open_packed(tree, side_for(asked.image_size))
    splits = copy if copy and not (asked.strict and len(copy[0]) < len(tree.train)) else (tree.train, tree.test)
    mean, std = asked.statistics
    workers = StreamedImageSet.workers if asked.workers is None else asked.workers
    return StreamedImageSet(name=asked.name, label=label, classes=tree.classes, train=splits[0], test=splits[1],
                            mean=mean, std=std, image_size=asked.image_size, strict=asked.strict,
                            workers=workers)  # fmt: skip

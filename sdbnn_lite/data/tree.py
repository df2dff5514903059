"""An image tree, ROOT/{train,test}/<class>/*: its files by class, checked, and their fingerprint."""

import hashlib
import os
from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.datasets import ImageFolder
from torchvision.datasets.folder import IMG_EXTENSIONS, has_file_allowed_extension

from ..errors import UsageError
from .image_file import Choose, first_line, read_crop, read_image, unreadable

WHOLE, TRAIN, SAMPLE = "", "-train", "-sample"  # kinds of trees, as their caches are called


class Split(ImageFolder):  # type: ignore[misc]  # torchvision has no types
    """torchvision's ImageFolder without what is hidden: macOS's ._0.png, a notebook's folder .ipynb_checkpoints, …"""

    def __init__(self, root: Path):
        def is_image(path: str) -> bool:
            return f"{os.sep}." not in path[len(self.root) :] and has_file_allowed_extension(path, IMG_EXTENSIONS)

        super().__init__(str(root), loader=read_image, is_valid_file=is_image, allow_empty=True)

    def find_classes(self, directory: str) -> tuple[list[str], dict[str, int]]:
        with os.scandir(directory) as entries:
            classes = sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
        if not classes:
            raise UsageError(f"{directory} has no class folder: the layout is {directory}/<class>/<image>")
        return classes, {name: index for index, name in enumerate(classes)}

    @property
    def paths(self) -> list[str]:
        return [path for path, _ in self.samples]

    @cached_property
    def labels(self) -> Tensor:
        """int64 (N,)"""
        return torch.tensor(self.targets, dtype=torch.int64)

    def part(self, places: Iterable[int]) -> "Split":
        """A split with the same classes, but of its images only those at ``places``."""
        chosen = copy(self)
        chosen.__dict__.pop("labels", None)  # of all images
        chosen.samples = [self.samples[place] for place in places]
        chosen.targets = [label for _, label in chosen.samples]
        return chosen

    def picture(self, index: int) -> Image.Image:
        return read_image(self.samples[index][0])

    def crop(self, index: int, choose: Choose, size: int, reduced: bool = False, flip: bool = False) -> np.ndarray:
        """uint8 (size, size, 3): a box of image ``index``, resized (see :func:`read_crop`)."""
        return read_crop(self.samples[index][0], choose, size, reduced, flip)


@dataclass(frozen=True)
class Tree:
    """The two splits of an image tree; both have the same classes, and every class has images (or ``test`` none).

    ``kind``: TRAIN has no test images, SAMPLE only some of the training images.
    """

    root: Path
    train: Split
    test: Split
    kind: str = WHOLE

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self.train.classes)

    def sample(self, most: int) -> "Tree":
        """At most so many of the training images, evenly from all of them, and no test images."""
        step = -(-len(self.train) // most)
        return Tree(self.root, self.train.part(range(0, len(self.train), step)), self.test.part([]), SAMPLE)

    def fingerprint(self) -> str:
        """SHA-256 over relative path, size and modification time of every image, in order."""
        digest = hashlib.sha256()
        for path in self.train.paths + self.test.paths:
            try:
                status = os.stat(path)
            except OSError as error:
                raise unreadable(path, error) from error
            line = f"{os.path.relpath(path, self.root)}\0{status.st_size}\0{status.st_mtime_ns}\n"
            digest.update(os.fsencode(line))
        return digest.hexdigest()


def open_tree(root: Path, test_names: tuple[str, ...], classes: int | None = None) -> Tree:
    """The tree in ``root``, whose test images are in the first of the folders ``test_names`` that exists.

    Without ``test_names`` no test image is looked for: the tree's ``test`` is empty.

    Raises UsageError, naming folder and remedy: no such folder, an empty one, no train or no test images, an empty
    class folder, classes that differ between the two, or another number of them than ``classes``.
    """
    layout = f"the layout is {root}/{{{','.join(filter(None, ('train', '|'.join(test_names))))}}}/<class>/<image>"
    if not root.is_dir():
        raise UsageError(f"{root} is {'not a folder' if root.exists() else 'missing'}: {layout}")
    test_name = next((name for name in test_names if (root / name).is_dir()), None)
    if not (root / "train").is_dir():
        raise UsageError(f"{root} has no folder 'train': {layout}")
    if test_names and test_name is None:
        raise UsageError(f"{root} has no folder {' or '.join(map(repr, test_names))}: {layout}")
    try:
        train = Split(root / "train")
        tree = Tree(root, train, Split(root / test_name)) if test_name else Tree(root, train, train.part([]), TRAIN)
    except OSError as error:
        raise UsageError(f"{root} can't be read ({first_line(error)})") from error
    if only := sorted(set(tree.train.classes) ^ set(tree.test.classes)):
        where = [f"{name} (only in {'train' if name in tree.train.classes else test_name})" for name in only]
        raise UsageError(f"{root}: the class folders of train and {test_name} differ: {some(where)}")
    for split in (tree.train, tree.test) if test_name else (tree.train,):
        found = set(split.targets)
        if empty := [name for index, name in enumerate(split.classes) if index not in found]:
            raise UsageError(f"{split.root} has class folders without an image: {some(empty)}")
    if classes is not None and len(tree.classes) != classes:
        raise UsageError(f"{root} has {len(tree.classes)} classes ({some(tree.classes)}): it must have {classes}")
    return tree


def some(names: Iterable[str], most: int = 5) -> str:
    """The first few names and how many more there are."""
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")

"""Small image sets made for tests, generators with a seed, and what compares batches and messages."""

import numpy as np
import pytest
import torch
from PIL import Image

from sdbnn_lite import data
from sdbnn_lite.data.augment import Augmentation
from sdbnn_lite.errors import UsageError

NONE = Augmentation(pad=0, flip=False)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
TEN = "airplane automobile bird cat deer dog frog horse ship truck".split()  # CIFAR-10's
WNIDS = "n01440764 n02102040 n02979186 n03000684 n03028079 n03394916 n03417042 n03425413 n03445777 n03888257".split()
COLOURS = np.random.default_rng(0)
SIZES = [(12, 9), (16, 11), (30, 40), (20, 14)]  # medians of the shorter sides: 11 of 9, 11, 14, 30


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def make_tree(root, classes=TEN, splits=("train", "test"), size=(32, 32), each=1, ending="png"):
    for split in splits:
        for name in classes:
            (root / split / name).mkdir(parents=True, exist_ok=True)
            for number in range(each):
                pixels = COLOURS.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{number}.{ending}")
    return root


def colour_tree(root, train):
    """CIFAR-10's classes, each a colour: ``train`` training images and a test image of each, in root/cifar10."""
    rng = np.random.default_rng(0)
    for split, count in (("train", train), ("test", 1)):
        for label, name in enumerate(TEN):
            folder = root / "cifar10" / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 60, (32, 32, 3)) + 19 * label
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i}.png")
    return root


def small_imagenet(root):
    """An ImageNet of 3 classes, 12 + 12 images, read as the real one is, in this process."""
    make_tree(root / "imagenet", ("n01", "n02", "n03"), ("train", "val"), (40, 30), 4, "jpg")
    found = data.load("imagenet", root, image_size=16)
    found.workers, found.reduced = 0, False
    return found


def equal(batches, others):
    batches, others = list(batches), list(others)
    return len(batches) == len(others) and all(
        torch.equal(x, u) and torch.equal(y, v) for (x, y), (u, v) in zip(batches, others)
    )


def refused(call, *words):
    with pytest.raises(UsageError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message and all(str(word) in message for word in words), message


def save(path, size=(12, 9), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    width, height = size
    if mode == "I;16":
        picture = Image.fromarray(COLOURS.integers(0, 2**16, (height, width), np.uint16))
    else:
        picture = Image.fromarray(COLOURS.integers(0, 256, (height, width, 3), np.uint8)).convert(mode)
    picture.save(path)


def own_tree(root, mode="RGB", test="val"):
    """Two classes, four training images of other sizes and two test images each."""
    for split, sizes in (("train", SIZES), (test, SIZES[:2])):
        for name in ("dog", "cat"):
            for number, size in enumerate(sizes):
                save(root / split / name / f"{number}.png", size, mode)
    return root


def load_own(root, **options):
    return data.load(root.name, root.parent, progress=False, **options)

"""``sdbnn-lite bench data``: training images a second, for each implementation of reading them, side by side.

    torchvision       ImageFolder, RandomResizedCrop, flip, ToTensor, Normalize in a DataLoader of N worker processes
                      (N = 0: in the training process itself)
    threads           ours (``data.streamed``), N threads, every image decoded whole: the same pixels as torchvision's
    threads, reduced  ... JPEG decoded no larger than the crop needs
    packed            ... from the packed copy (``data.resized_copy``)
    resident          in memory (``data.in_memory``): CIFAR's crop and flip, or ImageNet's augmentation by matrices

What is read: photographs of ImageNet's usual size, 500x375 JPEG, cut from the two that scikit-learn brings along, in a
temporary folder; and where ``--data`` (SDBNN_DATA) has them, copies of real ones and CIFAR-10. All are read once before
the clock starts, so it is the processor that is measured, not the disk.

Every round runs each way once over all images; ``images_s`` is the median round. ``cpu_us``: microseconds of processor
time an image, in all threads of this process; that of worker processes isn't seen from here.
"""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_sample_image
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from .. import data
from ..data.augment import Augmentation
from ..data.base import IMAGENET_MEAN, IMAGENET_STD
from ..data.decoded import decode
from ..data.in_memory import ImageSet
from ..data.resized_copy import open_packed, pack, side_for
from ..data.sets import given_folder
from ..data.streamed import StreamedImageSet
from ..data.tree import Tree, open_tree

IMAGES, ROUNDS, BATCH, WORKERS = 256, 3, 64, 2
CIFAR_IMAGES, CIFAR_BATCH, CIFAR_GOAL = 50_000, 128, 50_000  # goal: images a second on two cores
IMAGENET = Augmentation(pad=0, resized=True)
Way = tuple[str, int, Callable[[], Iterable]]  # name, workers, a pass over all images in batches


def bench_data(images: int = IMAGES, rounds: int = ROUNDS, workers: int = WORKERS, data_dir: str | None = None,
               cifar_images: int = CIFAR_IMAGES) -> list[dict[str, Any]]:  # fmt: skip
    """Rows of images a second; ``images`` files of each source, ``data_dir`` as for ``data.load``."""
    given = Path(given_folder(data_dir) or "")
    real = [name for name in ("imagenet", "imagenette") if str(given) != "." and (given / name / "train").is_dir()][:1]
    rows = []
    with tempfile.TemporaryDirectory(prefix="sdbnn_lite_bench_") as folder:
        photos = write_photos(Path(folder) / "photos", images)
        cases = [("photographs 500x375", photos, size) for size in (224, 128)]
        for name in real:
            some = copy_some(given / name, Path(folder) / name, images)
            cases.append((f"{name} (real)", some, 224 if name == "imagenet" else 128))
        for source, tree, size in cases:
            resident = _held(decode(tree, size, progress=False).train, tree.train.labels, BATCH, IMAGENET)
            rows += _measure(source, size, [*_streams(tree, size, workers), resident], rounds)
    return rows + _measure(*_cifar(given, cifar_images), rounds)


def write_photos(root: Path, images: int) -> Tree:
    """A tree of ``images`` 500x375 JPEG files: places of scikit-learn's two photographs (640x427), quality 95."""
    width, height = 500, 375  # most of ImageNet's photographs are of this size
    pictures = [load_sample_image(name) for name in ("china.jpg", "flower.jpg")]
    places = np.random.default_rng(0)
    for number in range(images):
        whole = pictures[number % 2]
        top, left = places.integers(whole.shape[0] - height + 1), places.integers(whole.shape[1] - width + 1)
        folder = root / "train" / f"class{number % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(whole[top : top + height, left : left + width]).save(folder / f"{number}.jpg", quality=95)
    for name in ("class0", "class1"):
        (root / "val" / name).mkdir(parents=True)
        shutil.copy(next((root / "train" / name).iterdir()), root / "val" / name)
    return open_tree(root, ("val",))


def copy_some(source: Path, root: Path, images: int) -> Tree:
    """An image tree of ``images`` training files of the tree ``source``, as many of each class as of the others."""
    classes = sorted(path for path in (source / "train").iterdir() if path.is_dir() and not path.name.startswith("."))
    classes = classes[: max(1, images)]
    for place, folder in enumerate(classes):
        files = sorted(path for path in folder.iterdir() if path.is_file())
        number = len(range(place, images, len(classes)))
        for split, some in (("train", files[:number]), ("val", files[:1])):
            (root / split / folder.name).mkdir(parents=True)
            for path in some:
                shutil.copy(path, root / split / folder.name)
    return open_tree(root, ("val",))


def _streams(tree: Tree, size: int, workers: int) -> Iterator[Way]:
    def ours(train, test, number: int, reduced: bool) -> Callable[[], Iterable]:
        streamed = StreamedImageSet(name="bench", label="bench", classes=tree.classes, train=train, test=test,
                                    image_size=size, workers=number, reduced=reduced, strict=True)  # fmt: skip
        return lambda: streamed.epoch(BATCH, torch.Generator().manual_seed(0), IMAGENET)

    pack(tree, side_for(size), workers, progress=False)
    packed = open_packed(tree, side_for(size))
    for number in sorted({0, workers}):
        yield "torchvision", number, _plain_loader(tree, size, number)
    for number in sorted({1, workers}):
        yield "threads", number, ours(tree.train, tree.test, number, False)
        yield "threads, reduced", number, ours(tree.train, tree.test, number, True)
        yield "packed", number, ours(*packed, number, False)


def _plain_loader(tree: Tree, size: int, workers: int) -> Callable[[], Iterable]:
    """torchvision's usual loader; its processes are started once, in the first pass, which isn't timed."""
    steps = [transforms.RandomResizedCrop(size), transforms.RandomHorizontalFlip(), transforms.ToTensor(),
             transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD)]  # fmt: skip
    images = ImageFolder(tree.train.root, transforms.Compose(steps))
    loader = DataLoader(images, BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0)
    return lambda: loader


def _held(pixels: torch.Tensor, labels: torch.Tensor, batch: int, augmentation: Augmentation) -> Way:
    images = ImageSet(name="bench", label="bench", classes=("any",), train_images=pixels, train_labels=labels,
                      test_images=pixels[:1], test_labels=labels[:1])  # fmt: skip
    return "resident", 0, lambda: images.epoch(batch, torch.Generator().manual_seed(0), augmentation)


def _cifar(given: Path, images: int) -> tuple[str, int, list[Way]]:
    """CIFAR-10 in memory, real or random bytes of its shape: what an image shows changes nothing about the time."""
    if str(given) != "." and (given / "cifar10").is_dir():
        found = data.load("cifar10", given)
        source, pixels = found.label, found.train_images[:images]
    else:
        generator = torch.Generator().manual_seed(0)
        source = "CIFAR-10 (random pixels)"
        pixels = torch.randint(0, 256, (images, 3, 32, 32), dtype=torch.uint8, generator=generator)
    labels = torch.zeros(len(pixels), dtype=torch.int64)
    return source, 32, [_held(pixels, labels, CIFAR_BATCH, Augmentation())]  # cropped and flipped, as published


def _measure(source: str, size: int, ways: list[Way], rounds: int) -> list[dict[str, Any]]:
    """One row for each of ``ways``, interleaved: ``rounds`` passes each, after one that isn't timed."""
    seen = np.array([[_pass(one) for _, _, one in ways] for _ in range(1 + rounds)])  # rounds × ways × 3
    goal, rows = CIFAR_GOAL if source.startswith("CIFAR-10") else None, []
    for (name, workers, _), (wall, cpu, images) in zip(ways, seen[1:].transpose(1, 2, 0)):
        speed, cpu = float(np.median(images / wall)), float(np.median(1e6 * cpu / images))
        hidden = name == "torchvision" and workers > 0
        rows.append({"source": source, "pixels": size, "way": name, "workers": workers, "images": int(images[0]),
                     "images_s": round(speed), "cpu_us": None if hidden else round(cpu, 1), "goal": goal,
                     "met": None if goal is None else speed >= goal})  # fmt: skip
    return rows


def _pass(one: Callable[[], Iterable]) -> tuple[float, float, int]:
    """Seconds, seconds of processor time, and images of one pass."""
    wall, cpu, count = time.perf_counter(), time.process_time(), 0
    for x, _ in one():
        count += len(x)
    return time.perf_counter() - wall, time.process_time() - cpu, count

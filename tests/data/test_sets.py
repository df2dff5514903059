"""The image sets: every source of images, and every wrong use; their batches have tests of their own."""

import hashlib
import os
import pickle
import shutil
import urllib.error
from collections import Counter

import numpy as np
import pytest
import torch
from image_trees import COLOURS, MEAN, NONE, STD, TEN, WNIDS, equal, make_tree, refused, seeded, small_imagenet
from sklearn.datasets import load_digits
from torchvision.datasets import CIFAR10, ImageFolder
from torchvision.transforms import functional as F
from torchvision.transforms import v2

from sdbnn_lite import data
from sdbnn_lite.data import imagenet_augment
from sdbnn_lite.data.augment import Augmentation
from sdbnn_lite.errors import UsageError

REAL = os.environ.get("SDBNN_DATA")


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    monkeypatch.delenv("SDBNN_DATA", raising=False)


@pytest.fixture
def streamed(tmp_path):
    return small_imagenet(tmp_path)


# Digits


def test_digits_are_scikit_learns():
    digits = data.load("digits")
    assert (digits.num_train, digits.num_test, digits.channels, digits.image_size) == (1437, 360, 1, 8)
    assert digits.classes == tuple("0123456789") and digits.label == "digits (scikit-learn, 8x8 scans)"
    original = load_digits()
    ours = Counter()
    for images, labels in ((digits.train_images, digits.train_labels), (digits.test_images, digits.test_labels)):
        assert images.dtype == torch.uint8 and labels.dtype == torch.int64
        ours.update((image.numpy().tobytes(), int(label)) for image, label in zip(images, labels))
    scaled = np.rint(original.images * 255 / 16).astype(np.uint8)
    assert ours == Counter((image.tobytes(), int(label)) for image, label in zip(scaled, original.target))


def test_digits_are_split_evenly_and_always_alike():
    digits = data.load("digits", seed=0)
    whole, test = (torch.bincount(torch.from_numpy(load_digits().target)), torch.bincount(digits.test_labels))
    assert (test - whole * 0.2).abs().max() < 1
    torch.manual_seed(123)
    assert torch.equal(digits.test_images, data.load("digits").test_images)
    assert not torch.equal(digits.test_images, data.load("digits", seed=1).test_images)


@pytest.mark.parametrize("size, channels", [(16, 1), (32, 3), (4, 1), (11, 3)])
def test_digits_are_resized_as_torchvision_does(size, channels):
    ours = data.load("digits", image_size=size, channels=channels)
    theirs = F.resize(data.load("digits").test_images.float(), [size, size], antialias=True)
    assert ours.test_images.shape == (360, channels, size, size) and ours.image_size == size
    assert ours.mean == ours.std == (0.5,) * channels
    assert (ours.test_images - theirs).abs().max() <= 1  # theirs starts from rounded pixels


# CIFAR-10


@pytest.fixture
def cifar_files(tmp_path, monkeypatch):
    """torchvision's files in miniature: 5 x 4 training images and 6 test images, with checksums to match."""

    def write(folder):
        def dump(name, content):
            (folder / name).write_bytes(pickle.dumps(content))
            return [name, hashlib.md5((folder / name).read_bytes()).hexdigest()]

        def batch(n):
            labels = COLOURS.integers(0, 10, n).tolist()
            return {"data": COLOURS.integers(0, 256, (n, 3072), dtype=np.uint8), "labels": labels}

        folder.mkdir(parents=True)
        parts = [batch(4) for _ in range(5)], batch(6)
        listed = [dump(f"data_batch_{number}", part) for number, part in enumerate(parts[0], 1)]
        monkeypatch.setattr(CIFAR10, "train_list", listed)
        monkeypatch.setattr(CIFAR10, "test_list", [dump("test_batch", parts[1])])
        filename, md5 = dump("batches.meta", {"label_names": TEN})
        monkeypatch.setattr(CIFAR10, "meta", {"filename": filename, "key": "label_names", "md5": md5})
        return parts

    return write


@pytest.mark.parametrize("place", ["cifar10/cifar-10-batches-py", "cifar-10-batches-py"])
def test_cifar10_from_torchvisions_files(tmp_path, cifar_files, place):
    train, test = cifar_files(tmp_path / place)
    found = data.load("cifar10", tmp_path)
    assert (found.name, found.label, found.classes) == ("cifar10", "CIFAR-10", tuple(TEN))
    assert (found.mean, found.std) == (MEAN, STD)
    pixels = np.concatenate([part["data"] for part in train])
    assert np.array_equal(found.train_images.numpy().reshape(20, -1), pixels) and found.train_images.is_contiguous()
    assert np.array_equal(found.test_images.numpy().reshape(6, -1), test["data"])
    assert found.train_labels.tolist() == [label for part in train for label in part["labels"]]
    assert found.test_labels.tolist() == test["labels"] and found.test_labels.dtype == torch.int64
    assert data.load("cifar10", tmp_path, download=True).num_train == 20  # there already: nothing is fetched


class Harmful:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("name", ["data_batch_3", "test_batch", "batches.meta"])
def test_a_pickle_with_another_checksum_is_never_opened(tmp_path, cifar_files, name):
    cifar_files(tmp_path / "cifar-10-batches-py")
    (tmp_path / "cifar-10-batches-py" / name).write_bytes(pickle.dumps(Harmful(tmp_path / "executed")))
    refused(lambda: data.load("cifar10", tmp_path), "cifar-10-batches-py", "--download")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("error", [urllib.error.URLError("no route"), RuntimeError("File not found or corrupted.")])
def test_a_failed_download_is_one_sentence(tmp_path, monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", fail)
    refused(lambda: data.load("cifar10", tmp_path / "new", download=True), "cifar10", "by hand", tmp_path / "new")


@pytest.mark.parametrize("ending, label", [("jpg", "CIFAR-10 (JPEG copy)"), ("jpeg", "CIFAR-10 (JPEG copy)"),
                                           ("png", "CIFAR-10 (image tree)")])  # fmt: skip
@pytest.mark.parametrize("test_name", ["test", "val"])
def test_cifar10_from_a_tree(tmp_path, monkeypatch, ending, label, test_name):
    make_tree(tmp_path / "cifar10", splits=("train", test_name), each=2, ending=ending)
    monkeypatch.setenv("SDBNN_DATA", str(tmp_path))
    found = data.load("cifar10", progress=False)
    assert (found.label, found.classes, found.image_size, found.mean) == (label, tuple(TEN), 32, MEAN)
    theirs = ImageFolder(tmp_path / "cifar10" / "train")
    images = torch.stack([F.pil_to_tensor(image) for image, _ in theirs])
    assert torch.equal(found.train_images, images) and found.train_labels.tolist() == theirs.targets
    assert found.num_test == 20


# Imagenette and ImageNet


def test_imagenette_from_a_tree(tmp_path):
    make_tree(tmp_path / "imagenette", WNIDS, splits=("train", "val"), size=(40, 30))
    found = data.load("imagenette", tmp_path, image_size=24, progress=False)
    assert (found.label, found.image_size, found.num_classes) == ("Imagenette (image tree, 40x30)", 24, 10)
    steps = v2.Compose([v2.Resize(24), v2.CenterCrop(24), v2.PILToTensor()])
    images = [image for image, _ in ImageFolder(tmp_path / "imagenette" / "val", steps)]
    assert torch.equal(found.test_images, torch.stack(images))
    assert data.load("imagenette", tmp_path, progress=False).image_size == 128
    make_tree(tmp_path / "imagenette", WNIDS, splits=("val",), size=(50, 50))  # now there are two sizes
    assert data.load("imagenette", tmp_path, image_size=24, progress=False).label == "Imagenette (image tree)"


def test_imagenet_scores_as_torchvision_does(streamed, tmp_path):
    assert streamed.label == "imagenet (image tree, 3 classes, not ImageNet)"
    assert (streamed.classes, streamed.channels) == (("n01", "n02", "n03"), 3)
    assert (streamed.num_train, streamed.num_test, streamed.num_batches(5)) == (12, 12, 3)
    to_float = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
    theirs = ImageFolder(tmp_path / "imagenet" / "val", v2.Compose([v2.Resize(18), v2.CenterCrop(16), *to_float]))
    x, y = (torch.cat(parts) for parts in zip(*streamed.test_batches(5)))
    assert (x - torch.stack([image for image, _ in theirs])).abs().max() < 5e-7
    assert y.tolist() == theirs.targets and x.dtype == torch.float32 and y.dtype == torch.int64
    assert [len(y) for _, y in streamed.test_batches(11)] == [11, 1]


def test_imagenet_trains_on_torchvisions_crops(streamed):
    """torchvision's resized crop and flip of each image, by the numbers of its place in the epoch."""
    generator = seeded()
    order, key = torch.randperm(12, generator=generator), imagenet_augment.draw_key(generator)
    x, y = (torch.cat(parts) for parts in zip(*streamed.epoch(5, seeded(), Augmentation(resized=True))))
    assert equal([(x, y)], [tuple(map(torch.cat, zip(*streamed.epoch(7, seeded(), Augmentation(pad=4)))))])
    for image, label, index, u in zip(x, y, order, imagenet_augment.numbers(key, slice(0, 12))):
        picture, target = streamed.train[index]
        picture = F.resized_crop(picture, *imagenet_augment.random_box(u, 30, 40), [16, 16])
        picture = F.hflip(picture) if u[22] < 0.5 else picture
        assert (image - F.normalize(F.to_tensor(picture), MEAN, STD)).abs().max() < 5e-7 and label == target


def test_imagenet_without_augmentation_is_cut_as_for_the_test(streamed):
    streamed.test = streamed.train
    images = torch.cat([x for x, _ in streamed.test_batches(12)])
    order = torch.randperm(12, generator=seeded())
    assert torch.equal(torch.cat([x for x, _ in streamed.epoch(5, seeded(), NONE)]), images[order])


@pytest.mark.parametrize("only", [{"reflect": True}, {"cutout": 4}, {"epoch": 0}])
def test_imagenet_refuses_what_only_sets_in_memory_do(streamed, only):
    with pytest.raises(UsageError, match="are for image sets held in memory"):
        streamed.epoch(5, seeded(), Augmentation(**only))


def test_imagenet_resumes_whatever_the_number_of_workers(streamed):
    whole = list(streamed.epoch(4, seeded(), Augmentation()))
    for start in range(len(whole) + 1):
        assert equal(streamed.epoch(4, seeded(), Augmentation(), start), whole[start:])
    streamed.workers = 2
    assert equal(streamed.to("cpu").epoch(4, seeded(), Augmentation(), 1), whole[1:])
    assert not equal(streamed.epoch(4, seeded(1), Augmentation()), whole)


@pytest.mark.parametrize("workers", [0, 1])
def test_imagenet_names_an_unreadable_image(streamed, tmp_path, workers):
    bad = tmp_path / "imagenet" / "train" / "n02" / "1.jpg"
    bad.write_bytes(bad.read_bytes()[:200])
    streamed.workers = workers
    streamed.strict = True
    refused(lambda: list(streamed.epoch(4, seeded(), NONE)), "unreadable image", bad)


# Wrong use


def test_unknown_set():
    choices = "digits, mnist, fashion_mnist, cifar10, cifar100, imagenet, imagenette"
    refused(lambda: data.load("cifar"), "data set 'cifar'", choices, "did you mean 'cifar10'?")


@pytest.mark.parametrize(
    "name, options, words",
    [
        ("digits", {"image_size": 0}, ["image_size=0"]),
        ("digits", {"image_size": 8.5}, ["image_size=8.5"]),
        ("digits", {"channels": 2}, ["channels=2", "1 or 3"]),
        ("cifar10", {"channels": 1}, ["channels=1", "3"]),
        ("cifar10", {"image_size": 64}, ["image_size=64", "32x32"]),
        ("digits", {"channels": True}, ["channels=True", "1 or 3"]),
        ("digits", {"image_size": True}, ["image_size=True"]),
        ("digits", {"validation": "x"}, ["validation='x'"]),
        ("imagenet", {"workers": True}, ["workers=True"]),
        ("imagenet", {"download": True}, ["imagenet", "can't be downloaded"]),
    ],
)
def test_options_a_set_cannot_have(tmp_path, name, options, words):
    refused(lambda: data.load(name, tmp_path, **options), *words)


def test_no_folder_given():
    refused(lambda: data.load("cifar10"), "cifar10", "--data DIR", "SDBNN_DATA", "--download")
    refused(lambda: data.load("imagenet"), "imagenet", "--data DIR", "SDBNN_DATA")


def test_wrong_folders(tmp_path):
    refused(lambda: data.load("cifar10", tmp_path / "none"), tmp_path / "none", "missing")
    refused(lambda: data.load("cifar10", tmp_path), tmp_path / "cifar10", "missing", "<class>")
    (tmp_path / "file").write_text("")
    refused(lambda: data.load("imagenette", tmp_path / "file"), tmp_path / "file", "is a file")
    (tmp_path / "cifar10").mkdir()
    refused(lambda: data.load("cifar10", tmp_path), "no folder 'train'")


def test_wrong_trees(tmp_path):
    root = make_tree(tmp_path / "cifar10")
    shutil.rmtree(root / "train" / "cat")
    refused(lambda: data.load("cifar10", tmp_path, progress=False), "cat (only in test)")
    shutil.rmtree(root / "test" / "cat")
    refused(lambda: data.load("cifar10", tmp_path, progress=False), "9 classes", "must have 10")
    root.rename(tmp_path / "imagenette")
    refused(lambda: data.load("imagenette", tmp_path, progress=False), "9 classes", "must have 10")
    make_tree(root, size=(32, 31))
    refused(lambda: data.load("cifar10", tmp_path, progress=False), "32x31", "32x32", ".png")


# The real images


@pytest.mark.skipif(not REAL, reason="needs real images: SDBNN_DATA doesn't name their folder")
@pytest.mark.parametrize("name, numbers", [("cifar10", (50_000, 10_000, 32)), ("imagenette", (9_469, 3_925, 128)),
                                           ("fashion_mnist", (60_000, 10_000, 28))])  # fmt: skip
def test_real_images(name, numbers):
    if not os.path.isdir(os.path.join(REAL, name)):
        pytest.skip(f"SDBNN_DATA has no {name}")
    found = data.load(name, REAL, progress=False)
    assert (found.num_train, found.num_test, found.image_size) == numbers and found.num_classes == 10
    x, y = next(found.epoch(128, seeded(), Augmentation()))
    assert x.shape == (128, found.channels, numbers[2], numbers[2]) and 0.5 < x.std() < 1.5 and len(y.unique()) == 10

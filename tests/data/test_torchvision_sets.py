"""CIFAR-100, MNIST and Fashion-MNIST from files in torchvision's formats, written here by hand."""

import gzip
import hashlib
import pickle
import struct

import numpy as np
import pytest
import torch
from image_trees import make_tree, refused
from torchvision.datasets import CIFAR100
from torchvision.transforms import functional as F

from sdbnn_lite import data

COLOURS = np.random.default_rng(0)
KINDS = [("mnist", "MNIST", "MNIST", 0.1307, 0.3081), ("fashion_mnist", "FashionMNIST", "Fashion-MNIST", 0.286, 0.353)]


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    monkeypatch.delenv("SDBNN_DATA", raising=False)


def write_idx(folder, compressed=False):
    """The four files: 30 training and 20 test images of 28x28 pixels; returns (images, labels) of both."""
    folder.mkdir(parents=True, exist_ok=True)
    opened, ending, parts = (gzip.open, ".gz", []) if compressed else (open, "", [])
    for split, count in (("train", 30), ("t10k", 20)):
        images, labels = COLOURS.integers(0, 256, (count, 28, 28), np.uint8), np.arange(count, dtype=np.uint8) % 10
        with opened(folder / f"{split}-images-idx3-ubyte{ending}", "wb") as file:
            file.write(struct.pack(">4I", 0x803, count, 28, 28) + images.tobytes())
        with opened(folder / f"{split}-labels-idx1-ubyte{ending}", "wb") as file:
            file.write(struct.pack(">2I", 0x801, count) + labels.tobytes())
        parts.append((images, labels))
    return parts


@pytest.mark.parametrize("name, title, label, mean, std", KINDS)
@pytest.mark.parametrize("place", ["{name}/{title}/raw", "{title}/raw", "{name}"])
def test_mnist_from_its_files(tmp_path, name, title, label, mean, std, place):
    folder = tmp_path / place.format(name=name, title=title)
    (train, targets), (test, test_targets) = write_idx(folder, compressed=place == "{name}")
    before = sorted(tmp_path.rglob("*"))
    found = data.load(name, tmp_path)
    assert (found.name, found.label, found.image_size, found.channels) == (name, label, 28, 1)
    assert (found.mean, found.std, found.num_classes) == ((mean,), (std,), 10)
    assert np.array_equal(found.train_images[:, 0].numpy(), train) and found.train_images.dtype == torch.uint8
    assert np.array_equal(found.test_images[:, 0].numpy(), test) and found.train_labels.dtype == torch.int64
    assert found.train_labels.tolist() == targets.tolist() and found.test_labels.tolist() == test_targets.tolist()
    x, _ = next(found.test_batches(20))
    assert np.allclose(x[:, 0].numpy(), (test / 255 - mean) / std, atol=1e-5)
    assert sorted(tmp_path.rglob("*")) == before  # nothing is unpacked beside them


def test_mnist_in_another_size_and_in_three_channels(tmp_path):
    (train, _), _ = write_idx(tmp_path / "mnist", compressed=True)
    found = data.load("mnist", tmp_path, image_size=32, channels=3)
    theirs = F.resize(torch.from_numpy(train)[:, None].float(), [32, 32], antialias=True)
    assert (found.train_images - theirs).abs().max() <= 0.51 and found.train_images.shape == (30, 3, 32, 32)
    assert (found.mean, found.std) == ((0.1307,) * 3, (0.3081,) * 3)


def test_held_out_images_of_mnist_and_the_test_files_unread(tmp_path):
    write_idx(tmp_path / "MNIST/raw")
    (tmp_path / "MNIST/raw/t10k-images-idx3-ubyte").write_bytes(b"poison")
    split = data.load("mnist", tmp_path, validation=10)
    assert (split.num_train, split.num_test) == (20, 10) and split.label == "MNIST, 10 training images held out"
    refused(lambda: data.load("mnist", tmp_path), "mnist", "MNIST", "--download")


def test_damaged_or_missing_files_of_mnist(tmp_path, monkeypatch):
    refused(lambda: data.load("mnist", tmp_path), tmp_path / "mnist", "train-images-idx3-ubyte.gz", "--download")
    write_idx(tmp_path / "mnist", compressed=True)
    bad = tmp_path / "mnist/t10k-images-idx3-ubyte.gz"
    bad.write_bytes(bad.read_bytes()[:3000])
    refused(lambda: data.load("mnist", tmp_path), bad, "can't be unpacked")
    bad.unlink()
    refused(lambda: data.load("mnist", tmp_path), tmp_path / "mnist", bad.name)
    write_idx(tmp_path / "mnist/MNIST/raw")
    (tmp_path / "mnist/MNIST/raw/train-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, 2) + b"\1\2")
    refused(lambda: data.load("mnist", tmp_path), "MNIST", "labels")

    def fail(*_, **__):
        raise RuntimeError("Error downloading\nsomewhere")

    monkeypatch.setattr("torchvision.datasets.mnist.download_and_extract_archive", fail)
    refused(lambda: data.load("mnist", tmp_path / "new", download=True), "mnist", "by hand", tmp_path / "new")
    refused(lambda: data.load("mnist"), "--data DIR", "--download")


@pytest.fixture
def cifar100(tmp_path, monkeypatch):
    """torchvision's files in miniature, with checksums to match: a hundred training images and 20 test images."""

    def write(place):
        folder = tmp_path / place
        folder.mkdir(parents=True)

        def dump(name, content):
            (folder / name).write_bytes(pickle.dumps(content))
            return [name, hashlib.md5((folder / name).read_bytes()).hexdigest()]

        def part(n):
            pixels, fine = COLOURS.integers(0, 256, (n, 3072), np.uint8), [number % 100 for number in range(n)]
            return {"data": pixels, "fine_labels": fine, "coarse_labels": [0] * n}

        train, test = part(100), part(20)
        monkeypatch.setattr(CIFAR100, "train_list", [dump("train", train)])
        monkeypatch.setattr(CIFAR100, "test_list", [dump("test", test)])
        filename, md5 = dump("meta", {"fine_label_names": [f"fine{i}" for i in range(100)], "coarse_label_names": []})
        monkeypatch.setattr(CIFAR100, "meta", {"filename": filename, "key": "fine_label_names", "md5": md5})
        return folder, train, test

    return write


@pytest.mark.parametrize("place", ["cifar100/cifar-100-python", "cifar-100-python"])
def test_cifar100_from_torchvisions_files(tmp_path, cifar100, place):
    folder, train, test = cifar100(place)
    found = data.load("cifar100", tmp_path)
    assert (found.name, found.label, found.num_classes, found.image_size) == ("cifar100", "CIFAR-100", 100, 32)
    assert found.classes[3] == "fine3" and found.train_labels.tolist() == train["fine_labels"]
    assert np.array_equal(found.train_images.numpy().reshape(100, -1), train["data"])
    assert np.array_equal(found.test_images.numpy().reshape(20, -1), test["data"])
    assert (found.mean, found.std) == ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762))
    assert data.load("cifar100", tmp_path, download=True).num_train == 100  # there already
    (folder / "train").write_bytes(pickle.dumps("other"))
    refused(lambda: data.load("cifar100", tmp_path), "cifar-100-python", "--download")


def test_cifar100_from_a_tree(tmp_path):
    make_tree(tmp_path / "cifar100", [f"c{i:02}" for i in range(100)])
    found = data.load("cifar100", tmp_path, progress=False)
    assert (found.label, found.num_classes) == ("cifar100 (image tree, 100 classes)", 100)
    make_tree(tmp_path / "cifar100", ["more"])
    refused(lambda: data.load("cifar100", tmp_path, progress=False), "101 classes", "must have 100")

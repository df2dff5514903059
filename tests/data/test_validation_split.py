"""Images held out of the training images: the same ones each time, of every class, and no test image is ever read."""

import shutil

import pytest
import torch
from image_trees import make_tree, refused
from torchvision.datasets import CIFAR10

from sdbnn_lite import data
from sdbnn_lite.data import decoded


def test_the_two_parts_are_the_training_images():
    whole, split = data.load("digits"), data.load("digits", validation=200)
    assert (split.num_train, split.num_test) == (1237, 200) and split.label.endswith(", 200 training images held out")
    parts = torch.cat([split.train_images, split.test_images]).flatten(1)
    ordered = sorted(map(bytes, parts.numpy()))
    assert ordered == sorted(map(bytes, whole.train_images.flatten(1).numpy()))
    places = {
        bytes(image): int(label) for image, label in zip(whole.train_images.flatten(1).numpy(), whole.train_labels)
    }
    for image, label in zip(split.test_images.flatten(1).numpy(), split.test_labels):
        assert places[bytes(image)] == label


def test_it_is_the_same_split_each_time_and_every_class_keeps_its_share():
    whole, split = data.load("digits"), data.load("digits", validation=200)
    torch.manual_seed(7)
    assert torch.equal(split.test_images, data.load("digits", validation=200).test_images)
    share = torch.bincount(whole.train_labels) * 200 / whole.num_train
    assert (torch.bincount(split.test_labels) - share).abs().max() <= 1


@pytest.mark.parametrize("count", [0, 9, 1428, 5000])
def test_a_split_that_the_set_cannot_have(count):
    refused(lambda: data.load("digits", validation=count), f"validation={count}: digits", "10 to 1427 of them")


def test_streamed_images_cannot_be_split(tmp_path):
    make_tree(tmp_path / "imagenet", splits=("train", "val"))
    refused(lambda: data.load("imagenet", tmp_path, validation=10), "validation=10", "imagenet is streamed")


@pytest.mark.parametrize("name", ["cifar10", "imagenette"])
def test_a_tree_needs_no_test_images(tmp_path, name):
    root = make_tree(tmp_path / name, splits=("train", "val"), each=4)
    size = {"image_size": 32, "progress": False}
    whole = data.load(name, tmp_path, **size)
    shutil.rmtree(root / "val")
    split = data.load(name, tmp_path, validation=10, **size)
    assert (split.num_train, split.num_test) == (30, 10) and split.test_labels.bincount().tolist() == [1] * 10
    assert sorted(path.name for path in (root / decoded.CACHE).iterdir()) == [
        "32px-train.safetensors",
        "32px.safetensors",
    ]
    assert {bytes(i.numpy()) for i in split.test_images} <= {bytes(i.numpy()) for i in whole.train_images}
    refused(lambda: data.load(name, tmp_path, **size), "no folder 'test' or 'val'" if name == "cifar10" else "'val'")


def test_unreadable_test_images_are_not_met(tmp_path):
    root = make_tree(tmp_path / "cifar10", each=2)
    for path in (root / "test").rglob("*.png"):
        path.write_bytes(b"poison")
    assert data.load("cifar10", tmp_path, validation=10, progress=False).num_test == 10
    refused(lambda: data.load("cifar10", tmp_path, progress=False), root / "test")


def test_of_torchvisions_files_the_test_batch_is_not_opened(tmp_path, monkeypatch):
    asked = []

    def read(self, root, train, download):
        asked.append(train)
        labels = torch.arange(40) % 10
        self.data, self.targets, self.classes = (
            labels.byte().repeat(32, 32, 3, 1).permute(3, 0, 1, 2).numpy(),
            labels.tolist(),
            range(10),
        )

    monkeypatch.setattr(CIFAR10, "__init__", read)
    (tmp_path / CIFAR10.base_folder).mkdir()
    split = data.load("cifar10", tmp_path, validation=10)
    assert asked == [True] and (split.num_train, split.num_test) == (30, 10)
    assert torch.equal(split.test_images[:, 0, 0, 0].long(), split.test_labels)

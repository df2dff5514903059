"""Sets of the user's own: what they may be called, what isn't an image, and wrong use."""

import os
import shutil

import pytest
from image_trees import TEN, WNIDS, load_own, make_tree, own_tree, refused

from sdbnn_lite import data

pytestmark = pytest.mark.usefixtures("no_environment")

# Labels say what a set is


@pytest.mark.parametrize(
    "name, classes, label",
    [
        ("cifar10", TEN, "CIFAR-10 (image tree)"),
        ("cifar10", WNIDS, "cifar10 (image tree, 10 classes, not CIFAR-10)"),
        ("imagenette", WNIDS, "Imagenette (image tree, 32x32)"),
        ("imagenette", TEN, "imagenette (image tree, 10 classes, not Imagenette)"),
        ("imagenet", WNIDS, "imagenet (image tree, 10 classes, not ImageNet)"),
        ("imagenet", ["ant", "bee", "cow"], "imagenet (image tree, 3 classes, not ImageNet)"),
        ("mine", TEN, "mine (image tree, 10 classes)"),
    ],
)
def test_a_name_is_given_only_where_the_classes_say_so(tmp_path, name, classes, label):
    make_tree(tmp_path / name, classes, ("train", "val"))
    assert data.load(name, tmp_path, progress=False).label == label


@pytest.mark.parametrize("first, label", [("n00000000", "ImageNet (image tree)"),
                                          ("cat", "imagenet (image tree, 1000 classes, not ImageNet)")])  # fmt: skip
def test_imagenet_has_a_thousand_wnids(tmp_path, first, label):
    make_tree(tmp_path, ["one"], ("whole",))
    for name in [first, *(f"n{number:08}" for number in range(1, 1000))]:
        for split in ("train", "val"):
            (tmp_path / "imagenet" / split / name).mkdir(parents=True)
            os.link(tmp_path / "whole" / "one" / "0.png", tmp_path / "imagenet" / split / name / "0.png")
    assert data.load("imagenet", tmp_path).label == label


# Hidden files


def litter(root):
    """What macOS and notebooks leave behind, in every folder."""
    for folder in [root, *(path for path in root.rglob("*") if path.is_dir())]:
        for name in ("._0.png", ".DS_Store", ".0.jpg"):
            (folder / name).write_bytes(b"\0\5\x16\7no picture")
        (folder / ".ipynb_checkpoints").mkdir()
        shutil.copy(next(root.rglob("0.*")), folder / ".ipynb_checkpoints" / "0-checkpoint.png")


@pytest.mark.parametrize("name, classes", [("mine", ("a", "b")), ("cifar10", TEN), ("imagenette", TEN)])
def test_hidden_files_are_no_images(tmp_path, name, classes, capsys):
    root = make_tree(tmp_path / ".data" / name, classes, ("train", "val"))
    litter(root)
    found = data.load(name, tmp_path / ".data", progress=False)  # DIR itself may be hidden
    assert found.classes == tuple(sorted(classes)) and found.num_train == found.num_test == len(classes)
    assert len(list(found.test_batches(4))) and capsys.readouterr().err == ""


def test_hidden_files_are_neither_streamed_nor_packed(tmp_path, capsys):
    from sdbnn_lite.data.resized_copy import pack

    root = make_tree(tmp_path / "imagenet", ("a", "b"), ("train", "val"))
    litter(root)
    found = data.load("imagenet", tmp_path, image_size=16, workers=0)
    assert (found.num_train, found.num_test) == (2, 2) and len(next(found.test_batches(2))[1]) == 2
    made = pack(data.imagenet_tree(tmp_path), 18, progress=False)
    assert (made.images, made.left_out) == (4, 0) and capsys.readouterr().err == ""


def test_a_folder_of_hidden_files_is_empty(tmp_path):
    root = make_tree(tmp_path / "mine", ("a", "b"), ("train", "val"))
    (root / "val" / "b" / "0.png").rename(root / "val" / "b" / "._0.png")
    refused(lambda: load_own(root), root / "val", "without an image", "b")


# Wrong use

KNOWN = "digits, mnist, fashion_mnist, cifar10, cifar100, imagenet, imagenette"


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "../x", "a/b", "/etc", "a\\b", "a\nb", "a\0b", None, 3,
                                  ["x"], "x" * 5000, "none", "ImageNet", "CIFAR-10", "Fashion MNIST"])  # fmt: skip
def test_names_that_cannot_be_a_set(tmp_path, name):
    for folder in ("in/.hidden", "x", "in/a/b", "in/a\\b", "in/ImageNet", "in/CIFAR-10", "in/Fashion MNIST"):
        make_tree(tmp_path / folder, ("a", "b"), ("train", "val"))
    where = str(tmp_path / "in")
    refused(lambda: data.load(name, where), f"unknown data set {name!r}", KNOWN, where, "/{train,val}/<class>/*")
    refused(lambda: data.load(name), f"unknown data set {name!r}", KNOWN, "--data DIR", "{train,val}/<class>/*")


def test_a_name_with_spaces_and_umlauts(tmp_path, monkeypatch):
    monkeypatch.setenv("SDBNN_DATA", str(tmp_path))
    own_tree(tmp_path / "Vögel im Garten")
    assert data.load("Vögel im Garten", progress=False).label == "Vögel im Garten (image tree, 2 classes)"


@pytest.mark.parametrize(
    "options, words",
    [
        ({"image_size": 0}, ["image_size=0"]),
        ({"image_size": "x"}, ["image_size='x'"]),
        ({"channels": 2}, ["channels=2: mine can have 1 or 3"]),
        ({"download": True}, ["mine can't be downloaded"]),
        ({"workers": -1}, ["workers=-1"]),
        ({"validation": 1}, ["validation=1: mine (image tree, 2 classes) has 8 training images"]),
    ],
)
def test_options_a_tree_cannot_have(tmp_path, options, words):
    root = own_tree(tmp_path / "mine")
    refused(lambda: load_own(root, **options), *words)


def test_wrong_trees(tmp_path):
    root = make_tree(tmp_path / "mine", ["one"], ("train", "val"))
    refused(lambda: load_own(root), root, "1 class (one)", "at least 2")
    shutil.rmtree(root / "train")
    refused(lambda: load_own(root), root, "no folder 'train'")
    refused(lambda: data.load("mine", 5), "data_dir=5")
    refused(lambda: data.load("cifar10", 5), "data_dir=5")

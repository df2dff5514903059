"""Sets of the user's own: what is found out of a tree, its pixels against PIL's and its statistics against numpy's."""

import hashlib
import json
import shutil

import numpy as np
import pytest
import torch
from image_trees import NONE, equal, load_own, own_tree, refused, save, seeded
from PIL import Image
from safetensors.torch import load_file, safe_open, save_file

from sdbnn_lite import cli, data
from sdbnn_lite.data import decoded, tree_sets
from sdbnn_lite.data.augment import Augmentation
from sdbnn_lite.data.in_memory import ImageSet
from sdbnn_lite.data.resized_copy import PackedSplit, side_for
from sdbnn_lite.data.streamed import StreamedImageSet
from sdbnn_lite.data.tree import open_tree

pytestmark = pytest.mark.usefixtures("no_environment")



def as_pil(path, size, mode="RGB", side=None):
    """uint8 (C, size, size): the shorter side resized to ``side``, the middle cut out, by PIL alone."""
    with Image.open(path) as picture:
        picture = picture.convert(mode)
    (width, height), side = picture.size, side or size
    long = side * max(width, height) // min(width, height)
    wide, high = (long, side) if width > height else (side, long)
    picture = picture.resize((wide, high), Image.Resampling.BILINEAR)
    left, top = round((wide - size) / 2), round((high - size) / 2)
    pixels = np.asarray(picture.crop((left, top, left + size, top + size)))
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def files(root, split):
    return sorted((root / split).rglob("*.png"))


def test_what_a_tree_holds_is_found_out(tmp_path):
    root = own_tree(tmp_path / "mine")
    found = load_own(root)
    assert isinstance(found, ImageSet) and (found.name, found.label) == ("mine", "mine (image tree, 2 classes)")
    assert (found.classes, found.channels, found.image_size) == (("cat", "dog"), 3, 11)
    train, test = (np.stack([as_pil(path, 11) for path in files(root, split)]) for split in ("train", "val"))
    assert np.array_equal(found.train_images.numpy(), train) and np.array_equal(found.test_images.numpy(), test)
    assert found.train_labels.tolist() == [0] * 4 + [1] * 4 and found.test_labels.tolist() == [0, 0, 1, 1]
    assert found.mean == pytest.approx(train.mean((0, 2, 3)) / 255, abs=1e-12)
    assert found.std == pytest.approx(train.std((0, 2, 3)) / 255, abs=1e-12)
    x, _ = next(found.test_batches(4))
    mean, std = (np.reshape(values, (3, 1, 1)) for values in (found.mean, found.std))
    assert np.allclose(x.numpy(), (test / 255 - mean) / std, atol=1e-5)


@pytest.mark.parametrize("test", ["val", "test"])
def test_test_images_may_be_in_either_folder(tmp_path, test):
    assert load_own(own_tree(tmp_path / "mine", test=test)).num_test == 4


def test_another_size(tmp_path):
    root = own_tree(tmp_path / "mine")
    found = load_own(root, image_size=7)
    assert np.array_equal(found.train_images[3].numpy(), as_pil(files(root, "train")[3], 7)) and found.image_size == 7
    save(root / "train" / "cat" / "4.png", (300, 500))
    save(root / "train" / "dog" / "4.png", (500, 300))
    for path in files(root, "train"):
        if path.name != "4.png":
            save(path, (300, 400))
    assert load_own(root).image_size == 224  # no larger, unless asked for


@pytest.mark.parametrize("mode", ["1", "L", "LA", "I;16"])
def test_grey_images_have_one_channel(tmp_path, mode):
    root = own_tree(tmp_path / "mine", mode)
    found = load_own(root)
    assert found.channels == 1 and found.train_images.shape == (8, 1, 11, 11) and found.mean[0] != found.std[0]
    if mode != "I;16":  # PIL's own conversion cuts these off
        images = np.stack([as_pil(path, 11, "L") for path in files(root, "train")])
        assert np.array_equal(found.train_images.numpy(), images)
        assert found.mean == pytest.approx([images.mean() / 255]) and found.std == pytest.approx([images.std() / 255])
    three = load_own(root, channels=3)
    assert torch.equal(three.train_images, found.train_images.repeat(1, 3, 1, 1)) and three.test_images.shape[1] == 3
    assert (three.mean, three.std) == (found.mean * 3, found.std * 3)


@pytest.mark.parametrize("mode, place", [("RGB", "train"), ("RGB", "val"), ("P", "train"), ("RGBA", "val")])
def test_one_image_in_colour_makes_three_channels(tmp_path, mode, place):
    root = own_tree(tmp_path / "mine", "L")
    save(root / place / "cat" / "0.png", (20, 20), mode)
    found = load_own(root)
    assert found.channels == 3 and found.train_images.shape[1] == found.test_images.shape[1] == 3


def test_colours_as_grey(tmp_path):
    root = own_tree(tmp_path / "mine")
    found = load_own(root, channels=1)
    pictures = [Image.fromarray(as_pil(path, 11).transpose(1, 2, 0).copy()) for path in files(root, "train")]
    images = np.stack([np.asarray(picture.convert("L")) for picture in pictures])
    assert np.array_equal(found.train_images[:, 0].numpy(), images)
    assert found.mean == pytest.approx([images.mean() / 255]) and found.std == pytest.approx([images.std() / 255])
    assert found.test_images.shape == (4, 1, 11, 11)


def test_equal_pixels_stay_finite(tmp_path):
    for split in ("train", "val"):
        for name in "ab":
            (tmp_path / "mine" / split / name).mkdir(parents=True)
            Image.new("RGB", (8, 8), (7, 0, 255)).save(tmp_path / "mine" / split / name / "0.png")
    x, _ = next(load_own(tmp_path / "mine").test_batches(2))
    assert torch.equal(x, torch.zeros_like(x))


def test_it_is_described_for_a_file(tmp_path):
    found = load_own(own_tree(tmp_path / "mine", "L"))
    about = data.described(found)
    assert json.loads(json.dumps(about)) == about
    assert about == {
        "dataset": "mine", "label": "mine (image tree, 2 classes)", "classes": ["cat", "dog"], "image_size": 11,
        "channels": 1, "mean": list(found.mean), "std": list(found.std),
    }  # fmt: skip
    assert data.described(data.load("digits", channels=3))["mean"] == [0.5] * 3


# The cache


def test_pixels_and_statistics_are_read_from_the_cache(tmp_path, monkeypatch):
    root = own_tree(tmp_path / "mine", "L")
    first = load_own(root)

    def never(*_):
        raise AssertionError("made again although the cache is good")

    monkeypatch.setattr(decoded, "read_image", never)
    monkeypatch.setattr(decoded, "measure", never)
    second = load_own(root)
    assert torch.equal(first.train_images, second.train_images) and data.described(first) == data.described(second)


def test_a_cache_without_statistics_is_still_good(tmp_path, monkeypatch, capsys):
    """As version 0.9 wrote it."""
    root = own_tree(tmp_path / "mine")
    first, path = load_own(root), tmp_path / "mine" / decoded.CACHE / "11px.safetensors"
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    facts = {key: metadata[key] for key in ("format", "size", "tree")}
    digest = hashlib.sha256(json.dumps([facts, metadata["native"], []], sort_keys=True).encode())
    tensors = load_file(path)
    for images in (tensors["train"], tensors["test"]):
        digest.update(f"{images.dtype}{tuple(images.shape)}".encode() + images.numpy().tobytes())
    save_file(tensors, path, {**facts, "native": metadata["native"], "left_out": "[]", "sha256": digest.hexdigest()})
    monkeypatch.setattr(decoded, "read_image", None)
    assert data.described(load_own(root)) == data.described(first) and capsys.readouterr().err == ""


# Held-out images, unreadable ones


def test_held_out_images_need_no_test_images(tmp_path):
    root = own_tree(tmp_path / "mine")
    for path in files(root, "val"):
        path.write_bytes(b"poison")
    split = load_own(root, validation=2)
    assert (split.num_train, split.num_test, split.image_size) == (6, 2, 11)
    assert split.label == "mine (image tree, 2 classes), 2 training images held out"
    shutil.rmtree(root / "val")
    assert torch.equal(load_own(root, validation=2).test_images, split.test_images)
    refused(lambda: load_own(root), "no folder 'val' or 'test'")


def test_unreadable_images(tmp_path, capsys):
    root = own_tree(tmp_path / "mine")
    bad = root / "train" / "dog" / "2.png"
    bad.write_bytes(b"poison")
    found = load_own(root)
    assert found.num_train == 7 and found.image_size == 11 and str(bad) in capsys.readouterr().err
    refused(lambda: load_own(root, strict=True), "unreadable image", bad)
    for path in files(root, "train"):
        path.write_bytes(b"poison")
    refused(lambda: load_own(root), "unreadable image", files(root, "train")[0])


# Too large for memory: streamed


@pytest.fixture
def streamed(monkeypatch):
    """Loads a tree as if twelve images of 14 pixels (or another number) were a byte too much."""

    def load_streamed(root, images=12, **options):
        with monkeypatch.context() as patch:
            patch.setattr(tree_sets, "IN_MEMORY", images * 3 * 14**2 - 1)
            found = load_own(root, image_size=14, **options)
        found.workers, found.reduced = 0, False
        return found

    return load_streamed


def test_what_does_not_fit_in_memory_is_streamed(tmp_path, streamed):
    root = own_tree(tmp_path / "mine")
    found, held = streamed(root), load_own(root, image_size=14)
    assert isinstance(found, StreamedImageSet) and isinstance(held, ImageSet)
    assert data.described(found) == data.described(held)  # the sample is all there is
    assert (found.num_train, found.num_test, found.train.labels.tolist()) == (8, 4, [0] * 4 + [1] * 4)
    x, y = next(found.test_batches(4))
    images = np.stack([as_pil(path, 14, side=16) for path in files(root, "val")])  # 256/224 of the size, cut
    mean, std = (np.reshape(values, (3, 1, 1)) for values in (found.mean, found.std))
    assert np.allclose(x.numpy(), (images / 255 - mean) / std, atol=1e-5) and y.tolist() == [0, 0, 1, 1]
    whole = list(found.epoch(3, seeded(), Augmentation()))
    assert equal(found.epoch(3, seeded(), Augmentation(), 1), whole[1:])
    refused(lambda: streamed(root, images=8, validation=4), "validation=4", "mine is streamed")


def test_a_tree_of_ones_own_is_read_from_its_packed_copy(tmp_path, streamed, capsys):
    root = own_tree(tmp_path / "mine")
    command = ["pack-images", "--data", str(tmp_path), "--dataset", "mine", "--quiet"]
    assert cli.main([*command, "--image-size", "14"]) == 0
    assert "packed-16: 12 images, shorter side 16 pixels" in capsys.readouterr().out
    found = streamed(root)
    assert isinstance(found.train, PackedSplit) and (found.num_train, found.num_test) == (8, 4)
    x, y = next(found.test_batches(4))
    assert x.shape == (4, found.channels, 14, 14) and y.tolist() == [0, 0, 1, 1]
    assert cli.main(command) == 0  # for the size that these images get by themselves
    side = side_for(tree_sets.usual_side(open_tree(root, ("val",)).train))
    assert f"shorter side {side} pixels" in capsys.readouterr().out


def test_a_sample_comes_evenly_from_the_training_images(tmp_path, streamed, monkeypatch):
    root = own_tree(tmp_path / "mine")
    monkeypatch.setattr(tree_sets, "SAMPLED", 4)
    found = streamed(root)
    sample = np.stack([as_pil(path, 14) for path in files(root, "train")[::2]])
    assert found.mean == pytest.approx(sample.mean((0, 2, 3)) / 255) and found.num_train == 8
    assert load_own(root).image_size == 9  # of 9, 30, 9, 30: of the two in the middle the smaller
    monkeypatch.setattr(decoded, "read_image", None)
    assert streamed(root).mean == found.mean  # from its cache


@pytest.mark.parametrize("mode, asked, channels", [("L", None, 1), ("L", 3, 3), ("RGB", 1, 1)])
def test_streamed_images_in_grey(tmp_path, streamed, mode, asked, channels):
    root = own_tree(tmp_path / "mine", mode)
    found = streamed(root, channels=asked)
    assert found.channels == channels and data.described(found) == data.described(
        load_own(root, channels=asked, image_size=14)
    )
    x, u = (next(batches)[0] for batches in (found.epoch(8, seeded(), NONE), found.test_batches(4)))
    assert x.shape == (8, channels, 14, 14) and u.shape == (4, channels, 14, 14)
    images = [Image.fromarray(as_pil(path, 14, side=16).transpose(1, 2, 0).copy()) for path in files(root, "val")]
    grey = np.stack([np.asarray(image.convert("L")) for image in images])[:, None] / 255
    assert np.allclose(u.numpy() * found.std[0] + found.mean[0], grey, atol=1e-6)
    if channels == 1:
        refused(lambda: found.epoch(4, seeded(), Augmentation(jitter=0.4)), "jitter", "mine", "1 channels")


def test_a_sample_may_have_unreadable_images(tmp_path, streamed, capsys):
    root = own_tree(tmp_path / "mine")
    for path in files(root, "train")[:4]:  # a whole class: training will name it, image by image
        path.write_bytes(b"poison")
    found = streamed(root)
    assert found.num_train == 8 and "left out" in capsys.readouterr().err
    good = np.stack([as_pil(path, 14) for path in files(root, "train")[4:]])
    assert found.mean == pytest.approx(good.mean((0, 2, 3)) / 255)
    refused(lambda: load_own(root, image_size=14), "no image of class cat can be read")
    for path in files(root, "train"):
        path.write_bytes(b"poison")
    refused(lambda: streamed(root), "no image of class cat, dog can be read")

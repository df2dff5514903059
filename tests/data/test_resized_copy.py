"""The resized copy of a tree: its pixels, what it is keyed by, and every way in which making it can end."""

import json
import shutil
from collections import namedtuple

import numpy as np
import pytest
import torch
from image_trees import equal, seeded
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import save_file
from torchvision.transforms import functional as F

from sdbnn_lite import cli, data
from sdbnn_lite.data import imagenet_augment, resized_copy
from sdbnn_lite.data.augment import Augmentation
from sdbnn_lite.data.image_file import read_image
from sdbnn_lite.data.resized_copy import open_packed, pack, place_of, side_for
from sdbnn_lite.data.tree import open_tree
from sdbnn_lite.errors import RunError, UsageError

SIDE, SIZE = 18, 16  # 256 : 224
EVERY = Augmentation(resized=True, jitter=0.4)
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.delenv("SDBNN_DATA", raising=False)
    colours = np.random.default_rng(0)
    for split in ("train", "val"):
        for name in ("n01", "n02"):
            folder = tmp_path / "imagenet" / split / name
            folder.mkdir(parents=True)
            for number, size in enumerate([(40, 30), (30, 41), (18, 18), (9, 60), (25, 24)]):
                pixels = colours.integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.jpg")
    return tmp_path / "imagenet"


def tree_of(root):
    return open_tree(root, ("val", "test"))


def packed(root, **options):
    return pack(tree_of(root), SIDE, 2, progress=False, **options)


def load(root, **options):
    return data.load("imagenet", root.parent, image_size=SIZE, workers=0, **options)


def test_the_side_is_the_usual_one():
    assert side_for(224) == 256 and side_for(128) == 146 and side_for(SIZE) == SIDE


def test_packed_images_are_resized_ones_in_order(root):
    made = packed(root)
    tree = tree_of(root)
    assert made.place == root / ".sdbnn_cache" / "packed-18" and made.images == 20 and made.left_out == 0
    assert sorted(path.name for path in made.place.iterdir()) == [
        "test.index", "test.pixels", "train.index", "train.pixels"
    ]  # fmt: skip
    assert made.bytes == sum(path.stat().st_size for path in made.place.iterdir())
    for ours, theirs in zip(open_packed(tree, SIDE), (tree.train, tree.test)):
        assert len(ours) == len(theirs) and torch.equal(ours.labels, theirs.labels)
        for index, path in enumerate(theirs.paths):
            expected = np.asarray(F.resize(read_image(path), SIDE))
            assert np.array_equal(ours.image(index), expected) and min(expected.shape[:2]) == SIDE
            assert np.array_equal(np.asarray(ours.picture(index)), expected)


def test_scores_are_the_same_to_the_last_bit(root):
    scored = list(load(root).test_batches(3))
    packed(root)
    images = load(root)
    assert isinstance(images.train, resized_copy.PackedSplit) and isinstance(images.test, resized_copy.PackedSplit)
    assert equal(images.test_batches(3), scored)
    for workers in (1, 3):
        images.workers = workers
        assert equal(images.test_batches(3), scored)


def test_training_crops_are_cut_from_the_packed_image(root):
    packed(root)
    images = load(root)
    generator = seeded()
    order, key = torch.randperm(10, generator=generator), imagenet_augment.draw_key(generator)
    x = torch.cat([x for x, _ in images.epoch(4, seeded(), Augmentation(resized=True))])
    for image, index, u in zip(x, order, imagenet_augment.numbers(key, slice(0, 10))):
        picture = images.train.picture(int(index))
        picture = F.resized_crop(picture, *imagenet_augment.random_box(u, *picture.size[::-1]), [SIZE, SIZE])
        picture = F.hflip(picture) if u[22] < 0.5 else picture
        assert (image - F.normalize(F.to_tensor(picture), images.mean, images.std)).abs().max() < 5e-7
    whole = list(images.epoch(4, seeded(), EVERY))
    images.workers = 3
    assert equal(images.epoch(4, seeded(), EVERY), whole) and equal(images.epoch(4, seeded(), EVERY, 1), whole[1:])


def test_another_size_has_another_copy(root, capsys):
    packed(root)
    assert not isinstance(data.load("imagenet", root.parent, image_size=32).train, resized_copy.PackedSplit)
    assert capsys.readouterr().err == ""


def no_reading(path):
    raise AssertionError(f"{path} was decoded although it is packed")


def test_packing_again_decodes_nothing(root, monkeypatch):
    first = packed(root)
    monkeypatch.setattr(resized_copy, "read_image", no_reading)
    assert packed(root) == first


def test_a_changed_tree_is_packed_again(root, capsys):
    packed(root)
    shutil.copy(root / "train" / "n01" / "0.jpg", root / "train" / "n02" / "9.jpg")
    assert not isinstance(load(root).train, resized_copy.PackedSplit)
    notice = capsys.readouterr().err
    assert notice.count("\n") == 1 and "have changed" in notice and "pack-images" in notice
    assert packed(root).images == 21 and len(load(root).train) == 11


def cut_off(path):
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("name", ["train.pixels", "train.index", "test.pixels", "test.index"])
@pytest.mark.parametrize("damage", [cut_off, lambda path: path.unlink(), lambda path: path.write_bytes(b"")])
def test_a_damaged_copy_is_not_used(root, name, damage, capsys):
    scored = list(load(root).test_batches(3))
    damage(packed(root).place / name)
    assert equal(load(root).test_batches(3), scored)
    assert "isn't used" in (notice := capsys.readouterr().err) and notice.count("\n") == 1
    packed(root)
    assert isinstance(load(root).train, resized_copy.PackedSplit)


class Stopped(Exception):
    """As if the process were killed in the middle of an image."""


@pytest.mark.parametrize("after", [0, 1, 9, 10, 13, 19])
def test_a_stopped_build_resumes(root, monkeypatch, after):
    """Whatever was finished before isn't decoded again, and the result is the same to the last byte."""
    whole = packed(root).place
    expected = {path.name: path.read_bytes() for path in whole.iterdir()}
    shutil.rmtree(whole)
    monkeypatch.setattr(resized_copy, "CHUNK", 1)
    read = []

    def stop(path):
        if len(read) == after:
            raise Stopped
        read.append(path)
        return read_image(path)

    with monkeypatch.context() as patch:
        patch.setattr(resized_copy, "read_image", stop)
        with pytest.raises(Stopped):
            pack(tree_of(root), SIDE, 1, progress=False)
    assert not whole.exists() and open_packed(tree_of(root), SIDE) is None
    again = []
    monkeypatch.setattr(resized_copy, "read_image", lambda path: again.append(path) or read_image(path))
    pack(tree_of(root), SIDE, 1, progress=False)
    assert {path.name: path.read_bytes() for path in whole.iterdir()} == expected
    assert sorted(read + again) == sorted(tree_of(root).train.paths + tree_of(root).test.paths)
    assert not whole.with_name("packed-18.part").exists()


def test_what_a_build_of_other_images_left_is_thrown_away(root):
    part = place_of(tree_of(root), SIDE).with_name("packed-18.part")
    part.mkdir(parents=True)
    (part / "about.json").write_text(json.dumps({"tree": "another"}))
    (part / "train.done").write_bytes(b"\x01" * 10)
    packed(root)
    assert open_packed(tree_of(root), SIDE) is not None and not part.exists()


def test_too_small_a_disk_is_told_before_anything_is_decoded(root, monkeypatch):
    monkeypatch.setattr(resized_copy, "read_image", no_reading)
    monkeypatch.setattr(resized_copy.shutil, "disk_usage", lambda path: Usage(100, 99, 1))
    with pytest.raises(RunError, match=r"needs 0\.0 GB and the disk has 0\.0 GB free: make room"):
        packed(root)


def test_a_disk_that_fills_up_is_one_sentence_and_keeps_what_is_done(root, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(resized_copy.os, "posix_fallocate", full)
        with pytest.raises(RunError, match="No space left on device.*is kept there.*same command"):
            packed(root)
    assert packed(root).images == 20


def test_a_folder_that_cannot_be_written(root):
    (root / ".sdbnn_cache").write_text("a file: also root is stopped by it")
    with pytest.raises(RunError, match="can't be written.*may be a link to another disk"):
        packed(root)


@pytest.mark.parametrize("content", [b"", "half"])
def test_unreadable_training_images_are_left_out(root, capsys, content):
    bad = root / "train" / "n02" / "1.jpg"
    bad.write_bytes(bad.read_bytes()[:-600] if content == "half" else content)
    with pytest.raises(UsageError, match=f"unreadable image {bad}"):
        packed(root, strict=True)
    made = packed(root)
    assert made.left_out == 1 and made.images == 19
    assert str(bad) in (notice := capsys.readouterr().err) and notice.count("\n") == 1
    images = load(root)
    assert images.num_train == 9 and images.train.labels.tolist() == [0] * 5 + [1] * 4
    assert sum(len(y) for _, y in images.epoch(3, seeded(), EVERY)) == 9
    assert packed(root).left_out == 1  # what is there already counts the same
    with pytest.raises(UsageError, match="packed without 1 unreadable training images"):
        packed(root, strict=True)
    assert load(root, strict=True).num_train == 10  # the files themselves: the first unreadable one will stop


def test_an_unreadable_test_image_stops(root):
    bad = root / "val" / "n02" / "1.jpg"
    bad.write_bytes(b"")
    with pytest.raises(UsageError, match=f"unreadable image {bad}"):
        packed(root)


def test_the_command(root, capsys):
    told = ["pack-images", "--data", str(root.parent), "--image-size", str(SIZE), "--quiet"]
    (root / "train" / "n02" / "1.jpg").write_bytes(b"")
    assert cli.main([*told, "--strict"]) == 2 and "unreadable image" in capsys.readouterr().err
    assert cli.main(told) == 0
    out = capsys.readouterr().out
    assert "packed-18: 19 images, shorter side 18 pixels, 0.0 GB on the disk; 1 unreadable ones left out" in out
    assert cli.main([*told[:3], "--image-size", "0"]) == 2 and "image_size=0" in capsys.readouterr().err
    assert cli.main([*told, "--workers", "-1"]) == 2 and "workers=-1" in capsys.readouterr().err
    assert cli.main(["pack-images"]) == 2 and "--data DIR" in capsys.readouterr().err


def test_a_damaged_copy_is_never_read_as_the_images(root, capsys):
    """A changed pixel is seen when the image is read, anything else when the copy is opened."""
    tree, place = tree_of(root), packed(root).place
    for split in ("train", "test"):
        whole = (place / f"{split}.pixels").read_bytes()
        (place / f"{split}.pixels").write_bytes(whole[:7] + bytes([whole[7] ^ 1]) + whole[8:])
        damaged = open_packed(tree, SIDE)[split == "test"]
        with pytest.raises(UsageError, match="packed image 0: damaged; remove its folder"):
            damaged.image(0)
        assert damaged.image(1).shape and capsys.readouterr().err == ""
        (place / f"{split}.pixels").write_bytes(whole)
    whole = (place / "train.index").read_bytes()
    for at in range(8 + int.from_bytes(whole[:8], "little"), len(whole), 29):
        (place / "train.index").write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert open_packed(tree, SIDE) is None and "isn't used (its index is damaged)" in capsys.readouterr().err


def test_checksums_are_not_lost_by_another_name(root, capsys):
    tree, index = tree_of(root), packed(root).place / "train.index"
    index.write_bytes(index.read_bytes().replace(b'"crc"', b'"crd"'))
    assert open_packed(tree, SIDE) is None and "isn't used" in capsys.readouterr().err


def test_offsets_of_a_copy_without_a_digest_stay_within_it(root, capsys):
    """That of an earlier version, which has no digest and no checksums either."""
    tree, place = tree_of(root), packed(root).place
    with safe_open(place / "train.index", "np") as file:
        index = {name: file.get_tensor(name) for name in ("size", "offset", "kept")}
        facts = json.loads(file.metadata()["facts"])
    del facts["sha256"]
    for name, at, value, used in (("kept", 0, 1, True), ("offset", 3, 10**12, False), ("size", 0, -5, False)):
        changed = {**index, name: index[name].copy()}
        changed[name].reshape(-1)[at] = value
        save_file(changed, place / "train.index", {"facts": json.dumps(facts)})
        assert (open_packed(tree, SIDE) is not None) == used and ("isn't used" in capsys.readouterr().err) != used

"""Image trees: the pixels against torchvision's ImageFolder, the cache against every kind of damage."""

import os
import shutil

import numpy as np
import pytest
import torch
from image_trees import refused
from PIL import Image
from torchvision import transforms
from torchvision.datasets import ImageFolder

from sdbnn_lite.data import decoded
from sdbnn_lite.data.tree import open_tree

COLOURS = np.random.default_rng(0)


def save(path, width=8, height=8, mode="RGB"):
    """A picture of random pixels; its format is the file's ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = Image.fromarray(COLOURS.integers(0, 256, (height, width, 3), dtype=np.uint8))
    pixels.convert(mode).save(path)


def make_tree(root, classes=("cat", "dog"), splits=("train", "val"), each=3, size=8, ending="png"):
    for split in splits:
        for name in classes:
            for number in range(each):
                save(root / split / name / f"{number}.{ending}", size, size)
    return root


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    return make_tree(tmp_path / "set")


def decode(root, size=8, **options):
    return decoded.decode(open_tree(root, ("val", "test")), size, progress=False, **options)


def same(a, b):
    return torch.equal(a.train, b.train) and torch.equal(a.test, b.test) and a.native == b.native


def no_reading(path):
    raise AssertionError(f"{path} was decoded although the cache is good")


def cache_of(root, size=8):
    return root / ".sdbnn_cache" / f"{size}px.safetensors"


# Pixels


@pytest.mark.parametrize("size", [8, 5, 20])
def test_pixels_equal_torchvisions(root, size):
    save(root / "train" / "cat" / "wide.jpg", 30, 11)
    save(root / "train" / "cat" / "tall.jpeg", 9, 40)
    save(root / "train" / "dog" / "deep" / "down.bmp", 12, 12)
    for mode, name in (("L", "grey.png"), ("P", "palette.png"), ("CMYK", "cmyk.jpg"), ("RGBA", "alpha.png"),
                       ("LA", "grey_alpha.png"), ("1", "black.png")):  # fmt: skip
        save(root / "val" / "cat" / name, 13, 10, mode)
    (root / "train" / "dog" / "notes.txt").write_text("not an image")
    pixels = decode(root, size)
    steps = [transforms.Resize(size), transforms.CenterCrop(size), transforms.PILToTensor()]
    for split, ours in (("train", pixels.train), ("val", pixels.test)):
        theirs = ImageFolder(root / split, transforms.Compose(steps))
        assert torch.equal(ours, torch.stack([image for image, _ in theirs]))
    assert pixels.native == ""
    assert same(pixels, decode(root, size))  # from the cache


def test_more_images_than_a_chunk_keep_their_places(tmp_path):
    root = make_tree(tmp_path, each=70, size=4)
    theirs = ImageFolder(root / "train", transforms.PILToTensor())
    assert torch.equal(decode(root, 4).train, torch.stack([image for image, _ in theirs]))


def test_classes_and_labels_equal_torchvisions(root):
    (root / "train" / ".ipynb_checkpoints").mkdir()  # hidden, so no class
    tree = open_tree(root, ("test", "val"))
    theirs = ImageFolder(root / "val")
    assert tree.classes == tuple(theirs.classes) == ("cat", "dog")
    assert tree.test.labels.tolist() == theirs.targets and tree.test.labels.dtype == torch.int64
    assert tree.test.paths == [path for path, _ in theirs.samples]


def test_first_test_folder_wins(root):
    make_tree(root, splits=("test",), each=1)
    assert len(open_tree(root, ("val", "test")).test) == 6
    assert len(open_tree(root, ("test", "val")).test) == 2


def test_native_size_is_told_where_there_is_one(root):
    assert decode(root, 4).native == "8x8"


def test_a_bar_is_drawn_only_on_request(root, capsys):
    decode(root)
    assert capsys.readouterr().err == ""
    cache_of(root).unlink()
    decoded.decode(open_tree(root, ("val",)), 8)
    assert "decoding set" in capsys.readouterr().err


# Cache


def test_decoded_once(root, monkeypatch, capsys):
    first = decode(root)
    monkeypatch.setattr(decoded, "read_image", no_reading)
    assert same(first, decode(root))
    assert capsys.readouterr().err == ""
    assert [path.name for path in (root / ".sdbnn_cache").iterdir()] == ["8px.safetensors"]
    assert open_tree(root, ("val",)).classes == ("cat", "dog")  # the cache is no class
    with pytest.raises(AssertionError):
        decode(root, 4)  # another size is another cache


def test_cache_can_be_read_by_whom_the_folder_lets_in(root):
    decode(root)
    mode = cache_of(root).parent.stat().st_mode & 0o666
    assert cache_of(root).stat().st_mode & 0o777 == mode


def test_cache_moves_with_the_tree(root, tmp_path, monkeypatch):
    first = decode(root)
    moved = root.rename(tmp_path / "elsewhere")
    monkeypatch.setattr(decoded, "read_image", no_reading)
    assert same(first, decode(moved))


def change(root):
    save(root / "train" / "cat" / "1.png", 8, 8, "L")


def touch(root):
    os.utime(root / "val" / "dog" / "2.png", ns=(1, 1))


def grow(root):
    """Another size, but the time is put back."""
    picture = root / "val" / "dog" / "2.png"
    before = picture.stat().st_mtime_ns
    picture.write_bytes(picture.read_bytes() + b"x")
    os.utime(picture, ns=(before, before))


def add(root):
    save(root / "val" / "cat" / "new.png")


def remove(root):
    (root / "train" / "dog" / "0.png").unlink()


def rename(root):
    (root / "train" / "dog" / "0.png").rename(root / "train" / "dog" / "9.png")


@pytest.mark.parametrize("edit", [change, touch, grow, add, remove, rename])
def test_a_changed_tree_is_decoded_again(root, edit, capsys, monkeypatch):
    decode(root)
    edit(root)
    second = decode(root)
    assert "outdated" in (notice := capsys.readouterr().err) and notice.count("\n") == 1
    theirs = ImageFolder(root / "train", transforms.PILToTensor(), loader=lambda path: Image.open(path).convert("RGB"))
    assert torch.equal(second.train, torch.stack([image for image, _ in theirs]))
    monkeypatch.setattr(decoded, "read_image", no_reading)
    assert same(second, decode(root))
    assert capsys.readouterr().err == ""


def good_again(root, first, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(decoded, "read_image", no_reading)
        return same(first, decode(root))


def test_no_damage_goes_unnoticed(root, capsys, monkeypatch):
    """One bit changed at places all over the file: header, metadata, pixels. The images are right every time."""
    first = decode(root)
    good = cache_of(root).read_bytes()
    header = 8 + int.from_bytes(good[:8], "little")
    for place in [*range(0, header, 3), *range(header, len(good), 211), len(good) - 1]:
        cache_of(root).write_bytes(good[:place] + bytes([good[place] ^ 0x01]) + good[place + 1 :])
        assert same(first, decode(root)), place
        notice = capsys.readouterr().err
        assert notice.count("\n") == 1 and ("damaged" in notice or "outdated" in notice), place
        assert good_again(root, first, monkeypatch), place


@pytest.mark.parametrize("keep", [0, 1, 8, 100, -1])
def test_a_truncated_cache_is_replaced(root, keep, capsys, monkeypatch):
    first = decode(root)
    cache_of(root).write_bytes(cache_of(root).read_bytes()[:keep])
    assert same(first, decode(root))
    assert "damaged" in (notice := capsys.readouterr().err) and notice.count("\n") == 1
    assert good_again(root, first, monkeypatch)


def test_without_write_permission_the_users_cache_is_used(root, tmp_path, monkeypatch, capsys):
    (root / ".sdbnn_cache").write_text("a file, so that no folder can be made; also root is stopped by it")
    first = decode(root)
    (user,) = (tmp_path / "user" / "sdbnn_lite").iterdir()
    assert user.name.endswith("-8px.safetensors")
    other = make_tree(tmp_path / "other")
    (other / ".sdbnn_cache").write_text("")
    assert not same(first, decode(other))  # two trees don't share a cache there
    monkeypatch.setattr(decoded, "read_image", no_reading)
    assert same(first, decode(root))
    assert capsys.readouterr().err == ""


def test_without_any_cache_it_still_works(root, monkeypatch, capsys):
    (root / ".sdbnn_cache").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(root / ".sdbnn_cache"))
    first = decode(root)
    assert "can't be written" in (notice := capsys.readouterr().err) and notice.count("\n") == 1
    assert same(first, decode(root))


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), decoded.SafetensorError("I/O error")])
def test_a_full_disk_leaves_nothing_behind(root, tmp_path, monkeypatch, capsys, error):
    def half(tensors, path, metadata):
        path.write_bytes(b"half")
        raise error

    monkeypatch.setattr(decoded, "save_file", half)
    assert decode(root).train.shape == (6, 3, 8, 8)
    assert "can't be written" in capsys.readouterr().err
    assert not list((root / ".sdbnn_cache").iterdir()) and not list((tmp_path / "user" / "sdbnn_lite").iterdir())


# Bad input


def test_an_unreadable_image_is_named(root):
    for content in (b"", b"no picture", (root / "val" / "dog" / "0.png").read_bytes()[:60]):
        bad = root / "val" / "dog" / "1.png"
        bad.write_bytes(content)
        refused(lambda: decode(root), "unreadable image", bad)
    assert not cache_of(root).exists()
    bad.unlink()
    bad.symlink_to(root / "nowhere.png")
    refused(lambda: decode(root), "unreadable image", bad)


def test_exact_size(root):
    assert decode(root, 8, exact=True).native == "8x8"
    save(root / "train" / "dog" / "odd.png", 9, 8)
    refused(lambda: decode(root, 8, exact=True), root / "train" / "dog" / "odd.png", "9x8", "8x8")


def test_broken_layouts(root, tmp_path):
    def opened(**options):
        return lambda: open_tree(root, ("val", "test"), **options)

    refused(opened(classes=10), "2 classes (cat, dog)", "must have 10")
    (root / "val" / "owl").mkdir()
    (root / "train" / "ant").mkdir()
    refused(opened(), "differ", "owl (only in val)", "ant (only in train)")
    (root / "train" / "ant").rename(root / "train" / "owl")
    refused(opened(), root / "train", "without an image", "owl")
    save(root / "train" / "owl" / "0.png")
    refused(opened(), root / "val", "without an image", "owl")
    shutil.rmtree(root / "val")
    refused(opened(), "no folder 'val' or 'test'", "<class>/<image>")
    shutil.rmtree(root / "train")
    refused(opened(), "no folder 'train'", "<class>/<image>")
    (root / "train").mkdir()
    (root / "val").mkdir()
    refused(opened(), root / "train", "no class folder")
    refused(lambda: open_tree(tmp_path / "none", ("val",)), tmp_path / "none", "missing")
    (tmp_path / "file").write_text("")
    refused(lambda: open_tree(tmp_path / "file", ("val",)), tmp_path / "file", "not a folder")


def test_many_names_are_cut_short(tmp_path):
    root = make_tree(tmp_path, classes=[f"c{i}" for i in range(9)], each=1)
    refused(lambda: open_tree(root, ("val",), classes=2), "9 classes (c0, c1, c2, c3, c4 and 4 more)")

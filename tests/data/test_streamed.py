"""Reading while training: shards, workers, and images that can't be read."""

from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
import torch
from image_trees import equal, seeded
from PIL import Image

from sdbnn_lite import data
from sdbnn_lite.data.augment import Augmentation
from sdbnn_lite.data.base import ImageSetBase, shard
from sdbnn_lite.data.in_memory import ImageSet
from sdbnn_lite.data.prefetch import prefetch
from sdbnn_lite.errors import UsageError

EVERY = Augmentation(resized=True, jitter=0.4, lighting=0.1)


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    monkeypatch.delenv("SDBNN_DATA", raising=False)
    colours = np.random.default_rng(0)
    for split in ("train", "val"):
        for name in ("n01", "n02", "n03"):
            folder = tmp_path / "imagenet" / split / name
            folder.mkdir(parents=True)
            for number in range(9):
                pixels = colours.integers(0, 256, (30 + number, 40, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.jpg")
    return tmp_path


@pytest.fixture
def streamed(root):
    return data.load("imagenet", root, image_size=16, workers=0)


# Shards: pure functions


class Counted(ImageSetBase):
    """A set of which nothing but the numbers is known."""

    def __init__(self, train, test, shard=(0, 1)):
        super().__init__(name="counted", label="counted", classes=("a",), shard=shard)
        self.num_train, self.num_test = train, test


@pytest.mark.parametrize("processes", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("images", [3925, 9469, 7, 50_000])
def test_every_test_image_is_in_exactly_one_shard(images, processes):
    for size in (1 if images < 10_000 else 7, 64, 500, 10_000):
        shards = [Counted(100, images, (rank, processes)).test_slices(size) for rank in range(processes)]
        places = sorted(place for part in chain(*shards) for place in range(images)[part])
        assert places == list(range(images))
        assert all(part.stop - part.start <= size for part in chain(*shards))
        totals = [sum(part.stop - part.start for part in mine) for mine in shards]
        assert max(totals) - min(totals) <= -(-images // (size * processes))  # one image a batch at most


@pytest.mark.parametrize("processes", [1, 2, 3, 4])
def test_shards_of_training_batches_make_the_whole_batch(processes):
    for images, size in ((9469, 64), (9469, 12), (3925, 60), (26, 12)):
        whole = Counted(images, 10).train_slices(size)
        shards = [Counted(images, 10, (rank, processes)).train_slices(size) for rank in range(processes)]
        assert len({len(mine) for mine in shards}) == 1  # the same number of steps everywhere
        for batch, parts in zip(whole, zip(*shards)):
            assert [parts[0].start, parts[-1].stop] == [batch.start, batch.stop]
            assert all(a.stop == b.start for a, b in zip(parts, parts[1:]))
            lengths = [part.stop - part.start for part in parts]
            assert max(lengths) - min(lengths) <= 1 and min(lengths) >= 1
        for start in (0, 1, 2):
            assert Counted(images, 10, (0, processes)).train_slices(size, start) == shards[0][start:]


def test_parts_of_no_image_are_left_out():
    assert shard([slice(0, 2)], (0, 3)) == [] and shard([slice(0, 2)], (1, 3)) == [slice(0, 1)]


def in_memory():
    images = torch.randint(0, 256, (60, 3, 12, 12), dtype=torch.uint8, generator=seeded())
    return ImageSet(
        name="small", label="random", classes=("a", "b"), train_images=images[:41], train_labels=torch.arange(41) % 2,
        test_images=images[41:], test_labels=torch.arange(19) % 2,
    )  # fmt: skip


@pytest.mark.parametrize("processes", [2, 3, 4])
@pytest.mark.parametrize("kind", ["memory", "streamed"])
def test_shards_hold_the_pixels_of_the_whole(streamed, kind, processes):
    """What one process would see, cut into parts: order, boxes, flips and colours don't depend on their number."""
    whole = in_memory() if kind == "memory" else streamed
    parts = [replace(whole, shard=(rank, processes)) for rank in range(processes)]
    together = [list(part.epoch(10, seeded(), EVERY)) for part in parts]
    for (x, y), shards in zip(whole.epoch(10, seeded(), EVERY), zip(*together), strict=True):
        assert torch.equal(torch.cat([v for _, v in shards]), y)
        assert torch.allclose(torch.cat([u for u, _ in shards]), x, atol=1e-6)
    scored = [x for part in parts for x, _ in part.test_batches(4)]
    assert sum(map(len, scored)) == whole.num_test
    one = {tuple(x.flatten().tolist()) for batch in scored for x in batch}
    assert one == {tuple(x.flatten().tolist()) for batch, _ in whole.test_batches(50) for x in batch}


# Workers


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_the_number_of_workers_changes_nothing(streamed, workers):
    whole, scored = list(streamed.epoch(4, seeded(), EVERY)), list(streamed.test_batches(5))
    streamed.workers = workers
    assert equal(streamed.epoch(4, seeded(), EVERY), whole) and equal(streamed.test_batches(5), scored)
    assert equal(streamed.epoch(4, seeded(), EVERY, start=3), whole[3:])


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_prefetching_keeps_the_order(workers):
    slices = [slice(0, 30), slice(30, 31), slice(31, 31 + 7)]
    made = list(prefetch(slices, lambda place: np.full((2, 2, 3), place, np.uint8), 2, workers))
    assert [batch.part for batch in made] == slices and not any(batch.failed for batch in made)
    assert torch.cat([batch.pixels[:, 0, 0, 0] for batch in made]).tolist() == list(range(38))


def test_prefetching_goes_no_further_ahead_than_it_has_to():
    made = []
    batches = prefetch((slice(at, at + 10) for at in range(0, 10_000, 10)), lambda p: made.append(p) or 0, 1, 2)
    next(batches)
    batches.close()  # as when a run is stopped: the threads end
    assert 10 <= len(made) <= 10 + 3 * 8 * 2 + 10


@pytest.mark.parametrize("workers", [0, 2])
def test_other_errors_come_through(workers):
    def fail(place):
        raise MemoryError("no room")

    with pytest.raises(MemoryError):
        list(prefetch([slice(0, 9)], fail, 1, workers))


# Images that can't be read


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("content", [b"", b"not an image", "half"])
def test_a_broken_training_image_is_named_left_out_and_counted(streamed, root, capsys, workers, content):
    before = list(streamed.epoch(5, seeded(), EVERY))
    bad = root / "imagenet" / "train" / "n02" / "4.jpg"
    bad.write_bytes(bad.read_bytes()[:300] if content == "half" else content)
    streamed.workers = workers
    for _ in range(2):
        after = list(streamed.epoch(5, seeded(), EVERY))
        sizes = [len(y) for _, y in after]
        assert sum(sizes) == 26 and sorted(sizes) == [2, 4, 5, 5, 5, 5] or sorted(sizes) == [1, 5, 5, 5, 5, 5]
        (short,) = [at for at, (a, b) in enumerate(zip(after, before)) if len(a[1]) != len(b[1])]
        assert equal(after[:short] + after[short + 1 :], before[:short] + before[short + 1 :])
        old = {tuple(x.flatten().tolist()): int(y) for x, y in zip(*before[short])}
        assert all(old[tuple(x.flatten().tolist())] == int(y) for x, y in zip(*after[short]))  # the others as they were
    notice = capsys.readouterr().err
    assert notice.count("\n") == 1 and str(bad) in notice and "1 so far" in notice and "--strict" in notice
    assert len(streamed.unreadable) == 1
    assert len(replace(streamed.to("cpu"), shard=(0, 2)).unreadable) == 1  # counted together


def test_strict_stops_at_the_first(streamed, root):
    bad = root / "imagenet" / "train" / "n01" / "0.jpg"
    bad.write_bytes(b"")
    streamed.strict = True
    with pytest.raises(UsageError, match=f"unreadable image {bad}: replace or remove it"):
        list(streamed.epoch(5, seeded(), EVERY))


def test_a_broken_test_image_always_stops(streamed, root):
    bad = root / "imagenet" / "val" / "n03" / "0.jpg"
    bad.write_bytes(b"")
    with pytest.raises(UsageError, match=f"unreadable image {bad}"):
        list(streamed.test_batches(5))


def test_a_batch_of_broken_images_stops(streamed, root):
    for path in (root / "imagenet" / "train").glob("*/*.jpg"):
        path.write_bytes(b"")
    with pytest.raises(UsageError, match="not one image of a batch can be read"):
        list(streamed.epoch(5, seeded(), EVERY))


def test_workers_are_checked(root):
    for workers in (-1, 257, 1.5):
        with pytest.raises(UsageError, match="workers="):
            data.load("imagenet", root, workers=workers)


# The same for sets that fit in memory


@pytest.fixture
def ten(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    for split in ("train", "val"):
        for number in range(10):
            folder = tmp_path / "imagenette" / split / f"n{number}"
            folder.mkdir(parents=True)
            for image in range(2):
                Image.new("RGB", (20, 20), (20 * number, 100 * image, 0)).save(folder / f"{image}.png")
    return tmp_path


def test_a_broken_image_of_a_set_in_memory(ten, capsys):
    bad = ten / "imagenette" / "train" / "n3" / "1.png"
    bad.write_bytes(b"")
    for _ in range(2):  # decoded, and from the cache
        images = data.load("imagenette", ten, image_size=8, progress=False)
        assert images.num_train == len(images.train_labels) == 19 and images.num_test == 20
        assert images.train_labels.tolist().count(3) == 1
        assert images.train_images[:, 0, 0, 0].tolist() == [20 * y for y in images.train_labels.tolist()]
        notice = capsys.readouterr().err
        assert notice.count("\n") == 1 and str(bad) in notice and "1 of 20 training images" in notice
    with pytest.raises(UsageError, match=f"unreadable image {bad}"):
        data.load("imagenette", ten, image_size=8, progress=False, strict=True)
    (bad.parent / "0.png").write_bytes(b"")
    with pytest.raises(UsageError, match="no image of class n3 can be read"):
        data.load("imagenette", ten, image_size=8, progress=False)

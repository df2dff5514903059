"""``sdbnn-lite bench data``: that every way reads every image; how fast that is depends on the machine, not tested."""

import os

import numpy as np
import pytest
from PIL import Image

from sdbnn_lite.cost import time_reading
from sdbnn_lite.data.tree import open_tree


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    monkeypatch.delenv("SDBNN_DATA", raising=False)


def make_imagenette(root):
    for split in ("train", "val"):
        for name in ("n1", "n2", "n3"):
            folder = root / "imagenette" / split / name
            folder.mkdir(parents=True)
            for number in range(4):
                Image.fromarray(np.full((20, 20, 3), 30 * number, np.uint8)).save(folder / f"{number}.jpg")


def test_every_way_reads_every_image(tmp_path):
    make_imagenette(tmp_path)
    rows = time_reading.bench_data(images=7, rounds=1, workers=2, data_dir=str(tmp_path), cifar_images=300)
    ways = {(row["source"], row["pixels"], row["way"], row["workers"]) for row in rows}
    assert len(ways) == len(rows) == 3 * 9 + 1
    for source, size in (("photographs 500x375", 224), ("photographs 500x375", 128), ("imagenette (real)", 128)):
        assert {(way, n) for s, p, way, n in ways if (s, p) == (source, size)} == {
            ("torchvision", 0), ("torchvision", 2), ("threads", 1), ("threads", 2), ("threads, reduced", 1),
            ("threads, reduced", 2), ("packed", 1), ("packed", 2), ("resident", 0),
        }  # fmt: skip
    for row in rows:
        assert row["images"] == (300 if row["source"].startswith("CIFAR-10") else 7) and row["images_s"] > 0
        assert (row["cpu_us"] is None) == (row["way"] == "torchvision" and row["workers"] > 0)
    assert rows[-1]["source"] == "CIFAR-10 (random pixels)" and rows[-1]["met"] == (rows[-1]["images_s"] >= 50_000)
    assert len({tuple(row) for row in rows}) == 1


def test_photographs_are_of_imagenets_usual_size(tmp_path):
    tree = time_reading.write_photos(tmp_path, 4)
    assert len(tree.train) == 4 and all(Image.open(path).size == (500, 375) for path in tree.train.paths)
    assert 50_000 < np.mean([os.path.getsize(path) for path in tree.train.paths]) < 150_000  # ImageNet's: 110,000


def test_the_copy_has_as_many_of_every_class(tmp_path):
    make_imagenette(tmp_path)
    tree = time_reading.copy_some(tmp_path / "imagenette", tmp_path / "some", 7)
    assert tree.train.targets == [0, 0, 0, 1, 1, 2, 2] and len(tree.test) == 3
    assert open_tree(tmp_path / "imagenette", ("val",)).classes == tree.classes
    assert len(time_reading.copy_some(tmp_path / "imagenette", tmp_path / "two", 2).classes) == 2

"""Signs of finished networks: on images from the whole set, for a published run and for a study."""

import dataclasses
import json

import pandas as pd
import pytest
import torch
from image_trees import small_imagenet
from standin import write_study

import sdbnn_lite as sd
from sdbnn_lite import data
from sdbnn_lite.analysis import final_signs, study, tables
from sdbnn_lite.analysis.publish import Target, publish_run
from sdbnn_lite.core.record import record_signs
from sdbnn_lite.errors import UsageError
from sdbnn_lite.training.options import RunOptions
from sdbnn_lite.training.recipes import RECIPES
from sdbnn_lite.training.train import train


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


@pytest.mark.parametrize(
    "count, places", [(3, [0, 120, 240]), (360, range(360)), (1000, range(360)), (1, [0]), (256, range(256))]
)
def test_images_come_evenly_from_the_whole_set(digits, count, places):
    everything = next(iter(digits.test_batches(360)))[0]
    assert torch.equal(digits.test_sample(count), everything[list(places)])


def test_a_streamed_set_gives_the_same_sample(tmp_path):
    images = small_imagenet(tmp_path)
    everything = next(iter(images.test_batches(12)))[0]
    assert torch.equal(images.test_sample(5), everything[[0, 2, 4, 6, 8]]) and len(images.test_sample(99)) == 12


def test_the_rows_are_those_of_the_network(digits):
    net, images = sd.load("digits_asd"), digits.test_sample(50)
    rows = final_signs.final_rows(net, images, epoch=40)
    seen = record_signs(net, images)
    assert [row["layer"] for row in rows] == list(seen) and {row["epoch"] for row in rows} == {40}
    for row in rows:
        assert row["images"] == 50 and row["entropy"] == pytest.approx(seen[row["layer"]].entropy.mean(), abs=1e-6)
    assert final_signs.final_rows(sd.load("digits_float"), images, 40) == []


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A study's folder of runs, one epoch each."""
    folder = tmp_path_factory.mktemp("study")
    tiny = dataclasses.replace(RECIPES["digits"], epochs=1, batch_size=256)
    for method in ("sdbnn", "float"):
        train(
            tiny,
            folder / f"{method}-seed0",
            method=method,
            options=RunOptions(progress=False, command="sdbnn-lite train digits"),
        )
    return folder


def test_a_study_has_a_row_per_run_and_layer_and_gathering_again_removes_old_ones(runs, tmp_path, digits):
    rows = [{"method": m, "seed": 0, **study.final_row(runs / f"{m}-seed0")} for m in ("sdbnn", "float")]
    study.gather(runs, rows, tmp_path, "command")
    final_signs.write_study_signs(runs, rows, tmp_path, digits, epoch=1)
    table = pd.read_csv(tmp_path / tables.FINAL_SIGNS)
    assert list(table["layer"]) == ["conv2", "conv3"] and set(table["method"]) == {"sdbnn"}
    assert set(pd.read_csv(tmp_path / "signs.csv").columns) <= set(table.columns)
    study.gather(runs, rows, tmp_path, "command")
    assert not (tmp_path / tables.FINAL_SIGNS).exists()


def test_publishing_with_images_writes_answers_and_signs_and_without_removes_old_ones(runs, tmp_path, digits):
    places = Target(tmp_path / "zoo", tmp_path / "results")
    _, card = publish_run(runs / "sdbnn-seed0", "tiny", images=digits, to=places)
    folder = tmp_path / "results" / "tiny"
    answers, signs = pd.read_csv(folder / tables.PREDICTIONS), pd.read_csv(folder / tables.FINAL_SIGNS)
    assert (answers["true"] == answers["predicted"]).mean() == card["test_accuracy"] and len(answers) == 360
    assert list(signs["layer"]) == ["conv2", "conv3"] and set(signs["images"]) == {360}
    assert json.loads((folder / "run.json").read_text())["classes"] == list("0123456789")
    publish_run(runs / "float-seed0", "tiny", images=digits, to=places)
    assert (folder / tables.PREDICTIONS).is_file() and not (folder / tables.FINAL_SIGNS).exists()
    publish_run(runs / "sdbnn-seed0", "tiny", to=places)
    assert sorted(path.name for path in folder.iterdir()) == ["log.csv", "run.json", "signs.csv"]


def test_what_a_reader_is_told_of_the_images(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    write_study(tmp_path, ("bnn",), seeds=1)
    table, about = final_signs.last_signs("cifar10-resnet20")
    assert about == "500 test images, evenly from the whole set" and len(table) == 18
    (tmp_path / "cifar10-resnet20" / "final_signs.csv").unlink()
    table, about = final_signs.last_signs("cifar10-resnet20")
    assert about == "256 test images" and set(table["epoch"]) == {15} and len(table) == 18
    with pytest.raises(UsageError, match="no results x/signs.csv"):
        final_signs.last_signs("x")


def test_the_digits_come_in_no_order():
    """The sample after every epoch is their first 256, and these are of all classes."""
    assert len(data.load("digits").test_labels[:256].unique()) == 10

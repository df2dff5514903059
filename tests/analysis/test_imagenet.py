"""Imagenette's results and the paper's ImageNet table: each number from the files, "not run" where there are none."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pictures import assert_readable
from PIL import Image
from standin import DATA, write_run

from sdbnn_lite import data
from sdbnn_lite.analysis import imagenet as imagenet_results
from sdbnn_lite.analysis import publish, tables
from sdbnn_lite.analysis.publish import Target, publish_run
from sdbnn_lite.plots import gallery_cifar10, gallery_imagenet
from sdbnn_lite.training.options import RunOptions
from sdbnn_lite.training.recipes import CHAINS, get_recipe
from sdbnn_lite.training.stages import train_stages
from sdbnn_lite.weights import logits_check
from sdbnn_lite.weights.logits_check import probe_images

LAYERS = [f"layers.{s}.{b}.conv" for s in range(4) for b in range(4)]
PARTS = {
    "teacher": "imagenette-teacher",
    "stage1": "imagenette-resnet18-stage1",
    "stage2": "imagenette-resnet18-stage2",
}


@pytest.fixture
def results(tmp_path, monkeypatch):
    """An empty results folder that the package takes for its own."""
    monkeypatch.setattr(tables, "RESULTS", tmp_path / "results")
    return tmp_path / "results"


def write_part(results, part, name=None, epochs=20, end=0.7, seed=0, method=None):
    method = method or ("float" if part == "teacher" else "sdbnn")
    write_run(results, name or f"imagenette_{part}", PARTS[part], epochs, end, seed, method, False, LAYERS)


def in_columns(text):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]


def test_parts_are_the_chain_s():
    assert imagenet_results.parts_of("imagenette") == PARTS
    assert list(imagenet_results.parts_of("imagenet")) == ["stage1", "stage2"]
    for dataset in ("imagenet", "imagenette"):
        assert re.fullmatch(r"sdbnn-lite train (\S+) --data DIR", imagenet_results.train_command(dataset))[1] in CHAINS


def test_with_nothing_run_every_row_says_so_and_names_the_command(results):
    text = imagenet_results.markdown(imagenet_results.table())
    assert text.count("not run yet") == 3 and "`sdbnn-lite train imagenette-resnet18 --data DIR`" in text
    assert not re.search(r"\d\d\.\d", text) and imagenet_results.in_words() == ""
    assert "Not all three parts" in imagenet_results.ends_in_words(imagenet_results.table())
    assert list(gallery_cifar10.drawable(gallery_imagenet.FIGURES)) == ["imagenet_recipe"]
    for name in ("imagenette_runs", "imagenette_signs"):
        figure, said = gallery_cifar10.one(name, gallery_imagenet.ALL)
        assert figure is None and said.startswith("Not run yet") and "sdbnn-lite train imagenette-resnet18" in said


def test_the_paper_s_table_has_no_number_of_the_paper_in_our_columns(results):
    rows = in_columns(imagenet_results.paper_markdown())[2:]
    assert [row[1:3] for row in rows] == [["66.5 %", "86.7 %"], ["67.6 %", "87.4 %"]]
    assert [row[3:] for row in rows] == [["not run here"] * 2] * 2
    write_run(results, "imagenet_resnet18", "imagenet-resnet18-stage2", 256, 0.61, predictions=False)
    ours = [row[3:] for row in in_columns(imagenet_results.paper_markdown())[2:]]
    top1 = 100 * json.loads((results / "runs/imagenet_resnet18/run.json").read_text())["result"]["test_accuracy"]
    assert ours == [[f"{top1:.2f} %, 256 epochs, n = 1", "99.00 %"], ["not run here"] * 2]
    write_run(results, "plain", "imagenet-resnet18-stage2", 256, 0.4, method="bnn", predictions=False)
    assert [row[3:] for row in in_columns(imagenet_results.paper_markdown())[2:]] == ours  # another method isn't "ours"


def test_means_and_spreads_are_those_of_the_runs(results):
    for part, end in (("teacher", 0.8), ("stage1", 0.7), ("stage2", 0.65)):
        write_part(results, part, end=end)
    write_part(results, "stage2", "another_seed", end=0.66, seed=1)
    write_part(results, "stage2", "shorter", epochs=5, end=0.5)
    write_part(results, "stage2", "plain", end=0.6, method="bnn")
    rows = imagenet_results.table()
    assert list(zip(rows["part"], rows["method"], rows["epochs"], rows["n"])) == [
        ("teacher", "float", 20, 1), ("stage1", "sdbnn", 20, 1), ("stage2", "bnn", 20, 1), ("stage2", "sdbnn", 20, 2),
        ("stage2", "sdbnn", 5, 1)]  # fmt: skip
    ends = [100 * pd.read_csv(results / "runs" / n / "log.csv")["test_accuracy"].iloc[-1]
            for n in ("imagenette_stage2", "another_seed")]  # fmt: skip
    both = rows.iloc[3]
    assert both["mean"] == pytest.approx(np.mean(ends)) and both["std"] == pytest.approx(np.std(ends, ddof=1))
    assert rows["std"].isna().sum() == 4 and both["top5"] == pytest.approx(99)
    text = imagenet_results.markdown(rows)
    assert f"**{np.mean(ends):.2f} ± {np.std(ends, ddof=1):.2f} %**" in text and DATA in text and "2.80GHz" in text
    assert "not run yet" not in text and len({len(row) for row in in_columns(text)}) == 1
    assert imagenet_results.longest() == {
        "teacher": "imagenette_teacher", "stage1": "imagenette_stage1", "stage2": "imagenette_stage2"}  # fmt: skip
    said = imagenet_results.in_words()
    assert f"stage 2 {np.mean(ends):.2f}" in said and "20 epochs at 64 px (n = 2)" in said and DATA in said
    points = [rows.iloc[place]["mean"] - rows.iloc[0]["mean"] for place in (1, 3)]
    assert imagenet_results.ends(rows) == pytest.approx(points)
    said = f"Stage 1 ends {points[0]:+.2f} and stage 2 {points[1]:+.2f} points of top-1 from their teacher."
    assert said in imagenet_results.ends_in_words(rows)


@pytest.mark.parametrize("teacher, limits", [(45.0, True), (45.9, True), (47.1, False), (90.0, False)])
def test_students_near_their_teacher_cannot_show_what_binary_numbers_cost(teacher, limits):
    tops = {"teacher": teacher, "stage1": 43.9, "stage2": 45.0}
    rows = pd.DataFrame(
        [{"part": part, "method": imagenet_results.USUAL[part], "mean": top, "n": 1} for part, top in tops.items()]
    )
    said = imagenet_results.ends_in_words(rows)
    assert ("can hardly show what binary numbers cost" in said) == limits and "Nor do these runs say" in said


def test_a_part_that_is_there_stands_beside_one_that_isn_t(results):
    write_part(results, "teacher")
    text = imagenet_results.markdown(imagenet_results.table())
    assert text.count("not run yet") == 2 and "n = 1: a single seed" in text and "trains all parts" in text
    assert set(gallery_cifar10.drawable(gallery_imagenet.FIGURES)) == {"imagenet_recipe", "imagenette_runs"}


@pytest.mark.parametrize("parts", [("teacher",), ("stage2",), ("teacher", "stage1"), tuple(PARTS)])
def test_whatever_is_there_can_be_drawn_and_read(results, parts):
    for part in parts:
        write_part(results, part)
    for name, figure in gallery_cifar10.drawable(gallery_imagenet.FIGURES).items():
        assert_readable(figure)
        assert name == "imagenet_recipe" or DATA in figure._supxlabel.get_text()
        assert gallery_cifar10.one(name, gallery_imagenet.ALL)[1]


def test_the_finished_networks_signs_go_before_those_of_its_last_epoch(results):
    write_part(results, "stage2")
    table, where = imagenet_results.stage_signs()
    assert list(table["layer"]) == LAYERS and where == "256 validation images"
    folder = results / "runs" / "imagenette_stage2"
    signs = pd.read_csv(folder / "signs.csv")
    final = signs[signs["epoch"] == signs["epoch"].max()].assign(images=500, entropy=0.5)
    final.to_csv(folder / "final_signs.csv", index=False)
    table, where = imagenet_results.stage_signs()
    assert (table["entropy"] == 0.5).all() and where == "500 validation images, evenly from the whole set"


def test_the_recipe_s_caption_has_the_run_s_epochs_and_pixels(results):
    """It once had the recipe's 60 epochs under a run of 10."""
    recipe = get_recipe("imagenette-teacher")
    assert f"ResNet-34, {recipe.epochs} epochs, cross" in gallery_imagenet.recipe()._supxlabel.get_text()
    write_part(results, "teacher", epochs=7)
    said = gallery_imagenet.recipe()._supxlabel.get_text()
    assert f"7 epochs at 64 px here (its recipe: {recipe.epochs} at {recipe.image_size})" in said


def test_other_recipes_and_unfinished_runs_are_no_row(results):
    write_run(results, "a", "digits", 5, 0.8)
    write_part(results, "stage1")
    path = results / "runs" / "imagenette_stage1" / "run.json"
    path.write_text(re.sub(r'"result": \{.*?\}', '"result": null', path.read_text()))
    assert imagenet_results.table()["n"].sum() == 0


@pytest.mark.slow
def test_the_chain_trained_and_published_fills_the_tables_and_figures(results, tmp_path, monkeypatch):
    """For real, on a few tiny pictures: teacher, stage 1, stage 2, each published, then table, curves and signs."""
    monkeypatch.delenv("SDBNN_DATA", raising=False)
    for module in (publish, logits_check):  # few of the 500: the exact comparison is tested on small networks
        monkeypatch.setattr(module, "probe_images", lambda *about: probe_images(*about)[:20])
    colours = np.random.default_rng(0)
    for split, each in (("train", 2), ("val", 1)):
        for name in range(10):
            folder = tmp_path / "data" / "imagenette" / split / f"n{name}"
            folder.mkdir(parents=True)
            for number in range(each):
                pixels = colours.integers(0, 256, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    out = tmp_path / "run"
    chain = [get_recipe(part).changed(1, batch_size=10, image_size=32) for part in CHAINS["imagenette-resnet18"]]
    chain[0] = dataclasses.replace(chain[0], network="imagenet_resnet18")  # half as large as the ResNet-34
    command = "sdbnn-lite train imagenette-resnet18 --data DIR"
    options = RunOptions(tmp_path / "data", device="cpu", progress=False, command=command)
    trained = train_stages(chain, out, options=options)
    images = data.load("imagenette", tmp_path / "data", image_size=32, progress=False)
    for result in trained:
        name = f"imagenette_{Path(result.out).name}"
        publish_run(result.out, name, images=images, to=Target(tmp_path / "zoo", results / "runs"))
    rows = imagenet_results.table()
    assert list(rows["n"]) == [1, 1, 1] and (rows["epochs"] == 1).all() and (rows["image_size"] == 32).all()
    assert list(rows["mean"]) == pytest.approx([100 * r.score.top1 for r in trained], abs=0.21)
    assert set(gallery_cifar10.drawable(gallery_imagenet.FIGURES)) == set(gallery_imagenet.FIGURES)
    table, where = imagenet_results.stage_signs()
    assert len(table) == 32 and where == "10 validation images, evenly from the whole set"
    text = imagenet_results.markdown(rows)
    assert "not run yet" not in text and "- teacher (`float`), stage1 (`sdbnn`), stage2 (`sdbnn`), " in text

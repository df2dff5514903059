"""The figures of the committed results: what they claim is in the numbers, and every run writes the same bytes."""

import csv
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from pictures import assert_readable
from places import ROOT
from standin import CLASSES, DATA, PLANNED, write_ablation, write_all, write_run

from sdbnn_lite import cli, data
from sdbnn_lite.analysis import captions, cifar10, tables
from sdbnn_lite.core.methods import METHODS
from sdbnn_lite.data.in_memory import ImageSet
from sdbnn_lite.data.sets import digit_images
from sdbnn_lite.errors import UsageError
from sdbnn_lite.plots import gallery, gallery_cifar10, gallery_imagenet, theme
from sdbnn_lite.weights import zoo


def expected():
    """The names of all files: the digits' always, CIFAR-10's as far as their results are in the package."""
    tables = ["digits_methods.csv"] + ["cifar10_table.csv"] * bool(cifar10.table()["n"].any())
    pictures = ["digits_methods", "output_signs", "digits_curves"]
    pictures += [name for name, entry in gallery_imagenet.ALL.items() if not entry.missing()]
    return tables + [f"{name}.{kind}" for name in pictures for kind in ("png", "svg")]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """The folder of all figures, drawn once, and the Figures themselves by name."""
    out, kept, save = tmp_path_factory.mktemp("figures"), {}, theme.save

    def keep(figure, folder, name):
        kept[name] = figure
        return save(figure, folder, name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(theme, "save", keep)
        paths = gallery.draw_all(out)
    names = expected()
    assert [p.name for p in paths] == names and sorted(p.name for p in out.iterdir()) == sorted(names)
    return out, kept


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the package's results and zoo, to be damaged."""
    for module, attribute in ((tables, "RESULTS"), (zoo, "ZOO")):
        copy = tmp_path / "package" / attribute
        shutil.copytree(getattr(module, attribute), copy)
        monkeypatch.setattr(module, attribute, copy)
    return tmp_path / "package"


def test_every_text_can_be_read(drawn):
    for figure in drawn[1].values():
        assert_readable(figure)


def test_the_csv_holds_the_runs_numbers(drawn):
    with open(drawn[0] / "digits_methods.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == "method title n mean_percent std_percent epochs images data hardware command".split()
    assert [row["method"] for row in rows] == list(METHODS)
    with open(tables.RESULTS / "digits" / "runs.csv", newline="", encoding="utf-8") as file:
        runs = list(csv.DictReader(file))
    for row in rows:
        percent = [100 * float(run["test_accuracy"]) for run in runs if run["method"] == row["method"]]
        assert int(row["n"]) == len(percent) >= 3
        assert float(row["mean_percent"]) == pytest.approx(np.mean(percent), abs=0.0051)
        assert float(row["std_percent"]) == pytest.approx(np.std(percent, ddof=1), abs=0.0051)
        assert row["title"] == METHODS[row["method"]].title and row["images"] == "360"
        assert row["command"].startswith("sdbnn-lite study digits") and row["hardware"] and row["data"]
        assert ("--methods asd_tanh" in row["command"]) == (row["method"] == "asd_tanh")  # each with its own


def test_the_title_of_the_signs_is_what_the_numbers_say(drawn):
    """Shifting its inputs drives a layer's channels apart: in what is drawn, and for each seed ASD against no ASD."""
    assert drawn[1]["output_signs"]._suptitle.get_text() == gallery.SIGN_TITLE
    recorded = {method: gallery.zoo_signs(method) for method in gallery.SIGN_METHODS}
    for layer in recorded["bnn"]:
        spread = {method: layers[layer].output.std() for method, layers in recorded.items()}
        shifted = [spread.pop("asd"), spread.pop("sdbnn")]
        assert min(shifted) > max(spread.values())
    signs = tables.read_study("digits", "signs.csv")
    last = signs[signs["epoch"] == signs["epoch"].max()].set_index(["method", "seed", "layer"])["entropy"]
    for with_asd, without in (("asd", "ede"), ("sdbnn", "wsd")):
        assert len(last[with_asd]) >= 6 and (last[with_asd] < last[without]).all()


def test_the_signs_drawn_are_those_of_all_test_images(drawn):
    """Against a straight recount: one convolution by hand for the plain BNN's first binary layer."""
    net = zoo.load("digits_bnn")
    images = digit_images()
    assert images.shape == (360, 1, 8, 8)
    with torch.no_grad():
        a = torch.nn.functional.hardtanh(net.bn1(net.conv1(images)))
        signs = [torch.where(x >= 0, 1.0, -1.0) for x in (a, net.conv2.weight)]
        y = torch.nn.functional.conv2d(*signs, padding=1)
    share = (y >= 0).float().mean(dim=(0, 2, 3)).numpy()
    assert gallery.zoo_signs("bnn")["conv2"].output == pytest.approx(share, abs=1e-4)
    ax = drawn[1]["output_signs"].axes[0]
    entropy = np.mean([-p * np.log2(p) - (1 - p) * np.log2(1 - p) for p in share])
    assert f"{entropy:.3f} bit" in [t.get_text() for t in ax.texts]


def test_threads_are_as_they_were():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        gallery.zoo_signs("sdbnn")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.slow
def test_another_process_draws_the_same_bytes(drawn, tmp_path):
    """One that was started afresh, with other hashes of strings and more threads."""
    command = [sys.executable, "-m", "sdbnn_lite", "figures", "--out", str(tmp_path)]
    environment = {**os.environ, "PYTHONHASHSEED": "1", "OMP_NUM_THREADS": "2", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert (done.returncode, done.stderr) == (0, "") and len(done.stdout.splitlines()) == len(list(drawn[0].iterdir()))
    for path in drawn[0].iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


def test_pictures_hold_no_date_and_no_path(drawn):
    for path in drawn[0].glob("*.[ps][nv]g"):
        content = path.read_bytes()
        assert b"<dc:date>" not in content and b"Creation" not in content and b"/home" not in content
        assert len(content) < 500_000, path.name


def test_one_seed_of_some_methods_can_be_drawn(package, tmp_path, monkeypatch):
    for module in (gallery_cifar10, gallery_imagenet):  # the digits alone
        monkeypatch.setattr(module, "FIGURES", {})
    for name in ("runs.csv", "epochs.csv"):
        table = pd.read_csv(package / "RESULTS" / "digits" / name)
        chosen = table[(table["seed"] == 0) & table["method"].isin(["bnn", "sdbnn"])]
        chosen.to_csv(package / "RESULTS" / "digits" / name, index=False)
    gallery.draw_all(tmp_path / "out")
    rows = (tmp_path / "out" / "digits_methods.csv").read_text().splitlines()
    assert len(rows) == 3 and ",1," in rows[1] and ",,40,360," in rows[1]  # no spread
    notes = gallery.accuracy_notes(tables.read_study("digits"))
    assert list(notes) == ["bnn", "sdbnn"] and "±" not in notes["bnn"]


# --- CIFAR-10: whatever there is -------------------------------------------------------------------------------------


def test_without_cifar_results_only_the_digits_are_drawn(package):
    for path in (package / "RESULTS").iterdir():
        if path.name != "digits":
            shutil.rmtree(path)
    assert gallery_cifar10.drawable() == {} and not cifar10.table()["n"].any()
    with pytest.raises(UsageError, match="No published run holds predictions"):
        gallery_cifar10.mistakes(None)
    assert "No run of SD-BNN on CIFAR-10 is published" in gallery_cifar10.one("cifar10_runs")[1]


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """An empty results folder that the package takes for its own."""
    monkeypatch.setattr(tables, "RESULTS", tmp_path / "results")
    return tmp_path / "results"


def test_with_all_of_them_every_figure_is_there_and_readable(empty):
    write_all(empty)
    found = gallery_cifar10.drawable()
    assert set(found) == set(gallery_cifar10.FIGURES)
    for figure in found.values():
        assert_readable(figure)
        assert DATA in figure._supxlabel.get_text() and "10,000 test images" in figure._supxlabel.get_text()


@pytest.mark.parametrize(
    ("methods", "seeds", "final"),
    [(("sdbnn",), 1, False), (("float",), 1, True), (("float", "bnn", "sdbnn"), 2, True), (PLANNED, 3, False)],
)
def test_whatever_part_of_the_ablation_is_there_can_be_drawn(empty, methods, seeds, final):
    write_ablation(empty, methods, seeds, final=final)
    found = gallery_cifar10.drawable()
    assert ("cifar10_signs" in found) == (methods != ("float",))
    for figure in found.values():
        assert_readable(figure)
    caption = found["cifar10_ablation"]._supxlabel.get_text().replace("\n", " ")
    assert f"n = {seeds};" in caption and "lr=0.02 (" in caption
    if "cifar10_signs" in found:
        said = found["cifar10_signs"]._supxlabel.get_text()
        assert ("evenly from the whole set" if final else "signs: 256 test images") in said


def test_three_networks_and_a_later_seed(empty):
    write_all(empty)
    write_run(empty, "cifar10_resnet18", "cifar10-resnet18", 8, 0.8)
    assert {k: name for k, (name, _) in gallery_cifar10.longest_runs().items()} == {
        "cifar10_resnet18": "cifar10_resnet18", "cifar10_resnet20": "cifar10_resnet20",
        "cifar10_vgg_small": "cifar10_vgg_small"}  # fmt: skip
    assert_readable(gallery_cifar10.run_curves())
    for seed, end in enumerate((0.7, 0.9)):  # as long: our recipe's first, and not the better seed
        write_run(empty, f"ours_{seed}", "cifar10-resnet20-evening", 100, end, seed)
    assert gallery_cifar10.longest_runs()["cifar10_resnet20"][0] == "ours_0"


def test_of_a_run_under_way_the_curve_and_nothing_else(empty):
    write_all(empty)
    before = cifar10.markdown()
    write_run(empty, "cifar10_resnet20_500", "cifar10-resnet20", 120, 0.86)
    file = empty / "runs" / "cifar10_resnet20_500" / "run.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "epochs": 500, "result": None}))
    figure, words = gallery_cifar10.one("cifar10_runs")
    assert_readable(figure)
    last = 100 * tables.run_log("cifar10_resnet20_500")["test_accuracy"].iloc[-1]
    assert "ResNet-20, 100 epochs: " in words and f"ResNet-20, epoch 120 of 500: {last:.1f} %" in words
    heading = f"ResNet-20, epoch 120 of 500\nnot finished; last {last:.2f} %"
    assert heading in [ax.get_title(loc="left") for ax in figure.axes]
    assert cifar10.markdown() == before and gallery_cifar10.longest_runs()["cifar10_resnet20"][0] == "cifar10_resnet20"


DIGITS = data.load("digits")


def images_of(labels, label=DATA):
    pixels = torch.arange(len(labels) * 3 * 4, dtype=torch.float32).reshape(len(labels), 3, 2, 2).to(torch.uint8)
    return ImageSet(name="cifar10", label=label, classes=tuple(CLASSES), train_images=pixels,
                         train_labels=labels, test_images=pixels, test_labels=labels)  # fmt: skip


def test_mistakes_are_drawn_from_the_images_and_only_from_the_right_ones(drawn, package, tmp_path, monkeypatch):
    """A second drawing in this process, too: what shows other runs than the made-up one has the same bytes."""
    for module, names in ((gallery_cifar10, ("cifar10_ablation", "cifar10_confusion")),
                          (gallery_imagenet, ("imagenet_recipe",))):  # fmt: skip
        monkeypatch.setattr(module, "FIGURES", {name: module.FIGURES[name] for name in names})
    write_run(package / "RESULTS", "cifar10_resnet20", "cifar10-resnet20", 10, 0.8)
    right = images_of(torch.arange(10).repeat_interleave(1000))
    monkeypatch.setattr(data, "load", lambda name, folder=None: right if folder else DIGITS)
    assert_readable(gallery_cifar10.mistakes(right))
    paths = gallery.draw_all(tmp_path / "out", "DIR")
    names = [path.name for path in paths]
    assert "cifar10_mistakes.png" in names and "cifar10_confusion.svg" in names and "cifar10_table.csv" in names
    same = [path for path in paths if path.name.startswith(("digits", "output", "cifar10_ablation", "imagenet"))]
    assert len(same) > 10
    for path in same:
        assert path.read_bytes() == (drawn[0] / path.name).read_bytes(), path.name
    for other in (images_of(torch.arange(10).repeat(1000)), images_of(right.test_labels, "CIFAR-10"),
                  images_of(torch.zeros(10, dtype=torch.long))):  # fmt: skip
        with pytest.raises(UsageError, match="but the predictions are for made up"):
            gallery_cifar10.mistakes(other)


# --- wrong use -------------------------------------------------------------------------------------------------------


MISSING = ["RESULTS/digits/epochs.csv", "RESULTS/digits/study.json", "ZOO/digits_xnor.safetensors"]


@pytest.mark.parametrize("missing", MISSING)
def test_missing_results_are_named_with_the_command_that_makes_them(package, tmp_path, missing):
    (package / missing).unlink()
    with pytest.raises(UsageError, match="sdbnn-lite study digits --publish") as error:
        gallery.draw_all(tmp_path / "out")
    assert missing.rpartition("/")[2] in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_package_without_any_results(package, tmp_path, capsys):
    shutil.rmtree(package / "RESULTS")
    assert cli.main(["figures", "--out", str(tmp_path / "out")]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and "runs.csv, epochs.csv, study.json" in message


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="can be written"):
        gallery.draw_all(tmp_path / "file")


def test_the_caption_names_the_hardware():
    facts = json.loads((tables.RESULTS / "digits" / "study.json").read_text())
    caption = gallery.sign_caption(tables.read_study("digits"), facts)
    assert captions.hardware(facts) in caption and "n = 3" in caption and "all 360 test images" in caption

"""``sdbnn-lite plot``: the curves that the runs' logs hold, drawn as far as they go, under telling names."""

import json
import shutil

import pytest
from PIL import Image

from sdbnn_lite import cli
from sdbnn_lite.plots import runs as run_plots
from sdbnn_lite.system.files import read_csv


@pytest.fixture
def drawn(monkeypatch):
    """What was passed to the figure: names, tables, title and caption."""
    calls, compared = [], run_plots.compared

    def watched(runs, title, caption):
        calls.append((runs, title, caption))
        return compared(runs, title, caption)

    monkeypatch.setattr(run_plots, "compared", watched)
    return calls


@pytest.fixture
def copies(tiny_run, tmp_path, monkeypatch):
    """copies("a", "b", …): a folder with copies of a run called so; with changes of run.json, one copy.

    As earlier versions wrote it: without a digest, and without a checkpoint, which would know better.
    """
    monkeypatch.chdir(tmp_path)

    def make(*names, epochs=3, **changes):
        for name in names:
            shutil.copytree(tiny_run, name)
            (tmp_path / name / "checkpoint.safetensors").unlink()
            about = json.loads((tmp_path / name / "run.json").read_text())
            del about["digest"]
            (tmp_path / name / "run.json").write_text(json.dumps({**about, **changes}))
            log = (tmp_path / name / "log.csv").read_text().splitlines()
            (tmp_path / name / "log.csv").write_text("\n".join([*log[: 1 + epochs], ""]))
        return tmp_path

    return make


def test_one_run_is_drawn_into_its_folder(copies, drawn, capsys):
    folder = copies("a")
    assert cli.main(["plot", "a"]) == 0
    assert capsys.readouterr().out.strip() == "a/curves.png"
    with Image.open(folder / "a" / "curves.png") as picture:
        assert picture.format == "PNG" and picture.width > 1000
    ((runs, title, caption),) = drawn
    assert list(runs) == ["sdbnn seed 0"] and "digits" in title and "digits (scikit-learn" in caption
    for name, values in runs["sdbnn seed 0"].items():
        assert list(values) == [float(row[name]) for row in read_csv(folder / "a" / "log.csv")]


def test_several_are_named_by_what_differs(copies, drawn, capsys):
    copies("a")
    copies("b", seed=1)
    copies("c", method="bnn", result=None, epochs=2)
    assert cli.main(["plot", "a", "b", "c", "a", "--out", "made/x.svg"]) == 0
    assert open("made/x.svg").read(5) == "<?xml"
    assert list(drawn[-1][0]) == ["sdbnn seed 0", "sdbnn seed 1", "bnn seed 0, epoch 2 of 3"]
    copies("d", recipe="other", data="other images")
    assert cli.main(["plot", "a", "d"]) == 0 and "curves.png" in capsys.readouterr().out
    runs, title, caption = drawn[-1]
    assert list(runs) == ["a", "d"] and title.startswith("digits and other, ")
    assert "other images" in caption
    copies("e")
    assert cli.main(["plot", "a", "e"]) == 0 and list(drawn[-1][0]) == ["a", "e"]


def test_what_is_no_run_is_said_and_nothing_is_written(copies, capsys):
    folder = copies("a/stage1", "a/stage2")
    copies("new", epochs=0, result=None)
    shutil.copytree("new", "damaged")
    (folder / "damaged" / "run.json").write_text("{")
    for argv, message in (
        (["nowhere"], "nowhere: not a run's folder, it has no run.json that can be read\n"),
        (["a"], "a: not a run's folder, it has no run.json that can be read; there are runs in it: a/stage1, a/stage2"),
        (["a/stage1", "new"], "new: nothing to draw yet, no epoch is finished"),
        (["damaged"], "damaged: not a run's folder"),
        (["a/stage1", "--out", "x.jpg"], "unknown ending of --out 'x.jpg': choose one of .png, .svg"),
        (["a/stage1", "--out", "/dev/null/x.png"], "/dev/null: not a folder that can be written"),
    ):
        assert cli.main(["plot", *argv]) == 2
        err = capsys.readouterr().err
        assert message in err and len(err.splitlines()) == 1
    assert not list(folder.rglob("*.png")) and not list(folder.rglob("x.*"))

"""``sd.train``: the command line's training in one call, with the same checks."""

import dataclasses
import json
import os

import pytest
import torch
from tiny_runs import QUIET, same_run

import sdbnn_lite as sd
from sdbnn_lite.errors import UsageError
from sdbnn_lite.system.files import read_csv
from sdbnn_lite.training.recipes import RECIPES
from sdbnn_lite.training.train import train
from sdbnn_lite.weights.files import WEIGHTS

SHORT = {"epochs": 1, "batch_size": 512, "lr": 0.05, "progress": False}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One short run by ``sd.train``; to be read only."""
    return sd.train("digits", tmp_path_factory.mktemp("api") / "run", **SHORT)


def test_it_is_the_run_of_the_changed_recipe(run, tmp_path):
    recipe = dataclasses.replace(RECIPES["digits"], epochs=1, batch_size=512, lr=0.05)
    theirs = train(recipe, tmp_path / "run", options=QUIET)
    same_run(run.out, theirs.out)
    assert run.finished and run.score == theirs.score and len(run.log) == 1 and run.net.name == "digits_convnet"


def test_a_file_a_recipe_and_a_name_are_one(run, tmp_path):
    (tmp_path / "digits.toml").write_text('from = "digits"\nepochs = 1\nbatch_size = 512\nlr = 0.05\n')
    for number, recipe in enumerate((tmp_path / "digits.toml", str(tmp_path / "digits.toml"),
                                     sd.recipes()["digits"].changed(epochs=1, batch_size=512, lr=0.05))):  # fmt: skip
        same_run(run.out, sd.train(recipe, tmp_path / str(number), progress=False).out)


def test_a_function_is_told_every_epoch_and_changes_nothing(run, tmp_path):
    told = []
    again = sd.train("digits", tmp_path / "run", after_epoch=lambda row, layers: told.append((row, layers)), **SHORT)
    same_run(run.out, again.out)
    ((row, layers),) = told
    assert row == again.log[0] and [layer["layer"] for layer in layers] == ["conv2", "conv3"]
    assert [str(layer["entropy"]) for layer in layers] == [r["entropy"] for r in read_csv(again.out / "signs.csv")]
    with pytest.raises(UsageError, match="after_epoch=3: a function is needed"):
        sd.train("digits", tmp_path / "no", after_epoch=3)
    assert not (tmp_path / "no").exists()


def test_where_it_goes_by_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = sd.train("digits", method="bnn", seed=3, **SHORT)
    assert str(result.out) == "runs/digits-bnn-seed3" and (tmp_path / result.out / WEIGHTS).is_file()
    mine = dataclasses.replace(RECIPES["digits"], name="small-teacher")
    result = sd.train(mine, **SHORT)  # a teacher's recipe, by its name
    assert str(result.out) == "runs/small-teacher-float-seed0" and result.net.options["method"] == "float"
    with pytest.raises(UsageError, match="holds a run already"):
        sd.train(mine, **SHORT)


def test_another_data_set_is_part_of_the_folders_name_and_of_the_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = dataclasses.replace(RECIPES["cifar10-resnet20"], network="digits_convnet", pad=1)
    result = sd.train(recipe, dataset="digits", **SHORT)
    assert str(result.out) == "runs/cifar10-resnet20-digits-sdbnn-seed0"
    about = json.loads((result.out / "run.json").read_text())
    assert (about["dataset"], about["recipe"], about["published"]) == ("digits", "cifar10-resnet20", False)
    assert sd.load(result.out).about["dataset"] == "digits"
    assert sd.train(recipe, dataset="digits", resume=True, **SHORT).score == result.score
    with pytest.raises(UsageError, match="dataset is 'digits' there, 'cifar10' here"):
        sd.train(recipe, result.out, resume=True, **SHORT)


@pytest.mark.parametrize("change", [{"lr": 0.01}, {"epochs": 4}, {"ede": (0.1, 5.0)}, {"flip": True}, {"seed": 1}])
def test_a_run_is_not_resumed_with_other_settings(run, change):
    (name,), before = change, (run.out / WEIGHTS).read_bytes()
    with pytest.raises(UsageError, match=f"another run can't be resumed with these settings: .*{name} is"):
        sd.train("digits", run.out, resume=True, **{**SHORT, **change})
    assert (run.out / WEIGHTS).read_bytes() == before
    assert sd.train("digits", run.out, resume=True, **SHORT).score == run.score


def test_the_options_of_a_run(tmp_path, capsys):
    torch.set_num_threads(2)
    result = sd.train("digits", tmp_path / "run", init="digits_float", device="cpu", threads=1, validation=400, **SHORT)
    assert torch.get_num_threads() == 1 and result.score.images == 400
    assert "init digits_float: 24 tensors taken" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"recipe": "digit"}, "unknown recipe 'digit': choose one of .*did you mean 'digits'"),
        ({"recipe": None}, "unknown recipe None"),
        ({"recipe": 3}, "unknown recipe 3"),
        ({"recipe": ["digits"]}, r"unknown recipe \['digits'\]"),
        ({"recipe": "none.toml"}, "none.toml: can't be read as TOML"),
        ({"epoch": 3}, "unknown argument 'epoch': choose one of name, network, .*did you mean 'epochs'"),
        ({"data_dir": "x"}, "unknown argument 'data_dir'"),
        ({"epochs": "3"}, "epochs='3': a whole number is needed"),
        ({"epochs": 0}, "epochs=0: a whole number from 1 up"),
        ({"lr": True}, "lr=True: a number is needed"),
        ({"flip": "no"}, "flip='no': True or False is needed"),
        ({"network": "cifar10_resnet21"}, "unknown network"),
        ({"ede": (1e-45, 10.0)}, "ede=.1e-45, 10.0.: two finite numbers are needed"),
        ({"ede": (1.0, 1e39)}, "ede="),
        ({"method": "sdbn"}, "unknown method 'sdbn'.*did you mean 'sdbnn'"),
        ({"method": 3}, "unknown method 3"),
        ({"seed": True}, "seed=True: a whole number"),
        ({"seed": -1}, "seed=-1: a whole number"),
        ({"seed": 1.0}, "seed=1.0: a whole number"),
        ({"threads": True}, "threads=True: a whole number from 1 to 1024"),
        ({"threads": "2"}, "threads='2'"),
        ({"device": "tpu"}, "unknown device 'tpu'"),
        ({"dataset": "mine!"}, "unknown data set 'mine!'|'mine!'"),
        ({"dataset": None, "network": 5}, "network=5: text is needed"),
        ({"data": 5}, "data=5: a path is needed"),
        ({"init": 5}, "init=5: a path is needed"),
        ({"teacher": 5}, "teacher=5: a path is needed"),
        ({"out": 5}, "out=5: a path is needed"),
        ({"resume": True}, "nothing to resume"),
    ],
)
def test_wrong_use_is_one_sentence_and_nothing_is_written(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=message):
        sd.train(**{"recipe": "digits", "progress": False, **arguments})
    assert os.listdir(tmp_path) == []

"""``sdbnn-lite train`` with a recipe, images or first weights of one's own."""

import json

import pytest
from image_trees import colour_tree

from sdbnn_lite import cli
from sdbnn_lite.training.recipes import RECIPES, read_recipe

SHORT = ("--epochs", "1", "--batch-size", "512", "--quiet")


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """run("digits", …) -> (exit code, stdout, stderr) of ``train``, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SDBNN_DATA", raising=False)

    def call(*argv, command="train"):
        code = cli.main([command, *map(str, argv)])
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return code, out, err

    return call


@pytest.fixture
def colours(tmp_path):
    return colour_tree(tmp_path / "sets", train=4)


def test_a_printed_recipe_trains_as_the_recipe_itself(run, tmp_path):
    code, text, err = run("digits", "--print-config", *SHORT)
    assert code == 0 and err == "" and list(tmp_path.iterdir()) == []
    (tmp_path / "mine.toml").write_text(text)
    assert read_recipe("mine.toml") == RECIPES["digits"].changed(epochs=1, batch_size=512)
    assert run("--config", "mine.toml", "--quiet", "--out", "own")[0] == 0
    assert run("digits", *SHORT, "--out", "plain")[0] == 0
    own, plain = (tmp_path / name / "weights.safetensors" for name in ("own", "plain"))
    assert own.read_bytes() == plain.read_bytes()


def test_a_file_names_its_runs_and_changes_the_recipe_beside_it(run, tmp_path):
    (tmp_path / "wide.toml").write_text("batch_size = 300\noptimizer = 'adam'\nlr = 0.001\n")
    code, out, _ = run("digits", "--config", "wide.toml", "--epochs", 1, "--quiet")
    about = json.loads((tmp_path / "runs" / "wide-sdbnn-seed0" / "run.json").read_text())
    assert code == 0 and "runs/wide-sdbnn-seed0" in out
    assert [about[k] for k in ("recipe", "batch_size", "optimizer", "pad", "epochs")] == ["wide", 300, "adam", 1, 1]
    code, _, err = run("--config", "wide.toml", "--epochs", 1, "--quiet")
    assert code == 2 and "wide.toml: network, dataset, epochs missing" in err


def test_any_recipe_trains_on_any_images(run, colours, tmp_path):
    """The digits' network for 32×32 in colour; its run says what it saw, is resumed and scored on that."""
    arguments = ("digits", "--dataset", "cifar10", "--data", colours, "--epochs", 1, "--quiet")
    code, out, _ = run(*arguments)
    folder = tmp_path / "runs" / "digits-cifar10-sdbnn-seed0"
    about = json.loads((folder / "run.json").read_text())
    assert code == 0 and "all 10 test images of CIFAR-10" in out
    assert (about["recipe"], about["dataset"], about["test_images"]) == ("digits", "cifar10", 10)
    said = out.split("test accuracy ")[1].split(" %")[0]
    assert f"test accuracy {said} %" in run(*arguments, "--resume")[1]
    code, out, _ = run(folder, "--data", colours, command="evaluate")
    assert code == 0 and f"test accuracy {said} %" in out
    code, _, err = run("digits", "--data", colours, "--epochs", 1, "--quiet", "--resume", "--out", folder)
    assert code == 2 and "dataset is 'cifar10' there, 'digits' here" in err


def test_the_next_size_that_the_network_takes_is_the_runs(run, tmp_path):
    (tmp_path / "large.toml").write_text('from = "digits"\nnetwork = "imagenet_resnet18"\n')
    code, _, err = run("--config", "large.toml", "--image-size", 40, "--out", "r")
    assert code == 2 and "those of digits (scikit-learn, 8x8 scans) are 40×40; give --image-size 64" in err
    code, _, err = run("digits", "--image-size", 9, "--out", "r")
    assert code == 2 and "image_size=9: digits_convnet needs a multiple of 4; give --image-size 12" in err
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    "init, method", [("digits_float", "sdbnn"), ("digits_float", "xnor_pp"), ("digits_sdbnn", "bnn")]
)
def test_a_network_of_another_method_is_a_start(run, tmp_path, init, method):
    code, _, err = run("digits", *SHORT, "--init", init, "--method", method, "--out", "r")
    start = json.loads((tmp_path / "r" / "run.json").read_text())["init"]
    assert code == 0 and err.startswith(f"init {init}: {start['taken']} tensors taken; new: ") and err.count("\n") == 1


@pytest.mark.parametrize(
    "argv, message",
    [
        ([], "RECIPE or --config FILE is needed"),
        (["--config", "none.toml"], "none.toml: can't be read as TOML"),
        (["imagenet-resnet18", "--print-config"], "imagenet-resnet18 is several recipes, imagenet-resnet18-stage1, "),
        (["imagenet-resnet18", "--config", "x.toml"], "unknown recipe 'imagenet-resnet18'"),
        (["digits", "--dataset", "cifar10"], "--data"),
        (["digits", "--dataset", "digit"], "'digit'"),
        (["digits", "--ede", "1e-45", "10"], "ede=(1e-45, 10.0): two finite numbers are needed"),
        (["digits", "--ede", "1", "1e39"], "ede=(1.0, 1e+39)"),
        (["digits", "--ede", "nan", "1"], "ede=(nan, 1.0)"),
        (["digits", "--init", "cifar10_resnet20"], "no weight of its cifar10_resnet20 fits this digits_convnet"),
        (["digits", "--resume", "--lr", "0.01", "--out", "none"], "nothing to resume"),
    ],
)
def test_wrong_use_is_one_line_and_writes_nothing(run, tmp_path, argv, message):
    code, out, err = run(*argv)
    assert code == 2 and message in err and len(err.splitlines()) == 1 and out == ""
    assert list(tmp_path.iterdir()) == []


def test_studies_of_other_images_are_not_the_packages(run, tmp_path):
    code, _, err = run("digits", "--dataset", "cifar10", "--publish", command="study")
    assert code == 2 and "--publish --dataset cifar10: the package's tables are of the recipe's own images" in err

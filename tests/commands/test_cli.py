"""The command line as a newcomer meets it: what it prints, its exit codes, and never a traceback."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from filler import filled
from image_trees import colour_tree
from places import GOLDEN
from reference import published_shapes

import sdbnn_lite as sd
from sdbnn_lite import cli
from sdbnn_lite.analysis import tables
from sdbnn_lite.commands.training import chosen
from sdbnn_lite.core.layers import binary_layers
from sdbnn_lite.training import run_folder
from sdbnn_lite.training.recipes import RECIPES
from sdbnn_lite.weights.zoo import load, zoo_names


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """run("train", "digits", …) -> (exit code, stdout, stderr), in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SDBNN_DATA", raising=False)

    def call(*argv):
        try:
            code = cli.main(list(map(str, argv)))
        except SystemExit as stop:  # argparse
            code = stop.code
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return code, out, err

    return call


@pytest.fixture
def cifar_tree(tmp_path):
    return colour_tree(tmp_path / "data", train=2)


def test_help_names_every_command_and_recipe(run):
    code, out, _ = run("--help")
    assert code == 0
    for name in ("walkthrough", "train", "study", "evaluate", "plot", "list", "publish", "import-original", "figures"):
        assert name in out
    code, out, _ = run("train", "--help")
    assert code == 0 and all(name in out for name in RECIPES)


@pytest.mark.parametrize("name", sorted(path.name for path in tables.runs_folder().iterdir()))
def test_the_command_beside_a_published_run_trains_what_was_run(name):
    """A recipe that is changed has to be run again, or its old runs leave the tables."""
    said = json.loads((tables.results_of(name) / "run.json").read_text())
    args = cli.make_parser().parse_args(said["command"].split()[1:])
    recipe = next(recipe for recipe in chosen(args) if recipe.name == said["recipe"])
    wanted = run_folder.identity(recipe, said["method"], args.seed, said["teacher"])
    assert run_folder.differing(said, wanted) == []


def test_train_evaluate_resume(run, tmp_path):
    code, out, _ = run("train", "digits", "--epochs", 2, "--quiet", "--out", "r")
    assert code == 0 and "on all 360 test images of digits" in out and "2 epochs, seed 0, n = 1, last epoch" in out
    accuracy = out.split("test accuracy ")[1].split(" %")[0]
    code, out, _ = run("evaluate", "r")
    assert code == 0 and f"test accuracy {accuracy} %" in out
    code, out, _ = run("evaluate", "r/checkpoint.safetensors")
    assert code == 0 and f"test accuracy {accuracy} %" in out
    code, out, _ = run("train", "digits", "--epochs", 2, "--quiet", "--out", "r", "--resume")
    assert code == 0 and f"test accuracy {accuracy} %" in out


def test_the_default_folder_names_the_run(run, tmp_path):
    code, *_ = run("train", "digits", "--epochs", 1, "--quiet", "--method", "bnn", "--seed", 3)
    assert code == 0 and (tmp_path / "runs" / "digits-bnn-seed3" / "weights.safetensors").exists()


def test_cifar_from_a_tree(run, cifar_tree, tmp_path):
    arguments = ("train", "cifar10-resnet20", "--data", cifar_tree, "--epochs", 1, "--quiet", "--out", "r")
    code, out, _ = run(*arguments)
    assert code == 0 and "all 10 test images of CIFAR-10 (image tree)" in out
    code, out, _ = run("evaluate", "r", "--data", cifar_tree)
    assert code == 0 and "10 test images of CIFAR-10 (image tree)" in out
    code, _, err = run("evaluate", "r")
    assert code == 2 and "--data" in err


def test_train_with_another_batch_size_and_rate(run, tmp_path):
    code, _, _ = run("train", "digits", "--epochs", 1, "--batch-size", 300, "--lr", 0.02, "--out", "it", "--quiet")
    about = json.loads((tmp_path / "it" / "run.json").read_text())
    assert code == 0 and (about["batch_size"], about["lr"], about["published"]) == (300, 0.02, False)
    code, _, err = run("train", "digits", "--epochs", 1, "--out", "it", "--resume", "--quiet")
    assert code == 2 and "lr is 0.02 there, 0.1 here" in err and "batch_size is 300 there, 64 here" in err


def test_a_published_study_of_cifar_and_what_replaces_it(run, cifar_tree, tmp_path, monkeypatch):
    monkeypatch.setattr("sdbnn_lite.analysis.tables.RESULTS", tmp_path / "results")
    zoo = zoo_names()
    study = ["study", "cifar10-resnet20", "--seeds", 2, "--methods", "float,sdbnn", "--data", cifar_tree, "--quiet"]
    code, out, err = run(*study, "--epochs", 2, "--publish")
    tables = tmp_path / "results" / "cifar10-resnet20"
    assert code == 0 and err == "" and str(tables) in out
    assert {"runs.csv", "epochs.csv", "signs.csv", "study.json"} <= {p.name for p in tables.iterdir()}
    about = json.loads((tables / "study.json").read_text())
    assert (about["epochs"], about["methods"], about["seeds"]) == (2, ["float", "sdbnn"], [0, 1])
    assert about["data"] == "CIFAR-10 (image tree)" and not about["published"]
    assert about["command"] == (
        "sdbnn-lite study cifar10-resnet20 --seeds 2 --methods float,sdbnn --epochs 2 --data DIR --publish"
    )
    assert zoo_names() == zoo
    before = {p: p.read_bytes() for p in tables.iterdir()}
    code, _, err = run(*study, "--epochs", 1, "--publish")
    assert code == 2 and "holds a study of 2 epochs, which one of 1 doesn't replace" in err
    assert {p: p.read_bytes() for p in tables.iterdir()} == before
    code, _, _ = run(*study, "--epochs", 3, "--publish")
    assert code == 0 and json.loads((tables / "study.json").read_text())["epochs"] == 3


def test_study_prints_its_table(run):
    code, out, _ = run(
        "study", "digits", "--methods", "bnn,sdbnn", "--seeds", 2, "--epochs", 1, "--quiet", "--out", "s"
    )
    assert code == 0 and "mean %" in out and out.count("seed ") == 4


@pytest.fixture
def space(tmp_path):
    (tmp_path / "space.toml").write_text('lr = {low = 0.01, high = 0.2, log = true}\noptimizer = "sgd"\n')
    return "space.toml"


def test_search_tables_and_picture(run, tmp_path, space):
    options = ["--epochs", 1, "--validation", 700, "--method", "bnn", "--out", "found", "--quiet"]
    code, out, err = run("search", "digits", "--space", space, "--trials", 2, *options)
    assert code == 0 and err == "" and out.count("after 1 epochs; lr 0.") == 2
    assert "trial    state" in out and f"2 trials: 2 complete; all of them: {Path('found', 'trials.csv')}" in out
    assert {p.name for p in (tmp_path / "found").iterdir()} >= {"search.db", "trials.csv", "search.json", "trials.svg"}
    again = ["--trials", 2, *options, "--confirm", 1, "--confirm-epochs", 1, "--confirm-seeds", 3]
    code, out, _ = run("search", "digits", "--space", space, *again)
    assert code == 0 and "seed_3" in out and (tmp_path / "found" / "confirmed.csv").exists()
    code, _, err = run("search", "cifar10-resnet20", "--space", space, "--trials", 2, *options)
    assert code == 2 and "needs a folder" in err
    code, _, err = run("search", "digits", "--space", space, "--trials", 2, *options, "--epochs", 2)
    assert code == 2 and "holds another search: epochs is 1 there, 2 here" in err


def test_a_search_needs_no_test_images(run, cifar_tree, tmp_path, space):
    for copy in (1, 2):
        for path in (cifar_tree / "cifar10" / "train").rglob("?.png"):
            shutil.copy(path, path.with_stem(f"{path.stem}{copy}"))
    shutil.rmtree(cifar_tree / "cifar10" / "test")
    arguments = ["--space", space, "--data", cifar_tree, "--trials", 1, "--epochs", 1, "--out", "found", "--quiet"]
    code, out, err = run("search", "cifar10-resnet20", *arguments, "--validation", 20)
    assert code == 0 and err == "" and "1 trials: 1 complete" in out
    code, _, err = run("search", "cifar10-resnet20", *arguments)
    assert code == 2 and "validation=5000: CIFAR-10 (image tree) has 60 training images" in err


def test_ctrl_c_in_a_search_says_how_to_go_on(run, space, interrupt_after):
    interrupt_after(2)
    arguments = ["--space", space, "--trials", 1, "--epochs", 2, "--validation", 700, "--out", "found", "--quiet"]
    code, _, err = run("search", "digits", *arguments)
    assert code == 130 and err == "sdbnn-lite search: stopped; the same command resumes where it stopped\n"


def published_file(path, prefix="module.", **more):
    """A checkpoint of ResNet-20 as the published trainer writes it."""
    golden = np.load(GOLDEN / "cifar10_resnet20.npz")
    shapes = json.loads(str(golden["meta"]))["shapes"]
    state = {prefix + key: value.float() for key, value in filled(shapes, 1).items()}
    torch.save({"state_dict": state, "best_prec1": 86.9, **more}, path)
    return state


@pytest.mark.parametrize("prefix, more", [("module.", {"epoch": 500}), ("", {})])
def test_import_original(run, tmp_path, prefix, more):
    state = published_file(tmp_path / "model.th", prefix=prefix, **more)
    code, out, _ = run("import-original", "model.th", "cifar10_resnet20", "ours.safetensors")
    assert code == 0 and "every key fitted" in out
    net = load(tmp_path / "ours.safetensors")
    assert torch.equal(net.layers[0][0].conv1.weight, state[f"{prefix}layer1.0.conv1.weight"])
    fresh = sd.build("cifar10_resnet20").eval()
    fresh.load_state_dict(sd.from_original(state, "cifar10_resnet20"))
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(net(x), fresh(x))


def test_a_stage_1_file_keeps_its_real_weights(run, tmp_path):
    with torch.device("meta"):
        shapes = published_shapes(sd.build("imagenet_resnet18", num_classes=10).state_dict(), "imagenet_resnet18")
    state = {key: torch.zeros(shape) for key, shape in shapes.items()}
    torch.save({"state_dict": state}, tmp_path / "model.th")
    code, _, err = run("import-original", "model.th", "imagenet_resnet18_stage1", "ours.safetensors")
    assert code == 0, err
    found = load(tmp_path / "ours.safetensors")
    assert found.name == "imagenet_resnet18" and found.options["stage"] == 1
    assert not any(layer.binary_weights for layer in binary_layers(found).values())


def test_import_says_what_does_not_fit(run, tmp_path):
    published_file(tmp_path / "model.th")
    code, _, err = run("import-original", "model.th", "cifar10_resnet18", "ours.safetensors")
    assert code == 2 and "module.layer1.0.conv1.weight" in err
    assert not (tmp_path / "ours.safetensors").exists()


@pytest.mark.parametrize(
    "argv, message",
    [
        ([], "COMMAND"),
        (["trian"], "invalid choice: 'trian'"),
        (["train"], "RECIPE"),
        (["train", "cifar10"], "unknown recipe 'cifar10': choose one of digits, cifar10-resnet20"),
        (["train", "nothing"], "imagenet-resnet18, imagenet-resnet34, imagenette-resnet18"),
        (["study", "imagenet-resnet18"], "unknown recipe 'imagenet-resnet18'"),
        (["pack-images", "--dataset", "cifar10", "--data", "d"], "cifar10 is read once and kept in memory"),
        (["pack-images", "--dataset", "none", "--data", "d"], "unknown data set 'none'"),
        (["train", "digits", "--method", "sdbn"], "did you mean 'sdbnn'"),
        (["train", "digits", "--epochs", "0"], "epochs=0: a whole number from 1 up"),
        (["train", "digits", "--epochs", "two"], "invalid int value: 'two'"),
        (["train", "digits", "--seed", "-1"], "seed=-1"),
        (["train", "digits", "--threads", "0"], "threads=0"),
        (["train", "digits", "--lr", "0"], "lr=0.0: a finite number above 0"),
        (["train", "digits", "--batch-size", "1"], "batch_size=1: batch norm needs at least 2 images"),
        (["train", "digits", "--teacher", "digits_float"], "recipe digits learns without one"),
        (["train", "imagenette-resnet18-stage2"], "--teacher FILE, a run's folder or a zoo name; train one with"),
        (["train", "digits", "--resume", "--out", "none"], "nothing to resume"),
        (["train", "digits", "--out", "/dev/null/x"], "not a folder that can be written"),
        (["train", "digits", "--device", "tpu"], "unknown device 'tpu'"),
        (["train", "cifar10-resnet20"], "--data"),
        (["train", "cifar10-resnet20", "--data", "nowhere"], "nowhere"),
        (["study", "digits", "--methods", "bnn,zip"], "unknown method 'zip'"),
        (["search", "digits", "--space", "none.toml", "--trials", "0", "--out", "o"], "--trials 0: a number from 1 up"),
        (
            ["search", "digits", "--space", "none.toml", "--trials", "1", "--out", "o"],
            "none.toml: can't be read as TOML",
        ),
        (["search", "digits", "--trials", "1", "--out", "o"], "--space"),
        (["evaluate", "resnet"], "no such file, run folder or zoo network"),
        (["import-original", "none.th", "cifar10_resnet20", "out"], "none.th: no such file"),
        (["import-original", "none.th", "resnet20", "out"], "none.th: no such file"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(run, argv, message):
    code, out, err = run(*argv)
    assert code == 2 and message in err and len(err.strip().splitlines()) == 1 and out == ""


def test_a_run_that_fails_exits_with_1(run, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    code, _, err = run("train", "digits", "--epochs", 1, "--quiet")
    assert code == 1 and "No space left on device" in err and len(err.strip().splitlines()) == 1


def test_a_place_that_nobody_checks_is_full_too(run, space, monkeypatch):
    def full(*args, **how):
        raise OSError(28, "No space left on device", "/somewhere")

    monkeypatch.setattr("tempfile.mkdtemp", full)  # a trial's own folder
    arguments = ["--space", space, "--trials", 1, "--epochs", 1, "--validation", 700, "--out", "found", "--quiet"]
    code, _, err = run("search", "digits", *arguments)
    assert code == 1 and err == "sdbnn-lite search: [Errno 28] No space left on device: '/somewhere'\n"


def test_ctrl_c_in_a_real_process_says_how_to_go_on(tmp_path):
    arguments = ["train", "digits", "--epochs", "400", "--batch-size", "8", "--out", "r"]  # an epoch takes a second
    command = [sys.executable, "-m", "sdbnn_lite", *arguments]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )  # fmt: skip
    deadline = time.monotonic() + 600
    log = tmp_path / "r" / "log.csv"
    while not (log.exists() and log.stat().st_size) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)  # within the next epoch, where the bar has figures
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=600)
    assert process.returncode == 130, err
    assert "the state is saved in r" in out
    assert f"sdbnn-lite {' '.join(arguments)} --resume" in out
    assert "Traceback" not in err and "images/s" in err  # the progress bar


def test_python_dash_m(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "sdbnn_lite", "train", "nothing"], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )  # fmt: skip
    assert done.returncode == 2 and done.stderr.startswith("sdbnn-lite train: unknown recipe 'nothing'")

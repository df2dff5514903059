"""What needs no network starts without torch: help, versions, errors of usage, lists, completion by Tab."""

import json
import os
import subprocess
import sys

import pytest
import torch
from places import ROOT

import sdbnn_lite as sd
from sdbnn_lite import cli
from sdbnn_lite.commands import listing
from sdbnn_lite.core.methods import METHODS
from sdbnn_lite.core.models import IMAGE_SIZES, NETWORKS
from sdbnn_lite.data.sets import SETS
from sdbnn_lite.system.target import runnable, target
from sdbnn_lite.training.recipes import CHAINS, RECIPES
from sdbnn_lite.weights.zoo import ZOO, zoo_names

HEAVY = {"torch", "numpy", "pandas", "matplotlib", "seaborn", "scipy", "sklearn", "torchvision", "numba", "optuna"}
QUICK = [  # what is typed, and the exit code
    ([], 2),
    (["--help"], 0),
    (["--version"], 0),
    (["trian"], 2),
    (["list"], 0),
    (["list", "zoo", "--json"], 0),
    (["list", "nets"], 2),
    *([name.replace("_", "-"), "--help"] for name in ("train", "study", "search", "plot", "evaluate", "bench")),
    (["train", "digits", "--epochs", "two"], 2),
    (["train", "digts"], 2),
    (["train", "digits", "--epochs", "0"], 2),
    (["train", "digits", "--method", "sdbn"], 2),
    (["study", "digts"], 2),
    (["study", "digits", "--methods", "bnn,zip"], 2),
    (["search", "digts", "--space", "s", "--trials", "1", "--out", "o"], 2),
]
QUICK = [entry if isinstance(entry, tuple) else (entry, 0) for entry in QUICK]
PROGRAM = """
import json, sys
from sdbnn_lite import cli
found = []
for argv in json.loads(sys.argv[1]):
    try:
        code = cli.main(argv)
    except SystemExit as stop:
        code = stop.code
    found.append([code, sorted({name.split(".")[0] for name in sys.modules} & set(json.loads(sys.argv[2])))])
print(json.dumps(found))
"""


def test_nothing_heavy_is_loaded_before_it_is_needed():
    arguments = [json.dumps([argv for argv, _ in QUICK]), json.dumps(sorted(HEAVY))]
    done = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], cwd=ROOT, capture_output=True, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert {" ".join(argv): result for (argv, _), result in zip(QUICK, found)} == {
        " ".join(argv): [code, []] for argv, code in QUICK
    }
    assert "Traceback" not in done.stderr


def test_versions(capsys):
    assert cli.main(["--version"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"sdbnn-lite {sd.__version__} (Python {sys.version.split()[0]}, ")
    assert said.endswith(f"torch {torch.__version__.partition('+')[0]})\n")


def listed(capsys, *what):
    assert cli.main(["list", *what, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_lists_say_what_there_is(capsys):
    """Against the modules that need torch, and the files themselves."""
    found = listed(capsys)
    assert list(found) == ["recipes", "networks", "methods", "zoo", "datasets", "targets"]
    assert found["zoo"] == listed(capsys, "zoo")["zoo"]
    names = {table: [row["name"] for row in rows] for table, rows in found.items()}
    assert names["recipes"] == [*RECIPES, *CHAINS] and names["zoo"] == zoo_names()
    assert names["methods"] == list(METHODS)
    assert [row["paper"] is None for row in found["methods"]] == [name == "float" for name in METHODS]
    sizes = {row["name"]: (ZOO / f"{row['name']}.safetensors").stat().st_size for row in found["zoo"]}
    assert {row["name"]: row["bytes"] for row in found["zoo"]} == sizes
    assert all(0 < row["test_accuracy"] <= 1 and row["data"] and row["epochs"] > 0 for row in found["zoo"])
    for row in found["recipes"]:
        parts = [RECIPES[part] for part in CHAINS.get(row["name"], [row["name"]])]
        assert row["epochs"] == sum(part.epochs for part in parts) and row["published"] == parts[0].published
        assert (row["network"], row["dataset"]) == (parts[-1].network, parts[-1].dataset) and row["about"]
    assert [row["name"] for row in found["targets"] if row["here"] == "used"] == [target().name]
    assert {row["name"] for row in found["targets"] if row["here"]} == set(runnable())


def test_networks_are_as_they_are_built():
    assert list(listing.FACTS["networks"]) == list(NETWORKS)
    for name, facts in listing.FACTS["networks"].items():
        with torch.device("meta"):
            net = sd.build(name)
        assert (net.options["num_classes"], net.options["in_channels"]) == (facts["classes"], facts["channels"])
        assert sum(p.numel() for p in net.parameters()) == facts["parameters"]
        assert facts["pixels"] == IMAGE_SIZES[name]


def test_data_sets_are_those_that_can_be_opened():
    """A set that is added to ``data.sets`` is added to ``listing.toml`` too."""
    facts = {
        name: (" or ".join(map(str, info.channels)), info.size, f"DIR/{name}" if info.on_disk else "embedded")
        for name, info in SETS.items()
    }
    assert {name: tuple(said.values()) for name, said in listing.FACTS["datasets"].items()} == facts


def test_tables_can_be_read(capsys):
    assert cli.main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.endswith(":")] == [f"{table}:" for table in listing.COLUMNS]
    (row,) = [line.split() for line in lines if line.startswith("imagenet_resnet34 ")]
    assert row == ["imagenet_resnet34", "1,000", "3", "224", "22,377,000"]


def completed(line, tmp_path):
    """What the shell offers after ``line``, by argcomplete's own protocol: asked by the environment, told by a file."""
    answer = tmp_path / "answer"
    environment = {"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE_IFS": "\n"}
    environment |= {"_ARGCOMPLETE_STDOUT_FILENAME": str(answer), "PYTHONPATH": str(ROOT)}
    program = "import sys; sys.argv[0] = 'sdbnn-lite'; from sdbnn_lite.cli import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", program], env={**os.environ, **environment}, cwd=tmp_path)
    assert done.returncode == 0
    return [word.strip() for word in answer.read_text().split("\n") if word.strip()]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("sdbnn-lite pl", ["plot"]),
        ("sdbnn-lite train cifar10-vgg", ["cifar10-vgg-small", "cifar10-vgg-small-evening"]),
        ("sdbnn-lite train imagenet-resnet18", [f"imagenet-resnet18{part}" for part in ("", "-stage1", "-stage2")]),
        ("sdbnn-lite train digits --method xn", ["xnor", "xnor_pp"]),
        ("sdbnn-lite train digits --tensor", ["--tensorboard"]),
        ("sdbnn-lite evaluate digits_x", ["digits_xnor", "digits_xnor_pp"]),
        ("sdbnn-lite cost imagenet_", ["imagenet_resnet18", "imagenet_resnet34"]),
        ("sdbnn-lite evaluate runs/", []),
    ],
)
def test_tab_completes_names(line, offered, tmp_path):
    pytest.importorskip("argcomplete")
    assert sorted(completed(line, tmp_path)) == sorted(offered)


def test_argcomplete_is_found_by_its_mark_and_not_needed(monkeypatch, capsys):
    """A global `activate-global-python-argcomplete` looks for the mark in the first 1,024 bytes."""
    assert "PYTHON_ARGCOMPLETE_OK" in (ROOT / "sdbnn_lite" / "cli.py").read_text()[:1024]
    monkeypatch.setitem(sys.modules, "argcomplete", None)
    monkeypatch.setenv("_ARGCOMPLETE", "1")
    assert cli.main(["list", "networks"]) == 0 and "cifar10_resnet20" in capsys.readouterr().out

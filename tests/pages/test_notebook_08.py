"""Notebook 08 keeps its word: its commands exist, and it ends with a page to fill in."""

import re
import shlex

import pytest
from places import NOTEBOOKS

from sdbnn_lite import cli
from sdbnn_lite.training.recipes import RECIPES

nbformat = pytest.importorskip("nbformat")
NOTEBOOK = NOTEBOOKS / "08_your_own_network.ipynb"
if not NOTEBOOK.exists():
    pytest.skip("no notebooks here: an installed package", allow_module_level=True)
CELLS = nbformat.read(NOTEBOOK, as_version=4).cells
TEXT = "\n".join(cell.source for cell in CELLS if cell.cell_type == "markdown")
COMMANDS = re.findall(r"^    sdbnn-lite (.*)$", TEXT, re.MULTILINE) + re.findall(r"`sdbnn-lite ([^`]*)`", TEXT)


def test_there_are_commands_of_every_kind():
    assert [command.split()[0] for command in COMMANDS] == [
        "train", "predict", "plot", "study", "list", "train", "--version"]  # fmt: skip


@pytest.mark.parametrize("command", [command for command in COMMANDS if not command.startswith("--")])
def test_every_command_is_one(command):
    args = cli.make_parser().parse_args(shlex.split(command))
    assert getattr(args, "recipe", "digits") in RECIPES


def test_it_ends_with_a_blank_page_and_what_to_write_down():
    assert re.findall(r"^## 9\. (.*)$", TEXT, re.MULTILINE) == ["Your experiment"]
    rows = re.findall(r"^\| \*\*(.*?)\*\* \|", TEXT.partition("### What to write down")[2], re.MULTILINE)
    asked = "Prediction", "Data set", "Training", "n and seeds", "Result", "Hardware and versions", "Command"
    assert set(asked) < set(rows)
    blank = [cell for cell in CELLS if cell.source.startswith("my_question = ...")]
    assert len(blank) == 1 and "".join(blank[0].outputs[0].text) == "nothing measured yet: fill in SEEDS\n"

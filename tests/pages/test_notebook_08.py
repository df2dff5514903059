"""Notebook 08 keeps its word: its commands exist, and it ends with a shift of one's own."""

import re
import shlex

import pytest
from committed_notebook import cells_of, prose
from torch import nn

import sdbnn_lite as sd
from sdbnn_lite import cli
from sdbnn_lite.training.recipes import RECIPES

CELLS = cells_of("08")
TEXT = prose(CELLS)
COMMANDS = re.findall(r"^    sdbnn-lite (.*)$", TEXT, re.MULTILINE) + re.findall(r"`sdbnn-lite ([^`]*)`", TEXT)


def test_there_are_commands_of_every_kind():
    assert [command.split()[0] for command in COMMANDS] == [
        "train", "predict", "plot", "study", "list", "train", "--version"]  # fmt: skip


@pytest.mark.parametrize("command", [command for command in COMMANDS if not command.startswith("--")])
def test_every_command_is_one(command):
    args = cli.make_parser().parse_args(shlex.split(command))
    assert getattr(args, "recipe", "digits") in RECIPES


def test_it_ends_with_a_shift_of_ones_own_and_what_to_write_down():
    assert re.findall(r"^## 9\. (.*)$", TEXT, re.MULTILINE) == ["Your own shift"]
    rows = re.findall(r"^\| \*\*(.*?)\*\* \|", TEXT.partition("### What else to write down")[2], re.MULTILINE)
    assert {"Data set", "Training", "Hardware and versions", "Command"} < set(rows)
    code = [cell for cell in CELLS if cell.cell_type == "code"]
    card, shift, run, score = code[-4:]
    assert card.source.startswith("card = ClaimCard(claim=..., prediction=...)")  # written before anything is measured
    assert "class MyShift(nn.Module)" in shift.source and "seeds=(0, 1, 2)" in run.source and score.source == "score()"
    said = dict(line.split(maxsplit=1) for line in run.outputs[0].text.strip().splitlines())
    assert said["claim"] == said["predicted"] == "not written yet" and "(n = 3)" in said["MyShift"]
    assert re.fullmatch(r"within the images' noise|seeds overlap|seeds apart \(by chance: 10%\)", said["verdict"])


def test_the_method_that_it_tells_can_be_built():
    (call,) = re.findall(r"`(sd\.Method\(.*?\))`", TEXT)
    method = eval(call, {"sd": sd, "MyShift": lambda channels: nn.Identity()})
    assert sd.build("digits_convnet", method).conv2.own_shift is not None


@pytest.mark.parametrize("word", ["leak", "real", "constant", "chance", "packed", "bytes", "digit"])
def test_what_is_asked_is_answered_later(word):
    source = [cell.source for cell in CELLS if cell.cell_type == "code"]
    (asked,) = [n for n, text in enumerate(source) if text.startswith(f'guess("{word}"')]
    (answered,) = [n for n, text in enumerate(source) if re.search(rf'^outcome\("{word}"', text, re.MULTILINE)]
    assert asked < answered


def test_no_answer_stands_in_a_cell():
    source = "\n".join(cell.source for cell in CELLS if cell.cell_type == "code")
    assert "check(" not in source and not re.search(r"15 / 16|1,?152|0\.34", source + TEXT)
    assert re.findall(r'exercise\("08/(\w+)"', source) == ["behind_a_pool", "centred_shift", "bytes"]

"""Notebook 05 keeps its word: what it asks is answered on the page, what it says is computed, its exercises teach."""

import re

import numpy as np
import pytest
from committed_notebook import cells_of, prose

from sdbnn_lite import cli
from sdbnn_lite.analysis import cifar10, ede_gradients
from sdbnn_lite.lessons import exercises, photographs
from sdbnn_lite.training.evaluate import Score
from sdbnn_lite.training.recipes import RECIPES

CELLS = cells_of("05")
TEXT = prose(CELLS)
CODE = [cell for cell in CELLS if cell.cell_type == "code"]


def outcome_of(name):
    """The letter that the committed output names, and its text."""
    (cell,) = [c for c in CODE if re.search(rf'^outcome\("{name}"', c.source, re.MULTILINE)]
    (shown,) = [o["data"]["text/plain"] for o in cell.outputs if "text/html" in o.get("data", {})]
    return re.match(r"\*\*([A-H]), ", shown)[1], shown


def test_what_is_asked_of_the_protocols_can_be_read_off_the_table():
    """The runs whose last epoch was their best give +0.00: the question counts rows, and says why."""
    rows = cifar10.table()
    more = ((rows["best_mean"] - rows["mean"]) > 0.005).sum()
    letter, text = outcome_of("protocol")
    assert letter == ("A" if more == 0 else "C" if more == len(rows) else "B")
    assert text.count("+0.00 points") == len(rows) - more and "it is 0 where the last epoch was the best" in text


def test_the_step_is_the_reason_that_is_looked_at():
    assert "can hardly be the reason" not in TEXT and "since it goes to 0" not in TEXT
    found = ede_gradients.summary(ede_gradients.courses())
    letter, text = outcome_of("end")
    assert ede_gradients.in_words(found) in text
    trained = found[found["method"] == "sdbnn"].set_index("schedule")["train"]
    assert letter == {(True, True): "A", (True, False): "B", (False, True): "C", (False, False): "D"}[
        trained["15 epochs"] < 0, trained["100 epochs"] < 0]  # fmt: skip


def test_the_control_is_ede():
    for name in ("asd", "wsd", "sdbnn"):
        assert f"`{name}` − `ede`" in TEXT
    assert "SD-BNN is better" not in TEXT


def test_its_commands_exist():
    lines = re.sub(r" *\\\n *", " ", TEXT).splitlines()
    commands = [line.strip().split()[1:] for line in lines if line.startswith("    sdbnn-lite ")]
    assert len(commands) == 8
    for command in commands:
        args = cli.make_parser().parse_args(command)
        assert getattr(args, "recipe", "cifar10-resnet20") in RECIPES


# --- the exercises ---------------------------------------------------------------------------------------------------

NAMES = ("standard_error", "control", "schedule", "precision")


def answered(name, code, capsys):
    """What the exercise prints where ``code`` stands in its cell."""
    (cell,) = [c for c in CODE if f'exercise("05/{name}"' in c.source]
    exec(f"{code}\n{cell.source.splitlines()[-1]}", {"exercise": exercises.exercise})
    return capsys.readouterr().out


@pytest.mark.parametrize("name", NAMES)
def test_each_solution_is_right_and_each_cell_is_unanswered(name, capsys):
    assert answered(name, exercises.find(f"05/{name}").solution, capsys).startswith("right: ")
    (cell,) = [c for c in CODE if f'exercise("05/{name}"' in c.source]
    assert "".join(o.text for o in cell.outputs) == "not answered yet\n"


@pytest.mark.parametrize("name, wrong, said", [
    ("standard_error", "def standard_error(p, n):\n    return (p * (1 - p) / n) ** 0.5", "standard_error(0.87"),
    ("standard_error", "def standard_error(p, n):\n    return 100 * p / n ** 0.5", "not yet: standard_error(0.87"),
    ("control", 'the_control = "bnn"', "not yet: notebook 04"),
    ("schedule", "def schedule(epoch, epochs):\n    return 0.11 * (1 - epoch / epochs), 0.001", "lr = "),
    ("schedule", "def schedule(epoch, epochs):\n    return 0.11", "not yet: TypeError"),
    ("precision", "def precision(counts):\n    return counts.diagonal() / counts.sum(axis=1)", "matrix of 4 classes"),
    ("precision", "def precision(counts):\n    return counts[3, 3] / counts[:, 3].sum()", "one number per class"),
])  # fmt: skip
def test_a_wrong_answer_is_told(name, wrong, said, capsys):
    found = answered(name, wrong, capsys)
    assert found.startswith("not yet: ") and said in found


@pytest.mark.filterwarnings("ignore:invalid value")
def test_an_answer_that_is_never_given_counts(capsys):
    found = answered("precision", "def precision(c):\n    return c.diagonal() / c.sum(axis=0)", capsys)
    assert "a class that is never answered counts as 0" in found


# --- with the images -------------------------------------------------------------------------------------------------


def test_scoring_shows_how_far_it_is(monkeypatch):
    """FAST=False scores every published network: each has a line that moves, and its score is evaluate's."""
    from sdbnn_lite import data, load
    from sdbnn_lite.training.evaluate import evaluate

    images, net, shown = data.load("digits"), load("digits_bnn"), []

    class Handle:
        def update(self, content, raw):
            shown.append(content["text/plain"])

    display = pytest.importorskip("IPython.display")
    monkeypatch.setattr(display, "display", lambda *_, **__: Handle())
    score = photographs.with_bar("digits_bnn", net, images)
    assert isinstance(score, Score) and score == evaluate(net, images)
    done = [int(re.search(r"([\d,]+) of 360 images", line)[1]) for line in shown]
    assert done == sorted(done) and done[-1] == 360 and "#" * 30 in shown[-1]


def test_without_images_it_says_what_it_would_score(capsys, monkeypatch):
    monkeypatch.delenv("SDBNN_DATA", raising=False)
    assert photographs.find_images(None) is None
    photographs.score_published(None, every=True)
    said = capsys.readouterr().out
    assert "aren't needed" in said and "published networks" in said and np.char.count(said, "cifar10_resnet20") >= 1

"""Notebook 03's exercises: the solutions are right, and every usual mistake is told by its own words."""

import pytest
import torch

from sdbnn_lite.core import wsd
from sdbnn_lite.lessons.exercises import exercise
from sdbnn_lite.lessons.exercises.notebook_03 import EXERCISES


def dims(w):
    return {"dim": tuple(range(1, w.ndim)), "keepdim": True}


@pytest.mark.parametrize("name", EXERCISES)
def test_the_solution_is_right(name, capsys):
    made = {"torch": torch}
    exec(EXERCISES[name].solution, made)
    exercise(f"03/{name}", *[value for key, value in made.items() if key not in ("torch", "__builtins__")])
    assert capsys.readouterr().out == f"right: {EXERCISES[name].right}\n"


def in_place(w):
    with torch.no_grad():
        w -= w.mean(**dims(w))
    return w / w.std(**dims(w))


WRONG = {
    "values are wrong": lambda w: (w - w.mean()) / w.std(),
    "n - 1": lambda w: (w - w.mean(**dims(w))) / w.std(**dims(w), correction=0),
    "pass through mean": lambda w: (w - w.mean(**dims(w)).detach()) / w.std(**dims(w)).detach(),
    "has to become 0": lambda w: (w - w.mean(**dims(w))) / w.std(**dims(w)),
    "Dimension out of range": lambda w: (w - w.mean((1, 2, 3), True)) / w.std((1, 2, 3), keepdim=True),
    "it changes the weights": in_place,
}


@pytest.mark.parametrize("said", WRONG)
def test_a_wrong_balance_is_told(said, capsys):
    exercise("03/balance", WRONG[said])
    printed = capsys.readouterr().out
    assert printed.startswith("not yet: ") and said in printed


@pytest.mark.parametrize("balance", [wsd.balance, lambda w: (w - w.mean(**dims(w))) / (w.std(**dims(w)) + 1e-8)])
def test_other_ways_to_balance_are_right(balance, capsys):
    exercise("03/balance", balance)
    assert capsys.readouterr().out.startswith("right: ")


@pytest.mark.parametrize(
    "gradient",
    [
        lambda w, alpha, dv: 0.0025 * w.flatten(1).mean(1) * dv.flatten(1).sum(1),  # only at α = 0
        lambda w, alpha, dv: torch.sigmoid(alpha) * 0.01 * w.flatten(1).mean(1) * dv.flatten(1).sum(1),
        lambda w, alpha, dv: torch.zeros_like(dv),
    ],
)
def test_a_wrong_gradient_of_alpha_is_told(gradient, capsys):
    exercise("03/alpha_gradient", gradient)
    assert capsys.readouterr().out.startswith("not yet: ")


def test_numbers_are_judged(capsys):
    exercise("03/flips", 7)
    exercise("03/flips", 70)
    exercise("03/all_positive", 0, 50)
    exercise("03/all_positive", 50, 0)
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == ["right", "not yet"] * 2

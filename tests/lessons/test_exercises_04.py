"""Notebook 04's exercises: the solutions are right, and every usual mistake is told by its own words."""

import numpy as np
import pytest
import torch

from sdbnn_lite.core import signs
from sdbnn_lite.lessons.exercises import exercise
from sdbnn_lite.lessons.exercises.notebook_04 import EXERCISES


def shares(y, plus=lambda y: y >= 0):
    return plus(y).double().mean(dim=[d for d in range(y.ndim) if d != 1])


def both(p):
    return signs.entropy(p.numpy()), signs.sign_difference(p.numpy())


@pytest.mark.parametrize("name", EXERCISES)
def test_the_solution_is_right(name, capsys):
    made = {}
    exec(EXERCISES[name].solution, made)
    (answer,) = [value for key, value in made.items() if key != "__builtins__"]
    exercise(f"04/{name}", *(answer if isinstance(answer, tuple) else [answer]))
    assert capsys.readouterr().out == f"right: {EXERCISES[name].right}\n"


def test_the_library_s_own_measures_are_right(capsys):
    exercise("04/channel_signs", lambda y: both(shares(y)))
    assert capsys.readouterr().out.startswith("right: ")


def nan_for_dead(y):
    p = shares(y)
    return -p * p.log2() - (1 - p) * (1 - p).log2(), 2 * p * (1 - p)


WRONG = {
    "has to get 0 bit": nan_for_dead,
    "bit; ": lambda y: both(shares(y, lambda y: y > 0)),  # sign(0)
    "one number per channel": lambda y: both((y >= 0).double().mean(dim=0)),
    "of the pairs of outputs differ": lambda y: (both(shares(y))[0], shares(y) * (1 - shares(y))),
    "it changes the outputs": lambda y: both(shares(y.sign_())),
    "Dimension out of range": lambda y: both((y >= 0).double().mean(dim=(0, 2, 3))),
}


@pytest.mark.parametrize("said", WRONG)
def test_a_wrong_measure_is_told(said, capsys):
    exercise("04/channel_signs", WRONG[said])
    printed = capsys.readouterr().out
    assert printed.startswith("not yet: ") and said in printed


def test_numbers_and_names_are_judged(capsys):
    exercise("04/seeds", 16)
    exercise("04/seeds", 15)
    exercise("04/only_the_gradient", "ede", "bnn")
    exercise("04/only_the_gradient", "sdbnn", "bnn")
    exercise("04/only_the_gradient", "bnn", ...)
    said = [line.split(":")[0] for line in capsys.readouterr().out.splitlines()]
    assert said == ["right", "not yet", "right", "not yet", "not answered yet"]
    assert 0.7 * np.sqrt(2 / 16) * 2 <= 0.5 < 0.7 * np.sqrt(2 / 15) * 2  # two standard errors


def test_outputs_of_float32_are_enough(capsys):
    def in_float32(y):
        p = shares(y).float()
        return torch.special.entr(p).add(torch.special.entr(1 - p)) / np.log(2), 2 * p * (1 - p)

    exercise("04/channel_signs", in_float32)
    assert capsys.readouterr().out.startswith("right: ")

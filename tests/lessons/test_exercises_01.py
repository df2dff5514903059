"""Exercises of 00 and 01: solutions that only look right are refused, with a word on what is wrong."""

import math

import pytest
import torch

from sdbnn_lite.core import binarize
from sdbnn_lite.lessons.exercises import exercise


def ste(backward, forward=binarize.sign):
    """An autograd.Function with this backward(x, grad)."""

    def run(ctx, grad):
        return backward(*ctx.saved_tensors, grad)

    def save(ctx, x):
        ctx.save_for_backward(x)
        return forward(x)

    return type("SignSTE", (torch.autograd.Function,), {"forward": staticmethod(save), "backward": staticmethod(run)})


RIGHT = (lambda x, g: g * (x.abs() <= 1), lambda x, g: torch.where((x >= -1) & (x <= 1), g, torch.zeros_like(g)),
         lambda x, g: g * ((x.clamp(-1, 1) == x).to(g)))  # fmt: skip
WRONG = {
    "the identity": lambda x, g: g,
    "without the edges": lambda x, g: g * (x.abs() < 1),
    "a wider clip": lambda x, g: g * (x.abs() <= 1.0005),
    "one side": lambda x, g: g * (x <= 1),
    "without the incoming gradient": lambda x, g: (x.abs() <= 1).to(x),
    "its size alone": lambda x, g: g.abs() * (x.abs() <= 1),
    "the true gradient": lambda x, g: 0 * g,
    "not at 0": lambda x, g: g * ((x.abs() <= 1) & (x != 0)),
    "a mean": lambda x, g: g.mean() * (x.abs() <= 1),
    "the polynomial": lambda x, g: g * (2 - 2 * x.abs()).clamp(min=0),
}


@pytest.mark.parametrize("backward", RIGHT)
def test_every_way_to_write_the_ste_is_right(backward, capsys):
    exercise("01/ste_backward", ste(backward))
    assert capsys.readouterr().out.startswith("right: ")


@pytest.mark.parametrize("backward", WRONG.values(), ids=WRONG)
def test_what_only_looks_like_the_ste_is_refused(backward, capsys):
    exercise("01/ste_backward", ste(backward))
    said = capsys.readouterr().out
    assert said.startswith("not yet: x = ") and "came in" in said


def test_a_changed_forward_is_named(capsys):
    exercise("01/ste_backward", ste(RIGHT[0], torch.sign))
    assert "leave forward as it is" in capsys.readouterr().out


def test_as_it_stands_in_the_notebook_it_is_not_answered(capsys):
    class SignSTE(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return binarize.sign(x)

        @staticmethod
        def backward(ctx, grad): ...

    exercise("01/ste_backward", SignSTE)
    assert capsys.readouterr().out == "not answered yet\n"


@pytest.mark.parametrize(
    "name, answers, right",
    [
        ("00/sum", (12,), True),
        ("00/sum", (150,), False),
        ("01/threshold", (48,), True),
        ("01/threshold", (0,), False),
        ("01/threshold", (400 * 0.65 * 0.7,), False),
        ("01/decay", (math.exp(-0.05),), False),
        ("01/decay", (1,), False),
        ("01/all_plus", (1, 1.0), True),
        ("01/all_plus", (1, 0.6), False),
        ("01/all_plus", (0.5, 1.0), False),
    ],
)
def test_numbers_are_judged(name, answers, right, capsys):
    exercise(name, *answers)
    assert capsys.readouterr().out.startswith("right: " if right else "not yet: ")

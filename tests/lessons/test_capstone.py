"""The capstone runs with tanh and with a constant ½; its control is the command's; its verdict is computed."""

import pandas as pd
import pytest
import torch
from own_shifts import Half, Tanh
from torch import nn

import sdbnn_lite as sd
from sdbnn_lite.core.layers import BinaryConv2d
from sdbnn_lite.errors import UsageError
from sdbnn_lite.lessons import capstone
from sdbnn_lite.lessons.exercises import exercise, find
from sdbnn_lite.lessons.patches import SIDE, cut_patches, random_overlap

COLUMNS = ["method", "seed", "epochs", "test_accuracy", "test_images", "input_before", "input_after", "input_flips",
           "entropy"]  # fmt: skip


@pytest.mark.parametrize("shift", [Half, Tanh])
def test_the_template_runs(shift):
    state = torch.random.get_rng_state()
    runs = capstone.train_own_shift(shift, seeds=(0,), epochs=1)
    assert list(runs) == COLUMNS and runs["method"].tolist() == [shift.__name__, "ede"]
    own, control = runs.to_dict("records")
    assert control["input_flips"] == 0 < own["input_flips"] and own["test_images"] == 360
    if shift is Half:
        assert own["input_after"] > own["input_before"]  # it only pushes towards +1
    assert torch.equal(torch.random.get_rng_state(), state)
    assert capstone.verdict(runs).n == (1, 1)


def test_the_control_is_what_the_command_trains(tmp_path):
    runs = capstone.train_own_shift(Half, seeds=(1,), epochs=1)
    command = sd.train("digits", tmp_path / "run", method="ede", seed=1, epochs=1, progress=False)
    assert runs["test_accuracy"].iloc[1] == command.score.top1


@pytest.mark.parametrize("seeds", [(), (0, 0), (-1,), (0.5,)])
def test_seeds_that_are_none(seeds):
    with pytest.raises(UsageError, match="seeds="):
        capstone.train_own_shift(Half, seeds=seeds, epochs=1)


def made(own, control):
    rows = [("Mine", a) for a in own] + [("ede", a) for a in control]
    return pd.DataFrame([{**dict.fromkeys(COLUMNS, 0.5), "method": m, "seed": i % len(own), "epochs": 9,
                          "test_accuracy": a, "test_images": 10_000} for i, (m, a) in enumerate(rows)])  # fmt: skip


@pytest.mark.parametrize("own, control, verdict", [
    ((0.95, 0.96, 0.97), (0.90, 0.91, 0.92), "seeds apart (by chance: 10%)"),
    ((0.90, 0.91, 0.92), (0.95, 0.96, 0.97), "seeds apart (by chance: 10%)"),
    ((0.95, 0.96, 0.90), (0.90, 0.91, 0.92), "seeds overlap"),
    ((0.951, 0.951, 0.951), (0.95, 0.95, 0.95), "within the images' noise"),
    ((0.95,), (0.90,), "one seed: may be its luck"),
])  # fmt: skip
def test_the_card_says_the_verdict(own, control, verdict, capsys):
    capstone.ClaimCard(claim="It helps.", prediction=...).fill(made(own, control))
    said = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.strip().splitlines())
    points = 100 * (sum(own) - sum(control)) / len(own)
    assert said["verdict"] == verdict and said["claim"] == "It helps." and said["predicted"] == "not written yet"
    assert said["difference"].startswith(f"{points:+.1f} points")
    assert said["Mine"].startswith(f"{100 * sum(own) / len(own):.1f}") and f"(n = {len(own)})" in said["ede"]


def test_patches_are_the_photographs_again(tmp_path):
    from PIL import Image
    photos = cut_patches(tmp_path)
    files = sorted(tmp_path.rglob("*.png"))
    assert len(files) == 2 * 26 * 40 and len([f for f in files if f.parts[-3] == "val"]) == 2 * 26 * 8
    for path in files[::97]:
        row, column = map(int, path.stem.split("-"))
        top, left = row * SIDE, column * SIDE
        part = photos[path.parent.name][top : top + SIDE, left : left + SIDE]
        assert (part == Image.open(path)).all() and (column % 5 == 4) == (path.parts[-3] == "val")


def test_patches_from_random_places_overlap():
    """About 1 - exp(-n·(2·16 - 1)² / area), for the n = 832 patches to learn from."""
    expected = 1 - torch.exp(torch.tensor(-832 * 31**2 / (412 * 625))).item()
    assert random_overlap() == pytest.approx(expected, abs=0.05)


def answered(name, answer, capsys):
    exercise(f"08/{name}", answer)
    return capsys.readouterr().out


@pytest.mark.parametrize("name, answer", [("behind_a_pool", "share_behind_pool"), ("bytes", "bytes_of_conv3"),
                                          ("centred_shift", "CentredShift")])  # fmt: skip
def test_the_solutions_are_right(name, answer, capsys):
    given = {"nn": nn, "torch": torch}
    exec(find(f"08/{name}").solution, given)
    assert answered(name, given[answer], capsys).startswith("right: ")


def test_the_centred_shift_cures_a_relu():
    given = {"nn": nn}
    exec(find("08/centred_shift").solution, given)
    torch.manual_seed(0)
    method = sd.Method("mine", "mine", activation_shift=given["CentredShift"])
    signs = BinaryConv2d(4, 2, method=method).binary_activation(torch.randn(3, 4, 8, 8).relu())
    assert (signs.mean((2, 3)).abs() < 1).all()


def shift_of(function):
    class Shift(nn.Module):
        def __init__(self, channels):
            super().__init__()

        def forward(self, a):
            return function(a)

    return Shift


@pytest.mark.parametrize("function, complaint", [
    (lambda a: a.mean((2, 3)), "off by"), (lambda a: -a.mean((0, 2, 3), keepdim=True), "a shift of shape"),
    (lambda a: -a.mean((1, 2, 3), keepdim=True), "of shape"), (lambda a: a - a.mean((2, 3), keepdim=True), "of shape"),
    (lambda a: -a.detach().mean((2, 3)), ""), (lambda a: -a.flatten(2).median(2).values, "off by"),
    (lambda a: ..., ""),
])  # fmt: skip
def test_a_wrong_shift_is_told(function, complaint, capsys):
    said = answered("centred_shift", shift_of(function), capsys)
    assert said.startswith("not yet: ") and complaint in said

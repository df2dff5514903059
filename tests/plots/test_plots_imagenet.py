"""Notebook 06's pictures, read back: the numbers are those passed in, and every text can be read."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from pictures import assert_readable
from standin import sign_rows

from sdbnn_lite.cost import imagenet_plan
from sdbnn_lite.errors import UsageError
from sdbnn_lite.plots import imagenet as imagenet_plots
from sdbnn_lite.training.recipes import get_recipe

STAGES = [get_recipe(f"imagenet-resnet18-stage{n}") for n in (1, 2)]
LAYERS = [f"layers.{s}.{b}.conv" for s in range(4) for b in range(4)]
CORES = {"decoding": [2, 4, 30], "packed": [0.3, 0.6, 4]}
HOURS = {"as fast": [80, 40, 12], "twice as slow": [160, 80, 25], "four times": [300, 150, 45]}


def made_signs(*parts):
    random = np.random.default_rng(2)
    return pd.concat([sign_rows(1, "sdbnn", random, LAYERS).assign(part=part) for part in parts], ignore_index=True)


DRAWN = {
    "recipe_chain": lambda: imagenet_plots.recipe_chain(*STAGES, "a large one", ("67.6 %", "66.5 %"), "caption"),
    "recipe_chain, bare": lambda: imagenet_plots.recipe_chain(*STAGES, "a large one"),
    "soft_targets": lambda: imagenet_plots.soft_targets(
        np.zeros((8, 8)), {"label": np.eye(10)[3], "teacher": np.full(10, 0.1), "student": np.eye(10)[5]},
        list("0123456789"), 3, "caption",
    ),
    "surrogate_gradients": lambda: imagenet_plots.surrogate_gradients(STAGES, "caption"),
    "stage_profile": lambda: imagenet_plots.stage_profile(made_signs("stage1", "stage2"), "caption"),
    "stage_profile of one": lambda: imagenet_plots.stage_profile(made_signs("stage2")),
    "plan_hours": lambda: imagenet_plots.plan_hours((1, 2, 8), HOURS, CORES, "caption"),
}  # fmt: skip


@pytest.mark.parametrize("name", DRAWN)
def test_every_text_can_be_read(drawn, name):
    assert_readable(drawn[name])


def texts(figure):
    return "\n".join(t.get_text() for ax in figure.axes for t in ax.texts)


def test_the_chain_says_what_the_recipes_say(drawn):
    said = texts(drawn["recipe_chain"])
    for part in ("activations ±1, weights real", "activations ±1, weights ±1", "256 epochs, 512 images a step",
                 "Adam, rate 0.001, straight down to 0", "loss: KL(r‖p) alone", "224×224", "light varied (0.1)",
                 "67.6 %"):  # fmt: skip
        assert part in said
    other = [dataclasses.replace(r, distill=0.9, epochs=7, schedule="cosine", jitter=0.4, lighting=0) for r in STAGES]
    said = texts(imagenet_plots.recipe_chain(*other, "x"))
    for part in ("7 epochs", "0.1·CE + 0.9·KL(r‖p)", "along a cosine to 0", "colours jittered (0.4)"):
        assert part in said
    assert "light" not in said


def test_the_stand_ins_are_those_that_train(drawn):
    x = np.array([-1.5, -0.75, -0.25, 0.0, 0.5, 0.9, 1.2])
    assert imagenet_plots.derivative(x, "polynomial") == pytest.approx(np.maximum(2 - 2 * abs(x), 0))
    assert imagenet_plots.derivative(x, "ste") == pytest.approx((abs(x) <= 1).astype(float))
    assert imagenet_plots.derivative(x, "ede", 2) == pytest.approx(2 * (1 - np.tanh(2 * x) ** 2))
    assert imagenet_plots.derivative(x, "ede", 0.1) == pytest.approx(1 - np.tanh(0.1 * x) ** 2)
    one, two = drawn["surrogate_gradients"].axes[1].lines
    assert list(two.get_xdata()[[0, -1]]) == [256, 511] and one.get_ydata()[0] == two.get_ydata()[0] == 1
    assert one.get_ydata()[128] == pytest.approx(0.5) and two.get_ydata()[-1] == pytest.approx(1 / 256)


def test_the_signs_are_those_of_the_table(drawn):
    table = made_signs("stage1", "stage2")
    top, bottom = drawn["stage_profile"].axes
    for line, part in zip(bottom.lines, ("stage1", "stage2")):
        assert line.get_ydata() == pytest.approx(table.loc[table["part"] == part, "entropy"].to_numpy())
    assert top.lines[0].get_ydata() == pytest.approx(100 * table["input_after"][:16])
    with pytest.raises(UsageError, match="neither stage1 nor stage2"):
        imagenet_plots.stage_profile(table.iloc[:0])


def test_the_plan_s_lines_are_the_numbers(drawn):
    left, right = drawn["plan_hours"].axes
    assert [list(line.get_ydata()) for line in left.lines] == list(HOURS.values())
    assert [list(line.get_ydata()) for line in right.lines] == list(CORES.values())


@pytest.mark.parametrize("slower", [0.1, 1, 100])
def test_any_plan_can_be_drawn(slower):
    hours = [imagenet_plan.hours(imagenet_plan.work_of(), imagenet_plan.assumed(slower), n) for n in imagenet_plan.GPUS]
    assert_readable(imagenet_plots.plan_hours(imagenet_plan.GPUS, {"hours": hours}, {"cores": hours}))


def test_as_many_probabilities_as_classes():
    with pytest.raises(UsageError, match="3 probabilities for 2 classes"):
        imagenet_plots.soft_targets(np.zeros((8, 8)), {"label": [1, 0, 0]}, ["a", "b"], 0)

"""Notebook 06's pictures, read back: the numbers are those passed in, and every text can be read."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from pictures import assert_readable
from standin import sign_rows

from sdbnn_lite.errors import UsageError
from sdbnn_lite.plots import imagenet as imagenet_plots
from sdbnn_lite.training.recipes import get_recipe

STAGES = [get_recipe(f"imagenet-resnet18-stage{n}") for n in (1, 2)]
LAYERS = [f"layers.{s}.{b}.conv" for s in range(4) for b in range(4)]
SILENT = pd.DataFrame({"layer": range(1, 17), "channels": 64, "one_sided": range(16), "dead": [0] * 13 + [1, 9, 15],
                       "predicted": np.linspace(0, 1, 16), "entropy": np.linspace(1, 0, 16)})  # fmt: skip


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
    "silent_channels": lambda: imagenet_plots.silent_channels(SILENT, "caption"),
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


def test_dead_channels_are_drawn_and_counted(drawn):
    top, bottom = drawn["silent_channels"].axes
    heights = [bar.get_height() for bar in top.patches]
    assert heights == pytest.approx([*(100 * SILENT["one_sided"] / 64), *(100 * SILENT["dead"] / 64)])
    assert [text.get_text() for text in top.texts] == ["1", "9", "15"]
    assert [list(line.get_ydata()) for line in bottom.lines] == [list(SILENT["predicted"]), list(SILENT["entropy"])]


def test_as_many_probabilities_as_classes():
    with pytest.raises(UsageError, match="3 probabilities for 2 classes"):
        imagenet_plots.soft_targets(np.zeros((8, 8)), {"label": [1, 0, 0]}, ["a", "b"], 0)

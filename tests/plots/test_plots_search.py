"""The picture of a search, read back from its artists: the trials are those passed in, all can be read."""

import numpy as np
import pandas as pd
import pytest
from pictures import assert_readable

from sdbnn_lite.errors import UsageError
from sdbnn_lite.plots import theme
from sdbnn_lite.plots.search import settings_tried

SCALES = {"lr": "log", "batch_size": "choices", "optimizer": "choices", "ede_t_max": "linear", "flip": "choices"}


def made_trials(states=("complete", "pruned", "failed") * 5):
    random, n = np.random.default_rng(0), len(states)
    table = pd.DataFrame({
        "state": states, "lr": 10 ** random.uniform(-3, -1.5, n), "batch_size": random.choice([64, 128, 256], n),
        "optimizer": random.choice(["sgd", "adam"], n), "ede_t_max": random.uniform(1, 10, n),
        "flip": random.choice([True, False], n), "validation_accuracy": random.uniform(0.3, 0.7, n),
    })  # fmt: skip
    return table.assign(validation_accuracy=table["validation_accuracy"].where(table["state"] != "failed"))


DRAWN = {
    "five settings": lambda: settings_tried(made_trials(), SCALES, "What was tried", "measured on\nthese"),
    "one setting": lambda: settings_tried(made_trials(("pruned", "complete")), {"lr": "log"}, "What was tried"),
    "all failed": lambda: settings_tried(made_trials(("failed",) * 3), SCALES, "What was tried"),
}


def points(ax, label):
    (found,) = [line for line in ax.lines if line.get_label() == label]
    return np.asarray(found.get_xdata()), np.asarray(found.get_ydata())


@pytest.mark.parametrize("name", DRAWN)
def test_everything_can_be_read(drawn, name):
    assert_readable(drawn[name])


def test_bytes_are_the_same_each_time(drawn):
    assert theme.svg_bytes(drawn["five settings"]) == theme.svg_bytes(DRAWN["five settings"]())


def test_every_trial_stands_at_its_setting(drawn):
    table = made_trials()
    for ax, (name, scale) in zip(drawn["five settings"].axes, SCALES.items()):
        assert ax.get_xlabel() == name and ax.get_xscale() == ("log" if scale == "log" else "linear")
        choices = sorted(table[name].unique())
        for state in ("complete", "pruned"):
            mine = table[table["state"] == state]
            x, y = points(ax, state)
            assert y == pytest.approx(100 * mine["validation_accuracy"])
            assert list(x) == list(mine[name].map(choices.index) if scale == "choices" else mine[name])
        if scale == "choices":
            assert [text.get_text() for text in ax.get_xticklabels()] == [str(choice) for choice in choices]
        assert points(ax, "the best")[1] == [100 * table[table["state"] == "complete"]["validation_accuracy"].max()]
        (hollow,) = [line for line in ax.lines if line.get_label() == "pruned"]
        assert hollow.get_markerfacecolor() == "none"


def test_nothing_to_draw_is_refused():
    for trials, scales in ((made_trials(()), SCALES), (made_trials(), {})):
        with pytest.raises(UsageError, match="at least one of both"):
            settings_tried(trials, scales, "none")

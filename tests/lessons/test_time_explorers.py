"""How long explorers take is another machine's affair; that each is timed, over all that its controls allow, is not."""

import sys

import pytest

from sdbnn_lite.errors import UsageError
from sdbnn_lite.lessons import time_explorers
from sdbnn_lite.lessons.widgets import Control


def test_every_explorer_is_measured():
    pytest.importorskip("ipywidgets")
    rows = time_explorers.bench_explorers(redraws=2)
    assert [row["explorer"] for row in rows] == list(time_explorers.explorer_modules())
    assert "sum_of_signs" in time_explorers.explorer_modules()
    for row in rows:
        assert 0 < row["p10_ms"] <= row["median_ms"] <= row["p90_ms"] < 60_000 and row["cpu_ms"] > 0
        assert row["redraws"] == 2 and row["goal_ms"] == 150 and row["met"] == (row["median_ms"] <= 150)


def test_enough_redraws():
    assert time_explorers.REDRAWS >= 20 and time_explorers.WARM_UP >= 1


def test_the_moves_change_one_control_each_within_its_range():
    controls = (
        Control("real", "real", 0.5, min=0.0, max=1.0, step=0.01),
        Control("whole", "whole", 3, min=-4, max=4, step=2),
        Control("log", "log", 1.0, min=0.001, max=10.0, step=0.1, log=True),
        Control("one_of", "one of", "a", choices=["a", ("b", 2)]),
    )
    moves = [time_explorers.move(controls, step) for step in range(24)]
    assert moves == [time_explorers.move(controls, step) for step in range(24)]
    names = [name for move in moves for name in move]
    assert names == [control.name for control in controls] * 6
    for control in controls:
        values = [move[control.name] for move in moves if control.name in move]
        assert all(control.clamp(value)[1] == "" for value in values), values
        # A slider of a few places may come back to one later, but never stays where it is.
        assert all(a != b for a, b in zip(values, values[1:])), values
    assert all(isinstance(move["whole"], int) for move in moves if "whole" in move)


def test_the_moves_of_every_explorer_are_values_that_it_allows():
    for name, module in time_explorers.explorer_modules().items():
        for step in range(time_explorers.WARM_UP + time_explorers.REDRAWS):
            ((control, value),) = time_explorers.move(module.CONTROLS, step).items()
            (known,) = [c for c in module.CONTROLS if c.name == control]
            assert known.clamp(value)[1] == "", (name, control, value)


def test_without_ipywidgets_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with pytest.raises(UsageError, match=r"pip install 'sdbnn-lite\[notebooks\]'"):
        time_explorers.bench_explorers(redraws=1)

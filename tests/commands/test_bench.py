"""``sdbnn-lite bench``: what it measures and how it tells; how long things take is another machine's affair."""

import json

import pytest
import torch

from sdbnn_lite import cli
from sdbnn_lite.commands import bench
from sdbnn_lite.errors import UsageError
from sdbnn_lite.lessons import notebook
from sdbnn_lite.lessons.widgets import Control


@pytest.fixture
def keep_threads():
    """The command sets torch's threads for its whole process, which here is pytest's."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_every_explorer_is_measured():
    pytest.importorskip("ipywidgets")
    rows = bench.bench_explorers(redraws=2)
    assert [row["explorer"] for row in rows] == list(bench.explorer_modules())
    assert "sum_of_signs" in bench.explorer_modules()
    for row in rows:
        assert 0 < row["p10_ms"] <= row["median_ms"] <= row["p90_ms"] < 60_000 and row["cpu_ms"] > 0
        assert row["redraws"] == 2 and row["goal_ms"] == 150 and row["met"] == (row["median_ms"] <= 150)


def test_enough_redraws_with_the_threads_of_the_notebooks():
    assert bench.REDRAWS >= 20 and bench.WARM_UP >= 1
    assert bench.THREADS == notebook.THREADS


def test_the_moves_change_one_control_each_within_its_range():
    controls = (
        Control("real", "real", 0.5, min=0.0, max=1.0, step=0.01),
        Control("whole", "whole", 3, min=-4, max=4, step=2),
        Control("log", "log", 1.0, min=0.001, max=10.0, step=0.1, log=True),
        Control("one_of", "one of", "a", choices=["a", ("b", 2)]),
    )
    moves = [bench.move(controls, step) for step in range(24)]
    assert moves == [bench.move(controls, step) for step in range(24)]
    names = [name for move in moves for name in move]
    assert names == [control.name for control in controls] * 6
    for control in controls:
        values = [move[control.name] for move in moves if control.name in move]
        assert all(control.clamp(value)[1] == "" for value in values), values
        # A slider of a few places may come back to one later, but never stays where it is.
        assert all(a != b for a, b in zip(values, values[1:])), values
    assert all(isinstance(move["whole"], int) for move in moves if "whole" in move)


def test_the_moves_of_every_explorer_are_values_that_it_allows():
    for name, module in bench.explorer_modules().items():
        for step in range(bench.WARM_UP + bench.REDRAWS):
            ((control, value),) = bench.move(module.CONTROLS, step).items()
            (known,) = [c for c in module.CONTROLS if c.name == control]
            assert known.clamp(value)[1] == "", (name, control, value)


def test_the_command_prints_a_table_or_json(monkeypatch, capsys, keep_threads):
    rows = [{"explorer": "a", "redraws": 24, "median_ms": 7.25, "met": True}]
    rows.append({"explorer": "long name", "redraws": 24, "median_ms": 1234.0, "met": False})
    monkeypatch.setattr(bench, "BENCHES", {"explorers": bench.Bench("Title", lambda: rows)})
    assert cli.main(["bench"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:4] == [
        "Title",
        "explorer   redraws  median_ms  met",
        "a               24        7.2  yes",
        "long name       24     1234.0   no",
    ]
    assert "2 threads" in lines[5] and f"torch {torch.__version__}" in lines[6] and "matplotlib" in lines[6]

    assert cli.main(["bench", "explorers", "--json", "--threads", "1"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert list(result) == ["machine", "explorers"] and result["explorers"] == rows
    assert result["machine"]["cpu"] and result["machine"]["threads"] == 1
    assert set(bench.PACKAGES) <= set(result["machine"]["versions"])


def test_wrong_use_is_a_line(capsys, keep_threads, monkeypatch):
    monkeypatch.setattr(bench, "describe_machine", lambda device: {"versions": {}})
    assert cli.main(["bench", "explorer"]) == 2
    said = capsys.readouterr().err
    assert "unknown measurement 'explorer': choose one of" in said and "did you mean 'explorers'" in said
    assert cli.main(["bench", "--threads", "0"]) == 2
    monkeypatch.setitem(bench.BENCHES, "none", bench.Bench("Nothing to see", list))
    assert bench.measure(["none"])["none"] == []


def test_without_ipywidgets_the_remedy_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with pytest.raises(UsageError, match=r"pip install 'sdbnn-lite\[notebooks\]'"):
        bench.bench_explorers(redraws=1)

"""``sdbnn-lite bench``: what it measures and how it tells; how long things take is another machine's affair."""

import json
from pathlib import Path

import pytest
import torch

from sdbnn_lite import cli
from sdbnn_lite.commands import bench
from sdbnn_lite.lessons import notebook
from sdbnn_lite.system.target import target


@pytest.fixture
def keep_threads():
    """The command sets torch's threads for its whole process, which here is pytest's."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_as_many_threads_as_the_notebooks():
    assert bench.THREADS == notebook.THREADS


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
    assert f"2 threads, kernels for {target().name}" in lines[5]
    assert f"torch {torch.__version__}" in lines[6] and "matplotlib" in lines[6]

    assert cli.main(["bench", "explorers", "--json", "--threads", "1"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert list(result) == ["machine", "explorers"] and result["explorers"] == rows
    assert result["machine"]["cpu"] and result["machine"]["threads"] == 1
    assert result["machine"]["kernels"] == target().name
    assert set(bench.PACKAGES) <= set(result["machine"]["versions"])


def test_beside_busy_processes(monkeypatch, capsys, keep_threads):
    """As many as were asked for, busy while it measures, gone afterwards."""
    seen = []

    def children():
        task = Path("/proc/self/task")
        return [int(pid) for path in task.glob("*/children") for pid in path.read_text().split()]

    before = children()
    monkeypatch.setattr(bench, "BENCHES", {"packed": bench.Bench("Title", lambda: seen.extend(children()) or [])})
    assert cli.main(["bench", "packed", "--beside", "2"]) == 0
    assert "beside 2 busy processes" in capsys.readouterr().out
    assert len(set(seen) - set(before)) == 2 and not set(seen) - set(before) & set(children())
    assert cli.main(["bench", "packed", "--beside", "-1"]) == 2


def test_wrong_use_is_a_line(capsys, keep_threads, monkeypatch):
    monkeypatch.setattr(bench, "describe_machine", lambda device: {"versions": {}})
    assert cli.main(["bench", "explorer"]) == 2
    said = capsys.readouterr().err
    assert "unknown measurement 'explorer': choose one of" in said and "did you mean 'explorers'" in said
    assert cli.main(["bench", "--threads", "0"]) == 2
    monkeypatch.setitem(bench.BENCHES, "none", bench.Bench("Nothing to see", list))
    assert bench.measure(["none"])["none"] == []


def test_the_roofline_is_of_one_network_and_goes_with_train(monkeypatch, capsys, keep_threads):
    seen = []
    monkeypatch.setattr(bench, "BENCHES", {"roofline": bench.Bench("Title", lambda name: seen.append(name) or [])})
    assert cli.main(["bench", "train", "--roofline"]) == cli.main(["bench", "--roofline", "digits_convnet"]) == 0
    assert seen == ["cifar10_resnet20", "digits_convnet"]
    assert cli.main(["bench", "packed", "--roofline"]) == 2
    assert "--roofline: only with `bench train`, not with packed" in capsys.readouterr().err

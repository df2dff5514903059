"""Files are written whole or not at all."""

import json
import os

import pytest

from sdbnn_lite.errors import RunError, UsageError
from sdbnn_lite.system.files import read_csv, writable_folder, write_atomic, write_csv, write_json


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "f"
    write_atomic(path, b"old")

    def fail(*args):
        raise OSError(28, "No space left on device")

    for call in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, call, fail)
            with pytest.raises(RunError, match="No space left on device.*last good one is kept"):
                write_atomic(path, b"new")
    assert path.read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == ["f"]


def test_a_path_that_cannot_be_is_said(tmp_path):
    """Also where nothing can be cleaned up after it."""
    (tmp_path / "file").write_text("old")
    for path in (tmp_path / "file" / "below", tmp_path / ("x" * 300)):
        with pytest.raises(RunError, match="can't be written .*; there is no earlier one"):
            write_atomic(path, b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_csv_and_json_come_back(tmp_path):
    rows = [{"a": 0.1 + 0.2, "b": 'x,"y"'}, {"a": 1e-300, "b": ""}]
    write_csv(tmp_path / "t.csv", rows)
    assert [{"a": float(r["a"]), "b": r["b"]} for r in read_csv(tmp_path / "t.csv")] == rows
    assert read_csv(tmp_path / "absent.csv") == []
    write_json(tmp_path / "t.json", {"ü": [1, None]})
    assert json.loads((tmp_path / "t.json").read_text(encoding="utf-8")) == {"ü": [1, None]}


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="not a folder that can be written"):
        writable_folder(tmp_path / "file" / "below")
    with pytest.raises(UsageError, match="not a folder that can be written"):
        writable_folder(tmp_path / "file")
    assert list(writable_folder(tmp_path / "new" / "deep").iterdir()) == []

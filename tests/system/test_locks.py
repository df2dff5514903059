"""One process at a time trains in a folder, and none is kept out by one that is gone."""

import os
import signal
import subprocess
import sys

import pytest
from tiny_runs import TINY

from sdbnn_lite.errors import UsageError
from sdbnn_lite.system import locks
from sdbnn_lite.system.locks import hold
from sdbnn_lite.training.train import train

pytestmark = pytest.mark.skipif(locks.fcntl is None, reason="this system can't lock files")
HOLDER = """
import os, sys, time
from pathlib import Path
from sdbnn_lite.system.locks import hold
held = hold(Path(sys.argv[1]), "")
worker = os.fork()
if worker:
    print(worker, flush=True)
time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds ``tmp_path/.lock``, and has forked a worker, as a loader does."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path / ".lock")], stdout=subprocess.PIPE)
    process.worker = int(process.stdout.readline())
    yield process
    process.kill()
    os.kill(process.worker, signal.SIGKILL)
    process.wait()
    process.stdout.close()


def test_two_cannot_train_in_one_folder(tmp_path, holder):
    """The second is refused before it changes anything, also what the first is just writing."""
    (tmp_path / ".log.csv.tmp").write_text("half a row")
    with pytest.raises(UsageError, match=f"{tmp_path}: another process is training in it; choose another --out"):
        train(TINY, tmp_path, progress=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", ".log.csv.tmp"]


def test_a_worker_that_outlives_its_killed_parent_holds_nothing(tmp_path, holder):
    """A loader's forked worker lives on for seconds after its trainer was killed; a restart must not wait for it."""
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / ".lock").exists()
    with hold(tmp_path / ".lock", "held"):
        os.kill(holder.worker, 0)  # the worker is still there
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_was_removed_meanwhile_is_made_again(tmp_path, monkeypatch):
    """Between opening and locking its holder ended and removed the file: a lock on that would keep nobody out."""
    path, lockf, calls = tmp_path / ".lock", locks.fcntl.lockf, []

    def late(file, how):
        calls.append(file)
        if len(calls) == 1:
            path.unlink()
        lockf(file, how)

    monkeypatch.setattr(locks.fcntl, "lockf", late)
    with hold(path, "held"):
        assert len(calls) == 2 and calls[0].closed and os.path.samestat(os.fstat(calls[1].fileno()), path.stat())


def test_a_lock_that_cannot_be_opened_is_named(tmp_path):
    (tmp_path / ".lock").mkdir()
    with pytest.raises(UsageError, match=f"{tmp_path}/.lock: can't be opened .*; remove it"):
        hold(tmp_path / ".lock", "held")


def test_where_files_cannot_be_locked_nothing_is_held(tmp_path, monkeypatch):
    def fails(file, how):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(locks.fcntl, "lockf", fails)
    hold(tmp_path / ".lock", "held").close()
    monkeypatch.setattr(locks, "fcntl", None)
    hold(tmp_path / "other", "held").close()
    assert not (tmp_path / "other").exists()

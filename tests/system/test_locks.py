"""One process at a time trains in a folder, and none is kept out by one that is gone."""

import errno
import os
import signal
import subprocess
import sys

import pytest
from tiny_runs import QUIET, TINY

from sdbnn_lite.errors import UsageError
from sdbnn_lite.system.locks import hold
from sdbnn_lite.training.train import train

fcntl = pytest.importorskip("fcntl", reason="Windows locks files by other means, and can't fork")
HOLDER = """
import os, sys, time
from pathlib import Path
from sdbnn_lite.system.locks import hold
held = hold(Path(sys.argv[1]), "")
worker = os.fork()
if worker:
    print(worker, flush=True)
time.sleep(300)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def holder(folder):
    """A process that holds ``folder/.lock`` and has forked a worker, as a loader does; the second test kills it."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(folder / ".lock")], stdout=subprocess.PIPE)
    process.worker = int(process.stdout.readline())
    yield process
    process.kill()
    os.kill(process.worker, signal.SIGKILL)
    process.wait()
    process.stdout.close()


def test_two_cannot_train_in_one_folder(folder, holder):
    """The second is refused before it changes anything, also what the first is just writing."""
    (folder / ".log.csv.tmp").write_text("half a row")
    with pytest.raises(UsageError, match=f"{folder}: another process is training in it; choose another --out"):
        train(TINY, folder, options=QUIET)
    assert sorted(path.name for path in folder.iterdir()) == [".lock", ".log.csv.tmp"]
    (folder / ".log.csv.tmp").unlink()


def test_a_worker_that_outlives_its_killed_parent_holds_nothing(folder, holder):
    """A loader's forked worker lives on for seconds after its trainer was killed; a restart must not wait for it."""
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (folder / ".lock").exists()
    with hold(folder / ".lock", "held"):
        os.kill(holder.worker, 0)  # the worker is still there
    assert list(folder.iterdir()) == []


def test_a_lock_that_was_removed_meanwhile_is_made_again(tmp_path, monkeypatch):
    """Between opening and locking its holder ended and removed the file: a lock on that would keep nobody out."""
    path, flock, calls = tmp_path / ".lock", fcntl.flock, []

    def late(file, how):
        calls.append(os.fstat(file).st_ino)
        if len(calls) == 1:
            path.unlink()
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with hold(path, "held"):
        assert len(calls) == 2 and calls[1] == path.stat().st_ino
        with pytest.raises(UsageError, match="held"):
            hold(path, "held")
    assert not path.exists()


def test_a_lock_that_cannot_be_opened_is_named(tmp_path):
    (tmp_path / ".lock").mkdir()
    with pytest.raises(UsageError, match=f"{tmp_path}/.lock: can't be opened .*; remove it"):
        hold(tmp_path / ".lock", "held")


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS])
def test_where_files_cannot_be_locked_nothing_is_held(tmp_path, monkeypatch, number):
    def fails(file, how):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", fails)
    with hold(tmp_path / ".lock", "held"), hold(tmp_path / ".lock", "held"):
        pass

"""A sample of ``make kills``: a training that dies while it saves goes on to the same bytes."""

import signal

import children
import pytest
from kills import Moments, train_and_die
from tiny_runs import same_run, train_tiny


@pytest.mark.parametrize("fatal", [6, 12, 31])  # a log; half of the first checkpoint; a later one not yet on the disk
def test_killed_inside_a_save(fatal, tiny_run, tmp_path):
    process = children.start(train_and_die, tmp_path / "run", fatal)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    train_tiny(tmp_path / "run")
    same_run(tiny_run, tmp_path / "run")


def test_moments_are_counted():
    moment = Moments()
    moment("one")
    moment("two")
    assert moment.names == ["one", "two"]

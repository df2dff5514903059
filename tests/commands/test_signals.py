"""What ends a command from outside: signals, and readers of its output that go. Its work is kept, and it says so."""

import os
import signal
import time

import commands
import pytest
from tiny_runs import log_of

from sdbnn_lite import cli, data
from sdbnn_lite.weights.files import CHECKPOINT, WEIGHTS, read_tensors

TRAIN = ["train", "digits", "--batch-size", 256, "--out", "r"]


def wait_for(found, process):
    deadline = time.monotonic() + 600
    while not found() and process.is_alive() and time.monotonic() < deadline:
        time.sleep(0.02)


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_saves_and_says_how_to_resume(number, code, tmp_path):
    with open(tmp_path / "out", "w+") as out, open(tmp_path / "err", "w+") as err:
        process = commands.start(tmp_path, *TRAIN, "--epochs", 400, out=out, err=err)
        wait_for((tmp_path / "r" / CHECKPOINT).exists, process)
        for _ in range(2):
            os.kill(process.pid, number)
        process.join()
        assert (process.exitcode, commands.said(err).count("Traceback")) == (code, 0)
        said = commands.said(out)
    assert "the state is saved in r. Resume it with:\n  sdbnn-lite train digits" in said and "--resume" in said
    assert read_tensors(tmp_path / "r" / CHECKPOINT)[1]["progress"]["epoch"] < 400


def test_the_bar_goes_and_the_training_stays(tmp_path):
    """stderr's reader has gone: the run ends as it does unheard, its result is said."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(tmp_path / "out", "w+") as out, os.fdopen(writer, "w") as err:
        process = commands.start(tmp_path, *TRAIN, "--epochs", 1, out=out, err=err)
        process.join()
        assert process.exitcode == 0 and "on all 360 test images" in commands.said(out)
    assert len(log_of(tmp_path / "r")) == 1


@pytest.mark.parametrize("argv", [[*TRAIN, "--epochs", 1], ["list"], ["--help"]])
def test_what_could_not_be_said_is_no_success(argv, tmp_path):
    """stdout's reader has gone: not 0, no traceback, and a training's files are whole."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as out, open(tmp_path / "err", "w+") as err:
        process = commands.start(tmp_path, *argv, out=out, err=err)
        process.join()
        said = commands.said(err)
    assert process.exitcode == 141 and "Traceback" not in said and "Exception ignored" not in said
    assert "train" not in argv or (tmp_path / "r" / WEIGHTS).exists()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device that is always full")
def test_a_full_disk_is_one_line(tmp_path):
    with open("/dev/full", "w") as out, open(tmp_path / "err", "w+") as err:
        process = commands.start(tmp_path, "list", out=out, err=err)
        process.join()
        assert process.exitcode == 1
        assert commands.said(err) == "sdbnn-lite: the output can't be written (No space left on device)\n"


def test_before_anything_is_trained_it_just_ends(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(data, "load", lambda *args, **how: signal.raise_signal(signal.SIGTERM))
    before = signal.getsignal(signal.SIGTERM)
    assert cli.main(list(map(str, TRAIN))) == 143 and signal.getsignal(signal.SIGTERM) is before
    assert capsys.readouterr().err == "sdbnn-lite train: stopped\n" and not (tmp_path / "r").exists()


def test_nohup_stays_nohup(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    load = data.load

    def hung_up(*args, **how):
        signal.raise_signal(signal.SIGHUP)
        return load(*args, **how)

    monkeypatch.setattr(data, "load", hung_up)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert cli.main([*map(str, TRAIN), "--epochs", "1", "--quiet"]) == 0
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_in_a_runs_last_epoch_stops_the_study(number, code, tmp_path, monkeypatch, capsys, interrupt_after):
    monkeypatch.chdir(tmp_path)
    interrupt_after(6, number)  # 6 batches an epoch
    study = "study digits --methods bnn,sdbnn --seeds 1 --epochs 1 --batch-size 256 --out s --quiet"
    assert cli.main(study.split()) == code and "the same command resumes" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "s").iterdir() if path.is_dir()] == ["bnn-seed0"]

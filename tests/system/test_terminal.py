"""What is said, in the letters that a terminal has, to readers that go, and how far a piece of work is."""

import io
import os
import sys

import pytest

from sdbnn_lite import cli
from sdbnn_lite.system import terminal
from sdbnn_lite.system.terminal import PLAIN, Bar, Heard, heard

ENCODINGS = ("ascii", "latin-1", "cp437", "cp850", "cp932", "cp1251")
COMMANDS = ("cost digits_convnet", "train --help", "publish --help", "search --help", "pack-images --help", "list",
            "list --json", "train digits --print-config", "train Größe")  # fmt: skip


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_terminal_shows_every_command(encoding, monkeypatch):
    for command in COMMANDS:
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict") for _ in range(2))
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        assert cli.main(command.split()) == (2 if "ö" in command else 0)
        said = out.buffer.getvalue() + err.buffer.getvalue()
        assert said and b"\\x" not in said and b"\\u2" not in said
        said.decode(encoding)


def test_what_stands_for_a_letter():
    text = "a→b ±1 8×8 n² M·KL „…“ é Σ ŵ α β √x 日 ½"
    assert text.encode("ascii", PLAIN) == b'a->b +-1 8x8 n^2 M*KL ?..." e sigma w alpha beta sqrtx ? 1/2'
    assert text.encode("utf-8", PLAIN) == text.encode()
    assert "±1 →".encode("latin-1", PLAIN) == b"\xb11 ->"  # what it has stays
    name = b"D\xc3\xbcne \xff"
    assert os.fsdecode(name).encode("utf-8", PLAIN) == name  # a file's name that isn't text


class Broken(io.StringIO):
    def write(self, text):
        raise BrokenPipeError


def test_a_reader_that_goes(monkeypatch):
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, Broken())
    with heard() as out:
        print("nobody hears this")
        print("nor this", file=sys.stderr)
    assert isinstance(out.lost, BrokenPipeError) and isinstance(sys.stdout, Broken)


def test_streams_that_are_closed_from_the_start(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    with heard() as out, Bar(3) as bar:
        print("nobody hears this")
        bar.update(3)
    assert out.lost is None


class Clock:
    now = 100.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(terminal, "time", clock)
    return clock


def test_in_a_file_a_line_now_and_then(clock, capsys):
    with Bar(40_000, "epoch 1/2", initial=4_000) as bar:
        for _ in range(36_000):  # ten hours, a step a second
            clock.now += 1
            bar.update()
            if bar.done == 22_000:
                bar.title, bar.note = "epoch 2/2", lambda: "loss 0.5"
    lines = capsys.readouterr().err.splitlines()
    assert 50 < len(lines) < 150 and all(line.isascii() and "\r" not in line for line in lines)
    assert lines[0] == "epoch 1/2:  10%, 4,030 of 40,000 steps, 0:30 gone, 9:59:30 left"
    assert lines[-1] == "epoch 2/2: 100%, 40,000 of 40,000 steps, 10:00:00 gone, loss 0.5"


def test_on_a_terminal_one_line_as_wide_as_it_is(clock, monkeypatch):
    screen = io.StringIO()
    screen.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("COLUMNS", "40")
    with Bar(3, "decoding") as bar:
        for _ in range(3):
            clock.now += 1
            bar.update()
    drawn = screen.getvalue()
    assert drawn.count("\r") == 4 and drawn.endswith("\n") and {len(line) for line in drawn.split("\r")[1:4]} == {39}


def test_nothing_at_all(capsys):
    with Bar(0, show=False) as bar:
        bar.update(0)
    with Bar(0, "sizes", "image"):  # no images
        pass
    assert capsys.readouterr() == ("", "sizes: 100%, 0 of 0 images, 0:00 gone\n")


def test_a_stream_of_another_kind_is_left_as_it_is():
    stream = io.StringIO()
    Heard(stream).write("±")
    assert stream.getvalue() == "±"

"""What a command says, whoever listens: a pipe whose reader goes, a full disk, a terminal of few letters, or none."""

import codecs
import os
import shutil
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

ASCII = dict(zip("·×±²→←…–−√≥≈½‖∞“”", "* x +- ^2 -> <- ... - - sqrt >= ~ 1/2 || inf \" \"".split()))
REDRAW, EVERY, SLOWER = 0.1, 30, 0.05  # seconds: on a terminal; in a file, at first, and as a share of the time gone
PLAIN = "sdbnn_lite.plain"


def plain(error: UnicodeError) -> tuple[str | bytes, int]:
    """What stands for a character that an encoding doesn't have (``codecs.register_error``), in ASCII letters.

    A file's name that isn't text in the system's encoding keeps its bytes.
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    char, after = error.object[error.start], error.start + 1
    if "\udc80" <= char <= "\udcff":
        return os.fsencode(char), after
    name = unicodedata.name(char, "").split()
    letter = name[-1].lower() if name[:1] == ["GREEK"] else unicodedata.normalize("NFKD", char)[0]
    return ASCII.get(char) or (letter if letter.isascii() else "?"), after


codecs.register_error(PLAIN, plain)


class Heard:
    """A text stream that outlives its reader: once it can't be written, the rest goes nowhere; ``lost`` says why."""

    def __init__(self, stream):
        self.stream, self.lost = stream, None
        with suppress(AttributeError):
            stream.reconfigure(errors=PLAIN)

    def __getattr__(self, name: str):
        found = getattr(self.stream, name)
        return partial(self._try, found) if name in ("write", "writelines", "flush") else found

    def _try(self, do: Callable, *arguments: str) -> None:
        try:
            do(*arguments)
        except OSError as error:
            self.lost = error
            with suppress(OSError), open(os.devnull, "w") as nowhere:  # else Python tries again when it ends
                os.dup2(nowhere.fileno(), self.stream.fileno())


@contextmanager
def heard() -> Iterator[Heard]:
    """Within, nothing that is said on stdout or stderr raises. Yields stdout, whose ``lost`` may be set."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (stream and Heard(stream) for stream in before)  # None: closed from the start
    out = sys.stdout or Heard(None)
    try:
        yield out
    finally:
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.flush()
        sys.stdout, sys.stderr = before


class Bar:
    """How far ``total`` units of work are, on stderr: a line drawn again and again on a terminal; elsewhere a line
    after ``EVERY`` seconds, later more seldom, and one at the end. The clock may be set meanwhile.

    ``initial``: units done before; ``show``: False says nothing. ``title`` and ``note``, a function, may be replaced.
    """

    def __init__(self, total: int, title: str = "", unit: str = "step", initial: int = 0, show: bool = True):
        self.total, self.title, self.unit, self.done, self.initial = total, title, unit, initial, initial
        self.note: Callable[[], object] = str  # "" and what else is false isn't said
        self.show = show and sys.stderr is not None
        self.terminal = self.show and sys.stderr.isatty()
        self.start = self.said = time.monotonic()

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *_: object) -> None:
        if self.show:
            self.draw(end="\n")

    def update(self, number: int = 1) -> None:
        """So many more units are done."""
        self.done += number
        now = time.monotonic()
        pause = REDRAW if self.terminal else max(EVERY, SLOWER * (now - self.start))
        if self.show and now - self.said >= pause:
            self.draw(end="" if self.terminal else "\n")

    def draw(self, end: str) -> None:
        """Say it now."""
        self.said = time.monotonic()
        gone, new = self.said - self.start, self.done - self.initial
        share = self.done / self.total if self.total else 1.0
        parts = [f"{self.title}: {share:4.0%}", f"{self.done:,} of {self.total:,} {self.unit}s", f"{_clock(gone)} gone"]
        parts += [f"{_clock(gone / new * (self.total - self.done))} left"] if 0 < new and share < 1 else []
        text = ", ".join(filter(None, [*parts, self.note()]))
        if self.terminal:
            width = shutil.get_terminal_size().columns - 1
            text = f"\r{text[:width]:<{width}}"
        print(text, end=end, file=sys.stderr, flush=True)


def _clock(seconds: float) -> str:
    """Minutes and seconds, after an hour hours too: 0:05, 1:02:03."""
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}" if minutes >= 60 else f"{minutes}:{seconds:02}"

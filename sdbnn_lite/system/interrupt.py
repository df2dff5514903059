"""Signals that ask a process to stop and wait until its state is saved; last words before SIGTERM ends it."""

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

STOPPING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
_last = [signal.SIGINT]


def stop_code() -> int:
    """The exit code of a command that a signal stopped: 130 (Ctrl-C), 143 (SIGTERM) or 129 (SIGHUP)."""
    return 128 + _last[0]


@contextmanager
def _handled(numbers: list[int], handler: Callable) -> Iterator[dict]:
    """``handler`` for these signals, but for those that are ignored (nohup). Only the main thread gets any."""
    main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in numbers if main}
    before = {number: old for number, old in before.items() if old not in (signal.SIG_IGN, None)}
    for number in before:
        signal.signal(number, handler)
    try:
        yield before
    finally:
        for number, old in before.items():
            signal.signal(number, old)


@contextmanager
def ended_politely() -> Iterator[None]:
    """Within, SIGTERM and SIGHUP raise KeyboardInterrupt, once: a lost terminal may send SIGHUP twice."""

    def on_signal(number, frame):
        for other in held:
            signal.signal(other, signal.SIG_IGN)
        _last[0] = number
        raise KeyboardInterrupt

    _last[0] = signal.SIGINT
    with _handled(STOPPING[1:], on_signal) as held:
        yield


@contextmanager
def first_interrupt_waits() -> Iterator[Callable[[], bool]]:
    """Yield a function that says whether Ctrl-C was pressed, or SIGTERM or SIGHUP came.

    The first signal only sets that; Ctrl-C after it raises. Afterwards SIGTERM and SIGHUP end the process, unless
    someone handles them. Elsewhere than in the main thread all stays as it was.
    """
    came: list[int] = []

    def on_signal(number, frame):
        if came and number == signal.SIGINT:
            raise KeyboardInterrupt
        came.append(number)
        _last[0] = came[0]

    with _handled(STOPPING, on_signal) as before:
        yield lambda: bool(came)
    if came and before[came[0]] == signal.SIG_DFL:
        signal.raise_signal(came[0])


@contextmanager
def last_words(say: Callable[[], str]):
    """Inside, SIGTERM ends the process at once, as ever, but after ``say()`` was written to stderr.

    Python runs its handlers between two of its own instructions, and a process that waits for another one may wait in
    C++. So a thread listens to the socket to which the signal's number is written when it comes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    listener, speaker = socket.socketpair()
    speaker.setblocking(False)

    def listen() -> None:
        while numbers := listener.recv(16):
            if signal.SIGTERM in numbers:
                print(say(), file=sys.stderr, flush=True)
                os._exit(128 + signal.SIGTERM)
        listener.close()

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    fd = signal.set_wakeup_fd(speaker.fileno(), warn_on_full_buffer=False)
    before = signal.signal(signal.SIGTERM, lambda number, frame: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.set_wakeup_fd(fd)
        speaker.close()
        thread.join()

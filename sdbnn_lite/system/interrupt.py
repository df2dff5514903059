"""Ctrl-C that waits until the state can be saved; last words before SIGTERM ends the process."""

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import contextmanager


@contextmanager
def first_interrupt_waits():
    """Yield a function that says whether Ctrl-C was pressed. The first press only sets that; the second one raises.

    Only the main thread gets signals; elsewhere Ctrl-C stays what it was.
    """
    pressed = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield pressed.is_set
        return

    def on_interrupt(number, frame):
        if pressed.is_set():
            raise KeyboardInterrupt
        pressed.set()

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, before)


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

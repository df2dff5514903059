"""Ctrl-C that waits until the state can be saved."""

import signal
import threading
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

"""Last words before SIGTERM, also of a process that waits in C++; nothing is changed once they aren't needed."""

import signal
import subprocess
import sys
import threading

import pytest

from sdbnn_lite.system.interrupt import last_words

WAITS = """
import ctypes
from sdbnn_lite.system.interrupt import last_words
threads, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(64)
with last_words(lambda: "these are they"):
    threads.pthread_mutex_lock(mutex)
    print("waits", flush=True)
    threads.pthread_mutex_lock(mutex)  # for ever, and no signal wakes it
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's mutex of 64 bytes")
def test_they_are_said_while_python_cannot_run_a_handler():
    process = subprocess.Popen([sys.executable, "-c", WAITS], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "waits\n"
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=600)
    finally:
        process.kill()
    assert said == "these are they\n" and process.returncode == 128 + signal.SIGTERM


def test_afterwards_all_is_as_it_was():
    before, threads = signal.getsignal(signal.SIGTERM), threading.active_count()
    with pytest.raises(ZeroDivisionError), last_words(lambda: "never"):
        assert signal.getsignal(signal.SIGTERM) is not before
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGTERM) is before and threading.active_count() == threads
    assert signal.set_wakeup_fd(-1) == -1


def test_elsewhere_than_in_the_main_thread_nothing_is_done():
    found = []

    def work():
        with last_words(lambda: "never"):
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [signal.getsignal(signal.SIGTERM)]

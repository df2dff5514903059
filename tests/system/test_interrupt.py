"""Signals that wait for a save; last words before SIGTERM, also of a process that waits in C++; all is put back."""

import signal
import subprocess
import sys
import threading

import pytest

from sdbnn_lite.system.interrupt import STOPPING, ended_politely, first_interrupt_waits, last_words, stop_code

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


@pytest.mark.parametrize("number", [n for n in STOPPING if n != signal.SIGINT])
def test_a_signal_waits_and_only_ctrl_c_insists(number):
    before = [signal.getsignal(n) for n in STOPPING]
    with ended_politely():
        with first_interrupt_waits() as stop:
            assert not stop() and stop_code() == 130
            for _ in range(2):
                signal.raise_signal(number)
            assert stop() and stop_code() == 128 + number
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):  # while nothing has to be saved it ends at once
            signal.raise_signal(number)
        signal.raise_signal(number)  # the same again changes nothing
    assert [signal.getsignal(n) for n in STOPPING] == before

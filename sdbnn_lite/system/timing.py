"""Fair comparisons of speed: all variants interleaved in one process, and ratios taken round by round."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

TURN = 0.05  # seconds: longer than the other variant's OpenMP threads wait actively and take a core meanwhile


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """Inside, ``count`` other processes keep a core busy each; they end with this block, or with this process."""
    code = "import os\nparent = os.getppid()\nwhile os.getppid() == parent: pass"
    others = []
    try:
        others += (subprocess.Popen([sys.executable, "-S", "-c", code]) for _ in range(count))
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def interleaved(variants: Mapping[str, Callable[[], Any]], rounds: int, warm_up: int,
                at_least: int = 1) -> dict[str, np.ndarray]:  # fmt: skip
    """Milliseconds of every variant, one number a round, the first ``warm_up`` rounds left out.

    In each round a variant runs as often as fills ``TURN``, but ``at_least`` so often, and counts with the median: with
    3 that is a run whose caches and threads are its own.
    """
    times = [[1000 * _turn(run, at_least) for run in variants.values()] for _ in range(warm_up + rounds)]
    return dict(zip(variants, np.array(times[warm_up:]).T))


def _turn(run: Callable[[], Any], at_least: int) -> float:
    begin, seconds = time.perf_counter(), []
    while len(seconds) < at_least or time.perf_counter() - begin < TURN:
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


def ratio(slow: np.ndarray, fast: np.ndarray, digits: int = 1) -> str:
    """Median (10th-90th percentile) of the rounds' ratios."""
    low, middle, high = np.percentile(slow / fast, (10, 50, 90))
    return f"{middle:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"

"""Fair comparisons of speed: both sides in one process, in turn, and ratios taken round by round."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

TURN = 0.05  # seconds: longer than OpenMP's threads of the other side wait actively and take a core meanwhile


def interleaved(
    ways: Mapping[str, Callable[[], Any]], rounds: int, warm_up: int, at_least: int = 1
) -> dict[str, np.ndarray]:
    """Milliseconds of every way, one number a round, the first ``warm_up`` rounds left out.

    A way's turn in a round is as many runs as fill ``TURN``, ``at_least`` so many, and counts as their median: with 3
    it is a run whose caches and threads are its own.
    """
    times: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(warm_up + rounds):
        for way, run in ways.items():
            times[way].append(1000 * _turn(run, at_least))
    return {way: np.array(values[warm_up:]) for way, values in times.items()}


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

"""Fair comparisons of speed: both sides in one process, in turn, and ratios taken round by round."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np


def interleaved(ways: Mapping[str, Callable[[], Any]], rounds: int, warm_up: int) -> dict[str, np.ndarray]:
    """Milliseconds of every way, one number a round, the first ``warm_up`` rounds left out."""
    times: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(warm_up + rounds):
        for way, run in ways.items():
            start = time.perf_counter()
            run()
            times[way].append(1000 * (time.perf_counter() - start))
    return {way: np.array(values[warm_up:]) for way, values in times.items()}


def ratio(slow: np.ndarray, fast: np.ndarray, digits: int = 1) -> str:
    """Median (10th-90th percentile) of the rounds' ratios."""
    low, middle, high = np.percentile(slow / fast, (10, 50, 90))
    return f"{middle:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"

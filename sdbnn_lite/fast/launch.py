"""Kernels on several threads: each takes a share of the units of work, and none spins while it waits for another.

Compiled for one thread, a kernel takes half the time that numba's ``parallel=True`` takes, and its loops stay vectors.
"""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numba
import numpy as np
import torch

from .tiles import options

PIECE = 2**19  # bytes of arrays that are worth a thread


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1024)  # as many as are needed at once


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # its threads stay behind


class Kernel:
    """``run(begin, end, *arguments)``, compiled, does the units begin … end - 1; a call does ``units(*arguments)``.

    Units never write to the same place, so that no result depends on torch's number of threads, which share them.
    """

    watch: Callable[[str, float, list[np.ndarray]], None] | None = None  # name, CPU seconds, arrays

    def __init__(self, run: Callable[..., None], units: Callable[..., int]):
        self.name, self.run, self.units = run.__name__, numba.njit(**options)(run), units

    def __call__(self, *arguments: Any) -> None:
        units, threads = self.units(*arguments), torch.get_num_threads()
        if threads == 1 and Kernel.watch is None:
            return self.run(0, units, *arguments)
        start, arrays = time.process_time(), [a for a in arguments if isinstance(a, np.ndarray)]
        parts = max(1, min(threads, units, sum(a.nbytes for a in arrays) // PIECE))
        ends = [units * part // parts for part in range(parts + 1)]
        others = [_pool().submit(self.run, *ends[i : i + 2], *arguments) for i in range(1, parts)]
        self.run(0, ends[1], *arguments)
        for other in others:
            other.result()
        if Kernel.watch is not None:
            Kernel.watch(self.name, time.process_time() - start, arrays)


def kernel(units: Callable[..., int]) -> Callable[[Callable[..., None]], Kernel]:
    """Decorates a :class:`Kernel`'s ``run``; ``units`` gets the arguments that follow begin and end."""
    return lambda run: Kernel(run, units)

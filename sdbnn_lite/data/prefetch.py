"""Work for threads, in order: batches made ahead of time, and one call for each of many items.

Threads, not processes: PIL lets go of the interpreter's lock while it decodes and resizes, every thread writes into the
batch's own memory (which a GPU can fetch by itself, "pinned"), and no process is forked from one that holds a GPU.
`sdbnn-lite bench data` measures it beside torchvision's usual loader of processes.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from ..errors import UsageError
from ..system.terminal import Bar

Item = TypeVar("Item")
Made = TypeVar("Made")
Failures = list[tuple[int, UsageError]]  # place in the batch, why
CHUNK = 8  # images that one thread makes in a go
AHEAD = 3  # chunks for each thread, in batches after the one that is waited for


class Batch(NamedTuple):
    """One batch as it comes: ``part`` of the epoch's places, uint8 (n, size, size, 3), and what couldn't be read."""

    part: slice
    pixels: Tensor
    failed: Failures


def prefetch(slices: Iterable[slice], make: Callable[[int], np.ndarray], size: int, workers: int,
             pinned: bool = False) -> Iterator[Batch]:  # fmt: skip
    """The batches ``slices``, whose image at place i is ``make(i)``, uint8 (size, size, 3).

    ``workers`` threads make them while the caller works on earlier ones; at most as many batches wait as keep every
    thread busy. With 0 workers each batch is made when it is asked for. A UsageError of ``make`` is handed on.
    """
    pool = ThreadPoolExecutor(workers, "images") if workers else None
    waiting: deque[tuple[slice, Tensor, list[Callable[[], Failures]]]] = deque()
    ahead = 0  # images in batches that wait
    try:
        for part in slices:
            number = part.stop - part.start
            pixels = torch.empty((number, size, size, 3), dtype=torch.uint8, pin_memory=pinned)
            chunks = [range(at, min(at + CHUNK, number)) for at in range(0, number, CHUNK)]
            jobs = [partial(_fill, pixels.numpy(), part.start, chunk, make) for chunk in chunks]
            waiting.append((part, pixels, [pool.submit(job).result if pool else job for job in jobs]))
            ahead += number
            while waiting and ahead - len(waiting[0][1]) >= AHEAD * CHUNK * workers:
                ahead -= len(waiting[0][1])
                yield _done(*waiting.popleft())
        while waiting:
            yield _done(*waiting.popleft())
    finally:
        if pool:
            pool.shutdown(wait=True, cancel_futures=True)


def _done(part: slice, pixels: Tensor, jobs: list[Callable[[], Failures]]) -> Batch:
    return Batch(part, pixels, [failure for job in jobs for failure in job()])


def _fill(pixels: np.ndarray, first: int, chunk: range, make: Callable[[int], np.ndarray]) -> Failures:
    failed = []
    for at in chunk:
        try:
            pixels[at] = make(first + at)
        except UsageError as error:
            failed.append((at, error))
    return failed


def in_threads(one: Callable[[Item], Made], items: Sequence[Item], workers: int, chunk: int,
               bar: Bar) -> Iterator[Made]:  # fmt: skip
    """``one(item)`` for every item, in order, by ``workers`` threads that take ``chunk`` items at a time.

    For small images, passing the interpreter's lock to and fro would cost more than decoding them one by one.
    """
    chunks = [items[at : at + chunk] for at in range(0, len(items), chunk)]
    pool = ThreadPoolExecutor(max(1, workers))
    try:
        for results in pool.map(lambda several: [one(item) for item in several], chunks):
            yield from results
            bar.update(len(results))
    finally:  # an error cancels what hasn't started
        pool.shutdown(cancel_futures=True)

"""Work for several threads: a batch split into one shard per thread, or one kernel that they share.

Threads that meet after every layer wait for the slowest of them every time. Shards, each computed alone from the first
layer to the last, wait for nothing until the end.
"""

import os
import threading
from _thread import start_new_thread
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import torch
from torch import Tensor

_PROCESS, _THIS = os.getpid(), threading.local()


def threads() -> int:
    """How many may compute for this one: as many as torch has, or had before :func:`one_torch_thread`."""
    return getattr(_THIS, "threads", 0) or torch.get_num_threads()


@contextmanager
def one_torch_thread(quiet: bool = True) -> Iterator[None]:
    """Inside, where ``quiet`` or in a forked process, in which torch would wait for ever for its other threads, torch
    computes with one. The others spin for some milliseconds after each of torch's own operations, on cores that
    kernels need, or other programs."""
    before, were = torch.get_num_threads(), getattr(_THIS, "threads", 0)
    if before > 1 and (quiet or os.getpid() != _PROCESS):
        _THIS.threads = before
        torch.set_num_threads(1)
    try:
        yield
    finally:
        _THIS.threads = were
        torch.set_num_threads(before)


def together(worth: int, kernel: Callable, *args: object) -> None:
    """kernel(*args), which takes its parts by ``llvm.shared``, with as many of torch's threads as the work is worth.

    None waits for one that has no core, unless for the part that it has taken, and this one computes alone what the
    others don't come to.
    """
    for _ in range(min(threads(), worth) - 1):  # none is waited for to begin
        with suppress(RuntimeError):  # as many threads as this system allows
            start_new_thread(kernel, args)
    kernel(*args)


def in_shards(compute: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """``compute`` of as many equal shards of ``images`` (N, ...) as torch has threads, at once, concatenated along N.

    Within ``compute`` torch has one thread, and no gradient is kept. An exception in a shard is raised here.
    """
    count = threads()

    def alone(shard: Tensor) -> Tensor:
        torch.set_num_threads(1)
        _THIS.threads = 1
        with torch.no_grad():  # holds for this thread only, as the number of threads does
            return compute(shard)

    try:
        with ThreadPoolExecutor(count - 1) as others:
            first, *rest = images.tensor_split(count)
            found = [others.submit(alone, shard) for shard in rest]
            return torch.cat([alone(first), *(shard.result() for shard in found)])
    finally:
        _THIS.threads = 0
        torch.set_num_threads(count)  # this thread's, and what threads that are started later begin with

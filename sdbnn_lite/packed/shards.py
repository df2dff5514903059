"""Work for several threads: a batch split into one shard per thread, or one kernel that they share.

Threads that meet after every layer wait for the slowest of them every time. Shards, each computed alone from the first
layer to the last, wait for nothing until the end.
"""

from _thread import start_new_thread
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import torch
from torch import Tensor

PRODUCTS_A_THREAD = 200_000_000  # about a millisecond of one thread's work


def together(products: int, kernel: Callable, *args: object) -> None:
    """kernel(*args), which takes its parts one by one, with as many of torch's threads as ``products`` are worth.

    None waits for one that has no core, unless for the part that it has taken, and this one computes alone what the
    others don't come to.
    """
    for _ in range(min(torch.get_num_threads(), products // PRODUCTS_A_THREAD) - 1):  # none is waited for to begin
        with suppress(RuntimeError):  # as many threads as this system allows
            start_new_thread(kernel, args)
    kernel(*args)


def in_shards(compute: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """``compute`` of as many equal shards of ``images`` (N, ...) as torch has threads, at once, concatenated along N.

    Within ``compute`` torch has one thread, and no gradient is kept. An exception in a shard is raised here.
    """
    threads = torch.get_num_threads()

    def alone(shard: Tensor) -> Tensor:
        torch.set_num_threads(1)
        with torch.no_grad():  # holds for this thread only, as the number of threads does
            return compute(shard)

    try:
        with ThreadPoolExecutor(threads - 1) as others:
            first, *rest = images.tensor_split(threads)
            found = [others.submit(alone, shard) for shard in rest]
            return torch.cat([alone(first), *(shard.result() for shard in found)])
    finally:
        torch.set_num_threads(threads)  # this thread's, and what threads that are started later begin with

"""A batch split into one shard per thread, each computed alone from the first layer to the last.

Threads that meet after every layer wait for the slowest of them every time, and torch's and numba's own threads keep
the cores from each other between two of their layers. Shards wait for nothing until the end.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor


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

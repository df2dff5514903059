"""A batch's images shared among threads, each of which computes its part alone, from the first layer to the last.

Threads that meet after every layer wait for the slowest of them every time, and torch's and numba's own threads, idle
between two of their layers, keep the cores from each other for a while. Neither is so where no part waits for another.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor


def in_shares(compute: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """``compute`` of as many equal parts of ``images`` (N, ...) as torch has threads, at once, one after another in N.

    Within ``compute`` torch has one thread, and no gradient is kept. An exception of a part is raised here.
    """
    threads = torch.get_num_threads()

    def alone(part: Tensor) -> Tensor:
        torch.set_num_threads(1)
        with torch.no_grad():  # a thread's own affair, as the number of threads is
            return compute(part)

    try:
        with ThreadPoolExecutor(threads - 1) as others:
            first, *parts = images.tensor_split(threads)
            found = [others.submit(alone, part) for part in parts]
            return torch.cat([alone(first), *(part.result() for part in found)])
    finally:
        torch.set_num_threads(threads)  # this thread's, and what threads that begin later start from

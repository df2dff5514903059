"""The step's kernels on several threads: those that call one with the same arrays share its parts."""

import time
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import torch

from ..system.threads import threads, together
from .tiles import options

PIECE = 2**19  # bytes of arrays that are worth a thread


class Kernel:
    """Compiles ``run(*arguments, state)``, which takes its parts by ``llvm.shared``. A call gives arrays, or tensors.

    Parts never write to the same place, so that no result depends on torch's number of threads, which share them.
    """

    watch: Callable[[str, float, list[np.ndarray]], None] | None = None  # name, CPU seconds, arrays

    def __init__(self, run: Callable[..., None]):
        self.name, self.run = run.__name__, numba.njit(**options)(run)

    def __call__(self, *arguments: Any) -> None:
        given = [a.numpy() if type(a) is torch.Tensor else a for a in arguments]  # isinstance takes longer
        start, arrays = time.process_time(), [a for a in given if type(a) is np.ndarray]
        worth = sum(a.nbytes for a in arrays) // PIECE if threads() > 1 else 1
        together(worth, self.run, *given, np.zeros(2, np.int64))
        if Kernel.watch is not None:
            Kernel.watch(self.name, time.process_time() - start, arrays)

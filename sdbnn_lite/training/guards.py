"""What stops a run: a loss or a weight that isn't finite, a GPU that is full. Each says what to try."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from ..errors import RunError

OutOfMemory = getattr(torch, "OutOfMemoryError", torch.cuda.OutOfMemoryError)  # the short name is newer than torch 2.4

REMEDY = "start again with a smaller --lr, or another --seed"


def check_loss(loss: float, where: str, lr: float, kept: str) -> None:
    """Raise RunError unless ``loss`` is finite. ``where`` names epoch and step, ``kept`` what is on the disk."""
    if not math.isfinite(loss):
        raise RunError(f"the loss became {loss} in {where} (lr {lr:.4g}); {kept}; {REMEDY}")


def check_weights(net: nn.Module, where: str, lr: float, kept: str) -> None:
    """Raise RunError, naming the first culprit, unless every parameter and buffer is finite.

    A finite loss doesn't tell: its gradients may have overflowed in the last step, and a binary layer hides NaN, whose
    sign it takes for -1. One pass over the tensors and, on a GPU, one wait.
    """
    named = [(name, t) for name, t in net.state_dict().items() if t.is_floating_point()]
    finite = torch.stack([t.isfinite().all() for _, t in named]).tolist()
    if not all(finite):
        name = named[finite.index(False)][0]
        raise RunError(f"{name} is no longer finite in {where} (lr {lr:.4g}); {kept}; {REMEDY}")


@contextmanager
def enough_memory(doing: str, remedy: str, kept: str) -> Iterator[None]:
    """Turn torch's out-of-memory error into a RunError that says what was being done, and what to try."""
    try:
        yield
    except OutOfMemory as error:
        reason = str(error).partition("\n")[0]
        raise RunError(f"the GPU's memory ran out {doing}; {remedy}; {kept} ({reason[:200]})") from error


def smaller_batch(batch_size: int) -> str:
    """The remedy where a training step doesn't fit: half the batch."""
    if batch_size < 4:
        return "it doesn't fit with any batch; use --device cpu"
    return f"start again with --batch-size {batch_size // 2} (or free the memory that other programs hold)"

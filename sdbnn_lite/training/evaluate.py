"""Score a network on all test images."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data.in_memory import ImageSet
from ..data.streamed import StreamedImageSet
from ..errors import UsageError
from ..system.machine import convolutions


@dataclass(frozen=True)
class Score:
    """Mean cross-entropy, shares of test images whose class is the first / among the first five, and their number."""

    loss: float
    top1: float
    top5: float
    images: int


def evaluate(
    net: nn.Module,
    images: ImageSet | StreamedImageSet,
    batch_size: int = 500,
    forward: Callable[[Tensor], Tensor] | None = None,
) -> Score:
    """Run *all* test images, in order, nothing dropped, through ``net`` in evaluation mode; its mode stays as it was.

    ``forward`` (default: ``net`` itself) is another way to compute the same network's logits, such as a fast path. On
    a GPU the real-valued convolutions are computed in float32, without TF32, as on the CPU.
    Raises UsageError where the network has another number of classes than the set.
    """
    loss, first, five, seen = 0.0, 0, 0, 0
    for logits, y in answers(net, images, batch_size, forward):
        hits = hits_of(logits, y)
        loss += F.cross_entropy(logits, y, reduction="sum").item()
        first += hits[:, 0].sum().item()
        five += hits.sum().item()
        seen += len(y)
    return Score(loss / seen, first / seen, five / seen, seen)


def hits_of(logits: Tensor, labels: Tensor) -> Tensor:
    """bool (N, 5): is the image's class the network's first, second … fifth choice? (Fewer with fewer classes.)"""
    return logits.topk(min(5, logits.shape[1]), dim=1).indices == labels[:, None]


@torch.no_grad()
def answers(
    net: nn.Module,
    images: ImageSet | StreamedImageSet,
    batch_size: int = 500,
    forward: Callable[[Tensor], Tensor] | None = None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Logits (N, classes) and labels (N,) of every test batch, as :func:`evaluate` describes."""
    was_training = net.training
    net.eval()
    device = next(net.parameters()).device
    try:
        for x, y in images.test_batches(batch_size):
            x, y = x.to(device), y.to(device)
            with convolutions(tf32=False):
                logits = (forward or net)(x)
            if logits.shape[1] != images.num_classes:
                raise UsageError(f"net: {logits.shape[1]} classes, but {images.label} has {images.num_classes}")
            yield logits, y
    finally:
        net.train(was_training)

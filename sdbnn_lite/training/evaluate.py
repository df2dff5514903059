"""Score a network on all test images, and on those of each class."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data.in_memory import ImageSet
from ..data.streamed import StreamedImageSet
from ..errors import UsageError
from ..system.devices import convolutions

Images = ImageSet | StreamedImageSet
Forward = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Score:
    """Mean cross-entropy in nats, shares of test images whose class is the first / among the first five, and n."""

    loss: float
    top1: float
    top5: float
    images: int


@dataclass(frozen=True)
class ClassScore:
    """Test images of one class, and the shares of them whose class is the first / among the first five choices."""

    name: str
    images: int
    top1: float
    top5: float


def evaluate(net: nn.Module, images: Images, batch_size: int = 500, forward: Forward | None = None) -> Score:
    """The score of *all* test images: what :func:`score_classes` gives first."""
    return score_classes(net, images, batch_size, forward)[0]


def score_classes(net: nn.Module, images: Images, batch_size: int = 500,
                  forward: Forward | None = None) -> tuple[Score, list[ClassScore]]:  # fmt: skip
    """The score of all test images and that of each class, in one pass. Arguments and errors: see :func:`predict`.

    top-1 of class c = #{i: y_i = c, argmax of the logits = c} / #{i: y_i = c}       (a class's recall)
    """
    counts = torch.zeros(images.num_classes, 3, dtype=torch.int64)  # images, first choice, among five
    loss = 0.0
    for logits, y in predict(net, images, batch_size, forward):
        hits = logits.topk(min(5, logits.shape[1]), dim=1).indices == y[:, None]  # is it the first, second … choice?
        loss += F.cross_entropy(logits, y, reduction="sum").item()
        each = torch.stack([torch.ones_like(y), hits[:, 0].long(), hits.any(1).long()], 1)
        counts.index_add_(0, y.cpu(), each.cpu())
    named = zip(images.classes, counts.tolist())
    rows = [ClassScore(name, n, first / max(n, 1), five / max(n, 1)) for name, (n, first, five) in named]
    seen, first, five = counts.sum(0).tolist()
    return Score(loss / seen, first / seen, five / seen, seen), rows


@torch.no_grad()
def predict(net: nn.Module, images: Images, batch_size: int = 500,
            forward: Forward | None = None) -> Iterator[tuple[Tensor, Tensor]]:  # fmt: skip
    """Logits (N, classes) and labels (N,) of every test batch, in order; ``net`` in evaluation mode meanwhile.

    ``forward`` (default: ``net`` itself) is another implementation of the same network's logits, such as a fast path.
    On a GPU the real-valued convolutions are computed in float32, without TF32, as on the CPU.
    Raises UsageError where the network has another number of classes than the set.
    """
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

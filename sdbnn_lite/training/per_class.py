"""The score of every class, beside that of all test images."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data.in_memory import ImageSet
from ..data.streamed import StreamedImageSet
from .evaluate import Score, answers, hits_of


@dataclass(frozen=True)
class ClassScore:
    """Test images of one class, and the shares of them whose class is the first / among the first five choices."""

    name: str
    images: int
    top1: float
    top5: float


def score_classes(
    net: nn.Module,
    images: ImageSet | StreamedImageSet,
    batch_size: int = 500,
    forward: Callable[[Tensor], Tensor] | None = None,
) -> tuple[Score, list[ClassScore]]:
    """As :func:`evaluate.evaluate`, in one pass: the score of all test images and that of each class, in order.

        top-1 of class c = #{i: y_i = c, argmax of the logits = c} / #{i: y_i = c}       (a class's recall)

    Their mean, weighted by the numbers of images, is the score of all.
    """
    counts = torch.zeros(images.num_classes, 3, dtype=torch.int64)  # images, first choice, among five
    loss = 0.0
    for logits, y in answers(net, images, batch_size, forward):
        hits = hits_of(logits, y)
        loss += F.cross_entropy(logits, y, reduction="sum").item()
        each = torch.stack([torch.ones_like(y), hits[:, 0].long(), hits.any(1).long()], 1)
        counts.index_add_(0, y.cpu(), each.cpu())
    rows = [
        ClassScore(name, n, first / max(n, 1), five / max(n, 1))
        for name, (n, first, five) in zip(images.classes, counts.tolist())
    ]
    seen, first, five = counts.sum(0).tolist()
    return Score(loss / seen, first / seen, five / seen, seen), rows


def as_table(rows: list[ClassScore]) -> str:
    """Aligned text, a class a line."""
    width = max(len("class"), *(len(row.name) for row in rows))
    lines = [f"{row.name:<{width}}  {row.images:>6,}  {100 * row.top1:>7.2f}  {100 * row.top5:>7.2f}" for row in rows]
    return "\n".join([f"{'class':<{width}}  images  top-1 %  top-5 %", *lines])

"""What training minimises: cross-entropy, with smoothed targets or a teacher's where the recipe says so.

    CE  = -Σ_c q_c log p_c          q = (1-ε)·onehot(y) + ε/classes,  p = softmax(logits)
    KL  =  Σ_c r_c (log r_c - log p_c)          r = softmax(teacher's logits)
    loss = (1-m)·CE + m·KL(teacher‖student)

Both are means over the batch. Smoothing: Szegedy et al. 2016; distillation: Hinton et al. 2015, at temperature 1 (no
softening, so no factor T² either), which is what the distributional loss of ReActNet (Liu et al. 2020) is too.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


def divergence(logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """KL(teacher‖student) of logits (N, classes) each: a scalar, in nats; >= 0, and 0 where the two agree.

    The teacher's get no gradient; d/dlogits = (p - r)/N.
    """
    target = F.log_softmax(teacher_logits.detach(), dim=1)
    return F.kl_div(F.log_softmax(logits, dim=1), target, reduction="batchmean", log_target=True)


@dataclass(frozen=True)
class TrainingLoss:
    """``loss(logits, images, labels)``, a scalar in nats, of logits (N, classes) and labels int64 (N,).

    m is ``distill``, ε is ``smoothing``. ``teacher`` maps images (N, C, H, W) to logits; it sees the same augmented
    images as the student, and is asked only where m > 0.
    """

    smoothing: float = 0.0
    distill: float = 0.0
    teacher: Callable[[Tensor], Tensor] | None = None

    def __call__(self, logits: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        loss = F.cross_entropy(logits, labels, label_smoothing=self.smoothing)
        if self.distill == 0:
            return loss
        with torch.no_grad():
            teacher_logits = self.teacher(images)  # type: ignore[misc]  # where m > 0 there is one
        return (1 - self.distill) * loss + self.distill * divergence(logits, teacher_logits)

"""Notebook 06: distillation, by hand and in code."""

import math

import torch

from . import Exercise


def _independent(logits: torch.Tensor, teacher: torch.Tensor, labels: torch.Tensor,
                 m: float) -> tuple[float, torch.Tensor]:  # fmt: skip
    """The loss, image by image in plain Python, and its gradient by the formula (1-m)·(p - q)/N + m·(p - r)/N."""
    total, gradient = 0.0, torch.zeros_like(logits)
    for i, label in enumerate(labels.tolist()):
        exponents = [[math.exp(v - max(row)) for v in row] for row in (logits[i].tolist(), teacher[i].tolist())]
        p, r = ([e / sum(row) for e in row] for row in exponents)
        kl = sum(rc * math.log(rc / pc) for rc, pc in zip(r, p) if rc > 0)
        total += (1 - m) * -math.log(p[label]) + m * kl
        for c, (pc, rc) in enumerate(zip(p, r)):
            gradient[i, c] = ((1 - m) * (pc - (c == label)) + m * (pc - rc)) / len(labels)
    return total / len(labels), gradient


def _distills(loss) -> bool:
    draw = torch.Generator().manual_seed(0)
    for images, classes, sure in ((1, 2, 1), (5, 3, 1), (16, 10, 3), (4, 10, 400)):
        logits = torch.randn(images, classes, generator=draw, dtype=torch.float64)
        teacher = sure * torch.randn(images, classes, generator=draw, dtype=torch.float64)
        labels = torch.randint(classes, (images,), generator=draw)
        for m in (0.0, 0.3, 1.0):
            free = logits.clone().requires_grad_()
            value = loss(free, teacher, labels, m)
            assert value.shape == (), f"one number is asked for, not a tensor of shape {tuple(value.shape)}"
            (gradient,) = torch.autograd.grad(value, free)
            expected, slope = _independent(logits, teacher, labels, m)
            found, case = float(value.detach()), f"{images} images, {classes} classes, m = {m:g}"
            case += ", a teacher with probabilities of 0" * (sure > 9)
            assert math.isclose(found, expected, rel_tol=1e-6, abs_tol=1e-9), f"{case}: {found:.4g}, not {expected:.4g}"
            assert torch.allclose(gradient, slope, atol=1e-8), f"{case}: the value is right, its gradient isn't"
    return True


EXERCISES = {
    "loss": Exercise(
        test=lambda loss: abs(loss - (0.5 * math.log(2) + 0.5 * (0.9 * math.log(1.8) + 0.1 * math.log(0.2)))) < 0.006,
        right="KL is smaller than CE, since the teacher isn't sure either.",
        hint="compute CE, then KL, with natural logarithms, and take half of each.",
        solution="from math import log\n\n"
        "loss_by_hand = 0.5 * -log(0.5) + 0.5 * (0.9 * log(0.9 / 0.5) + 0.1 * log(0.1 / 0.5))",
    ),
    "distillation": Exercise(
        test=_distills,
        right="values and gradients agree with an independent computation, also where the teacher's softmax is 0.",
        hint="log_softmax gives log p and log r even where p or r is too small for a number; both parts are means over "
        "the images.",
        solution='''def distillation_loss(logits, teacher_logits, labels, m):
    log_p, log_r = logits.log_softmax(1), teacher_logits.log_softmax(1)
    ce = -log_p[torch.arange(len(labels)), labels].mean()
    kl = (log_r.exp() * (log_r - log_p)).sum(1).mean()
    return (1 - m) * ce + m * kl''',
    ),
}  # fmt: skip

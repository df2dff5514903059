"""The loss, against its equations written out with logarithms and sums, and its gradient against the closed form."""

import pytest
import torch
import torch.nn.functional as F

from sdbnn_lite.training.losses import TrainingLoss, divergence


def case(classes=5, images=7):
    generator = torch.Generator().manual_seed(classes)
    logits, teacher = 3 * torch.randn(2, images, classes, generator=generator, dtype=torch.float64)
    labels = torch.randint(classes, (images,), generator=generator)
    return logits.requires_grad_(), teacher, labels


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.7])
def test_cross_entropy_and_its_gradient(smoothing):
    logits, _, labels = case()
    n, classes = logits.shape
    p = logits.detach().exp() / logits.detach().exp().sum(1, keepdim=True)
    q = (1 - smoothing) * F.one_hot(labels, classes).double() + smoothing / classes
    loss = TrainingLoss(smoothing)(logits, None, labels)
    assert loss.item() == pytest.approx(-(q * p.log()).sum().item() / n, rel=1e-12)
    loss.backward()
    assert torch.allclose(logits.grad, (p - q) / n, atol=1e-14)


def test_divergence_and_its_gradient():
    logits, teacher, _ = case()
    teacher.requires_grad_()
    p, r = (x.detach().softmax(1) for x in (logits, teacher))
    loss = divergence(logits, teacher)
    assert loss.item() == pytest.approx((r * (r.log() - p.log())).sum().item() / len(p), rel=1e-12)
    loss.backward()
    assert teacher.grad is None and torch.allclose(logits.grad, (p - r) / len(p), atol=1e-14)
    assert divergence(logits, logits.detach() + 3).item() == pytest.approx(0, abs=1e-14)  # a shift of all logits


@pytest.mark.parametrize("m", [0.25, 1.0])
def test_the_mixture(m):
    logits, teacher, labels = case()
    images = torch.zeros(len(labels), 1, 2, 2)
    asked = []

    def answer(x):
        asked.append(x)
        assert not torch.is_grad_enabled()
        return teacher

    loss = TrainingLoss(smoothing=0.1, distill=m, teacher=answer)(logits, images, labels)
    expected = (1 - m) * F.cross_entropy(logits, labels, label_smoothing=0.1) + m * divergence(logits, teacher)
    assert loss.item() == pytest.approx(expected.item()) and asked[0] is images


def test_the_default_is_plain_cross_entropy_to_the_last_bit():
    logits, _, labels = case()
    assert torch.equal(TrainingLoss()(logits, None, labels), F.cross_entropy(logits, labels))

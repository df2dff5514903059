"""Notebook 01: the straight-through estimator, what weight decay leaves, the best threshold, ImageNet's first layer."""

import math

import torch

from ...core.layers import binary_layers
from ...core.models import build
from ...weights import zoo
from . import Exercise

P, Q, N = 0.65, 0.7, 400  # of the exercise on the threshold; no preset of the explorer has them


def _ste_backward(function: type[torch.autograd.Function]) -> bool:
    """Values and gradients, one number after the other in plain Python; edges of the clip, 0, shapes, dtypes."""
    draw = torch.Generator().manual_seed(0)
    edges = torch.tensor([-1.5, -1.0001, -1.0, -0.0, 0.0, 0.2, 1.0, 1.0001, 7.0])
    for x in (edges, edges.double(), torch.randn(3, 4, 5, generator=draw), torch.randn(0, 2, generator=draw)):
        given, x = torch.randn(x.shape, generator=draw, dtype=x.dtype), x.requires_grad_()
        values = function.apply(x)
        (found,) = torch.autograd.grad(values, x, given)
        assert values.tolist() == torch.where(x >= 0, 1.0, -1.0).tolist(), "the values changed: leave forward as it is"
        assert found.shape == x.shape, f"the gradient has the shape {tuple(found.shape)}, x has {tuple(x.shape)}"
        for value, grad, got in zip(x.flatten().tolist(), given.flatten().tolist(), found.flatten().tolist()):
            wanted = grad if -1 <= value <= 1 else 0.0
            assert math.isclose(wanted, got, rel_tol=1e-6), f"x = {value:.3g}: {grad:.3g} came in, {got:.3g} came out"
    return True


def _plus(p: float, q: float, n: int, threshold: float) -> float:
    """P(y >= threshold) by adding up the binomial's terms."""
    r = p * q + (1 - p) * (1 - q)
    return sum(math.comb(n, k) * r**k * (1 - r) ** (n - k) for k in range(n + 1) if 2 * k - n >= threshold)


EXERCISES = {
    "ste_backward": Exercise(
        _ste_backward,
        right="the incoming gradient passes where -1 <= x <= 1 and is stopped elsewhere.",
        hint="backward gets dL/dsign and returns dL/dx: multiply it by the clip's derivative at the saved x.",
        solution='''class SignSTE(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return binarize.sign(x)

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * (x.abs() <= 1)''',
    ),
    "decay": Exercise(
        lambda factor: all((abs(layer.scale() - factor) < 0.002).all()
                           for layer in binary_layers(zoo.load("digits_xnor_pp")).values()),
        right="that is what all 128 learned factors are. They learned nothing: weight decay alone moved them.",
        hint="Add lr_at(epoch) over the epochs, times the steps of an epoch, and put that into the formula.",
        solution='''import math

from sdbnn_lite.training.recipes import get_recipe

recipe = get_recipe("digits")
steps = digits.num_batches(recipe.batch_size)  # of one epoch
rates = sum(recipe.lr_at(epoch) for epoch in range(recipe.epochs)) * steps
factor = math.exp(-recipe.weight_decay * rates / (1 - recipe.momentum))''',
    ),
    "threshold": Exercise(
        lambda theta: 0.45 < _plus(P, Q, N, theta) < 0.55,
        right="at the mean of the sum both signs are about equally frequent.",
        hint="The channel says most where as many sums lie above the threshold as below.",
        solution=f"theta = {N} * (2 * {P} - 1) * (2 * {Q} - 1)",
    ),
    "all_plus": Exercise(
        lambda q, share: (q == (build("imagenet_resnet18").layers[0][0].conv.weight >= 0).double().mean()
                          and abs(share - _plus(0.6, 1, 64 * 3 * 3, 0)) < 0.01),
        right="every weight starts at +1, so all channels say the same, nearly always +1. Training has to undo it.",
        hint="q is the mean of (weight >= 0); for the share, ask random_signs with n = 64 * 3 * 3 for its plus.",
        solution='''from sdbnn_lite.core.signs import random_signs

weight = sd.build("imagenet_resnet18").layers[0][0].conv.weight
q_at_start = (weight >= 0).double().mean().item()
share_at_start = random_signs(0.6, q_at_start, 64 * 3 * 3).plus''',
    ),
}  # fmt: skip

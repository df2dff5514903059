"""Notebook 03: weight self distribution, and IR-Net's balancing."""

import math
from functools import partial

import torch
from torch import Tensor

from . import Exercise

_close = partial(torch.allclose, rtol=1e-4, atol=1e-5)
_SHAPES = (6, 4, 3, 3), (5, 6, 1, 1), (3, 9)


def _draw(shape: tuple[int, ...], seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _balance(balance) -> bool:
    """Against torch's std and mean, and the gradient worked out by hand: (g - mean g - y·Σgy/(n-1)) / std."""
    for shape in _SHAPES:
        w, g, n = (0.3 + 0.1 * _draw(shape, 0)).requires_grad_(), _draw(shape, 1), math.prod(shape[1:])
        rows, g_rows = w.detach().clone().flatten(1), g.flatten(1)
        found = balance(w)
        assert found.shape == w.shape, f"for weights of shape {shape} it gives {tuple(found.shape)}"
        assert torch.equal(w.flatten(1), rows), "it changes the weights that it was given"
        found, grad = found.flatten(1), torch.autograd.grad(found, w, g)[0].flatten(1)
        std, mean = torch.std_mean(rows, dim=1, keepdim=True)
        y = (rows - mean) / std
        assert not _close(found, y * math.sqrt(n / (n - 1))), "divide the sum of squares by n - 1"
        assert _close(found, y), f"the values are wrong for weights of shape {shape}"
        right = (g_rows - g_rows.mean(1, keepdim=True) - y * (g_rows * y).sum(1, keepdim=True) / (n - 1)) / std
        told = "the values are right, but gradients have to pass through mean and standard deviation, too"
        assert _close(grad, right), told
    for value in (0.0, 0.25):
        w = torch.full((2, 3, 3, 3), value, requires_grad=True)
        y = balance(w)
        y.sum().backward()
        assert not y.any(), f"a filter whose weights are all {value} has to become 0"
        assert w.grad.isfinite().all(), f"a filter whose weights are all {value} gets a gradient that isn't finite"
    return True


def _alpha_gradient(alpha_gradient) -> bool:
    """Against autograd, filter by filter."""
    for number, shape in enumerate(_SHAPES):
        w, dv = _draw(shape, 2), _draw(shape, 3)
        w[0] -= w[0].mean()  # a filter without a shift
        alpha = (number * torch.linspace(-4, 4, shape[0], dtype=torch.float64)).requires_grad_()  # first all 0
        sum(((torch.sigmoid(a) * 0.01 * one.mean() + one) * d).sum() for a, one, d in zip(alpha, w, dv)).backward()
        found = alpha_gradient(w, alpha.detach(), dv)
        assert found.shape == alpha.shape, f"one number per filter, not {tuple(found.shape)}"
        assert torch.allclose(found, alpha.grad, rtol=1e-6, atol=1e-12), f"it is wrong for α = {alpha.tolist()}"
    return True


EXERCISES = {
    "flips": Exercise(
        lambda signs: abs(signs - 128 * 128 * 9 * 0.005 / (math.pi * math.sqrt(128 * 9))) < 0.5,
        right="about 7 of 147,456.",
        hint="there are 128 · 128 · 9 weights, and the fan-in n is 128 · 9.",
        solution="signs_in_the_layer = 128 * 128 * 9 * 0.005 / (torch.pi * (128 * 9) ** 0.5)",
    ),
    "alpha_gradient": Exercise(
        _alpha_gradient,
        right="∂L/∂α = σ(α)·(1 − σ(α)) · 0.01 · mean · Σ ∂L/∂v. At α = 0 the factor before the sum is ¼ · 0.01 · mean.",
        hint="v depends on α by σ(α) · 0.01 · mean, and each weight of the filter sees the same α.",
        solution="""def alpha_gradient(w, alpha, dv):
    dims = tuple(range(1, w.ndim))
    share = torch.sigmoid(alpha)
    return share * (1 - share) * 0.01 * w.mean(dim=dims) * dv.sum(dim=dims)""",
    ),
    "balance": Exercise(
        _balance,
        right="the mean of every filter is 0, its standard deviation 1, and the gradient knows both.",
        hint="mean and std over all dimensions but the first, with keepdim=True; where std is 0, divide by 1.",
        solution="""def balance(w):
    dims = tuple(range(1, w.ndim))
    centred = w - w.mean(dim=dims, keepdim=True)
    variance = centred.square().sum(dim=dims, keepdim=True) / (w[0].numel() - 1)
    return centred / torch.where(variance > 0, variance, 1).sqrt()""",
    ),
    "all_positive": Exercise(
        lambda wsd, balancing: wsd == 0 and 45 < balancing < 55,
        right="the mean is positive as well, so WSD moves nothing over the threshold; balancing makes half of them −1.",
        hint="all weights and their mean are positive. Which get below 0 if you add a positive shift? If you subtract "
        "the mean?",
        solution="percent_by_wsd, percent_by_balancing = 0, 50",
    ),
}

"""The weight shifts, WSD and IR-Net's balancing, against loops, closed forms and finite differences."""

import math
import statistics

import pytest
import torch
from torch import nn

from sdbnn_lite.core.binarize import sign
from sdbnn_lite.core.wsd import WeightSelfDistribution, balance


def weights(*shape, seed=0, mean=0.0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) + mean


def wsd(*alpha, **options):
    module = WeightSelfDistribution(len(alpha), **options).double()
    module.alpha.data = torch.tensor(alpha, dtype=torch.float64)
    return module


def test_shift_equals_the_loop():
    """σ(α_o) · 0.01 · mean(w_o), filter by filter."""
    w, alpha = weights(3, 4, 3, 3, mean=0.5), (-2.0, 0.0, 1.5)
    means = [statistics.fmean(f.flatten().tolist()) for f in w]
    expected = [0.01 / (1 + math.exp(-x)) * mean for x, mean in zip(alpha, means, strict=True)]
    shift = wsd(*alpha)(w)
    assert shift.shape == (3, 1, 1, 1)
    assert shift.flatten().tolist() == pytest.approx(expected, rel=1e-12)
    assert wsd(*alpha, constant=1.0)(w).flatten().tolist() == pytest.approx([100 * v for v in expected], rel=1e-12)


def test_alpha_starts_at_zero():
    """... where the share is σ(0) · 0.01 = 0.5 % of the mean."""
    module, w = WeightSelfDistribution(2).double(), weights(2, 3, 3, 3, mean=1.0)
    assert module.alpha.tolist() == [0.0, 0.0]
    torch.testing.assert_close(module(w).flatten(), 0.005 * w.mean(dim=(1, 2, 3)))


def test_the_mean_takes_no_gradient():
    """d(w + shift)/dw is exactly 1; α's gradient is σ'(α) · 0.01 · mean · Σ upstream."""
    alpha, w = (-1.0, 0.5), weights(2, 3, 3, 3, mean=0.7).requires_grad_()
    module, upstream = wsd(*alpha), weights(2, 3, 3, 3, seed=3)
    ((w + module(w)) * upstream).sum().backward()
    assert torch.equal(w.grad, upstream)
    for o, x in enumerate(alpha):
        s = 1 / (1 + math.exp(-x))
        expected = s * (1 - s) * 0.01 * float(w[o].detach().mean()) * float(upstream[o].sum())
        assert float(module.alpha.grad[o]) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("fan_in", [64 * 9, 128 * 9, 512 * 9])
def test_flips_at_kaiming_initialisation_are_as_rare_as_the_closed_form_says(fan_in):
    """w ~ N(0, s²): the shift is 0.005·s·|z|/√F for a normal z, so 0.005/(π√F) of all signs flip, to the filter's side.

    That is 0.007 % for 64 input channels and 0.002 % for 512; within four standard deviations of a Poisson count.
    """
    filters = 3_000_000 // fan_in
    w = torch.empty(filters, fan_in // 9, 3, 3)
    nn.init.kaiming_normal_(w, generator=torch.Generator().manual_seed(1))
    w = w.double()
    shifted = w + WeightSelfDistribution(filters).double()(w)
    flips = sign(w) != sign(shifted)
    expected = 0.005 / (math.pi * math.sqrt(fan_in)) * w.numel()
    assert abs(int(flips.sum()) - expected) < 4 * math.sqrt(expected)
    towards = sign(w.mean(dim=(1, 2, 3), keepdim=True)).expand_as(w)
    assert (sign(shifted)[flips] == towards[flips]).all()


def test_flips_of_a_big_layer_lie_in_the_range_that_is_stated():
    """A layer of 64 input channels and 2.4 million weights: between 0.003 % and 0.008 %."""
    w = torch.empty(4096, 64, 3, 3)
    nn.init.kaiming_normal_(w, generator=torch.Generator().manual_seed(2))
    w = w.double()
    share = float((sign(w) != sign(w + WeightSelfDistribution(4096).double()(w))).double().mean())
    assert 3e-5 < share < 8e-5


def test_balance_equals_the_loop():
    """Per filter: minus its mean, over its unbiased standard deviation."""
    w = weights(3, 2, 3, 3, mean=0.4) * torch.tensor([0.01, 1.0, 50.0], dtype=torch.float64)[:, None, None, None]
    for f, ours in zip(w, balance(w), strict=True):
        values = f.flatten().tolist()
        mean, std = statistics.fmean(values), statistics.stdev(values)
        assert ours.flatten().tolist() == pytest.approx([(v - mean) / std for v in values], rel=1e-9, abs=1e-12)


def test_balance_makes_signs_about_equally_frequent():
    """Filters far from zero have one sign only; balanced ones about half of each."""
    w = weights(8, 64, 3, 3, mean=5.0)
    assert (sign(w) == 1).all()
    assert ((balance(w) >= 0).double().mean(dim=(1, 2, 3)) - 0.5).abs().max() < 0.1


def test_balance_gradient_equals_finite_differences():
    """The gradient passes through mean and std."""
    assert torch.autograd.gradcheck(balance, weights(2, 2, 2, 2, mean=0.3).requires_grad_())

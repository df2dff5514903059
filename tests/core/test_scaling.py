"""The scaling factors: least squares, powers of two, learned; and that none of them changes a sign."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sdbnn_lite.core.binarize import sign
from sdbnn_lite.core.layers import BinaryConv2d
from sdbnn_lite.core.methods import get_method
from sdbnn_lite.core.scaling import LearnedScale, analytic_scale, power_of_two_scale

SCALED = ["xnor", "xnor_pp", "irnet"]


def weights(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_analytic_scale_is_the_least_squares_one():
    """s_o minimises |w_o - s·sign(w_o)|²: NumPy's solver finds the same."""
    w = weights(4, 3, 3, 3)
    for s, f in zip(analytic_scale(w), w.flatten(1).numpy(), strict=True):
        solution = np.linalg.lstsq(np.where(f >= 0, 1.0, -1.0)[:, None], f, rcond=None)[0][0]
        assert float(s) == pytest.approx(solution, rel=1e-12)


def test_analytic_scale_has_a_gradient():
    """d mean|w| / dw = sign(w) / n, per filter."""
    w = weights(2, 3, 3, 3).requires_grad_()
    (analytic_scale(w) * torch.tensor([1.0, 10.0])).sum().backward()
    expected = w.detach().sign() / 27 * torch.tensor([1.0, 10.0]).double()[:, None, None, None]
    torch.testing.assert_close(w.grad, expected)


@given(exponent=st.floats(-20, 20), seed=st.integers(0, 1000))
def test_power_of_two_scale_is_the_nearest_power(exponent, seed):
    """An exact power of two, at most half a step from log2(mean|w|), and no gradient."""
    w = (weights(3, 2, 3, 3, seed=seed) * 2.0**exponent).requires_grad_()
    scale = power_of_two_scale(w)
    assert not scale.requires_grad
    for s, f in zip(scale.tolist(), w.detach(), strict=True):
        mantissa, _ = math.frexp(s)
        assert mantissa == 0.5
        assert abs(math.log2(s) - math.log2(sum(abs(v) for v in f.flatten().tolist()) / 18)) <= 0.5 + 1e-9


def test_learned_scale_starts_at_one_and_stays_positive():
    """|factor|: also a factor that training pushed below 0 acts as a positive one."""
    module = LearnedScale(3)
    assert module().tolist() == [1.0, 1.0, 1.0]
    module.factor.data = torch.tensor([2.0, -3.0, 0.5])
    (module() * torch.tensor([1.0, 10.0, 100.0])).sum().backward()
    assert module().tolist() == [2.0, 3.0, 0.5]
    assert module.factor.grad.tolist() == [1.0, -10.0, 100.0]


@pytest.mark.parametrize("method", SCALED)
@given(seed=st.integers(0, 10**6), size=st.floats(1e-3, 1e3))
def test_no_scaling_factor_changes_a_sign(method, seed, size):
    """Any weights, any inputs, any non-zero factor: 0 outputs of the layer change their sign, zeros included."""
    layer = BinaryConv2d(4, 6, padding=1, method=get_method(method)).double()
    layer.weight.data = size * weights(6, 4, 3, 3, seed=seed)
    if layer.learned_scale is not None:
        layer.learned_scale.factor.data = size * weights(6, seed=seed + 1)
    a = weights(2, 4, 5, 5, seed=seed + 2)
    with torch.no_grad():
        unscaled, scaled = layer.unscaled(a), layer(a)
    assert (layer.scale() > 0).all()
    assert int((sign(unscaled) != sign(scaled)).sum()) == 0
    ratio = (scaled / unscaled)[:, :, 1:-1, 1:-1]
    torch.testing.assert_close(ratio.nan_to_num(0.0).amax(dim=(0, 2, 3)), layer.scale().detach())

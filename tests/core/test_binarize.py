"""The sign and its three surrogate gradients, against Python loops, autograd, finite differences and integrals."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import ede_curve, polynomial_curve, sign_through, signs_by_loop, ste_curve

from sdbnn_lite.core.binarize import GRADIENTS, binarize, ede_k, ede_schedule, sign, sign_ede, sign_polynomial, sign_ste
from sdbnn_lite.errors import UsageError

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
EDE_VALUES = [(1000.0, 0.001), (1 / 0.3, 0.3), (1.0, 1.0), (1.0, 5.0), (1.0, 10.0)]
EDGES = [0.0, -0.0, 1.0, -1.0, 1 + 1e-9, -1 - 1e-9, 1 - 1e-9, -1 + 1e-9, 1e-300, -1e-300, 30.0, -30.0]


def points():
    """float64 values of all sizes, with the places where a derivative has a kink or a jump."""
    normal = torch.randn(500, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return torch.cat([1.5 * normal, torch.tensor(EDGES, dtype=torch.float64)])


def derivative(function, x):
    """dsign/dx as backward reports it."""
    x = x.clone().requires_grad_()
    (grad,) = torch.autograd.grad(function(x).sum(), x)
    return grad


CASES = [("ste", sign_ste, ste_curve), ("polynomial", sign_polynomial, polynomial_curve)]
CASES += [(f"ede t={t}", lambda x, k=k, t=t: sign_ede(x, k, t), ede_curve(k, t)) for k, t in EDE_VALUES]
cases = pytest.mark.parametrize("function, curve", [c[1:] for c in CASES], ids=[c[0] for c in CASES])


@pytest.mark.parametrize("dtype", DTYPES)
@given(values=st.lists(st.floats(width=16, allow_nan=False), max_size=30))
def test_sign_is_never_zero_and_keeps_dtype_and_shape(dtype, values):
    """Any float, with both zeros, infinities and subnormals, in any dtype: ±1 as a Python comparison says."""
    x = torch.tensor([*values, 0.0, -0.0], dtype=dtype).reshape(1, -1, 1)
    s = sign(x)
    assert s.dtype == dtype and s.shape == x.shape
    assert torch.equal(s, signs_by_loop(x))
    assert set(s.flatten().tolist()) <= {-1.0, 1.0} and s.flatten()[-2:].tolist() == [1.0, 1.0]


@cases
def test_forward_is_the_sign(function, curve):
    """Whatever the gradient, the value is sign(x): same numbers, no k and no t in it."""
    assert torch.equal(function(points()), signs_by_loop(points()))


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradient_survives_torch_compile(gradient, dtype):
    """torch 2.11 lost it, without a word, where the sign was made by torch.where and a conversion to the same type."""
    x = points().to(dtype)
    k, t = torch.tensor(1.0, dtype=dtype), torch.tensor(0.7, dtype=dtype)
    torch.compiler.reset()
    compiled = torch.compile(lambda x: binarize(x, gradient, k, t), fullgraph=True, backend="aot_eager")
    assert torch.equal(derivative(compiled, x), derivative(lambda x: binarize(x, gradient, k, t), x))
    assert derivative(compiled, x).count_nonzero()


@cases
def test_gradient_is_autograds_through_the_smooth_curve(function, curve):
    """Backward, also at kinks and behind another function, equals the detach trick through the curve."""
    upstream = torch.linspace(-3, 3, len(points()), dtype=torch.float64)
    ours = derivative(lambda x: function(x.sin() * 2) * upstream, points())
    theirs = derivative(lambda x: sign_through(x.sin() * 2, curve) * upstream, points())
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-13)
    torch.testing.assert_close(derivative(function, points()), derivative(curve, points()), rtol=1e-9, atol=1e-13)


@cases
def test_gradient_is_the_slope_of_the_curve(function, curve):
    """Finite differences of the curve, away from its kinks, without any autograd on that side."""
    x = points()
    x = x[((x.abs() - 1).abs() > 1e-3) & (x.abs() > 1e-3)]
    h = 1e-6
    torch.testing.assert_close(derivative(function, x), (curve(x + h) - curve(x - h)) / (2 * h), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    "function, area",
    [(sign_ste, 2.0), (sign_polynomial, 2.0)]
    + [(lambda x, k=k, t=t: sign_ede(x, k, t), 2 * k * math.tanh(3 * t)) for k, t in EDE_VALUES],
)
def test_gradient_integrates_to_the_curves_rise(function, area):
    """∫ dsign/dx over [-3, 3] is the jump of the sign, 2, or EDE's 2k·tanh(3t)."""
    n = 600_000
    x = (torch.arange(n, dtype=torch.float64) + 0.5) / n * 6 - 3
    assert float(derivative(function, x).sum()) * 6 / n == pytest.approx(area, rel=1e-5)


def test_known_values_of_the_derivatives():
    """By hand: the triangle of the polynomial, the box of the clipped identity with its edges."""
    x = torch.tensor([-1.5, -1.0, -0.75, -0.25, 0.0, 0.5, 1.0, 1.25])
    assert derivative(sign_ste, x).tolist() == [0, 1, 1, 1, 1, 1, 1, 0]
    assert derivative(sign_polynomial, x).tolist() == [0, 0, 0.5, 1.5, 2, 1, 0, 0]


def test_ede_is_exact_where_tanh_saturates():
    """k·t/cosh²(t·x) far out, where 1 - tanh² would have no digit left."""
    x = torch.tensor([2.0, -4.0, 20.0, 30.0], dtype=torch.float64)
    expected = [10 / math.cosh(10 * v) ** 2 for v in x.tolist()]
    np.testing.assert_allclose(derivative(lambda x: sign_ede(x, 1.0, 10.0), x), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("gradient", GRADIENTS)
def test_gradients_keep_the_dtype(gradient, dtype):
    """Value and gradient have the input's dtype, also when k and t come as float32 buffers; both are finite."""
    x = torch.tensor([-2.0, -0.5, 0.0, 0.5, 60000.0], dtype=dtype, requires_grad=True)
    y = binarize(x, gradient, torch.tensor(1000.0), torch.tensor(0.001))
    y.sum().backward()
    assert y.dtype == dtype == x.grad.dtype and torch.isfinite(x.grad).all()
    expected = derivative(lambda x: binarize(x, gradient, 1000.0, 0.001), x.detach().double())
    torch.testing.assert_close(x.grad.double(), expected, rtol=0, atol=0.02)


def test_binarize_picks_by_name():
    """Each name leads to its own gradient; k and t reach EDE alone."""
    x = points()
    assert set(GRADIENTS) == {"ste", "polynomial", "ede"}
    own = {"ste": sign_ste, "polynomial": sign_polynomial, "ede": lambda x: sign_ede(x, 2.0, 0.5)}
    for name, function in own.items():
        assert torch.equal(derivative(lambda x, n=name: binarize(x, n, 2.0, 0.5), x), derivative(function, x))
    with pytest.raises(UsageError, match="unknown gradient 'polinomial'.*ste, polynomial, ede.*mean 'polynomial'"):
        binarize(x, "polinomial")


@given(t=st.floats(1e-6, 1e6))
def test_k_keeps_the_peak_at_one_until_t_does(t):
    """k = max(1/t, 1): the gradient's peak k·t is 1 below t = 1, and t above."""
    assert ede_k(t) == pytest.approx(1 / t if t < 1 else 1)
    peak = derivative(lambda x: sign_ede(x, ede_k(t), t), torch.zeros(1, dtype=torch.float64))
    assert float(peak) == pytest.approx(max(1, t))


@pytest.mark.parametrize("t", [0, -1.0, math.nan, math.inf])
def test_k_refuses_what_is_no_slope(t):
    with pytest.raises(UsageError, match="t="):
        ede_k(t)


@given(epochs=st.integers(1, 600), t_min=st.floats(1e-4, 1), ratio=st.floats(1, 1e4))
def test_schedule_is_evenly_spaced_in_the_logarithm(epochs, t_min, ratio):
    """t(0) = t_min, t(epochs) = t_max, and equal factors in between: np.geomspace without its last point."""
    ours = [ede_schedule(e, epochs, t_min, t_min * ratio) for e in range(epochs)]
    np.testing.assert_allclose(ours, np.geomspace(t_min, t_min * ratio, epochs + 1)[:-1], rtol=1e-9)
    assert ede_schedule(epochs, epochs, t_min, t_min * ratio) == pytest.approx(t_min * ratio)


def test_schedule_of_the_published_recipe():
    """As the published code writes it: T_min·10^(epoch/epochs · log10(T_max/T_min)), 500 epochs, 0.001 to 10."""
    for epoch in (0, 1, 125, 250, 499):
        assert ede_schedule(epoch, 500) == pytest.approx(1e-3 * 10 ** (epoch / 500 * math.log10(10 / 1e-3)), rel=1e-12)


@pytest.mark.parametrize(
    "arguments", [(0, 0), (-1, 10), (11, 10), (0, 10, 0.0, 1.0), (0, 10, 2.0, 1.0), (0, 10, -1.0, 1.0)]
)
def test_schedule_refuses_impossible_ranges(arguments):
    with pytest.raises(UsageError, match="EDE needs"):
        ede_schedule(*arguments)

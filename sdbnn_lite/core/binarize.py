"""The sign, its three surrogate gradients, and the EDE schedule.

The sign's true derivative is 0 almost everywhere, so nothing could be learned through it. A *surrogate gradient* keeps
the sign in the forward pass and puts another derivative into the backward pass:

    name         dsign/dx                                       source
    ste          1 where |x| <= 1, else 0: the clipped          BNN, Courbariaux & Bengio 2016 (arXiv:1602.02830)
                 identity, the "straight-through estimator"
    polynomial   2+2x on [-1, 0), 2-2x on [0, 1), else 0        Bi-Real Net, section 3.3 (arXiv:1808.00278)
    ede          k·t·(1 - tanh²(t·x))                           IR-Net, section 3.3 (arXiv:1909.10788)

sign(0) is +1 here: a bit holds two values, and ``torch.sign``'s third one can't be packed.
"""

import math
from numbers import Real

import torch
from torch import Tensor
from torch.autograd.function import BackwardCFunction, Function

from ..errors import UsageError, unknown


def sign(x: Tensor) -> Tensor:
    """sign(x) = +1 where x >= 0, else -1: same shape and dtype as ``x``, no gradient. Never 0, also for x = -0.0."""
    # Not torch.where(x >= 0, 1.0, -1.0): compiled by torch 2.11 in a Function below, it silently loses the gradient.
    return 2 * (x >= 0).to(x.dtype) - 1


class _Surrogate(Function):
    """Forward sign(x); ``backward`` is each surrogate's own. In this form it works in ``torch.func``, too."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return sign(x)

    @staticmethod
    def setup_context(ctx: BackwardCFunction, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)


class _SignSTE(_Surrogate):
    @staticmethod
    def backward(ctx: BackwardCFunction, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grad * (x.abs() <= 1)


class _SignPolynomial(_Surrogate):
    @staticmethod
    def backward(ctx: BackwardCFunction, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grad * (2 - 2 * x.abs()).clamp(min=0)  # 2+2x left of 0, 2-2x right of it


class _SignEDE(_Surrogate):
    @staticmethod
    def forward(x: Tensor, peak: Tensor, t: Tensor) -> Tensor:  # type: ignore[override]  # torch.compile counts them
        return sign(x)

    @staticmethod
    def backward(ctx: BackwardCFunction, grad: Tensor) -> tuple[Tensor, None, None]:
        x, peak, t = ctx.saved_tensors  # type: ignore[misc]  # torch says that there is one
        # 1 - tanh²(z) = 4e / (1+e)² with e = exp(-2|z|): one exp, and no cancellation where tanh is nearly 1.
        e = (t * x).abs_().mul_(-2).exp_()  # in place: half the time
        return grad * peak * e.mul(4).div_((1 + e).square_()), None, None


def sign_ste(x: Tensor) -> Tensor:
    """Forward sign(x); backward grad·1[|x| <= 1], the clipped identity (arXiv:1602.02830)."""
    return _SignSTE.apply(x)


def sign_polynomial(x: Tensor) -> Tensor:
    """Forward sign(x); backward grad·(2 - 2|x|) on [-1, 1], else 0: Bi-Real Net (arXiv:1808.00278), section 3.3."""
    return _SignPolynomial.apply(x)


def sign_ede(x: Tensor, k: Tensor | float, t: Tensor | float) -> Tensor:
    """Forward sign(x); backward grad·k·t·(1 - tanh²(t·x)), the error-decay estimator.

    ``k`` and ``t`` are scalars (0-d tensors in a layer's buffers). t near 0 is almost the identity, large t almost
    the sign itself: see :func:`ede_schedule`. Source: IR-Net (arXiv:1909.10788), section 3.3.
    """
    wide = torch.promote_types(x.dtype, torch.float32)  # float16 can't hold every k
    k, t = (torch.as_tensor(constant, dtype=wide, device=x.device) for constant in (k, t))
    return _SignEDE.apply(x, (k * t).to(x.dtype), t.to(x.dtype))


GRADIENTS = ("ste", "polynomial", "ede")


def binarize(x: Tensor, gradient: str, k: Tensor | float = 1.0, t: Tensor | float = 1.0) -> Tensor:
    """sign(x) with the surrogate gradient named ``gradient`` (one of ``GRADIENTS``); ``k`` and ``t``: of "ede" alone.

    Raises UsageError for another name.
    >>> binarize(torch.tensor([-0.5, 0.0, 2.0]), "ste")
    tensor([-1.,  1.,  1.])
    """
    if gradient not in GRADIENTS:
        raise unknown("gradient", gradient, GRADIENTS)
    if not torch.is_grad_enabled():  # torch 2.4 can't compile a Function there
        return sign(x)
    return sign_ede(x, k, t) if gradient == "ede" else sign_ste(x) if gradient == "ste" else sign_polynomial(x)


def ede_k(t: float) -> float:
    """k = max(1/t, 1): keeps the gradient's peak k·t at 1 while t < 1, and lets it grow with t afterwards."""
    if not (isinstance(t, Real) and math.isfinite(t) and t > 0):
        raise UsageError(f"t={t!r}: EDE needs a finite t > 0")
    return max(1 / t, 1.0)


def check_ede(t: float, k: float, dtype: torch.dtype) -> None:
    """Raise UsageError unless ``dtype`` holds t, k and their product as normal numbers."""
    least, most = torch.finfo(dtype).tiny, torch.finfo(dtype).max
    if not (isinstance(k, Real) and all(least <= value <= most for value in (t, k, k * t))):
        raise UsageError(f"t={t!r}, k={k!r}: {dtype} needs t, k and k·t from {least:.2g} to {most:.2g}")


def ede_schedule(epoch: int, epochs: int, t_min: float = 1e-3, t_max: float = 10.0) -> float:
    """t(epoch) = t_min·(t_max/t_min)^(epoch/epochs), for epoch = 0 … epochs - 1.

    One value per epoch for all binary layers. ``t_max`` itself is approached, never used. Source: IR-Net
    (arXiv:1909.10788), equation 12. Raises UsageError where epoch is outside 0 … epochs or a bound isn't positive.
    """
    if epochs < 1 or not 0 <= epoch <= epochs:
        raise UsageError(f"epoch={epoch}, epochs={epochs}: EDE needs epochs >= 1 and 0 <= epoch <= epochs")
    if not 0 < t_min <= t_max:
        raise UsageError(f"t_min={t_min}, t_max={t_max}: EDE needs 0 < t_min <= t_max")
    return t_min * (t_max / t_min) ** (epoch / epochs)

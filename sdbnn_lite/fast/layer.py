"""One fused layer: sign - binary convolution - [2×2 maximum] - batch norm - [+ shortcut] - Hardtanh, as one Function.

    ŷ = s·conv2d(sign(x + shift), ŵ)        out = hardtanh(γ·(ŷ - μ)/√(σ² + ε) + β + shortcut)

All tensors as in :mod:`.kernels`, the image innermost. Exact: the convolution and its sums for μ and σ². In float32: the
rest, except that the gradient at the convolution's output is rounded to 16-bit integers before it goes into the two
convolutions of the backward pass, in steps of its largest possible value / 32,767; these sums are exact again. Kept for
the backward pass: x and out (the neighbours' anyway), and the convolution's output in 16 bits.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from ..binarize import GRADIENTS
from . import kernels
from .kernels import BLOCK

_TAPS = [(dy, dx) for dy in range(3) for dx in range(3)]


class Workspace:
    """Buffers that every layer and every step uses again; their borders were zero once and are never written."""

    def __init__(self) -> None:
        self.buffers: dict[tuple, np.ndarray] = {}

    def get(self, kind: str, shape: tuple, dtype: torch.dtype) -> np.ndarray:
        key = kind, shape, dtype
        if key not in self.buffers:
            self.buffers[key] = torch.zeros(shape, dtype=dtype).numpy()  # torch aligns to 64 bytes, NumPy doesn't
        return self.buffers[key]


@dataclass(frozen=True)
class Plan:
    """What a layer is, besides its tensors. ``add_input``: the shortcut is x itself."""

    stride: int
    gradient: int  # kernels.STE, POLYNOMIAL or EDE
    pooled: bool
    add_input: bool
    images: int
    workspace: Workspace


def gradient_code(name: str) -> int:
    """The kernels' number of a gradient of ``binarize.GRADIENTS``."""
    return GRADIENTS.index(name)


def to_blocks(x: Tensor) -> Tensor:
    """(N, …) → (⌈N/32⌉, …, 32), zeros behind the last image; differentiable."""
    missing = -len(x) % BLOCK
    if missing:
        x = torch.cat([x, x.new_zeros(missing, *x.shape[1:])])
    return x.unflatten(0, (-1, BLOCK)).movedim(1, -1).contiguous()


def from_blocks(x: Tensor, images: int) -> Tensor:
    """(G, …, 32) → (N, …), the inverse of :func:`to_blocks`; differentiable."""
    return x.movedim(-1, 1).flatten(0, 1)[:images]


def _valid(images: int) -> np.ndarray:
    groups = -(-images // BLOCK)
    return np.where(np.arange(groups * BLOCK) < images, -1, 0).astype(np.int16).reshape(groups, BLOCK)


def _pack_weights(w: Tensor) -> np.ndarray:
    """(O, C, taps) of ±1 → (O/4, taps, C/2, 4) int32: pairs of inputs as 16-bit halves, 4 filters side by side."""
    o, c, taps = w.shape
    pairs = w.to(torch.int16).view(o // 4, 4, c // 2, 2, taps).permute(0, 4, 2, 1, 3).contiguous()
    return pairs.view(torch.int32).squeeze(-1).numpy()


def _tap_offsets(places: list[tuple[int, int]], wide: int) -> np.ndarray:
    return np.array([(dy * wide + dx) * 128 for dy, dx in places], np.int64)


class FusedLayer(Function):
    """See the module. ``apply(x, shift, w, scale, gamma, beta, shortcut, bn, k, t, plan) → out, mean``."""

    @staticmethod
    def forward(ctx, x, shift, w, scale, gamma, beta, shortcut, bn, k, t, plan):
        space, images = plan.workspace, plan.images
        groups, c, h, wd, _ = x.shape
        o = len(w)
        ho, wo = (h - 1) // plan.stride + 1, (wd - 1) // plan.stride + 1
        valid = _valid(images)
        if shift is None:
            shift = x.new_zeros(groups, c, BLOCK)
        pairs = space.get("input", (groups, c // 2, h + 2, wd + 2, BLOCK), torch.int32)
        kernels.sign_pairs(x.numpy(), shift.numpy(), valid, pairs)
        y = torch.empty(groups, o, ho, wo, BLOCK, dtype=torch.int16)
        kernels.convolve(pairs, _pack_weights(w.flatten(2)), _tap_offsets(_TAPS, wd + 2), plan.stride, y.numpy())
        place = None
        if plan.pooled:
            ho, wo = ho // 2, wo // 2
            wide, y = y, torch.empty(groups, o, ho, wo, BLOCK, dtype=torch.int16)
            place = torch.empty(y.shape, dtype=torch.int8)
            kernels.pool(wide.numpy(), y.numpy(), place.numpy())

        s = torch.ones(o, dtype=torch.float64) if scale is None else scale.detach().double()
        count = images * ho * wo
        if bn.training:
            totals = np.empty((groups, o, 2))
            kernels.moments(y.numpy(), totals)
            total, square = torch.from_numpy(totals.sum(0)).unbind(1)
            mean = total / count
            variance = square / count - mean.square()  # of integers, in float64: no cancellation to speak of
            _update_statistics(bn, s * mean, s.square() * variance * (count / max(count - 1, 1)))
            center, inverse = s * mean, (s.square() * variance + bn.eps).rsqrt()
        else:
            mean = variance = None
            center, inverse = bn.running_mean.double(), (bn.running_var.double() + bn.eps).rsqrt()
        factor = gamma.detach().double() * inverse  # of ŷ = s·y
        offset = beta.detach().double() - factor * center
        out = torch.empty(y.shape)
        means = torch.empty(groups, o, BLOCK)
        extra = x if plan.add_input else (out if shortcut is None else shortcut)
        has = plan.add_input or shortcut is not None
        kernels.normalise(
            y.numpy(), (factor * s).float().numpy(), offset.float().numpy(), extra.numpy(), has, out.numpy(),
            means.numpy(),
        )  # fmt: skip
        ctx.plan, ctx.k, ctx.t, ctx.count, ctx.training = plan, float(k), float(t), count, bn.training
        ctx.has_scale, ctx.has_shortcut = scale is not None, shortcut is not None
        ctx.save_for_backward(x, shift, w, out, y, place, s, center, inverse, gamma, mean, variance)
        ctx.set_materialize_grads(False)
        return out, means

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient, mean_gradient):
        x, shift, w, out, y, place, s, center, inverse, gamma, mean, variance = ctx.saved_tensors
        plan, count = ctx.plan, ctx.count
        space = plan.workspace
        groups, c, h, wd, _ = x.shape
        o, ho, wo = out.shape[1:4]
        if gradient is None:
            gradient = torch.zeros_like(out)
        if mean_gradient is None:
            mean_gradient = out.new_zeros(groups, o, BLOCK)
        valid = _valid(plan.images)

        ds = torch.empty_like(out)
        totals = np.empty((groups, o, 3))
        kernels.unclip(
            gradient.contiguous().numpy(), mean_gradient.contiguous().numpy(), out.numpy(), y.numpy(), ds.numpy(),
            totals,
        )  # fmt: skip
        totals = torch.from_numpy(totals)
        sum_ds, sum_dsy, most = totals[..., 0].sum(0), totals[..., 1].sum(0), totals[..., 2].amax(0)
        normed = inverse * (s * sum_dsy - center * sum_ds)  # Σ ds·(ŷ - μ)/√(σ² + ε)
        # dL/dy = s·γ·inverse·(ds - mean(ds) - normalised·mean(ds·normalised)) = a·ds + b·y + c
        a = s * gamma.double() * inverse
        b, constant = torch.zeros_like(a), torch.zeros_like(a)
        if ctx.training:
            b = -a * s * inverse * normed / count
            constant = -a * sum_ds / count + a * center * inverse * normed / count
        bound = a.abs() * most + b.abs() * 9 * c + constant.abs()  # of |dL/dy|, since |y| <= 9·C
        step = float(bound.max()) / 32766 or 1.0  # NaN stays NaN, and shows in the loss
        a_, b_, c_ = ((v / step).float().numpy() for v in (a, b, constant))
        dy = space.get("gradient", (groups, o, (h - 1) // plan.stride + 1, (wd - 1) // plan.stride + 1, BLOCK),
                       torch.int16)  # fmt: skip
        pairs = space.get("gradient pairs", (groups, o // 2, dy.shape[2] + 2, dy.shape[3] + 2, BLOCK), torch.int32)
        if plan.pooled:
            kernels.quantise_pooled(ds.numpy(), y.numpy(), place.numpy(), a_, b_, c_, valid, dy, pairs)
        else:
            kernels.quantise(ds.numpy(), y.numpy(), a_, b_, c_, valid, dy, pairs)

        lanes = space.get("lanes", (groups, c, h + 2, wd + 2, BLOCK), torch.int16)
        kernels.sign_lanes(x.numpy(), shift.numpy(), valid, lanes)
        sums = space.get("sums", ((o // 4) * (c // 4), 9, 16, 16), torch.int32)
        dw = np.empty((o, c, 9), np.int64)
        kernels.weight_gradient(dy, lanes, plan.stride, sums, dw)
        dw = torch.from_numpy(dw).mul(step).to(w.dtype).view(w.shape)

        dx = torch.empty_like(x)
        _input_gradient(pairs, w.flatten(2), step, plan.stride, dx)
        d_shift = torch.empty(groups, c, BLOCK)
        kernels.through_sign(
            dx.numpy(), x.numpy(), shift.numpy(), (ds if plan.add_input else dx).numpy(), plan.add_input,
            plan.gradient, np.float32(ctx.k), np.float32(ctx.t), d_shift.numpy(),
        )  # fmt: skip
        d_scale = None
        if ctx.has_scale:  # Σ dL/dŷ·y = Σ (a·ds + b·y + c)·y / s, and dL/dŷ has to be taken before it meets s
            d_scale = a / s * sum_dsy
            if ctx.training:
                d_scale += (b * (variance + mean.square()) + constant * mean) / s * count
            d_scale = d_scale.float()
        return (
            dx, d_shift if ctx.needs_input_grad[1] else None, dw, d_scale, normed.float(), sum_ds.float(),
            ds if ctx.has_shortcut else None, None, None, None, None,
        )  # fmt: skip


def _update_statistics(bn: nn.BatchNorm2d, mean: Tensor, unbiased: Tensor) -> None:
    """The running mean and variance, as batch norm's own forward pass updates them."""
    if bn.track_running_stats:
        bn.num_batches_tracked += 1
        bn.running_mean.lerp_(mean.to(bn.running_mean.dtype), bn.momentum)
        bn.running_var.lerp_(unbiased.to(bn.running_var.dtype), bn.momentum)


def _input_gradient(pairs: np.ndarray, w: Tensor, step: float, stride: int, dx: Tensor) -> None:
    """dx[c, i] = Σ_{o, tap} g[o, (i + 1 - tap)/stride]·ŵ[o, c, tap]; stride 2 in four phases of i, without zeros."""
    turned = w.transpose(0, 1)  # (C, O, 9)
    wide = pairs.shape[3]
    for top in range(stride):
        for left in range(stride):
            chosen, places = [], []
            for index, (ky, kx) in enumerate(_TAPS):
                if (top + 1 - ky) % stride == 0 and (left + 1 - kx) % stride == 0:
                    chosen.append(index)
                    places.append((1 + (top + 1 - ky) // stride, 1 + (left + 1 - kx) // stride))
            weight = _pack_weights(turned[:, :, chosen].contiguous())
            kernels.convolve_back(
                pairs, weight, _tap_offsets(places, wide), np.float32(step), (top, left), stride, dx.numpy()
            )

"""One fused layer: sign - binary convolution - [2×2 maximum] - batch norm - [+ shortcut] - Hardtanh, as one Function.

    ŷ = s·conv2d(sign(x + shift), sign(w))        out = hardtanh(γ·(ŷ - μ)/√(σ² + ε) + β + shortcut)

All tensors as in :mod:`.kernels`. Exact: the convolution and its sums for μ and σ². In float32: the rest, except that
the gradient at the convolution's output is rounded to integers before the two convolutions of the backward pass, in
steps of its largest possible value / 32,766, with 8 bits / 126; these sums are exact again. Saved for the backward
pass: x and out (the neighbours' anyway), and the convolution's output in 16 bits.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from . import convolutions, kernels
from .rows import BLOCK, OFFSET


class Workspace:
    """Buffers that every layer and every step uses again; their borders are never written."""

    def __init__(self) -> None:
        self.buffers: dict[tuple, np.ndarray] = {}

    def get(self, kind: str, shape: tuple, dtype: torch.dtype, start: int = 0) -> np.ndarray:
        key = kind, shape, dtype
        if key not in self.buffers:
            self.buffers[key] = torch.full(shape, start, dtype=dtype).numpy()  # aligned to 64 bytes, unlike NumPy's
        return self.buffers[key]


@dataclass(frozen=True)
class Plan:
    """A layer's shape and options, besides its tensors."""

    stride: int
    gradient: int  # kernels.STE, POLYNOMIAL or EDE, of the activations
    weight_gradient: int
    images: int
    bits: int  # of the gradients: 8 or 16
    workspace: Workspace
    pooled: bool = False
    add_input: bool = False  # the shortcut is x itself, for stride 2 as ``kernels.normalise`` has it
    give_few: bool = False  # also return few: every stride-th pixel of x, for the shortcut: gradients are added here


def to_blocks(x: Tensor) -> Tensor:
    """(N, …) → (⌈N/32⌉, …, 32), zeros behind the last image; differentiable."""
    missing = -len(x) % BLOCK
    if missing:
        x = torch.cat([x, x.new_zeros(missing, *x.shape[1:])])
    return x.unflatten(0, (-1, BLOCK)).movedim(1, -1).contiguous()


def from_blocks(x: Tensor, images: int) -> Tensor:
    """(G, …, 32) → (N, …), the inverse of :func:`to_blocks`; differentiable."""
    return x.movedim(-1, 1).flatten(0, 1)[:images]


@cache
def valid_images(images: int) -> np.ndarray:
    """(G, 32) int16: -1 for an image, 0 behind the last one."""
    groups = -(-images // BLOCK)
    valid = torch.zeros(groups * BLOCK, dtype=torch.int16)  # torch's, so aligned
    valid[:images] = -1
    return valid.view(groups, BLOCK).numpy()


@cache
def taps_of(wide: int, pixel: int) -> np.ndarray:
    """Byte offsets of the nine taps of the forward convolution from the upper left one; ``pixel`` bytes a pixel."""
    return np.array([(dy * wide + dx) * pixel for dy in range(3) for dx in range(3)])


@cache
def _taps_back(stride: int, wide: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of dx[c, i] = Σ_{o, tap} g[o, (i + 1 - tap)/stride]·ŵ[o, c, tap]: the taps that contribute, phase by phase of i.

    Their order (9,), byte offsets (9,) in g with its border, and where each phase starts (stride² + 1,).
    """
    order, places, starts = [], [], [0]
    for top in range(stride):
        for left in range(stride):
            for tap in range(9):
                dy, dx = top + 1 - tap // 3, left + 1 - tap % 3
                if dy % stride == 0 and dx % stride == 0:
                    order.append(tap)
                    places.append(((1 + dy // stride) * wide + 1 + dx // stride) * 128)
            starts.append(len(order))
    return np.array(order), np.array(places), np.array(starts)


@cache
def _outside(stride: int, width: int) -> np.ndarray:
    """(4, W', 9): 1 for a tap outside the image, in rows of four kinds: bit 0 is set where the upper taps are outside,
    bit 1 where the lower ones are."""
    dy, dx = np.divmod(np.arange(9), 3)
    column = np.arange(0, width, stride)[:, None] + dx - 1
    kind = np.arange(4)[:, None, None]
    outside = (kind % 2 > 0) & (dy == 0) | (kind > 1) & (dy == 2) | (column < 0) | (column >= width)
    return outside.astype(np.float32)


def pack_words(plus: Tensor, stride: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Of ŵ (O, C, 3, 3), which is +1 where ``plus``: (O/4, 9, K, 4) int32, 16 inputs' bits twice; and where the
    popcounts start from.

    That is base (4, W', O) int16 = C·(taps inside) + 2·Σ_{taps outside} popcount(w_tap), in the kinds of rows of
    :func:`_outside`, since a border of zero bits counts as -1 in every channel but has to add 0.
    """
    o, c = plus.shape[:2]
    bits = np.zeros((o, 9, -(-c // 16) * 16), bool)
    bits[..., :c] = plus.flatten(2).numpy().transpose(0, 2, 1)
    words = np.packbits(bits, axis=-1, bitorder="little").view("<u2") * np.uint32(0x10001)
    packed = np.ascontiguousarray(words.reshape(o // 4, 4, 9, -1).transpose(0, 2, 3, 1)).view(np.int32)
    base = 9 * c + _outside(stride, width) @ (2 * bits.sum(-1, dtype=np.float32) - c).T
    return packed, base.astype(np.int16)


def pack_weights(plus: Tensor, bits: int, order: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """ŵ, as above, its taps in this order → (C/4, 9, O·bits/32, 4) int32, filters side by side;
    and (C/4, phases, 4) int32, what sums start from: -128·Σ ŵ where 8 bits hold gradients that are 128 more.
    """
    c, kind = plus.shape[1], torch.int8 if bits == 8 else torch.int16
    filters = plus.flatten(1).T.contiguous().to(kind).mul_(2).sub_(1).view(c // 4, 4, 9, -1)
    if len(starts) > 2:  # stride 1 has its one phase's taps as they are
        filters = filters[:, :, order]
    packed = filters.view(torch.int32).permute(0, 2, 3, 1).contiguous().numpy()
    begin = np.zeros((c // 4, len(starts) - 1, 4), np.int32)
    if bits == 8:
        total = filters.sum(-1, dtype=torch.int32).numpy()  # (C/4, 4, 9)
        for phase, (first, last) in enumerate(zip(starts, starts[1:])):
            begin[:, phase] = -128 * total[..., first:last].sum(-1)
    return packed, begin


def _filters_at_once(filters: int, channels: int) -> int:
    """How many filters a thread takes in the weights' gradient: up to 16, but something for every thread."""
    for many in (16, 8):
        if filters % many == 0 and filters // many * -(-channels // 64) >= torch.get_num_threads():
            return many
    return 4


def _float64(tensor: Tensor) -> np.ndarray:
    return tensor.detach().numpy().astype(np.float64)


class Normaliser:
    """Batch norm of ŷ = s·y from y's sums, as vectors (O,) of float64: out = factor·y + offset."""

    def __init__(self, bn: nn.BatchNorm2d, gamma: Tensor, beta: Tensor, scale: Tensor | None, totals, count: int):
        """totals (…, O, 2) are Σ y and Σ y², over ``count`` values per filter; used in training mode only."""
        self.training, self.count = bn.training, count
        self.s = s = np.ones(len(gamma)) if scale is None else _float64(scale)
        if self.training:
            total, square = totals.reshape(-1, len(s), 2).sum(0).T
            self.mean = total / count
            self.variance = square / count - self.mean**2  # in float64: no cancellation to speak of
            center, variance = s * self.mean, s**2 * self.variance
            if bn.track_running_stats:
                bn.num_batches_tracked += 1
                for running, now in ((bn.running_mean, center), (bn.running_var, variance * count / max(count - 1, 1))):
                    running.lerp_(torch.from_numpy(now).to(running.dtype), bn.momentum)
        else:
            center, variance = _float64(bn.running_mean), _float64(bn.running_var)
        self.center, self.inverse = center, 1 / np.sqrt(variance + bn.eps)
        self.slope = s * _float64(gamma) * self.inverse
        self.factor = self.slope.astype(np.float32)
        self.offset = (_float64(beta) - self.slope / s * center).astype(np.float32)

    def backward(self, sum_ds: np.ndarray, sum_dsy: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """a, b, c (O,) of dL/dy = a·ds + b·y + c, from Σ ds and Σ ds·y; keeps γ's, β's and s's gradients."""
        a, center, inverse, count = self.slope, self.center, self.inverse, self.count
        normed = inverse * (self.s * sum_dsy - center * sum_ds)  # Σ ds·(ŷ - μ)/√(σ² + ε)
        b = c = np.zeros_like(a)
        if self.training:  # dL/dy = s·γ·inverse·(ds - mean(ds) - normalised·mean(ds·normalised))
            b = -a * self.s * inverse * normed / count
            c = -a * sum_ds / count + a * center * inverse * normed / count
        d_scale = a * sum_dsy  # Σ dL/dŷ·y, and dL/dŷ has to be taken before it is multiplied by s
        if self.training:
            d_scale = d_scale + (b * (self.variance + self.mean**2) + c * self.mean) * count
        vectors = (normed, sum_ds, d_scale / self.s)
        self.d_gamma, self.d_beta, self.d_scale = (torch.from_numpy(v.astype(np.float32)) for v in vectors)
        return a, b, c


class FusedLayer(Function):
    """See the module. ``apply(x, shift, w, scale, gamma, beta, shortcut, bn, k, t, plan) → out, mean, few``."""

    @staticmethod
    def forward(ctx, x, shift, w, scale, gamma, beta, shortcut, bn, k, t, plan):
        space = plan.workspace
        groups, c, h, wd, _ = x.shape
        o = len(w)
        ho, wo = (h - 1) // plan.stride + 1, (wd - 1) // plan.stride + 1
        if shift is None:
            shift = x.new_zeros(groups, c, BLOCK)
        words = space.get("words", (groups, -(-c // 16), h + 2, wd + 2, BLOCK), torch.int16)
        kernels.sign_words(x, shift, words)
        y = torch.empty(groups, o, ho, wo, BLOCK, dtype=torch.int16)
        totals = np.empty((groups, ho, o, 2) if bn.training and not plan.pooled else (0, 0, 0, 0))
        plus, valid = w >= 0, valid_images(plan.images)
        packed = pack_words(plus, plan.stride, wd)
        convolutions.convolve(words, *packed, taps_of(wd + 2, 64), plan.stride, valid, y, totals)
        place = None
        if plan.pooled:
            ho, wo = ho // 2, wo // 2
            wide, y = y, torch.empty(groups, o, ho, wo, BLOCK, dtype=torch.int16)
            place, totals = torch.empty(y.shape, dtype=torch.int8), np.empty((groups, 1, o, 2))
            kernels.pool(wide, y, place, totals)

        norm = Normaliser(bn, gamma, beta, scale, totals, plan.images * ho * wo)
        out, mean = torch.empty(y.shape), torch.empty(groups, o, BLOCK)
        around, stride = (x, plan.stride) if plan.add_input else (out if shortcut is None else shortcut, 1)
        kernels.normalise(y, norm.factor, norm.offset, around, around is not out, stride, out, mean)
        ctx.plan, ctx.k, ctx.t, ctx.norm = plan, np.float32(k), np.float32(t), norm
        ctx.save_for_backward(x, shift, w, plus, out, y, place)
        ctx.set_materialize_grads(False)
        few = x[:, :, :: plan.stride, :: plan.stride].contiguous() if plan.give_few else None
        return out, mean, few

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient, mean_gradient, few_gradient):
        x, shift, w, plus, out, y, place = ctx.saved_tensors
        plan, norm, space = ctx.plan, ctx.norm, ctx.plan.workspace
        groups, c, h, wd, _ = x.shape
        o = out.shape[1]
        valid = valid_images(plan.images)
        ds, sum_ds, sum_dsy, most = through_hardtanh(gradient, mean_gradient, out, y)

        a, b, constant = norm.backward(sum_ds, sum_dsy)
        bound = np.abs(a) * most + np.abs(b) * 9 * c + np.abs(constant)  # of |dL/dy|, since |y| <= 9·C
        step = float(bound.max()) / (2 ** (plan.bits - 1) - 2) or 1.0  # NaN stays NaN, and shows in the loss
        scaled = [(v / step).astype(np.float32) for v in (a, b, constant)]
        high, wide = (h - 1) // plan.stride + 1, (wd - 1) // plan.stride + 1
        parts, beside, kinds, zeros = groups, BLOCK, (torch.int16, torch.int16), (0, 0)
        if plan.bits == 8:  # as ``kernels`` has it
            parts, beside, kinds, zeros = -(-groups // 2), 2 * BLOCK, (torch.int8, torch.uint8), (1, OFFSET)
        dy = space.get("gradient", (parts, o, high, wide, beside), kinds[0])
        stacked = space.get("stacked", (groups, o * plan.bits // 32, high + 2, wide + 2, BLOCK), torch.int32, zeros[1])
        if plan.pooled:
            kernels.quantise_pooled(ds, y, place, *scaled, valid, dy, stacked)
        else:
            kernels.quantise(ds, y, *scaled, valid, dy, stacked)

        dx, d_shift = torch.empty_like(x), torch.empty(groups, h, c, BLOCK)
        lanes = space.get("lanes", (parts, c, h + 2, wd + 2, beside), kinds[1], zeros[0])
        order, taps, starts = _taps_back(plan.stride, wide + 2)
        extra = ds if few_gradient is None else few_gradient.contiguous()
        convolutions.convolve_back(
            stacked, *pack_weights(plus, plan.bits, order, starts), taps, starts, np.float32(step), plan.stride, x,
            shift, plan.gradient, ctx.k, ctx.t, plan.add_input or few_gradient is not None, extra, dx, lanes, d_shift,
        )  # fmt: skip
        totals, dw = space.get("totals", (o // 4, c // 4, 9, 16), torch.int64), torch.empty(o, c, 9)
        convolutions.weight_gradient(
            dy, lanes, plan.stride, _filters_at_once(o, c), step, w.detach().contiguous(), plan.weight_gradient, ctx.k,
            ctx.t, totals, dw,
        )  # fmt: skip
        needed = ctx.needs_input_grad
        return (
            dx, d_shift.sum(1) if needed[1] else None, dw.view(w.shape), norm.d_scale if needed[3] else None,
            norm.d_gamma, norm.d_beta, ds if needed[6] else None, None, None, None, None,
        )  # fmt: skip


def through_hardtanh(gradient: Tensor | None, mean_gradient: Tensor | None, out: Tensor, y: Tensor):
    """ds (G, O, H, W, 32), its gradient before the Hardtanh, and (O,) float64 each: Σ ds, Σ ds·y, max |ds|."""
    if gradient is None:
        gradient = torch.zeros_like(out)
    if mean_gradient is None:
        mean_gradient = out.new_zeros(*out.shape[:2], BLOCK)
    ds, totals = torch.empty_like(out), np.empty((*out.shape[:2], 3))
    kernels.unclip(gradient.contiguous(), mean_gradient.contiguous(), out, y, ds, totals)
    return ds, totals[..., 0].sum(0), totals[..., 1].sum(0), totals[..., 2].max(0)

"""The network's first layer in blocks: real convolution 3×3 - batch norm - Hardtanh, float32, as one Function.

    out = hardtanh(γ·(y - μ)/√(σ² + ε) + β)        y = conv2d(images, w), padding 1, stride 1

Arrays as in :mod:`.kernels`, but y is float32. The images become blocks with a border of zeros and with channels filled
up to a multiple of 4. They get no gradient. Sums for batch norm are taken in float64.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from ..system.llvm import shared
from . import kernels, tiles
from .launch import Kernel
from .layer import Normaliser, taps_of, through_hardtanh, to_blocks
from .rows import BLOCK

# compiled in: kernels.py c4f83d6e, rows.py d73fbbcb, tiles.py 41768598, llvm.py fb625820, target.py d74eba8c


@Kernel
def convolve_images(blocks, weight, taps, y, totals, state):
    """y = conv2d(images, w). ``weight`` (O/4, 9, C', 4), ``taps`` (9,) byte offsets; totals (G, H, O, 2) float64."""
    _, channels, high, wide, _ = blocks.shape
    _, filters, height, width, _ = y.shape
    x0, w0, y0, t0 = blocks.ctypes.data, weight.ctypes.data, y.ctypes.data, taps.ctypes.data
    one, nothing, sums = np.float32(1), np.zeros(4, np.float32), np.empty((2, BLOCK))
    for i in shared(state.ctypes.data, len(y) * height):
        g, row = i // height, i % height
        x = x0 + (g * channels * high + row) * wide * 128
        for block in range(filters // 4):
            w = w0 + block * 9 * channels * 16
            to = y0 + ((g * filters + block * 4) * height + row) * width * 128
            for part in range(width * tiles.PARTS):
                at, there = x + part * (128 // tiles.PARTS), to + part * (128 // tiles.PARTS)
                tiles.conv_tile_1px(  # numba frees an array after its last use: ``nothing`` is asked for its place here
                    at, high * wide * 128, 128, t0, 9, channels, w, nothing.ctypes.data, there, height * width * 128,
                    one, 128, one,
                )  # fmt: skip
            for o in range(block * 4, block * 4 + 4):
                sums[:] = 0
                for column in range(width):
                    for n in range(BLOCK):
                        value = np.float64(y[g, o, row, column, n])
                        sums[0, n] += value
                        sums[1, n] += value * value
                totals[g, row, o] = 0
                for n in range(BLOCK):
                    totals[g, row, o, 0] += sums[0, n]
                    totals[g, row, o, 1] += sums[1, n]


@Kernel
def image_weight_gradient(blocks, ds, y, a, b, c, rows, totals, out, state):
    """out (O, C', 9) float64 = Σ_{n, pixels} (a·ds + b·y + c)·images.

    Scratch: ``rows`` (O/4, 4, W, 32) float32, ``totals`` (O/4, 9, 16) float64.
    """
    groups, channels, high, wide, _ = blocks.shape
    _, _, height, width, _ = ds.shape
    a0, r0, t0 = blocks.ctypes.data, rows.ctypes.data, totals.ctypes.data
    steps, counts = np.array([0, 0, 64]), np.array([1, 1, 2 * width])
    for block in shared(state.ctypes.data, len(out) // 4):
        out[block * 4 : block * 4 + 4] = 0
        for g in range(groups):
            for first in range(0, channels, 4):
                totals[block] = 0
                for row in range(height):
                    for k in range(4):
                        o = block * 4 + k
                        slope, tilt, constant = a[o], b[o], c[o]
                        for column in range(width):
                            d, v, to = ds[g, o, row, column], y[g, o, row, column], rows[block, k, column]
                            for n in range(BLOCK):  # behind the last image this is c, but the image is 0
                                to[n] = slope * d[n] + tilt * v[n] + constant
                    for tap in range(9):
                        at = a0 + (((g * channels + first) * high + row + tap // 3) * wide + tap % 3) * 128
                        tiles.weight_tile(
                            r0 + block * width * 512, steps.ctypes.data, at, steps.ctypes.data, counts.ctypes.data,
                            width * 128, high * wide * 128, t0 + (block * 9 + tap) * 128, slope,
                        )  # fmt: skip
                for tap in range(9):
                    for k in range(4):
                        for j in range(4):
                            out[block * 4 + k, first + j, tap] += totals[block, tap, kernels.total_of(k, j)]


class Stem(Function):
    """See the module. ``apply(images, w, gamma, beta, bn, workspace) → out, its mean over the pixels (G, O, 32)``."""

    @staticmethod
    def forward(ctx, images, w, gamma, beta, bn, workspace):
        count, c, h, wd = images.shape
        groups, o, channels = -(-count // BLOCK), len(w), -(-c // 4) * 4
        blocks = F.pad(to_blocks(images), (0, 0, 1, 1, 1, 1, 0, channels - c))
        packed = torch.zeros(o // 4, 9, channels, 4)
        packed[:, :, :c] = w.view(o // 4, 4, c, 9).permute(0, 3, 2, 1)
        y, totals = torch.empty(groups, o, h, wd, BLOCK), np.empty((groups, h, o, 2))
        convolve_images(blocks, packed, taps_of(wd + 2, 128), y, totals)
        norm = Normaliser(bn, gamma, beta, None, totals, count * h * wd)
        out, mean = torch.empty_like(y), torch.empty(groups, o, BLOCK)
        kernels.normalise(y, norm.factor, norm.offset, out, False, 1, out, mean)
        ctx.norm, ctx.workspace = norm, workspace
        ctx.save_for_backward(blocks, w, y, out)
        ctx.set_materialize_grads(False)
        return out, mean

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient, mean_gradient):
        blocks, w, y, out = ctx.saved_tensors
        norm, (o, c), wd = ctx.norm, w.shape[:2], y.shape[3]
        ds, sum_ds, sum_dsy, _ = through_hardtanh(gradient, mean_gradient, out, y)
        vectors = [v.astype(np.float32) for v in norm.backward(sum_ds, sum_dsy)]
        rows = ctx.workspace.get("stem rows", (o // 4, 4, wd, BLOCK), torch.float32)
        totals = ctx.workspace.get("stem totals", (o // 4, 9, 16), torch.float64)
        dw = np.empty((o, blocks.shape[1], 9))
        image_weight_gradient(blocks, ds, y, *vectors, rows, totals, dw)
        dw = torch.from_numpy(dw[:, :c].astype(np.float32)).view(w.shape)
        return None, dw, norm.d_gamma, norm.d_beta, None, None

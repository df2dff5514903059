"""The kernels of the fast step, each against torch or a closed form, over odd sizes too."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit
from torch import nn

from sdbnn_lite.core.binarize import GRADIENTS, binarize
from sdbnn_lite.fast import convolutions, kernels, rows
from sdbnn_lite.fast.kernels import BLOCK, STE
from sdbnn_lite.fast.layer import (
    Workspace,
    _taps_back,
    from_blocks,
    pack_weights,
    pack_words,
    taps_of,
    to_blocks,
    valid_images,
)
from sdbnn_lite.fast.rows import OFFSET
from sdbnn_lite.fast.stem import Stem
from sdbnn_lite.system.target import target

pytestmark = pytest.mark.skipif(not target().compiled, reason="no kernels for this processor")

SHAPES = {
    "images": st.integers(1, 70),
    "c": st.sampled_from([8, 16, 24]),
    "o": st.sampled_from([8, 16, 32]),
    "h": st.integers(1, 9),
    "w": st.integers(1, 9),
    "stride": st.sampled_from([1, 2]),
    "seed": st.integers(0, 1000),
}


def draw(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def zeros(*shape, dtype):
    return torch.zeros(*shape, dtype=dtype).numpy()


def side_by_side(blocks, bits):
    """(G, C, H, W, 32) → what the weight gradient reads: 16 bits as they are, of 8 bits two groups in a row."""
    if bits == 16:
        return blocks.to(torch.int16)
    both = F.pad(blocks, (0, 0) * 4 + (0, len(blocks) % 2)).unflatten(0, (-1, 2))
    return torch.cat(both.unbind(1), -1).to(torch.int8)


def stack(blocks, bits):
    """(G, O, H, W, 32) → 32 // bits channels in each int32, with a border; of bytes each is 128 more than it is."""
    many, (g, o, h, w, _) = 32 // bits, blocks.shape
    offset = 128 if bits == 8 else 0
    wide = F.pad(blocks.long() + offset, (0, 0, 1, 1, 1, 1), value=offset) & (2**bits - 1)
    wide = wide.view(g, o // many, many, h + 2, w + 2, BLOCK)
    wide = sum(wide[:, :, k] << bits * k for k in range(many))
    return (wide - (wide >= 2**31) * 2**32).int()


@settings(max_examples=60)
@given(**SHAPES, bits=st.sampled_from([8, 16]))
def test_convolution_and_its_gradients_are_exact(images, c, o, h, w, stride, seed, bits):
    """Signs, ±1 convolution, gradient to the input and to the weights: integers, equal to float64 convolutions."""
    a, shift = draw(images, c, h, w, seed=seed), draw(images, c, seed=seed + 1)
    weight = draw(o, c, 3, 3, seed=seed + 2).sign()
    binary = torch.where(a + shift[:, :, None, None] >= 0, 1.0, -1.0).double().requires_grad_()
    real = weight.double().requires_grad_()
    expected = F.conv2d(binary, real, stride=stride, padding=1)
    height, width = expected.shape[2:]

    groups = -(-images // BLOCK)
    words = zeros(groups, -(-c // 16), h + 2, w + 2, BLOCK, dtype=torch.int16)
    blocks, shifts, valid = to_blocks(a).numpy(), to_blocks(shift).numpy(), valid_images(images)
    for _ in range(2):  # the buffer is used again: nothing of its last signs may stay
        kernels.sign_words(blocks, shifts, words)
    y = torch.zeros(groups, o, height, width, BLOCK, dtype=torch.int16)
    totals = np.full((groups, height, o, 2), np.nan)
    packed, base = pack_words(weight > 0, stride, w)
    convolutions.convolve(words, packed, base, taps_of(w + 2, 64), stride, valid, y.numpy(), totals)
    assert torch.equal(from_blocks(y, images).double(), expected.detach())
    assert images % BLOCK == 0 or not y[-1, ..., images % BLOCK :].any()
    for k in range(2):
        assert np.array_equal(totals[..., k].sum((0, 1)), (expected.detach() ** (k + 1)).sum((0, 2, 3)).numpy())

    most = 2 ** (bits - 1) - 1
    g = (most / 3 * draw(images, o, height, width, seed=seed + 3)).round().clamp(-most, most)
    expected.backward(g.double())
    gradient = to_blocks(g)
    dx, sums = (torch.full(shape, float("nan")) for shape in ((groups, c, h, w, BLOCK), (groups, h, c, BLOCK)))
    order, taps, starts = _taps_back(stride, width + 2)
    border = torch.full((groups, c, h + 2, w + 2, BLOCK), int(bits == 8))  # of bytes each is 1 more than it is
    lanes = side_by_side(border, bits).view(torch.uint8 if bits == 8 else torch.int16).numpy()
    convolutions.convolve_back(
        stack(gradient, bits).numpy(), *pack_weights(weight > 0, bits, order, starts), taps, starts, np.float32(0.5),
        stride, blocks, shifts, STE, np.float32(1), np.float32(1), False, dx.numpy(), dx.numpy(), lanes, sums.numpy(),
    )  # fmt: skip
    signs = to_blocks(binary.detach().float() + (bits == 8))
    border[:, :, 1:-1, 1:-1] = signs.int()
    wanted, there = side_by_side(border, bits).numpy(), lanes.view(np.int8 if bits == 8 else np.int16)
    for image in range(images):
        group, place = image // lanes.shape[4], image % lanes.shape[4]
        assert np.array_equal(there[group, ..., place], wanted[group, ..., place])
    passed = binary.grad * ((a + shift[:, :, None, None]).abs() <= 1)
    assert torch.equal(2 * from_blocks(dx, images).double(), passed)
    assert torch.allclose(2 * from_blocks(sums.sum(1), images).double(), passed.sum((2, 3)))

    dw, totals = np.full((o, c, 9), np.nan, np.float32), np.ones((o // 4, c // 4, 9, 16), np.int64)
    beside = side_by_side(gradient, bits).numpy()
    latent, through, k, t = draw(o, c, 3, 3, seed=seed + 4), seed // 2 % 3, np.float32(2.5), np.float32(0.4)
    convolutions.weight_gradient(
        beside, lanes, stride, 4 + 4 * (seed % 2), 1.0, latent.numpy(), through, k, t, totals, dw,
    )  # fmt: skip
    wide = latent.double().requires_grad_()
    binarize(wide, GRADIENTS[through], float(k), float(t)).backward(real.grad)
    assert np.allclose(dw.reshape(o, c, 3, 3), wide.grad.numpy(), rtol=2e-6, atol=1e-6 * float(real.grad.abs().max()))


@settings(max_examples=20)
@given(images=st.integers(1, 40), h=st.integers(1, 4), w=st.integers(1, 4), seed=st.integers(0, 1000))
def test_pooling_takes_the_first_of_equals(images, h, w, seed):
    """Small integers, so that many are equal: values and places are torch's."""
    y = draw(images, 8, 2 * h, 2 * w, seed=seed).round()
    expected, index = F.max_pool2d(y, 2, return_indices=True)
    pooled, place = (torch.zeros(-(-images // BLOCK), 8, h, w, BLOCK, dtype=d) for d in (torch.int16, torch.int8))
    totals = np.full((len(pooled), 1, 8, 2), np.nan)
    kernels.pool(to_blocks(y).to(torch.int16).numpy(), pooled.numpy(), place.numpy(), totals)
    for k in range(2):
        assert np.array_equal(totals[..., k].sum((0, 1)), (expected.double() ** (k + 1)).sum((0, 2, 3)).numpy())
    assert torch.equal(from_blocks(pooled, images).float(), expected)
    k = from_blocks(place, images)
    row, column = torch.arange(h)[:, None] * 2 + k // 2, torch.arange(w) * 2 + k % 2
    assert torch.equal(row * 2 * w + column, index)


def test_moments_are_exact():
    y = torch.randint(-4608, 4608, (50, BLOCK), generator=torch.Generator().manual_seed(0)).to(torch.int16)
    totals = np.array([1.0, 2.0])
    kernels.add_moments(y.numpy(), totals)
    assert totals.tolist() == [1 + float(y.double().sum()), 2 + float(y.double().square().sum())]


def one_row(row_through):
    """The intrinsic as something that Python can call."""

    @njit
    def call(d, x, shift, lanes, sums, k, t):
        d0, x0, shift0, lanes0, sums0 = (d.ctypes.data, x.ctypes.data, shift.ctypes.data, lanes.ctypes.data,
                                         sums.ctypes.data)  # fmt: skip
        row_through(d0, x0, shift0, lanes0, sums0, len(x), k, t, lanes[0, 0])

    return call


def through(row_through, x, shift, k, t):
    """What one of the rows makes of a gradient of ones at x (W, 32); also checks its sums and signs."""
    d, lanes, sums = torch.ones_like(x), torch.zeros(x.shape, dtype=torch.int16), torch.full((BLOCK,), 2.0)
    arrays = d.numpy(), x.numpy(), shift.numpy(), lanes.numpy(), sums.numpy()
    one_row(row_through)(*arrays, np.float32(k), np.float32(t))
    assert torch.allclose(sums, 2 + d.sum(0), atol=1e-4)
    assert torch.equal(lanes, torch.where(x + shift >= 0, 1, -1).short())
    return d


def test_derivative_of_tanh():
    """1 - tanh²(z) = 1/cosh²(z), also where tanh is nearly 1: relative error below 1e-6 up to |z| = 39."""
    z = torch.linspace(-39, 39, 640 * BLOCK).view(-1, BLOCK)
    got = through(rows.row_through_ede, z, torch.zeros(BLOCK), 1, 1)
    assert float((got.double() * z.double().cosh() ** 2 - 1).abs().max()) < 1e-6
    far = torch.full((1, BLOCK), 1e6)
    assert float(through(rows.row_through_ede, far, torch.zeros(BLOCK), 1, 1).max()) < 1e-30


@settings(max_examples=20)
@given(images=st.integers(1, 40), c=st.integers(1, 5), h=st.integers(1, 6), w=st.integers(1, 6), seed=SHAPES["seed"])
def test_stem(images, c, h, w, seed):
    """The real convolution, its sums, batch norm, Hardtanh and all gradients against torch in float64."""
    x, bn = draw(images, c, h, w, seed=seed), nn.BatchNorm2d(8)
    bn64 = copy.deepcopy(bn).double()
    ours = [draw(8, c, 3, 3, seed=seed + 1), 1 + 0.2 * draw(8, seed=seed + 2), 0.2 * draw(8, seed=seed + 3)]
    theirs = [v.double().requires_grad_() for v in ours]
    ours = [v.requires_grad_() for v in ours]
    count = images * h * w
    bn.train(count > 1), bn64.train(count > 1)
    out, mean = Stem.apply(x, *ours, bn, Workspace())
    y = F.conv2d(x.double(), theirs[0], padding=1)
    expected = F.batch_norm(y, bn64.running_mean, bn64.running_var, *theirs[1:], count > 1, bn64.momentum, bn64.eps)
    expected = F.hardtanh(expected)
    got = from_blocks(out, images), from_blocks(mean, images)
    wanted = expected, expected.mean(dim=(2, 3))
    upstream = [draw(*value.shape, seed=seed + 4) for value in got]
    for value, other in zip(got, wanted, strict=True):
        assert torch.allclose(value.double(), other, atol=1e-4)
    assert torch.allclose(bn.running_var.double(), bn64.running_var, rtol=1e-5)
    sum((value * u).sum() for value, u in zip(got, upstream, strict=True)).backward()
    sum((value * u.double()).sum() for value, u in zip(wanted, upstream, strict=True)).backward()
    for p, q in zip(ours, theirs, strict=True):
        assert float((p.grad - q.grad).norm()) < 1e-3 * float(q.grad.norm()) + 1e-3


def test_derivatives_of_the_sign():
    x, shift = draw(9, BLOCK, seed=0), draw(BLOCK, seed=1)
    z = x + shift
    ede = 2.5 * 0.4 * (1 - torch.tanh(0.4 * z) ** 2)
    assert torch.allclose(through(rows.row_through_ede, x, shift, 2.5, 0.4), ede, atol=1e-6)
    assert torch.allclose(through(rows.row_through_polynomial, x, shift, 1, 1), (2 - 2 * z.abs()).clamp(min=0))
    assert torch.equal(through(rows.row_through_ste, x, shift, 1, 1), (z.abs() <= 1).float())


@pytest.mark.parametrize("bits", [8, 16])
def test_rounding_carries_what_it_leaves_over(bits):
    """Each gradient within one step of the exact one, and each image's sum over the pixels within half a step."""
    ds, y = to_blocks(draw(90, 8, 6, 5, seed=0)), torch.zeros(3, 8, 6, 5, BLOCK, dtype=torch.int16)
    a, b, c = (np.full(8, value, np.float32) for value in (3.3, 0, 0.25))
    lanes = side_by_side(torch.zeros(ds.shape), bits).numpy()
    stacked = torch.full((3, 8 * bits // 32, 8, 7, BLOCK), OFFSET if bits == 8 else 0, dtype=torch.int32)
    kernels.quantise(ds, y, a, b, c, valid_images(90), lanes, stacked)
    got = torch.from_numpy(lanes)
    got = torch.stack(got.split(BLOCK, -1), 1).flatten(0, 1)[:3].double()
    assert torch.equal(side_by_side(got, bits), torch.from_numpy(lanes))  # nothing behind the last group
    error = got - to_blocks(3.3 * from_blocks(ds, 90).double() + 0.25)
    assert float(error.abs().max()) <= 1.001
    assert float(error.sum((2, 3)).abs().max()) <= 0.501
    assert torch.equal(stacked, stack(got, bits))

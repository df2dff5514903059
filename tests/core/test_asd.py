"""The activation shifts, ASD and RSign, against loops in plain Python and finite differences."""

import math
import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sdbnn_lite.core.asd import ActivationSelfDistribution, StaticShift
from sdbnn_lite.core.binarize import sign
from sdbnn_lite.errors import UsageError


def activations(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def asd(channels, reduction, seed=0, spread=1.0):
    module = ActivationSelfDistribution(channels, reduction).double()
    for i, parameter in enumerate(module.parameters()):
        parameter.data = spread * activations(*parameter.shape, seed=seed + i + 1)
    return module


def naive_shift(image, w1, w2):
    """σ(W2 · relu(W1 · mean_hw(a))) of one image, with lists and math alone."""
    means = [sum(sum(row) for row in channel) / (len(channel) * len(channel[0])) for channel in image]
    hidden = [max(sum(w * m for w, m in zip(row, means, strict=True)), 0.0) for row in w1]
    return [1 / (1 + math.exp(-sum(w * h for w, h in zip(row, hidden, strict=True)))) for row in w2]


@pytest.mark.parametrize("channels, reduction", [(6, 2), (6, 6), (5, 2), (32, 16)])
def test_shift_equals_the_loops(channels, reduction):
    """Values per image and channel, on images that aren't square."""
    module, a = asd(channels, reduction), activations(3, channels, 4, 5) + 0.3
    w1, w2 = module.squeeze.weight.tolist(), module.expand.weight.tolist()
    expected = [naive_shift(image, w1, w2) for image in a.tolist()]
    shift = module(a)
    assert shift.shape == (3, channels, 1, 1)
    torch.testing.assert_close(shift.flatten(1), torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=0)


def test_gradients_equal_finite_differences():
    """Of the input, W1 and W2: the shift is smooth, so its derivative needs no surrogate."""
    module, a = asd(4, 2), activations(2, 4, 3, 3).requires_grad_()
    w1, w2 = (p.detach().requires_grad_() for p in module.parameters())

    def shift(a, w1, w2):
        return torch.func.functional_call(module, {"squeeze.weight": w1, "expand.weight": w2}, a)

    assert torch.autograd.gradcheck(shift, (a, w1, w2))


@given(seed=st.integers(0, 10**6), size=st.floats(0.01, 3), spread=st.floats(0.01, 2), reduction=st.integers(1, 4))
def test_shift_lies_between_0_and_1_so_signs_only_move_to_plus_one(seed, size, spread, reduction):
    """For any input and any weights: 0 < shift < 1, no +1 becomes -1, and what was below -1 stays."""
    a = size * activations(2, 4, 3, 3, seed=seed)
    shift = asd(4, reduction, seed, spread)(a)
    assert (shift > 0).all() and (shift < 1).all()
    before, after = sign(a), sign(a + shift)
    assert (after >= before).all()
    assert (after[a <= -1] == -1).all()


def test_each_image_makes_its_own_shift():
    """The shift of an image doesn't depend on the others in its batch, and differs between images."""
    module, a = asd(6, 2), 2 * activations(4, 6, 3, 3)
    alone = torch.cat([module(image[None]) for image in a])
    torch.testing.assert_close(module(a), alone)
    assert len(module(a).flatten(1).unique(dim=0)) > 1


@pytest.mark.parametrize("channels, reduction, hidden", [(16, 16, 1), (64, 16, 4), (64, 8, 8), (40, 16, 2), (8, 1, 8)])
def test_bottleneck_width_without_a_warning(channels, reduction, hidden):
    """W1 (max(C // r, 1), C), W2 (C, ·), no biases, and no warning where C >= r."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        module = ActivationSelfDistribution(channels, reduction)
    shapes = {name: tuple(p.shape) for name, p in module.named_parameters()}
    assert shapes == {"squeeze.weight": (hidden, channels), "expand.weight": (channels, hidden)}


def test_fewer_channels_than_r_warns():
    """C < r: still one unit, and the warning says both numbers."""
    with pytest.warns(UserWarning, match="channels=8 is below reduction=16"):
        assert ActivationSelfDistribution(8, 16).squeeze.weight.shape == (1, 8)


@pytest.mark.parametrize("arguments", [(0, 16), (16, 0), (-1, 1)])
def test_refuses_less_than_one(arguments):
    with pytest.raises(UsageError, match=r"=(0|-1): a whole number from 1 up"):
        ActivationSelfDistribution(*arguments)


def test_static_shift_is_one_number_per_channel():
    """RSign starts at 0 and adds β_c to every pixel of channel c; its gradient is the sum over that channel."""
    module, a = StaticShift(3).double(), activations(2, 3, 4, 4)
    assert torch.equal(a + module(a), a)
    module.beta.data = torch.tensor([0.5, -2.0, 0.0], dtype=torch.float64)
    upstream = activations(2, 3, 4, 4, seed=9)
    ((a + module(a)) * upstream).sum().backward()
    for c, beta in enumerate([0.5, -2.0, 0.0]):
        assert torch.equal((a + module(a))[:, c], a[:, c] + beta)
        assert float(module.beta.grad[c]) == pytest.approx(float(sum(upstream[:, c].flatten().tolist())))

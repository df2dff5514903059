"""Notebook 02: ASD's forward pass, a constant shift, and where EDE's slope is that of the identity."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ...data.sets import digit_images
from ...weights import zoo
from ..explorers.activation_shift import layer_inputs
from . import Exercise


def _by_hand(a: np.ndarray, w1: np.ndarray, w2: np.ndarray, grad: np.ndarray) -> tuple[np.ndarray, ...]:
    """The shift (N, C), and the gradients of Σ grad·shift with respect to a, W1 and W2, written out in NumPy."""
    n, c, height, width = a.shape
    mean = a.reshape(n, c, -1).mean(axis=2)
    squeezed = mean @ w1.T
    cut = np.maximum(squeezed, 0)
    shift = 1 / (1 + np.exp(-cut @ w2.T))
    expanded = grad * shift * (1 - shift)
    back = (expanded @ w2) * (squeezed > 0)
    pixels = np.broadcast_to((back @ w1)[:, :, None, None] / (height * width), a.shape)
    return shift, pixels, back.T @ mean, expanded.T @ cut


def _asd_forward(answer: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]) -> bool:
    """Values, signs and gradients; one image, one channel, maps that aren't square; a sum of exactly 0."""
    draw = torch.Generator().manual_seed(0)
    for n, c, hidden, height, width in ((3, 4, 2, 5, 6), (1, 1, 1, 1, 1), (2, 32, 2, 8, 8)):
        shapes = (n, c, height, width), (hidden, c), (c, hidden)
        given = [torch.randn(shape, generator=draw, dtype=torch.float64).requires_grad_() for shape in shapes]
        grad = torch.randn(n, c, generator=draw, dtype=torch.float64)
        shift, signs = answer(*given)
        assert shift.shape == (n, c), f"the shift has the shape {tuple(shift.shape)}, needed is (N, C), here {(n, c)}"
        wanted, *gradients = _by_hand(*(x.detach().numpy() for x in (*given, grad)))
        assert np.allclose(shift.detach(), wanted), "the shift isn't the one of the equation"
        found = torch.autograd.grad(shift, given, grad, allow_unused=True)
        for name, ours, theirs in zip(("a", "W1", "W2"), found, gradients):
            assert ours is not None and np.allclose(ours, theirs), f"the shift's gradient doesn't reach {name}"
        plus = given[0].detach().numpy() + wanted[:, :, None, None] >= 0
        assert signs.shape == plus.shape and np.array_equal(signs.detach(), np.where(plus, 1, -1)), "the signs differ"
    shift, signs = answer(torch.full((1, 2, 2, 2), -0.5), torch.zeros(1, 2), torch.zeros(2, 1))
    assert (shift == 0.5).all() and (signs == 1).all(), "a + shift is 0 there, whose sign is +1 here"
    return True


EXERCISES = {
    "asd_forward": Exercise(
        _asd_forward,
        right="values, signs and gradients are those of ASD, written out in NumPy.",
        hint="Five steps: mean over H and W, times W1 transposed, relu, times W2 transposed, sigmoid; then sign(a + "
             "shift), the shift with two more dimensions.",
        solution='''def asd_forward(a, W1, W2):
    means = a.mean(dim=(2, 3))
    squeezed = torch.relu(means @ W1.T)
    shift = torch.sigmoid(squeezed @ W2.T)
    return shift, sign(a + shift[:, :, None, None])''',
    ),
    "constant": Exercise(
        lambda constant: 0.69 < (layer_inputs(zoo.load("digits_ede"), digit_images())["conv3"].a
                                 + constant >= 0).double().mean() < 0.71,
        right="minus the 30 % quantile: the threshold then lies above 30 % of the activations.",
        hint="30 % of the activations have to lie below the threshold -constant: what is such a value called?",
        solution='''activations = activation_shift.layer_inputs(sd.load("digits_ede"), images)["conv3"].a
constant = -activations.flatten().sort().values[int(0.3 * activations.numel())].item()''',
    ),
    "distance": Exercise(
        lambda distance: abs(distance - np.arctanh(np.sqrt(0.9)) / 10) < 0.005,
        right="farther away than that, a pixel learns less than with the plain straight-through gradient.",
        hint="Solve for tanh²(10·x) first; numpy.arctanh undoes tanh.",
        solution="import numpy as np\n\ndistance = np.arctanh(np.sqrt(1 - 1 / 10)) / 10",
    ),
}  # fmt: skip

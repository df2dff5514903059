"""Notebook 08: signs behind a max pool, the bytes of a layer, a shift that centres every map."""

import numpy as np
import torch
from torch import nn

from . import Exercise

SHAPES = ((2, 3, 4, 5), (1, 1, 1, 1), (1, 4, 2, 2), (3, 2, 1, 6))


def _centred(shift_class: type) -> bool:
    """Values and gradients against loops over images and channels."""
    torch.manual_seed(0)
    for shape in SHAPES:
        drawn = torch.randn(shape) + 1
        for name, a in {"a": drawn, "relu(a)": drawn.relu(), "0": torch.zeros(shape)}.items():
            shift, before = shift_class(shape[1]), a.clone()
            assert isinstance(shift, nn.Module), "the class is no nn.Module"
            found = shift(a.requires_grad_())
            case = f"{name} of shape {shape}"
            assert found.shape in (shape[:2], (*shape[:2], 1, 1)), f"{case}: a shift of shape {tuple(found.shape)}"
            means = [[float(np.mean(channel)) for channel in image] for image in before.numpy()]
            wrong = abs(found.detach().reshape(shape[:2]).numpy() + means).max()
            assert wrong < 1e-5, f"{case}: off by up to {wrong:.3f}"
            assert torch.equal(a.detach(), before), f"{case}: the module changes its argument"
            found.sum().backward()
            expected = torch.full(shape, -1 / (shape[2] * shape[3]))
            assert a.grad is not None and torch.allclose(a.grad, expected), f"{case}: its gradient"
    return True


EXERCISES = {
    "behind_a_pool": Exercise(
        test=lambda share: abs(share - (1 - 0.5**4)) < 0.001,
        right="such a sign says 0.34 bits instead of 1.",
        hint="When is the maximum of four −1?",
        solution="share_behind_pool = 1 - (1 / 2) ** 4",
    ),
    "centred_shift": Exercise(
        test=_centred,
        right="behind it no map has one sign only, unless all its pixels are equal.",
        hint="The mean runs over the pixels, for each image and channel of its own; mind the shape (N, C, 1, 1).",
        solution="""class CentredShift(nn.Module):
    def __init__(self, channels):
        super().__init__()

    def forward(self, a):
        return -a.mean(dim=(2, 3), keepdim=True)""",
    ),
    "bytes": Exercise(
        test=lambda size: size == 32 * 32 * 3 * 3 / 8,
        right="as floats they take 36,864. ASD's two matrices and the biases stay floats, and come on top.",
        hint="One bit for each weight, eight bits a byte.",
        solution="bytes_of_conv3 = 32 * 32 * 3 * 3 // 8",
    ),
}

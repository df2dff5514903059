"""Shifts of the activations before the sign: learned and static (RSign), made by the input itself (ASD), or yours."""

import warnings

import torch
from torch import Tensor, nn

from ..errors import UsageError, check_whole


class ActivationSelfDistribution(nn.Module):
    """ASD: each input decides, per channel, how far its own activations are shifted before the sign.

        shift = σ(W2 · relu(W1 · mean_hw(a)))        â = sign(a + shift)

    a (N, C, H, W) → shift (N, C, 1, 1), in (0, 1): signs only ever flip to +1.
    W1 (max(C // r, 1), C) and W2 (C, max(C // r, 1)) have no biases; r = 16 on CIFAR, 8 on ImageNet. With ``tanh`` it
    stands in place of σ, as in a comment of the published code: the shift is in (-1, 1), and signs flip either way.

    Source: SD-BNN (arXiv:2103.02394), section 3.2, in the form of the published code. Warns where C < r, since the
    bottleneck then stays at one unit. Raises UsageError for channels or reduction below 1.
    >>> ActivationSelfDistribution(32)(torch.zeros(1, 32, 8, 8)).unique().item()  # σ(0)
    0.5
    """

    def __init__(self, channels: int, reduction: int = 16, tanh: bool = False):
        super().__init__()
        check_whole(channels=channels, reduction=reduction)
        if channels < reduction:
            warnings.warn(f"ASD: channels={channels} is below reduction={reduction}, so the bottleneck is 1 unit wide "
                          "(max(C // r, 1)); give a reduction <= channels for a wider one", stacklevel=2)  # fmt: skip
        hidden, self.tanh = max(channels // reduction, 1), tanh
        self.squeeze = nn.Linear(channels, hidden, bias=False)  # W1
        self.expand = nn.Linear(hidden, channels, bias=False)  # W2

    def shift_of(self, mean: Tensor) -> Tensor:
        """(N, C) shifts of the channels' means (N, C)."""
        expanded = self.expand(torch.relu(self.squeeze(mean)))
        return torch.tanh(expanded) if self.tanh else torch.sigmoid(expanded)

    def forward(self, a: Tensor) -> Tensor:
        return self.shift_of(a.mean(dim=(2, 3)))[:, :, None, None]


class StaticShift(nn.Module):
    """RSign: one learned shift per channel, the same for every input: â = sign(a + β_c).

    a (N, C, H, W) → β (1, C, 1, 1), starting at 0. Source: ReActNet (arXiv:2003.03488), section 4.2, which
    writes sign(a - α_c); here β = -α.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, a: Tensor) -> Tensor:
        return self.beta[None, :, None, None]


def own_shift(module: nn.Module, a: Tensor) -> Tensor:
    """The shift (N or 1, C, 1, 1) that your ``module`` makes of a (N, C, H, W); UsageError for another shape."""
    shift, (n, c) = module(a), a.shape[:2]
    shape = tuple(shift.shape) if isinstance(shift, Tensor) else type(shift).__name__
    if shape not in {(m, c, *pixels) for m in (1, n) for pixels in ((), (1, 1))}:
        raise UsageError(f"activation_shift: {type(module).__name__} gave {shape} for activations {tuple(a.shape)}; "
                         f"(N, {c}) or (N, {c}, 1, 1) is needed, N = {n} or 1")  # fmt: skip
    return shift.view(-1, c, 1, 1)

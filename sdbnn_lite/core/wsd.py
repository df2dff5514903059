"""Shifts of the latent weights before the sign: WSD's small learned one, and IR-Net's balancing beside it."""

import torch
from torch import Tensor, nn


def per_filter(w: Tensor) -> tuple[int, ...]:
    """The dimensions of one filter in ``w`` (O, …): all but the first."""
    return tuple(range(1, w.ndim))


WSD_CONSTANT = 0.01  # the published code's factor on the filter's mean


class WeightSelfDistribution(nn.Module):
    """WSD: shift each filter by a learned share of its own mean, as fine tuning.

        ŵ = sign(w + σ(α_o) · 0.01 · mean(w_o))

    w (O, C, kh, kw) → shift (O, 1, 1, 1), or (O, I) → (O, 1). The mean runs over one filter and takes no gradient;
    α (O,) starts at 0, where the share is 0.5 %. Source: SD-BNN (arXiv:2103.02394), section 3.3, with the constant
    of the published code.
    >>> round(WeightSelfDistribution(1)(torch.ones(1, 64, 3, 3)).item(), 6)  # σ(0) · 0.01 · 1
    0.005
    """

    def __init__(self, out_channels: int, constant: float = WSD_CONSTANT):
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(out_channels))
        self.constant = constant

    def forward(self, w: Tensor) -> Tensor:
        mean = w.detach().mean(dim=per_filter(w), keepdim=True)  # (O, 1, 1, 1)
        return torch.sigmoid(self.alpha).view_as(mean) * self.constant * mean


def balance(w: Tensor) -> Tensor:
    """IR-Net's balanced, standardised weights: (w - mean(w_o)) / std(w_o), per filter; (O, C, kh, kw) in and out.

    The mean of zero makes +1 and -1 about equally frequent. Gradients pass through mean and std, as in the
    published code of IR-Net (arXiv:1909.10788, section 3.2); std is the unbiased one. A filter of equal weights has
    none to divide by: it becomes w - mean(w_o) = 0, whose signs are +1.
    """
    centred = w - w.mean(dim=per_filter(w), keepdim=True)
    variance = centred.square().sum(dim=per_filter(w), keepdim=True) / max(w[0].numel() - 1, 1)  # std(dim=…) is slow
    return centred / torch.where(variance > 0, variance, 1).sqrt()

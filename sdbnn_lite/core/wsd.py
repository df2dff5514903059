"""Shifts of the latent weights before the sign: WSD's small learned one, and IR-Net's balancing beside it."""

import torch
from torch import Tensor, nn

WSD_CONSTANT = 0.01  # the published code's factor on the filter's mean


class WeightSelfDistribution(nn.Module):
    """WSD: shift each filter by a learned share of its own mean, as fine tuning.

        ŵ = sign(w + σ(α_o) · 0.01 · mean(w_o))

    w (O, C, kh, kw) → shift (O, 1, 1, 1). The mean runs over one filter and takes no gradient; α (O,) starts at 0,
    where the share is 0.5 %. Source: SD-BNN (arXiv:2103.02394), section 3.3, with the constant of the
    published code.
    """

    def __init__(self, out_channels: int, constant: float = WSD_CONSTANT):
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(out_channels))
        self.constant = constant

    def forward(self, w: Tensor) -> Tensor:
        mean = w.detach().mean(dim=(1, 2, 3), keepdim=True)  # (O, 1, 1, 1)
        return torch.sigmoid(self.alpha)[:, None, None, None] * self.constant * mean


def balance(w: Tensor) -> Tensor:
    """IR-Net's balanced, standardised weights: (w - mean(w_o)) / std(w_o), per filter; (O, C, kh, kw) in and out.

    The mean of zero makes +1 and -1 about equally frequent. Gradients pass through mean and std, as in the
    published code of IR-Net (arXiv:1909.10788, section 3.2); std is the unbiased one.
    """
    centred = w - w.mean(dim=(1, 2, 3), keepdim=True)
    variance = centred.square().sum(dim=(1, 2, 3), keepdim=True) / (w[0].numel() - 1)  # std(dim=…) is slow on a CPU
    return centred / variance.sqrt()

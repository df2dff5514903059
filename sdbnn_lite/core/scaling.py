"""The scaling factors that SD-BNN (arXiv:2103.02394) argues against. Each is positive, so none can change a sign.

Every one is per filter, (O,), and multiplies the output of the binary convolution: y_o = s_o · (â * ŵ)_o.
"""

import torch
from torch import Tensor, nn

from .wsd import per_filter


def analytic_scale(w: Tensor) -> Tensor:
    """XNOR-Net's s_o = mean |w_o|, the least-squares scale of sign(w_o). w (O, C, kh, kw) → (O,), with gradient.

    Source: XNOR-Net (arXiv:1603.05279), equation 6. The input's own scale K is not part of it.
    """
    return w.abs().mean(dim=per_filter(w))


def power_of_two_scale(w: Tensor) -> Tensor:
    """IR-Net's s_o = 2^round(log2(mean |w_o|)), a bit shift in hardware. w (O, C, kh, kw) → (O,), no gradient.

    Source: IR-Net (arXiv:1909.10788), equation 8; ``w`` is balanced and standardised there. 1 for a filter of zeros.
    """
    mean = w.detach().abs().mean(dim=per_filter(w))
    return torch.exp2(torch.log2(torch.where(mean > 0, mean, 1)).round())


class LearnedScale(nn.Module):
    """XNOR-Net++'s learned s_o in its simplest form: one parameter per filter, starting at 1.

    The parameter is used through |·|, so that it stays a *scale*: a factor below 0 would flip a whole channel, which
    batch norm undoes and no scaling factor of the literature is meant to do. Source: XNOR-Net++ (arXiv:1909.13863).
    """

    def __init__(self, out_channels: int):
        super().__init__()
        self.factor = nn.Parameter(torch.ones(out_channels))

    def forward(self) -> Tensor:
        return self.factor.abs()

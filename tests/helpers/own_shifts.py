"""Shift modules of a user's own: a constant, and one that learns."""

import torch
from torch import nn


class Half(nn.Module):
    """½ for all: (1, C, 1, 1)."""

    def __init__(self, channels):
        super().__init__()
        self.shift = torch.full((1, channels, 1, 1), 0.5)

    def forward(self, a):
        return self.shift


class Tanh(nn.Module):
    """tanh of a matrix times the means, (N, C)."""

    def __init__(self, channels):
        super().__init__()
        self.mix = nn.Linear(channels, channels)

    def forward(self, a):
        return torch.tanh(self.mix(a.mean((2, 3))))

"""Images as bytes, uint8 (N, C, H, W): their channels, their size, and the statistics that normalise them."""

import torch
from torch import Tensor


def to_channels(images: Tensor, channels: int) -> Tensor:
    """uint8 (N, C, H, W) -> (N, ``channels``, H, W), 1 or 3: grey three times, or PIL's grey of colours (ITU-R 601-2),

    (19595·R + 38470·G + 7471·B + 2^15) / 2^16, rounded down; where R = G = B, that value.
    """
    if images.shape[1] == channels:
        return images
    if channels == 3:
        return images.repeat(1, 3, 1, 1)
    weights = torch.tensor([19595, 38470, 7471], device=images.device).view(3, 1, 1)
    sums = ((part * weights).sum(1, keepdim=True) for part in images.split(256))
    return torch.cat([((total + 2**15) >> 16).to(torch.uint8) for total in sums])


def measure(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and std of pixel / 255 of each channel of uint8 (N, C, H, W), over all pixels of all images.

    std is 1 where all of them are equal, so that they can be divided by it.
    """
    counts = torch.stack([torch.bincount(channel.reshape(-1), minlength=256) for channel in images.unbind(1)])
    shares = counts / counts.sum(1, keepdim=True, dtype=torch.float64)  # (C, 256)
    values = torch.arange(256, dtype=torch.float64) / 255
    mean = (shares * values).sum(1)
    std = (shares * (values - mean[:, None]) ** 2).sum(1).sqrt()
    return tuple(mean.tolist()), tuple(torch.where(shares.amax(1) == 1, 1.0, std).tolist())


def resize(images: Tensor, size: int) -> Tensor:
    """uint8 or float (N, C, H, W), 0 … 255 -> uint8 (N, C, ``size``, ``size``): bilinear, antialiased, rounded."""
    if images.shape[2:] != (size, size):
        dtype = torch.promote_types(images.dtype, torch.float32)
        parts = (torch.nn.functional.interpolate(part.to(dtype), (size, size), mode="bilinear", antialias=True)
                 for part in images.split(4096))  # fmt: skip
        images = torch.cat([part.round().clamp(0, 255).to(torch.uint8) for part in parts])
    return images.round().to(torch.uint8) if images.is_floating_point() else images

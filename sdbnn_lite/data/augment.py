"""Crop, flip and normalise a whole batch at once, from images that stay in memory as bytes.

The published CIFAR training pads each image with 4 zeros a side, crops it back at a random place, flips half of them,
and normalises:

    x = (crop(pad(image)) / 255 - mean) / std         uint8 (C, H, W) -> float32 (C, H, W)

All images lie padded in one table with a row of C bytes per pixel, and a crop, flipped or not, is only a choice of
rows: *one* ``index_select`` serves the whole batch. The result equals torchvision's functions on the same crops.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import UsageError


@dataclass(frozen=True)
class Augmentation:
    """How training images vary. The defaults are the published training's.

    pad       pixels a side before the crop (0: no crop), zeros, or with ``reflect`` the image mirrored at its border
    flip      left and right with probability 1/2; where ``epoch`` (0, 1, …) is given, in every second epoch instead:
              an image's own coin, the same in every run, says in which (so that two epochs show both sides)
    cutout    side of a square whose pixels are erased, 0: none (:func:`erase`; arXiv:1708.04552)
    resized   instead of ``pad``: a random box of 8-100 % of the area, aspect 3/4-4/3, resized to the whole
    jitter    brightness, contrast and saturation, each by a factor in 1 ± jitter, 0 … 1
    lighting  standard deviation of AlexNet's colour shift, 0 or more; these three are in ``imagenet_augment``
    """

    pad: int = 4
    flip: bool = True
    reflect: bool = False
    cutout: int = 0
    epoch: int | None = None
    resized: bool = False
    jitter: float = 0.0
    lighting: float = 0.0

    def __post_init__(self) -> None:
        for name, value in (("pad", self.pad), ("cutout", self.cutout)):
            if not isinstance(value, int) or value < 0:
                raise UsageError(f"{name}={value!r}: give a whole number of pixels, 0 or more")
        if not 0 <= self.jitter <= 1:
            raise UsageError(f"jitter={self.jitter!r}: give a number from 0 to 1")
        if not 0 <= self.lighting < math.inf:
            raise UsageError(f"lighting={self.lighting!r}: give a finite number, 0 or more")

    @property
    def colours(self) -> bool:
        """Whether brightness or colour vary."""
        return bool(self.jitter or self.lighting)


class Draws(NamedTuple):
    """All random numbers of an epoch (or of a slice of it), one entry per crop, each of shape (N,)."""

    image: Tensor  # which image: a permutation of 0 … N-1
    top: Tensor  # first row of the crop in the padded image, 0 … 2·pad
    left: Tensor  # first column, 0 … 2·pad
    flip: Tensor  # bool

    def to(self, device: torch.device | str) -> "Draws":
        return Draws(*(values.to(device) for values in self))

    def part(self, places: slice) -> "Draws":
        """Those of the crops at ``places`` of the epoch."""
        return Draws(*(values[places] for values in self))


def draw(images: int, augmentation: Augmentation, generator: torch.Generator) -> Draws:
    """Every random number of one epoch over ``images`` images, from the CPU ``generator``.

    Also those that ``augmentation`` doesn't use, so that a run without it sees the images in the same order.
    """
    shifts = 2 * augmentation.pad + 1
    order = torch.randperm(images, generator=generator)
    top = torch.randint(shifts, (images,), generator=generator)
    left = torch.randint(shifts, (images,), generator=generator)
    flip = torch.rand(images, generator=generator) < 0.5
    if augmentation.epoch is not None:
        coin = torch.rand(images, generator=torch.Generator().manual_seed(0)) < 0.5
        flip = (coin ^ bool(augmentation.epoch % 2))[order]
    return Draws(order, top, left, flip & augmentation.flip)


def draw_centres(images: int, height: int, width: int, generator: torch.Generator) -> Tensor:
    """Where cutout's squares lie: row and column of their centres, any pixel equally likely, int64 (N, 2).

    Drawn after the epoch's :func:`draw`: with cutout, a run sees other orders from its second epoch on.
    """
    return torch.stack([torch.randint(side, (images,), generator=generator) for side in (height, width)], dim=1)


def erase(images: Tensor, centres: Tensor, side: int) -> Tensor:
    """Set a square to 0 in normalised ``images`` (B, C, H, W), in place: the set's mean colour.

    Rows y - side//2 … y - side//2 + side - 1 around the centre's y, columns alike; what lies outside is cut off.
    """
    rows, columns = (
        torch.arange(n, device=images.device) - centres[:, i : i + 1] + side // 2
        for i, n in enumerate(images.shape[2:])
    )  # (B, H) and (B, W): from 0 to side - 1 inside
    inside_rows, inside_columns = ((x >= 0) & (x < side) for x in (rows, columns))
    return images.masked_fill_((inside_rows[:, :, None] & inside_columns[:, None, :])[:, None], 0)


def pixel_table(images: Tensor, pad: int, reflect: bool = False) -> Tensor:
    """uint8 (N, C, H, W) -> (N, H + 2·pad, W + 2·pad, C): padded, a pixel's C bytes together.

    The border holds the raw value 0; with ``reflect`` the image mirrored at its outermost pixels (which aren't
    doubled), so ``pad`` has to be below both sides.
    """
    n, c, h, w = images.shape
    if reflect:
        rows, columns = (_mirrored(side, pad, images.device) for side in (h, w))
        return images.permute(0, 2, 3, 1)[:, rows[:, None], columns].contiguous()
    table = images.new_zeros(n, h + 2 * pad, w + 2 * pad, c)
    table[:, pad : pad + h, pad : pad + w] = images.permute(0, 2, 3, 1)
    return table


def _mirrored(side: int, pad: int, device: torch.device) -> Tensor:
    """Which pixel 0 … side-1 stands at each of the places -pad … side+pad-1."""
    place = torch.arange(-pad, side + pad, device=device).abs()
    return (side - 1) - ((side - 1) - place).abs()


def crop(table: Tensor, draws: Draws, pad: int) -> Tensor:
    """The crops that ``draws`` (B each) describes: ``table`` (N, H + 2·pad, W + 2·pad, C) -> (B, C, H, W)."""
    _, rows, columns, channels = table.shape
    h, w = rows - 2 * pad, columns - 2 * pad
    x = torch.arange(w, device=table.device)
    x = torch.where(draws.flip[:, None], w - 1 - x, x) + draws.left[:, None]  # (B, W): mirrored in the crop, then moved
    y = torch.arange(h, device=table.device) + (draws.image * rows + draws.top)[:, None]  # (B, H): row among all N·rows
    pixel = y[:, :, None] * columns + x[:, None, :]  # (B, H, W)
    chosen = table.view(-1, channels).index_select(0, pixel.view(-1))  # (B·H·W, C)
    return chosen.view(-1, h, w, channels).permute(0, 3, 1, 2)


def normalise(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """(x / 255 - mean) / std: uint8 (B, C, H, W) -> float32, contiguous; ``mean`` and ``std`` are float32 (C, 1, 1).

    In torchvision's order of operations, so that the result is the same to the last bit.
    """
    x = images.to(torch.float32, memory_format=torch.contiguous_format)
    return x.div_(255).sub_(mean).div_(std)


def batch_slices(images: int, batch_size: int, start: int = 0, drop_lone: bool = True) -> list[slice]:
    """The slices of 0 … images-1 that make the batches from number ``start`` on; the last may be smaller.

    A last batch of exactly one image is left out with ``drop_lone`` (training): the variance that batch norm needs
    doesn't exist there. ``batch_size=1`` is taken at its word. Raises UsageError where ``batch_size`` < 1 or ``start``
    isn't one of 0 … number of batches.
    """
    if not isinstance(batch_size, int) or batch_size < 1:
        raise UsageError(f"batch_size={batch_size!r}: give a whole number, 1 or more")
    slices = [slice(low, min(low + batch_size, images)) for low in range(0, images, batch_size)]
    if drop_lone and batch_size > 1 and images % batch_size == 1:
        slices.pop()
    if not 0 <= start <= len(slices):
        raise UsageError(f"start={start!r}: an epoch of {images} images has batches 0 to {len(slices)}")
    return slices[start:]

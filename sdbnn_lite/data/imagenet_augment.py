"""The random numbers of ImageNet's augmentation, and the crops, flips and colours that they stand for.

Every image of an epoch has ``NUMBERS`` numbers of its own, uniform in [0, 1). They come from Philox (Salmon et al.,
2011, "Parallel random numbers: as easy as 1, 2, 3"): those at place i of an epoch follow from the epoch's key and i
alone. So neither the number of workers or processes nor where a run was resumed changes a pixel.

    0-19   ten tries (area, aspect) for the crop       20, 21   its place
    22     flip                                        23-26    brightness, contrast, saturation, their order
    27-29  lighting's three normal numbers             30, 31   unused
"""

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from scipy.special import ndtri
from torch import Tensor

from .image_file import Box

NUMBERS = 32  # a multiple of 4: Philox makes four at a time
TRIES = 10
AREA, ASPECT = (0.08, 1.0), (3 / 4, 4 / 3)  # arXiv:1409.4842, section 6; torchvision's RandomResizedCrop
GREY = (0.2989, 0.587, 0.114)  # of red, green, blue: torchvision's
ORDERS = tuple(itertools.permutations(range(3)))
# Principal components of ImageNet's RGB values in 0 … 1 (Krizhevsky et al. 2012; the numbers of fb.resnet.torch)
EIGENVALUES = (0.2175, 0.0188, 0.0045)
EIGENVECTORS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))


def draw_key(generator: torch.Generator) -> int:
    """An epoch's key, from the run's CPU generator."""
    return int(torch.randint(2**62, (), generator=generator))


def numbers(key: int, part: slice) -> np.ndarray:
    """float64 (n, NUMBERS): the numbers of the images at places ``part`` of the epoch's order."""
    bits = np.random.Philox(key=key, counter=[part.start * NUMBERS // 4, 0, 0, 0])
    return np.random.Generator(bits).random((part.stop - part.start, NUMBERS))


def random_boxes(u: np.ndarray, heights: Sequence[int], widths: Sequence[int]) -> np.ndarray:
    """torchvision's RandomResizedCrop by the numbers ``u`` (B, NUMBERS): at most ten tries, each of

        area = height·width·U(0.08, 1),  aspect = exp U(ln 3/4, ln 4/3),  w = √(area·aspect),  h = √(area/aspect)

    the first that fits lies anywhere in the image; if none fits, the largest box of an allowed aspect in the middle.
    ``heights``, ``widths``: int (B,). Returns int64 (B, 4), rows as :class:`Box`.
    """
    low, high = np.log(ASPECT)
    height, width = (np.asarray(sides, np.int64)[:, None] for sides in (heights, widths))  # (B, 1)
    area = height * width * (AREA[0] + (AREA[1] - AREA[0]) * u[:, 0 : 2 * TRIES : 2])  # (B, TRIES)
    aspect = np.exp(low + (high - low) * u[:, 1 : 2 * TRIES : 2])
    w, h = np.rint(np.sqrt(area * aspect)), np.rint(np.sqrt(area / aspect))
    fits = (0 < w) & (w <= width) & (0 < h) & (h <= height)
    first = fits.argmax(1)[:, None]
    h, w = (np.take_along_axis(sides, first, 1).astype(np.int64) for sides in (h, w))  # (B, 1)
    top, left = (u[:, 20:21] * (height - h + 1)).astype(np.int64), (u[:, 21:22] * (width - w + 1)).astype(np.int64)
    boxes = np.concatenate([top, left, h, w], 1)
    for i in np.flatnonzero(~fits.any(1)):
        boxes[i] = largest_box(int(height[i, 0]), int(width[i, 0]))
    return boxes


def random_box(u: np.ndarray, height: int, width: int) -> Box:
    """The same for one image: ``u`` is (NUMBERS,)."""
    return Box(*random_boxes(u[None], [height], [width])[0].tolist())


def largest_box(height: int, width: int) -> Box:
    """The largest box in the middle whose aspect, width/height, is one of 3/4 … 4/3."""
    low, high = ASPECT
    h = round(width / low) if width < low * height else height
    w = round(height * high) if width > high * height else width
    h, w = min(max(h, 1), height), min(max(w, 1), width)
    return Box((height - h) // 2, (width - w) // 2, h, w)


def flips(u: np.ndarray) -> np.ndarray:
    """bool (...) from (..., NUMBERS): which images are mirrored left to right, half of them."""
    return u[..., 22] < 0.5


def jitter(images: Tensor, u: np.ndarray, strength: float) -> Tensor:
    """Brightness, contrast and saturation, each by a factor f ~ U(1 - s, 1 + s), in an order of each image's own.

        x <- clip(f·x + (1 - f)·target)      target: 0, the mean grey of the image, or each pixel's own grey

    ``images``: float (B, 3, H, W) in 0 … 1; ``u``: (B, NUMBERS); s = ``strength``, at most 1. torchvision's ColorJitter
    without hue, but the whole batch at once.
    """
    factors = torch.from_numpy(1 + strength * (2 * u[:, 23:26] - 1)).to(images)  # (B, 3)
    order = torch.tensor(ORDERS)[torch.from_numpy((u[:, 26] * len(ORDERS)).astype(int))].to(images.device)  # (B, 3)
    weights = images.new_tensor(GREY).view(1, 3, 1, 1)
    for step in range(3):
        which = order[:, step]
        grey = (images * weights).sum(1, keepdim=True)
        one = [(which == kind).view(-1, 1, 1, 1).to(images) for kind in range(3)]
        target = one[1] * grey.mean((2, 3), keepdim=True) + one[2] * grey
        f = factors.gather(1, which[:, None]).view(-1, 1, 1, 1)
        images = (f * images + (1 - f) * target).clamp(0, 1)
    return images


def lighting(images: Tensor, u: np.ndarray, strength: float) -> Tensor:
    """AlexNet's colour shift: x + E·(λ·a), a ~ N(0, strength²) per image; E, λ: the principal components of RGB.

    ``images``: float (B, 3, H, W) in 0 … 1. The published trainers of this family add the same numbers to bytes
    0 … 255 and round, which leaves nearly nothing of it; here it has the size that its paper gives it.
    """
    normal = ndtri(np.clip(u[:, 27:30], 1e-12, 1 - 1e-12)) * strength * np.array(EIGENVALUES)  # (B, 3)
    return images + torch.from_numpy(normal @ np.array(EIGENVECTORS).T).to(images)[:, :, None, None]


def resize_boxes(images: Tensor, boxes: Tensor, size: int, which: Tensor) -> Tensor:
    """Each image's own box, resized to ``size`` x ``size`` and mirrored or not, the whole batch at once.

    ``images`` uint8 (B, C, H, W), ``boxes`` int64 (B, 4) as :class:`Box`, ``which`` bool (B,) give uint8
    (B, C, size, size). A bilinear resize is out = R·image·Kᵀ with a matrix of weights along rows and one along columns,
    made for every image (:func:`_weights`): two batched matrix products.
    """
    top, left, height, width = boxes.to(images.device).unbind(1)
    rows = _weights(top, height, size, images.shape[2])  # (B, size, H)
    columns = _weights(left, width, size, images.shape[3])
    columns = torch.where(which.to(images.device)[:, None, None], columns.flip(1), columns)
    x = torch.matmul(images.float(), columns[:, None].transpose(2, 3))  # (B, C, H, size)
    x = x.add_(0.5).floor_()  # as PIL, which keeps bytes between the two passes, halves rounded up
    return torch.matmul(rows[:, None], x).add_(0.5).floor_().clamp_(0, 255).to(torch.uint8)


def _weights(start: Tensor, length: Tensor, size: int, whole: int) -> Tensor:
    """float32 (B, size, whole): a triangle around each output pixel's centre, as wide as two of the pixels it sums.

    Output i has its centre at c = start + (i + ½)·s, s = length/size; weight of pixel j: max(0, 1 - |j + ½ - c|/r) with
    r = max(s, 1), inside the box alone, scaled to sum 1. PIL's and torchvision's antialiased bilinear filter.
    """
    s = (length.float() / size)[:, None, None]
    places = torch.arange(whole, device=start.device)
    centre = start[:, None, None] + (torch.arange(size, device=start.device)[:, None] + 0.5) * s
    triangle = (1 - (places + 0.5 - centre).abs() / s.clamp(min=1)).clamp(min=0)
    inside = (places >= start[:, None]) & (places < (start + length)[:, None])  # (B, whole)
    triangle = triangle * inside[:, None]
    return triangle / triangle.sum(2, keepdim=True)

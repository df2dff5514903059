"""One image file as RGB bytes: any kind of pixels, and JPEG decoded no larger than it is needed.

A JPEG file holds the cosine coefficients of 8x8 blocks. From the first 4x4, 2x2 or 1 of them the image comes out at
1/2, 1/4 or 1/8 of its sides (libjpeg's "DCT scaling", PIL's ``draft``). Where a crop is to be shrunk by more than that
anyway, most of the decoding is saved; the pixels differ a little, for the blocks are averaged by another filter.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from PIL import Image
from torchvision.transforms import functional as F

from ..errors import UsageError

MOST_PIXELS, MOST_TIMES = 89_478_485, 1000  # of a file (PIL warns above it), and its longer side over its shorter one
MOST_SIDE = 4096  # pixels of an image that a network sees


class Box(NamedTuple):
    """A rectangle of pixels: rows top … top + height - 1, columns left … left + width - 1."""

    top: int
    left: int
    height: int
    width: int


Choose = Callable[[int, int], Box]  # of an image's height and width


@contextmanager
def opened(path: str) -> Iterator[Image.Image]:
    """The picture in ``path``, of which only the header is read yet; ValueError for one that is larger than allowed."""
    with Image.open(path) as picture:
        width, height = picture.size
        if width * height > MOST_PIXELS or max(width, height) > MOST_TIMES * min(width, height):
            raise ValueError(f"{width}x{height} pixels; at most {MOST_PIXELS:,} are read, and one side at most "
                             f"{MOST_TIMES} times the other")  # fmt: skip
        yield picture


def read_image(path: str) -> Image.Image:
    """The picture in ``path`` as RGB (see :func:`to_rgb`). Raises UsageError, naming the file and the remedy."""
    try:
        with opened(path) as picture:
            return to_rgb(picture)
    except Exception as error:  # PIL raises OSError, SyntaxError, ValueError, struct.error … on a broken file
        raise unreadable(path, error) from error


def header_size(path: str) -> tuple[int, int] | None:
    """Width and height of the picture in ``path``, from its header; None where that can't be read."""
    try:
        with opened(path) as picture:
            return picture.size
    except Exception:  # noqa: BLE001  any error of PIL: reading the image itself will name it
        return None


def read_crop(path: str, choose: Choose, size: int, reduced: bool = False, flip: bool = False) -> np.ndarray:
    """The box ``choose(height, width)`` of the picture in ``path``, resized to uint8 (size, size, 3).

    Bilinear and antialiased, as torchvision's ``resized_crop``; the same pixels unless ``reduced``: then a JPEG is
    decoded at 1/2, 1/4 or 1/8 where the box still has ``size`` pixels a side. ``flip``: mirrored left to right.
    Raises UsageError, naming the file.
    """
    try:
        with opened(path) as picture:
            width, height = picture.size
            box = choose(height, width)
            if reduced and picture.format == "JPEG":
                picture.draft(None, (-(-width * size // box.width), -(-height * size // box.height)))
            shrunk = round(width / picture.size[0])  # 1, 2, 4 or 8
            if shrunk == 1:
                return resized(to_rgb(picture), box, size, flip)
            corners = (box.left, box.top, box.left + box.width, box.top + box.height)
            left, top, right, bottom = (min(place / shrunk, side) for place, side in zip(corners, picture.size * 2))
            part = to_rgb(picture).resize((size, size), Image.Resampling.BILINEAR, box=(left, top, right, bottom))
            return _pixels(part, flip)
    except Exception as error:
        raise unreadable(path, error) from error


def resized(picture: Image.Image, box: Box, size: int, flip: bool = False) -> np.ndarray:
    """uint8 (size, size, 3): crop, then bilinear with antialiasing; pixels outside the box play no part."""
    if (box.width, box.height) != picture.size:
        picture = picture.crop((box.left, box.top, box.left + box.width, box.top + box.height))
    return _pixels(picture.resize((size, size), Image.Resampling.BILINEAR), flip)


def _pixels(picture: Image.Image, flip: bool) -> np.ndarray:
    return np.asarray(picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flip else picture)


def centre_crop(picture: Image.Image, side: int, size: int) -> np.ndarray:
    """The middle (size, size) pixels, after the shorter side was resized to ``side`` (bilinear, antialiased); uint8."""
    return np.asarray(F.center_crop(F.resize(picture, side), size))


def to_rgb(picture: Image.Image) -> Image.Image:
    """``picture`` as 8-bit RGB.

    Grey, palette and CMYK are converted by PIL. What is transparent is laid on white, as viewers show it: the colours
    under it mean nothing. Of 16-bit grey values the upper 8 bits are taken, as PIL does for 16-bit RGB (its own
    conversion of grey would cut off everything above 255). Its ``info["grey"]`` says whether the file had a single
    channel, besides transparency. Raises ValueError for pixels that have no such range.
    """
    grey = picture.mode in ("1", "L", "LA", "La") or picture.mode.startswith("I")
    if picture.mode.startswith("I"):
        values = np.asarray(picture)
        if values.min() < 0 or values.max() > 0xFFFF:
            raise ValueError("32-bit pixel values")
        picture = Image.fromarray((values >> 8).astype(np.uint8))
    elif picture.mode == "F":
        raise ValueError("floating-point pixel values")
    elif picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        if np.asarray(picture)[..., 3].min() < 255:
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    rgb = picture.convert("RGB")
    rgb.info["grey"] = grey
    return rgb


def unreadable(path: str, error: Exception) -> UsageError:
    """The error that names an unreadable file, what to do and why."""
    return UsageError(f"unreadable image {path}: replace or remove it ({first_line(error)})")


def first_line(error: Exception) -> str:
    """What an error says, cut at its first line; its type where it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0]

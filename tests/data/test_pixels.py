"""Channels, sizes and statistics of bytes, against PIL, torchvision and numpy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from torchvision.transforms import functional as F

from sdbnn_lite.data.pixels import measure, resize, to_channels

BYTES = arrays(np.uint8, st.tuples(st.integers(1, 4), st.sampled_from([1, 3]), st.integers(1, 6), st.integers(1, 6)))


@settings(max_examples=100, deadline=None)
@given(BYTES)
def test_channels_as_pil_converts_them(images):
    grey, colours = (to_channels(torch.from_numpy(images), channels).numpy() for channels in (1, 3))
    if images.shape[1] == 1:
        assert np.array_equal(grey, images) and np.array_equal(colours, np.repeat(images, 3, axis=1))
    else:
        pictures = [Image.fromarray(image.transpose(1, 2, 0).copy()).convert("L") for image in images]
        assert np.array_equal(grey[:, 0], np.stack([np.asarray(picture) for picture in pictures]))
        assert np.array_equal(colours, images)


def test_grey_of_grey_is_itself():
    values = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    assert torch.equal(to_channels(to_channels(values, 3), 1), values)


@settings(max_examples=100, deadline=None)
@given(BYTES)
def test_statistics_are_numpys(images):
    mean, std = measure(torch.from_numpy(images))
    x = images.astype(np.float64).swapaxes(0, 1).reshape(images.shape[1], -1) / 255
    same = x.min(1) == x.max(1)
    assert mean == pytest.approx(x.mean(1), abs=1e-12)
    assert std == pytest.approx(np.where(same, 1, x.std(1)), abs=1e-12)


def test_one_other_pixel_is_not_constant():
    images = torch.zeros(1, 1, 100, 100, dtype=torch.uint8)
    images[0, 0, 3, 3] = 1
    assert measure(images)[1][0] == pytest.approx(1 / 255 / 100, rel=1e-3)


@pytest.mark.parametrize("size", [5, 8, 20])
def test_sizes_as_torchvision_resizes(size):
    images = torch.randint(0, 256, (3, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    theirs = F.resize(images.double(), [size, size], antialias=True).round()
    for pixels in (images, images.double()):
        ours = resize(pixels, size)
        assert ours.dtype == torch.uint8 and (ours - theirs).abs().max() <= 1  # halves may be rounded otherwise
    assert torch.equal(resize(images, 8), images)

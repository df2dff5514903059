"""The probe's images and predictions: against a pixel by pixel twin, the same bytes on every machine."""

import numpy as np
import pytest
import torch
from samples import agreement

from sdbnn_lite.weights import cards, logits_check


def naive_probe_image(number, size, channels):
    """Pixels of one image of the probe, in Python's own floats, pixel by pixel."""
    per_image = 3 * channels + 6 * (3 + channels)
    raw = np.random.PCG64(logits_check.PROBE_SEED).random_raw((number + 1) * per_image)[number * per_image :]
    draw = [(int(r) >> 11) / 2**53 for r in raw]
    blobs = [draw[3 * channels + i * (3 + channels) :][: 3 + channels] for i in range(6)]
    image = np.empty((channels, size, size), np.uint8)
    for c, i, j in np.ndindex(image.shape):
        x, y = (j + 0.5) / size, (i + 0.5) / size
        base, slant_x, slant_y = draw[c], draw[channels + c], draw[2 * channels + c]
        value = 40 + 150 * base + 80 * (slant_x - 0.5) * (x - 0.5) + 80 * (slant_y - 0.5) * (y - 0.5)
        for px, py, r, *colour in blobs:
            radius = 0.1 + 0.4 * r
            inside = max(1 - ((x - px) * (x - px) + (y - py) * (y - py)) / (radius * radius), 0)
            value += 360 * (colour[c] - 0.5) * (inside * inside)
        image[c, i, j] = int(min(max(value, 0), 255))
    return image


@pytest.mark.parametrize("size, channels", [(8, 1), (32, 3)])
def test_the_probe_against_pixel_by_pixel(size, channels):
    pixels = logits_check.probe_pixels(size, channels)
    assert pixels.shape == (500, channels, size, size)
    for number in (0, 7, 499):
        assert np.array_equal(pixels[number], naive_probe_image(number, size, channels))


def test_the_probe_is_the_same_bytes_everywhere():
    """Digests that every machine has to find; a card's predictions would mean nothing otherwise."""
    found = cards.digest(logits_check.probe_pixels(32).tobytes())
    assert found == "228a2a365c05fa8e1119638b5c9aead9f4e1bb6ee574d0d4c39b1f50d8a98553"


def test_the_probe_is_as_bright_and_varied_as_photographs():
    x = logits_check.probe_images(32, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert x.shape == (500, 3, 32, 32) and x.dtype == torch.float32
    assert x.mean().abs() < 0.3 and 0.7 < x.std() < 1.3


def test_predictions_are_digits_or_numbers():
    few, many = torch.eye(3), torch.eye(12)
    assert logits_check.predicted_classes(few) == "012"
    assert logits_check.predicted_classes(many) == "0 1 2 3 4 5 6 7 8 9 10 11"
    assert agreement("0123", "0193") == 0.75 and agreement("1 10 11", "1 10 12") == pytest.approx(2 / 3)

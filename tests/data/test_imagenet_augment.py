"""The random numbers of ImageNet's augmentation; crops and colours against torchvision's, one image at a time."""

import math

import numpy as np
import pytest
import torch
from image_trees import seeded
from torchvision import transforms
from torchvision.transforms import functional as F

from sdbnn_lite.data import imagenet_augment
from sdbnn_lite.data.augment import Augmentation
from sdbnn_lite.data.in_memory import ImageSet
from sdbnn_lite.errors import UsageError

KEY = 12345


def uniform(n, key=KEY):
    return imagenet_augment.numbers(key, slice(0, n))


# Random numbers


def test_numbers_depend_on_key_and_place_alone():
    whole = uniform(50)
    assert whole.shape == (50, imagenet_augment.NUMBERS) and whole.min() >= 0 and whole.max() < 1
    for start, stop in ((0, 1), (7, 23), (49, 50), (20, 20)):
        assert np.array_equal(imagenet_augment.numbers(KEY, slice(start, stop)), whole[start:stop])
    assert not np.isin(imagenet_augment.numbers(KEY + 1, slice(0, 50)), whole).any()
    assert len(np.unique(whole)) == whole.size


def test_numbers_are_uniform_and_independent():
    n = 20_000
    u = uniform(n)
    for column in u.T:
        counts = np.bincount((column * 10).astype(int), minlength=10)
        assert ((counts - n / 10) ** 2 / (n / 10)).sum() < 36  # 9 degrees of freedom; 32 columns
    assert np.abs(np.corrcoef(u.T) - np.eye(imagenet_augment.NUMBERS)).max() < 5 / n**0.5


def test_keys_come_from_the_generator():
    assert (
        imagenet_augment.draw_key(seeded(1))
        == imagenet_augment.draw_key(seeded(1))
        != imagenet_augment.draw_key(seeded(2))
    )


# Boxes


def naive_box(u, height, width):
    """torchvision's RandomResizedCrop.get_params, with the numbers handed in."""
    for area_number, aspect_number in zip(u[0:20:2], u[1:20:2]):
        area = height * width * (0.08 + 0.92 * area_number)
        aspect = math.exp(math.log(3 / 4) + math.log(16 / 9) * aspect_number)
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            return math.floor(u[20] * (height - h + 1)), math.floor(u[21] * (width - w + 1)), h, w
    ratio = width / height
    if ratio < 3 / 4:
        w, h = width, round(width / (3 / 4))
    elif ratio > 4 / 3:
        h, w = height, round(height * (4 / 3))
    else:
        h, w = height, width
    return (height - h) // 2, (width - w) // 2, h, w


@pytest.mark.parametrize("height, width", [(375, 500), (32, 32), (1, 1), (7, 300), (300, 7), (2, 3), (128, 64)])
def test_boxes_are_torchvisions(height, width):
    u = uniform(200)
    boxes = imagenet_augment.random_boxes(u, [height] * 200, [width] * 200)
    assert boxes.dtype == np.int64
    for ours, numbers in zip(boxes, u):
        assert tuple(ours) == naive_box(numbers, height, width) == imagenet_augment.random_box(numbers, height, width)
    top, left, h, w = boxes.T
    assert (top >= 0).all() and (left >= 0).all() and (h > 0).all() and (w > 0).all()
    assert (top + h <= height).all() and (left + w <= width).all()


def test_no_try_fits():
    assert imagenet_augment.largest_box(1, 5) == (0, 2, 1, 1) and imagenet_augment.largest_box(30, 300) == (
        0,
        130,
        30,
        40,
    )
    assert imagenet_augment.largest_box(300, 30) == (130, 0, 40, 30) and imagenet_augment.largest_box(5, 5) == (
        0,
        0,
        5,
        5,
    )


def test_boxes_are_spread_as_torchvisions():
    """Means of area and logarithm of the aspect, and the middle, against torchvision's own draws."""
    n = 4000
    ours = imagenet_augment.random_boxes(uniform(n), [375] * n, [500] * n)
    torch.manual_seed(0)
    image = torch.empty(1, 375, 500)
    crop = transforms.RandomResizedCrop
    theirs = np.array([crop.get_params(image, [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(n)])
    for value in (lambda b: b[:, 2] * b[:, 3] / (375 * 500), lambda b: np.log(b[:, 3] / b[:, 2]),
                  lambda b: b[:, 0] + b[:, 2] / 2, lambda b: b[:, 1] + b[:, 3] / 2):  # fmt: skip
        a, b = value(ours), value(theirs)
        assert abs(a.mean() - b.mean()) < 4 * b.std() * (2 / n) ** 0.5
        assert abs(a.std() / b.std() - 1) < 0.06


def test_resized_boxes_equal_torchvisions():
    images = torch.randint(0, 256, (12, 3, 40, 48), dtype=torch.uint8, generator=seeded())
    boxes = torch.from_numpy(imagenet_augment.random_boxes(uniform(12), [40] * 12, [48] * 12))
    boxes[0], boxes[1] = torch.tensor([0, 0, 40, 48]), torch.tensor([39, 47, 1, 1])
    flips = torch.arange(12) % 2 == 1
    for size in (16, 40, 64):
        ours = imagenet_augment.resize_boxes(images, boxes, size, flips)
        assert ours.dtype == torch.uint8 and ours.shape == (12, 3, size, size)
        for out, image, box, flip in zip(ours, images, boxes.tolist(), flips):
            theirs = F.resized_crop(F.to_pil_image(image), *box, [size, size])
            theirs = F.pil_to_tensor(F.hflip(theirs) if flip else theirs)
            assert (out.int() - theirs.int()).abs().max() <= 1  # PIL's weights are whole numbers of 2^-22
            assert (out != theirs).float().mean() < 0.1  # sums of floats next to a half


# Colours


def test_jitter_equals_torchvisions():
    images = torch.rand(24, 3, 5, 6, generator=seeded())
    u, s = uniform(24), 0.4
    ours = imagenet_augment.jitter(images, u, s)
    steps = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation)
    for out, image, row in zip(ours, images, u):
        for kind in imagenet_augment.ORDERS[int(row[26] * 6)]:
            image = steps[kind](image, 1 - s + 2 * s * row[23 + kind])
        assert (out - image).abs().max() < 2e-6
    assert torch.equal(imagenet_augment.jitter(images, u, 0.0), images)


def test_every_order_of_colours_is_equally_likely():
    counts = np.bincount((uniform(6000)[:, 26] * 6).astype(int), minlength=6)
    assert len(counts) == 6 and ((counts - 1000) ** 2 / 1000).sum() < 20.5  # 5 degrees of freedom: once in 1,000


def test_lighting_has_its_covariance():
    """Σ = E·diag((0.1·λ)²)·Eᵀ"""
    n = 20_000
    shift = imagenet_augment.lighting(torch.zeros(n, 3, 1, 1), uniform(n), 0.1)[:, :, 0, 0].double()
    vectors = torch.tensor(imagenet_augment.EIGENVECTORS, dtype=torch.float64)
    expected = (
        vectors @ torch.diag((0.1 * torch.tensor(imagenet_augment.EIGENVALUES, dtype=torch.float64)) ** 2) @ vectors.T
    )
    assert (torch.cov(shift.T) - expected).abs().max() < 0.04 * expected.abs().max()
    assert shift.mean(0).abs().max() < 5e-4
    assert (vectors @ vectors.T - torch.eye(3)).abs().max() < 1e-3


def test_half_are_flipped():
    which = imagenet_augment.flips(uniform(4000))
    assert abs(which.mean() - 0.5) < 0.03 and imagenet_augment.flips(uniform(4000)[7]) == which[7]


# Of sets in memory


@pytest.fixture
def small():
    images = torch.randint(0, 256, (34, 3, 20, 20), dtype=torch.uint8, generator=seeded())
    return ImageSet(
        name="small", label="random", classes=("a", "b"), train_images=images[:23], train_labels=torch.arange(23),
        test_images=images[23:], test_labels=torch.arange(11),
    )  # fmt: skip


EVERY = Augmentation(resized=True, jitter=0.4, lighting=0.1)


def test_a_set_in_memory_is_varied_the_same_way(small):
    """Resized boxes of the right images with the right labels; with colours, the same boxes in other colours."""
    x, y = next(small.epoch(8, seeded(), Augmentation(resized=True, flip=False)))
    order = torch.randperm(23, generator=seeded())
    assert x.shape == (8, 3, 20, 20) and torch.isfinite(x).all()
    assert torch.equal(y, small.train_labels[order[:8]])
    (plain, _), (coloured, _) = (next(small.epoch(8, seeded(), a)) for a in (Augmentation(resized=True), EVERY))
    assert plain.shape == coloured.shape and not torch.equal(plain, coloured)
    grey = [F.rgb_to_grayscale(x).flatten(1) for x in (plain, coloured)]
    for a, b in zip(*grey):  # brightness and contrast are lines, but for what is clipped
        assert torch.corrcoef(torch.stack([a, b]))[0, 1] > 0.9


def test_an_epoch_resumes_from_any_batch(small):
    whole = list(small.epoch(5, seeded(), EVERY))
    for start in range(len(whole) + 1):
        rest = list(small.epoch(5, seeded(), EVERY, start=start))
        assert len(rest) == len(whole) - start
        assert all(torch.equal(a, b) for one, two in zip(whole[start:], rest) for a, b in zip(one, two))


def test_wrong_use(small):
    for given in ({"jitter": 1.5}, {"jitter": -0.1}, {"jitter": math.nan}, {"lighting": -1.0}, {"lighting": math.inf}):
        with pytest.raises(UsageError, match=next(iter(given))):
            Augmentation(**given)
    grey = ImageSet(
        name="grey", label="grey", classes=("a",), mean=(0.5,), std=(0.5,), train_images=small.train_images[:, :1],
        train_labels=small.train_labels, test_images=small.test_images[:, :1], test_labels=small.test_labels,
    )  # fmt: skip
    with pytest.raises(UsageError, match="colours need 3"):
        grey.epoch(4, seeded(), Augmentation(jitter=0.4))

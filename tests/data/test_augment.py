"""The batched augmentation against torchvision's, image by image, and against plain loops."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.transforms import functional as F

from sdbnn_lite.data import load
from sdbnn_lite.data.augment import (
    Augmentation,
    Draws,
    batch_slices,
    crop,
    draw,
    draw_centres,
    erase,
    normalise,
    pixel_table,
)
from sdbnn_lite.errors import UsageError


def random_images(n: int, c: int, h: int, w: int) -> torch.Tensor:
    return torch.randint(0, 256, (n, c, h, w), dtype=torch.uint8, generator=torch.Generator().manual_seed(n * h + w))


def statistics(channels: int) -> tuple[torch.Tensor, torch.Tensor]:
    mean, std = (0.485, 0.456, 0.406, 0.5)[:channels], (0.229, 0.224, 0.225, 0.25)[:channels]
    return torch.tensor(mean).view(-1, 1, 1), torch.tensor(std).view(-1, 1, 1)


@pytest.mark.parametrize("pad", [0, 1, 4, 7])
@pytest.mark.parametrize("channels, height, width", [(1, 8, 8), (3, 32, 32), (3, 5, 9), (4, 7, 3), (2, 1, 1)])
def test_equals_torchvision_on_the_same_crops(channels, height, width, pad):
    images = random_images(20, channels, height, width)
    mean, std = statistics(channels)
    draws = draw(20, Augmentation(pad), torch.Generator().manual_seed(pad))

    ours = normalise(crop(pixel_table(images, pad), draws, pad), mean, std)

    assert ours.dtype == torch.float32 and ours.is_contiguous() and ours.shape == (20, channels, height, width)
    for x, image, top, left, flip in zip(ours, *(values.tolist() for values in draws)):
        theirs = F.crop(F.pad(images[image], [pad]), top, left, height, width)
        theirs = F.hflip(theirs) if flip else theirs
        theirs = F.normalize(F.to_tensor(theirs.permute(1, 2, 0).numpy()), mean.flatten(), std.flatten())
        assert (x - theirs).abs().max() < 5e-7


def test_equals_a_loop_over_pixels():
    pad, images = 2, random_images(3, 2, 4, 5)
    draws = Draws(torch.tensor([2, 0]), torch.tensor([0, 3]), torch.tensor([4, 1]), torch.tensor([True, False]))
    ours = crop(pixel_table(images, pad), draws, pad)
    for b, (image, top, left, flip) in enumerate(zip(*(values.tolist() for values in draws))):
        for y in range(4):
            for x in range(5):
                row, column = y + top - pad, (4 - x if flip else x) + left - pad
                inside = 0 <= row < 4 and 0 <= column < 5
                expected = images[image, :, row, column] if inside else torch.zeros(2, dtype=torch.uint8)
                assert torch.equal(ours[b, :, y, x], expected)


def test_no_augmentation_only_shuffles():
    images = random_images(10, 3, 6, 6)
    draws = draw(10, Augmentation(pad=0, flip=False), torch.Generator().manual_seed(0))
    assert torch.equal(crop(pixel_table(images, 0), draws, 0), images[draws.image])


@pytest.mark.parametrize("height, width, pad", [(4, 5, 2), (6, 4, 3), (3, 3, 0)])
def test_reflection_equals_torchvisions(height, width, pad):
    images = random_images(3, 2, height, width)
    ours = pixel_table(images, pad, reflect=True)
    theirs = torch.stack([F.pad(image, [pad], padding_mode="reflect") for image in images]) if pad else images
    assert ours.is_contiguous() and torch.equal(ours.permute(0, 3, 1, 2), theirs)


@pytest.mark.parametrize("side", [1, 2, 3, 4, 20])
def test_erasing_equals_a_loop_over_pixels(side):
    generator = torch.Generator().manual_seed(side)
    images = torch.rand(40, 2, 5, 7, generator=generator) + 1
    centres = draw_centres(40, 5, 7, generator)
    ours = erase(images.clone(), centres, side)
    for b, (cy, cx) in enumerate(centres.tolist()):
        for y in range(5):
            for x in range(7):
                hit = 0 <= y - (cy - side // 2) < side and 0 <= x - (cx - side // 2) < side
                assert torch.equal(ours[b, :, y, x], torch.zeros(2) if hit else images[b, :, y, x])


def test_centres_lie_everywhere_and_depend_on_the_generator_alone():
    centres = draw_centres(35_000, 5, 7, torch.Generator().manual_seed(0))
    counts = torch.bincount(centres[:, 0] * 7 + centres[:, 1], minlength=35)
    assert len(counts) == 35 and ((counts - 1000) ** 2 / 1000).sum() < 65.2  # 34 degrees of freedom: once in 1,000
    assert torch.equal(centres, draw_centres(35_000, 5, 7, torch.Generator().manual_seed(0)))


def test_an_epoch_with_cutout_goes_on_from_any_batch():
    images = load("digits")
    every = Augmentation(1, False, reflect=True, cutout=3)

    def epoch(start):
        return list(images.epoch(500, torch.Generator().manual_seed(4), every, start=start))

    whole, rest = epoch(0), epoch(2)
    assert all(torch.equal(a, b) for one, two in zip(whole[2:], rest) for a, b in zip(one, two)) and len(rest) == 1
    plain = list(images.epoch(500, torch.Generator().manual_seed(4), Augmentation(1, False, reflect=True)))
    for (x, y), (bare, same) in zip(whole, plain):  # the same order and crops; what isn't erased is untouched
        assert torch.equal(y, same) and ((x == bare) | (x == 0)).all() and not torch.equal(x, bare)


def test_alternating_flips():
    """Each image is flipped in every second epoch; half of them in the first."""

    def flipped(epoch, seed):
        draws = draw(1000, Augmentation(epoch=epoch), torch.Generator().manual_seed(seed))
        return draws.flip[draws.image.argsort()]  # by image

    first = flipped(0, 7)
    assert 430 < first.sum() < 570
    assert torch.equal(flipped(1, 8), ~first) and torch.equal(flipped(2, 9), first)
    assert not draw(9, Augmentation(flip=False, epoch=1), torch.Generator()).flip.any()


def test_what_an_epoch_draws_is_as_it_was():
    """Neither reflection nor alternation changes order, crops or the state that the generator is left in."""

    def drawn(augmentation):
        generator = torch.Generator().manual_seed(3)
        return draw(50, augmentation, generator), generator.get_state()

    (plain, state), (other, other_state) = drawn(Augmentation()), drawn(Augmentation(reflect=True, epoch=1))
    assert torch.equal(state, other_state) and all(map(torch.equal, tuple(plain)[:3], tuple(other)[:3]))


def test_every_crop_is_equally_likely():
    n = 90_000
    draws = draw(n, Augmentation(pad=4), torch.Generator().manual_seed(1))
    assert torch.equal(draws.image.sort().values, torch.arange(n))
    for shift in (draws.top, draws.left):
        counts = torch.bincount(shift, minlength=9)
        chi_square = ((counts - n / 9) ** 2 / (n / 9)).sum()
        assert len(counts) == 9 and chi_square < 26.1  # 8 degrees of freedom: exceeded once in 1,000
    assert abs(draws.flip.float().mean() - 0.5) < 3.3 * 0.5 / n**0.5
    numbers = torch.stack([draws.image, draws.top, draws.left, draws.flip]).double()
    assert (torch.corrcoef(numbers) - torch.eye(4)).abs().max() < 4 / n**0.5


def test_draws_depend_on_the_generator_alone():
    def drawn(seed, augmentation):
        generator = torch.Generator().manual_seed(seed)
        return draw(500, augmentation, generator), generator.get_state()

    before = torch.get_rng_state()
    (first, state), (again, _), (other, _) = (drawn(seed, Augmentation()) for seed in (3, 3, 4))
    plain, plain_state = drawn(3, Augmentation(pad=0, flip=False))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(map(torch.equal, first, again))
    assert not any(map(torch.equal, first, other))
    # Without augmentation: no shift, no flip, but the same order and the same state afterwards.
    assert torch.equal(plain.image, first.image) and torch.equal(plain_state, state)
    assert not plain.top.any() and not plain.left.any() and not plain.flip.any()


@given(st.integers(0, 300), st.integers(1, 40), st.booleans())
def test_batches_cover_every_image_once(images, batch_size, drop_lone):
    slices = batch_slices(images, batch_size, drop_lone=drop_lone)
    covered = [i for part in slices for i in range(images)[part]]
    lone = drop_lone and batch_size > 1 and images % batch_size == 1
    assert covered == list(range(images - lone))
    assert all(part.stop - part.start == batch_size for part in slices[:-1])
    for start in range(len(slices) + 1):
        assert batch_slices(images, batch_size, start, drop_lone) == slices[start:]


@pytest.mark.parametrize(
    "call, named",
    [
        (lambda: Augmentation(pad=-1), "pad=-1"),
        (lambda: Augmentation(pad=1.5), "pad=1.5"),
        (lambda: Augmentation(cutout=-1), "cutout=-1"),
        (lambda: Augmentation(cutout=0.5), "cutout=0.5"),
        (lambda: batch_slices(10, 0), "batch_size=0"),
        (lambda: batch_slices(10, 2.0), "batch_size=2.0"),
        (lambda: batch_slices(10, 4, start=4), "start=4"),
        (lambda: batch_slices(10, 4, start=-1), "start=-1"),
    ],
)
def test_wrong_use(call, named):
    with pytest.raises(UsageError, match=named):
        call()

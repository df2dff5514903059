"""Batches of images in memory: augmentation, resumed epochs, the test images; what streamed sets do alike."""

import pytest
import torch
from image_trees import MEAN, NONE, STD, equal, seeded, small_imagenet
from torchvision.transforms import functional as F

from sdbnn_lite.data.augment import Augmentation
from sdbnn_lite.data.in_memory import ImageSet
from sdbnn_lite.errors import UsageError


@pytest.fixture
def small():
    """23 + 11 random images, whose labels are their numbers."""
    images = torch.randint(0, 256, (34, 3, 6, 6), dtype=torch.uint8, generator=seeded())
    return ImageSet(
        name="small", label="random", classes=("a", "b"), train_images=images[:23], train_labels=torch.arange(23),
        test_images=images[23:], test_labels=torch.arange(11),
    )  # fmt: skip


def test_an_epoch_equals_torchvisions_normalisation(small):
    """Without augmentation every image comes once, normalised, with its own label."""
    batches = list(small.epoch(5, seeded(), NONE))
    assert [len(y) for _, y in batches] == [5, 5, 5, 5, 3] and small.num_batches(5) == 5
    assert sorted(torch.cat([y for _, y in batches]).tolist()) == list(range(23))
    for x, y in batches:
        assert x.dtype == torch.float32 and y.dtype == torch.int64
        for image, label in zip(x, y):
            pixels = small.train_images[label].permute(1, 2, 0).numpy()
            assert (image - F.normalize(F.to_tensor(pixels), MEAN, STD)).abs().max() < 5e-7


def test_augmented_images_are_crops_of_their_own_image(small):
    """Each is found among the 2·9² crops that torchvision makes of the image with the same label."""
    for x, y in small.epoch(8, seeded(), Augmentation(4)):
        for image, label in zip(x, y):
            padded = F.pad(small.train_images[label], [4])
            crops = [F.crop(padded, top, left, 6, 6) for top in range(9) for left in range(9)]
            crops = torch.stack(crops + [F.hflip(part) for part in crops])
            differences = (F.normalize(crops / 255, MEAN, STD) - image).abs().amax(dim=(1, 2, 3))
            assert differences.min() < 5e-7


@pytest.mark.parametrize("augmentation", [Augmentation(), Augmentation(2, False), NONE])
def test_an_epoch_resumes_from_any_batch(small, augmentation):
    whole = list(small.epoch(4, seeded(), augmentation))
    for start in range(len(whole) + 1):
        generator = seeded()
        assert equal(small.epoch(4, generator, augmentation, start), whole[start:])
        assert torch.equal(generator.get_state(), after_an_epoch(small, augmentation))


def after_an_epoch(images, augmentation):
    generator = seeded()
    for _ in images.epoch(4, generator, augmentation):
        pass
    return generator.get_state()


def test_random_numbers_are_drawn_at_the_call(small):
    generator = seeded()
    batches = small.epoch(4, generator, Augmentation())  # not a batch has been asked for
    assert torch.equal(generator.get_state(), after_an_epoch(small, Augmentation()))
    generator.manual_seed(99)
    assert equal(batches, small.epoch(4, seeded(), Augmentation()))


def test_epochs_differ_and_repeat_with_the_seed(small):
    generator = seeded(5)
    first, second = (list(small.epoch(23, generator, Augmentation())) for _ in range(2))
    assert not equal(first, second)
    assert equal(first, small.epoch(23, seeded(5), Augmentation()))
    assert not equal(first, small.epoch(23, seeded(6), Augmentation()))


def test_changing_the_pad_changes_the_table(small):
    for augmentation in (Augmentation(1), NONE, Augmentation(3), Augmentation(1)):
        fresh = small.to("cpu")
        assert equal(small.epoch(6, seeded(), augmentation), fresh.epoch(6, seeded(), augmentation))


@pytest.mark.parametrize("batch_size, sizes", [(11, [11, 11]), (22, [22]), (23, [23]), (50, [23]), (1, [1] * 23)])
def test_a_last_batch_of_one_is_left_out_of_training(small, batch_size, sizes):
    assert [len(y) for _, y in small.epoch(batch_size, seeded(), NONE)] == sizes
    assert small.num_batches(batch_size) == len(sizes)


@pytest.mark.parametrize("batch_size", [1, 2, 5, 11, 100])
def test_every_test_image_is_scored_in_order(small, batch_size):
    x, y = (torch.cat(parts) for parts in zip(*small.test_batches(batch_size)))
    assert torch.equal(y, torch.arange(11))
    assert (x - F.normalize(small.test_images / 255, MEAN, STD)).abs().max() < 5e-7


def test_the_global_generator_is_left_alone(small, tmp_path):
    streamed = small_imagenet(tmp_path)
    before = torch.get_rng_state()
    for images in (small, streamed):
        list(images.epoch(4, seeded(), Augmentation()))
        list(images.test_batches(4))
    assert torch.equal(torch.get_rng_state(), before)


def test_facts(small):
    assert (small.num_classes, small.channels, small.image_size, small.num_train, small.num_test) == (2, 3, 6, 23, 11)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu(small):
    there = list(small.to("cuda").epoch(4, seeded(), Augmentation()))
    assert there[0][0].is_cuda and there[0][1].is_cuda
    here = small.epoch(4, seeded(), Augmentation())
    assert all((x.cpu() - u).abs().max() < 1e-6 and torch.equal(y.cpu(), v) for (x, y), (u, v) in zip(there, here))


def test_wrong_batches(small, tmp_path):
    for images in (small, small_imagenet(tmp_path)):
        for batch_size in (0, -1, 2.5):
            with pytest.raises(UsageError, match="batch_size="):
                images.epoch(batch_size, seeded(), NONE)
        with pytest.raises(UsageError, match="start=99"):
            images.epoch(4, seeded(), NONE, start=99)

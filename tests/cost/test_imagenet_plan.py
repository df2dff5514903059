"""The plan of the real run: every number against one counted by hand, and its sources named."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sdbnn_lite.cost import imagenet_plan
from sdbnn_lite.cost.imagenet_plan import Gpu, Work
from sdbnn_lite.data.resized_copy import pack
from sdbnn_lite.data.tree import open_tree
from sdbnn_lite.errors import UsageError

SMALL = Work(train_images=1000, val_images=100, epochs=(2, 3), batch_size=64)


def test_the_work_is_the_recipes():
    work = imagenet_plan.work_of()
    assert work == Work(1_281_167, 50_000, (256, 256), 512)
    assert work.steps == 2503 * 512  # 1,281,167 = 2,502 · 512 + 143
    assert work.trained == 655_957_504


def test_hours_by_hand():
    """1,000 images at 1/(1/100 + 1/400) = 80 a second: 12.5 s; 100 scored at 50: 2 s; five epochs: 72.5 s."""
    gpu = Gpu(student=100, teacher=400, score=50)
    assert gpu.images_s() == pytest.approx(80) and imagenet_plan.hours(SMALL, gpu, 1) == pytest.approx(72.5 / 3600)
    shared = Gpu(100, 400, 50, keeps=0.5)  # on four: 4·0.5·80 = 160 a second, so 6.25 s; scored at 200: 0.5 s
    assert shared.images_s(4) == pytest.approx(160) and shared.images_s(1) == pytest.approx(80)
    assert imagenet_plan.hours(SMALL, shared, 4) == pytest.approx(5 * 6.75 / 3600)


def test_the_main_case_by_hand():
    """8 GPUs as assumed: 2/3481.78 + 1/6404.45 s an image and GPU, a tenth lost; scored at half of 11,023.6."""
    each = 1 / (2 / 3481.78 + 1 / 6404.45)
    epoch = 1_281_167 / (8 * 0.9 * each) + 50_000 / (8 * 11023.6 / 2)
    assert imagenet_plan.hours(imagenet_plan.work_of(), imagenet_plan.ASSUMED, 8) == pytest.approx(512 * epoch / 3600)
    assert 18 < imagenet_plan.hours(imagenet_plan.work_of(), imagenet_plan.ASSUMED, 8) < 19


@given(st.floats(1, 1e5), st.floats(1, 1e5), st.integers(1, 64), st.floats(0.1, 1))
def test_more_of_anything_is_never_slower(student, teacher, gpus, keeps):
    gpu = Gpu(student, teacher, student, keeps)
    assert gpu.images_s(1) < min(student, teacher)  # each image costs both
    assert gpu.images_s(gpus + 2) > gpu.images_s(gpus + 1)
    faster = imagenet_plan.hours(SMALL, Gpu(2 * student, teacher, student, keeps), gpus)
    assert faster < imagenet_plan.hours(SMALL, gpu, gpus)


def test_cores_and_memory_by_hand():
    assert imagenet_plan.cores(2000, 500) == pytest.approx(1)  # half a millisecond each
    parts = imagenet_plan.memory(SMALL, gpus=3, per_image=10, parameters=7, teacher=5)
    assert parts == {"batch": 220, "state": 112, "teacher": 20, "all": 352}  # 22 of 64 images; 7·16; 5·4


def test_the_packed_copy_is_what_packing_writes(tmp_path):
    """Landscapes of 4 to 3 pixels: the bytes on the disk, and the formula's."""
    for split in ("train", "val"):
        for name in ("n1", "n2"):
            (tmp_path / split / name).mkdir(parents=True)
            for number in range(1 + (split == "train")):
                Image.new("RGB", (40, 30)).save(tmp_path / split / name / f"{number}.jpg")
    tree = open_tree(tmp_path, ("val",))
    place = pack(tree, 24, 1, progress=False).place
    work = Work(len(tree.train), len(tree.test), (1,), 2)
    written = sum((place / f"{split}.pixels").stat().st_size for split in ("train", "test"))
    assert written == imagenet_plan.packed_bytes(work, side=24, aspect=4 / 3) == (4 + 2) * 3 * 24 * 32


def test_the_packed_copy_of_imagenet():
    work = imagenet_plan.work_of()
    assert imagenet_plan.packed_bytes(work, aspect=1) == 1_331_167 * 3 * 256 * 256
    assert imagenet_plan.packed_bytes(work) == 1_331_167 * 3 * 256 * 341


def test_the_table_holds_the_same_numbers():
    rows = imagenet_plan.table(SMALL, imagenet_plan.ASSUMED, {"packed": 500.0, "decoded": 5000.0}, 2**20, 1000, 2000)
    assert [row["gpus"] for row in rows] == list(imagenet_plan.GPUS) and {1, 8} <= set(imagenet_plan.GPUS)
    for row in rows:
        speed = imagenet_plan.ASSUMED.images_s(row["gpus"])
        assert row["images_s"] == speed and row["hours"] == imagenet_plan.hours(
            SMALL, imagenet_plan.ASSUMED, row["gpus"]
        )
        assert row["cores, decoded"] == pytest.approx(10 * row["cores, packed"]) == imagenet_plan.cores(speed, 5000)
        assert row["GiB"] == pytest.approx((math.ceil(64 / row["gpus"]) * 2**20 + 16_000 + 8_000) / 2**30)


def test_the_bill_of_the_main_case():
    work, gpu = imagenet_plan.work_of(), imagenet_plan.ASSUMED
    rows = imagenet_plan.table(work, gpu, {"packed": 500.0}, 2**25, 12_000_000, 22_000_000)
    (row,) = [row for row in rows if row["gpus"] == 8]
    bill = {what: (amount, origin) for what, amount, origin in imagenet_plan.bill(row, work, 12_000_000, 300)}
    assert bill["hours, 256 + 256 epochs"] == (f"{row['hours']:.0f}", "assumed speed")
    assert bill["cores: packed"][0] == f"{row['images_s'] * 5e-4:.0f}" and bill["images on each GPU"][0] == "64"
    assert bill["packed copy, 256 px, at least"][0] == "262 GB" and bill["packed copy, 256 px, about"][0] == "349 GB"
    assert bill["ImageNet's two archives"] == ("144 GB", "quoted") and bill["checkpoint of a stage"][0] == "144 MB"
    assert bill["memory of each GPU, at least"][0] == "2.3 GiB"  # 64/32 + 16·12e6/2³⁰ + 4·22e6/2³⁰ = 2 + 0.18 + 0.08
    assert bill["read from it, at most"][0] == f"{row['images_s'] * 3 * 256 * 341 / 1e9:.1f} GB/s"
    assert bill["electricity of the GPUs"][0] == f"{row['hours'] * 8 * 0.3:.0f} kWh"
    assert all(origin.startswith(("assumed", "counted", "quoted", "recipe")) for _, origin in bill.values())


def test_every_number_that_isn_t_ours_has_an_address():
    for fact in imagenet_plan.FACTS.values():
        assert fact.source.startswith(f"https://github.com/{fact.place}/blob/") and fact.value > 0 and fact.what


@pytest.mark.parametrize(
    "wrong, said",
    [
        (lambda: Work(epochs=()), "at least one stage"),
        (lambda: Work(epochs=(0,)), r"epochs\[0\]=0"),
        (lambda: Work(batch_size=1.5), "batch_size=1.5"),
        (lambda: Gpu(0, 1, 1), "student=0"),
        (lambda: Gpu(1, math.inf, 1), "teacher=inf"),
        (lambda: Gpu(1, 1, 1, 1.1), "at most the whole speed"),
        (lambda: imagenet_plan.ASSUMED.images_s(0), "gpus=0"),
        (lambda: imagenet_plan.assumed(slower=0), "slower=0"),
        (lambda: imagenet_plan.packed_bytes(SMALL, aspect=0.75), "1 or more"),
    ],
)
def test_wrong_numbers_are_refused(wrong, said):
    with pytest.raises(UsageError, match=said):
        wrong()

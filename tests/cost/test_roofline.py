"""The roofline's formulas by hand, its loops against plain Python, and that what is timed is the same convolution."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sdbnn_lite.cost import roofline
from sdbnn_lite.cost.count import cost
from sdbnn_lite.cost.roofline import KINDS, ConvShape, Peaks
from sdbnn_lite.errors import UsageError
from sdbnn_lite.system.target import runnable
from sdbnn_lite.system.target import target as this_target

PEAKS = Peaks(words=1e10, fma=4e10, copied=((2**18, 8e10), (2**22, 4e10), (2**27, 1e10)))


def test_a_layer_by_hand():
    """70 → 8 channels, 5×4 pixels, 3 images: two words a pixel, of which 6 bits are used."""
    shape = ConvShape(70, 8, 5, 4, 3)
    assert shape.pixels == 60 and shape.weights == 5040 and shape.products == 302_400 and shape.words == 2
    assert shape.bytes("float32") == 4 * (60 * 70 + 5040 + 60 * 8)
    assert shape.bytes("bits") == 8 * (60 * 2 + 2 * 9 * 8) + 2 * 60 * 8
    assert shape.bytes("packed") == shape.bytes("bits") + 4 * 60 * 70 + 8 * 60 * 2
    assert shape.intensity("bits") == 302_400 / shape.bytes("bits")
    assert "70 → 8 channels, 5×4, batch 3" in str(shape)


def test_products_are_those_that_are_counted():
    layer = next(row for row in cost("cifar10_resnet18", "bnn").layers if row.outputs == "512×4×4" and row.bops)
    by_shape = {ConvShape(c, 512, 4, 4).products for c in (256, 512)}
    assert layer.bops in by_shape


def test_the_roof_by_hand():
    assert PEAKS.products("float32") == 4e10 and PEAKS.products("packed") == PEAKS.products("bits") == 64e10
    assert PEAKS.roof("bits", 32) == 32e10 and PEAKS.roof("bits", 64) == PEAKS.roof("bits", 1000) == 64e10
    assert PEAKS.roof("float32", 3) == 3e10 and PEAKS.roof("float32", 4) == PEAKS.roof("float32", 5) == 4e10


def test_bandwidth_lies_between_the_measured_sizes_and_stays_beyond_them():
    assert PEAKS.bandwidth(2**20) == pytest.approx(6e10)
    assert PEAKS.bandwidth(1) == 8e10 and PEAKS.bandwidth(2**40) == 1e10


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [ConvShape(64, 64, 56, 56), ConvShape(64, 512, 56, 56, 32), ConvShape(128, 1, 1, 1)])
def test_prediction_and_roof_are_the_same_thing(shape, kind):
    seconds, size = PEAKS.predict(shape, kind), shape.bytes(kind)
    assert shape.products / seconds == pytest.approx(PEAKS.roof(kind, shape.intensity(kind), size))
    arithmetic = shape.products / PEAKS.products(kind)
    assert PEAKS.bound(shape, kind) == ("arithmetic" if seconds == pytest.approx(arithmetic) else "bytes")


def test_a_word_that_is_not_full_takes_as_long():
    quarter, full = ConvShape(16, 64, 56, 56), ConvShape(64, 64, 56, 56)
    assert quarter.word_counts == full.word_counts == full.products / 64
    assert PEAKS.arithmetic(quarter, "bits") == PEAKS.arithmetic(full, "bits")
    assert PEAKS.arithmetic(full, "float32") == 4 * PEAKS.arithmetic(quarter, "float32")


def test_twice_the_images_are_twice_the_products_and_not_more_bytes():
    one, two = ConvShape(64, 64, 8, 8), ConvShape(64, 64, 8, 8, 2)
    assert two.products == 2 * one.products
    assert all(one.bytes(kind) < two.bytes(kind) < 2 * one.bytes(kind) for kind in KINDS)


@pytest.mark.parametrize("wrong", [(0, 1, 1, 1), (1, 1, 1, 0), (1, 1, 1, 1, 0)])
def test_wrong_sizes_are_refused(wrong):
    with pytest.raises(UsageError, match="every size has to be 1 or more"):
        ConvShape(*wrong)


def test_an_unknown_kind_is_refused():
    for ask in (ConvShape(1, 1, 1, 1).bytes, PEAKS.products):
        with pytest.raises(UsageError, match="choose one of float32, bits, packed"):
            ask("float64")


# --- measured --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [(64, 64, 6, 6, 2), (70, 33, 5, 7, 1), (1, 1, 1, 1, 1), (130, 16, 2, 9, 3)])
def test_every_way_computes_the_same_convolution(sizes):
    results = {kind: run() for kind, run in roofline.ways(ConvShape(*sizes)).items()}
    expected = results["float32"].permute(0, 2, 3, 1)
    for kind in ("bits", "packed"):
        assert torch.equal(torch.from_numpy(results[kind]).float(), expected)
    rng = np.random.default_rng(1)
    x = rng.standard_normal((sizes[4], sizes[2], sizes[3], sizes[0]), np.float32)
    w = torch.from_numpy(roofline._weights(sizes[0], sizes[1])[0])
    assert set(w.unique().tolist()) <= {-1, 1}
    signs = torch.where(torch.from_numpy(x) >= 0, 1.0, -1.0).permute(0, 3, 1, 2)
    assert torch.equal(F.conv2d(signs, w, padding=1), results["float32"])


@pytest.mark.parametrize("sizes", [(64, 64, 56, 56, 1), (512, 512, 56, 56, 32), (16, 16, 56, 56, 32), (3, 5, 2, 2, 9)])
def test_a_sample_is_a_small_part_of_the_layer(sizes):
    shape = ConvShape(*sizes)
    part = roofline.sample_of(shape)
    assert (part.channels, part.outputs, part.width) == (shape.channels, shape.outputs, shape.width)
    assert 1 <= part.batch <= shape.batch and 1 <= part.height <= shape.height
    assert part.height == shape.height or part.batch == 1
    assert part.products <= max(roofline.SLICE, 2 * 9 * 512 * 512 * 56) and shape.products % part.products >= 0


def test_times_are_scaled_to_the_whole_layer():
    shape = ConvShape(64, 64, 16, 16, 1000)
    timed = roofline.measure(shape, samples=1)
    assert timed.share == roofline.sample_of(shape).products / shape.products < 1
    assert set(timed.seconds) == set(KINDS) and min(timed.seconds.values()) > 0
    assert roofline.measure(shape, samples=1) is timed  # not timed twice


def test_a_layer_is_timed_for_every_target_that_this_chip_can_run():
    """This process's here, each other one in a process that has it: NumPy takes many times as long as any kernel."""
    shape = ConvShape(128, 128, 14, 14)
    found = roofline.by_target(shape, samples=2)
    assert tuple(found) == runnable() and found[this_target().name] == roofline.measure(shape, 2, True).seconds["bits"]
    assert all(found["numpy"] > 3 * seconds for name, seconds in found.items() if name != "numpy")


def test_the_loops_count_and_multiply():
    loops = pytest.importorskip("sdbnn_lite.cost.peaks")
    def total(of, lanes, turns):
        return sum(of(turn, (i + j) % 16) for turn in range(turns) for j in range(loops.SUMS) for i in range(lanes))

    vector = this_target().vector // 2  # lanes of 16 bits
    for turns in (1, 7):
        assert loops.count_bits(turns) == total(lambda x, y: (x ^ y).bit_count(), 8, turns)
        assert loops.signs(turns) == total(lambda x, y: (x ^ y).bit_count(), vector, turns)
        assert loops.pairs(turns) == total(lambda x, y: x * y, vector, turns)
    if this_target().counts == "vpshufb":  # each byte: 0 + 1 + … turns - 1; all of them modulo 256
        assert loops.look_up(7) == 21 * 32 * loops.SUMS % 256
    expected = 0.0
    for j in range(loops.CHAINS):
        value = float(j)
        for _ in range(3):
            value = value * 0.5 + 0.25
        expected += value * loops.FLOATS
    assert loops.multiply(3, np.float32(0.5), np.float32(0.25)) == pytest.approx(expected, rel=1e-5)
    source, target = np.arange(10, dtype=np.uint64), np.zeros(10, np.uint64)
    loops.copy(source, target)
    assert (source == target).all()


def test_peaks_are_measured_once_and_make_sense():
    pytest.importorskip("numba")
    peaks = roofline.measure_peaks()
    assert roofline.measure_peaks() is peaks
    assert [size for size, _ in peaks.copied] == list(roofline.SETS)
    for rate in (peaks.words, peaks.fma, *(rate for _, rate in peaks.copied)):
        assert 1e7 < rate < 1e13

"""Packed inference: both engines against torch's own convolution, bit for bit, and against the float networks."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import normal, trained

import sdbnn_lite as sd
from sdbnn_lite import cli
from sdbnn_lite.core.methods import METHODS
from sdbnn_lite.errors import UsageError
from sdbnn_lite.packed import engines, pack
from sdbnn_lite.packed.network import BareLayer
from sdbnn_lite.packed.words import Geometry, pack_weights, pack_words
from sdbnn_lite.system.threads import in_shards

BINARY = [name for name, method in METHODS.items() if method.binary]


@pytest.fixture(scope="module")
def both():
    """Both; numba's also as on a processor that counts bits in vectors, if this one looks them up."""
    counting = engines.engine("numba")
    counting.counts = "vpopcnt"
    return [engines.engine("numpy"), engines.engine("numba"), counting]


SHAPES = {
    "images": st.integers(1, 3),
    "c": st.sampled_from([1, 2, 3, 16, 63, 64, 65, 100, 128, 130]),
    "o": st.sampled_from([1, 5, 8, 16, 17, 40]),
    "h": st.integers(1, 9),
    "w": st.integers(1, 9),
    "kernel": st.sampled_from([1, 3, 5]),
    "stride": st.sampled_from([1, 2]),
    "padding": st.integers(0, 2),
    "double": st.booleans(),
    "seed": st.integers(0, 2**32 - 1),
}


@settings(max_examples=600)
@given(**SHAPES)
def test_convolutions_are_exact(both, images, c, o, h, w, kernel, stride, padding, double, seed):
    """Sign with a shift (zeros and -0.0 among the sums), packing, XNOR-popcount: equal to F.conv2d for both engines."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-2, 3, (images, h, w, c)).astype(np.float64 if double else np.float32)
    shift = rng.integers(-1, 2, (images, c)).astype(x.dtype)
    weight = rng.choice([-1.0, 1.0], (o, c, kernel, kernel)).astype(x.dtype)
    if min(h, w) + 2 * padding < kernel:
        with pytest.raises(UsageError, match="too small for a kernel"):
            Geometry(c, o, h, w, kernel, stride, padding)
        return
    signs = torch.from_numpy(np.where(x + shift[:, None, None] >= 0, 1.0, -1.0)).permute(0, 3, 1, 2)
    expected = F.conv2d(signs, torch.from_numpy(weight).double(), stride=stride, padding=padding)
    layer = BareLayer(weight, stride, padding)
    for engine in both:
        padded = engine.sign_words(x, shift, padding)
        y = engine.convolve(padded, layer)
        assert y.dtype == np.int16
        assert np.array_equal(y.transpose(0, 3, 1, 2), expected.numpy()), engine.name


@pytest.mark.parametrize("channels, kernel, sums", [(3640, 3, np.int16), (3641, 3, np.int32), (1310, 5, np.int16),
                         (1311, 5, np.int32)])  # fmt: skip
def test_sums_are_as_wide_as_the_largest_of_them(both, channels, kernel, sums):
    """All products agree, or none does: ±k²·C, which 16 bits hold up to 32,767."""
    weight = np.ones((18, channels, kernel, kernel), np.float32)
    weight[9:] = -1
    layer = BareLayer(weight, 1, kernel // 2)
    x = np.ones((1, kernel, kernel, channels), np.float32)
    for engine in both:
        y = engine.convolve(engine.sign_words(x, np.zeros((1, channels), np.float32), kernel // 2), layer)
        assert y.dtype == sums
        middle = y[0, kernel // 2, kernel // 2]
        assert (middle[:9] == kernel**2 * channels).all() and (middle[9:] == -(kernel**2) * channels).all()


@given(st.integers(1, 200), st.integers(0, 2**32 - 1))
def test_words_hold_every_bit(channels, seed):
    """Against Python's own integers; unused bits are 0."""
    signs = np.random.default_rng(seed).random((2, 3, channels)) < 0.5
    packed = pack_words(signs)
    assert packed.shape == (2, 3, -(-channels // 64)) and packed.dtype == np.uint64
    for place in np.ndindex(2, 3):
        number = sum(int(word) << (64 * k) for k, word in enumerate(packed[place]))
        assert number == sum(int(bit) << c for c, bit in enumerate(signs[place]))


def test_weights_have_to_be_binary():
    with pytest.raises(UsageError, match=r"nothing but \+1 and -1 is needed"):
        pack_weights(np.zeros((2, 3, 3, 3)))


@pytest.mark.parametrize("engine", ["numpy", "numba"])
@pytest.mark.parametrize("name, method", [("digits_convnet", m) for m in BINARY] + [("cifar10_resnet20", m) for m in
                         BINARY] + [(n, "sdbnn") for n in ("cifar10_resnet18", "cifar10_vgg_small",
                         "imagenet_resnet18")])  # fmt: skip
def test_logits_of_whole_networks(name, method, engine):
    """float64: to 1e-9, so no sign differs. float32: to 1e-4, as far as no activation lies next to its threshold."""
    net, images = trained(name, method)
    with torch.no_grad():
        single = pack(net, engine)(images)
        assert torch.allclose(single, net(images), atol=1e-3, rtol=1e-4)
        net, images = net.double(), images.double()
        expected = net(images)
    logits = pack(net, engine)(images)
    assert logits.dtype == torch.float64 and torch.allclose(logits, expected, atol=1e-9, rtol=1e-9)
    assert torch.equal(logits.argmax(1), expected.argmax(1))


def test_real_weights_cannot_be_packed():
    with pytest.raises(UsageError, match="real weights"):
        pack(sd.build("digits_convnet", method="float"))
    with pytest.raises(UsageError, match="real weights"):
        pack(sd.build("imagenet_resnet18", stage=1))
    with pytest.raises(UsageError, match="net: Linear has real weights"):
        pack(torch.nn.Linear(2, 2))
    with pytest.raises(UsageError, match="unknown engine 'cuda'"):
        pack(sd.build("digits_convnet"), "cuda")


def test_images_are_checked_as_by_the_network():
    packed = pack(sd.build("digits_convnet"))
    with pytest.raises(UsageError, match=r"\(N, 1, H, W\) needed"):
        packed(normal(2, 3, 8, 8))


def test_numpy_takes_over_where_numba_is_missing(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "numba", None)
    assert pack(sd.build("digits_convnet")).engine.name == "numpy"
    with pytest.raises(UsageError, match="numba isn't installed"):
        pack(sd.build("digits_convnet"), "numba")


@pytest.mark.parametrize("count", [1, 3, 7])
def test_the_number_of_threads_is_torchs_and_changes_nothing(count):
    """Fewer images than threads, as many, more: the bits that one thread gives for each thread's part by itself."""
    net, images = trained("digits_convnet", "sdbnn")
    packed, before = pack(net), torch.get_num_threads()
    images = images[:count]
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(1)
            parts = images.tensor_split(threads) if threads <= len(images) else [images]
            expected = torch.cat([packed(part) for part in parts])
            torch.set_num_threads(threads)
            logits = packed(images)
            assert torch.equal(logits, expected)
            assert torch.get_num_threads() == threads and not logits.requires_grad
            with ThreadPoolExecutor(1) as later:
                assert later.submit(torch.get_num_threads).result() == threads
    finally:
        torch.set_num_threads(before)


def test_what_goes_wrong_in_a_shard_is_raised():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(ZeroDivisionError):
            in_shards(lambda part: part if part[0] == 0 else 1 // 0, torch.arange(4.0))
        assert torch.get_num_threads() == 2
        assert torch.equal(in_shards(lambda part: part * torch.get_num_threads(), torch.arange(5.0)), torch.arange(5.0))
    finally:
        torch.set_num_threads(before)


def test_several_python_threads_at_once():
    net, images = trained("digits_convnet", "sdbnn")
    packed, results = pack(net), []
    expected = packed(images)
    workers = [threading.Thread(target=lambda: results.extend(packed(images) for _ in range(20))) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(600)
    assert len(results) == 80 and all(torch.equal(result, expected) for result in results)


def test_borders_of_every_class():
    """A 1×1 image with padding 2 and a 5×5 kernel sees a single tap; so does each corner's own class."""
    w = np.random.default_rng(0).choice([-1.0, 1.0], (4, 70, 5, 5))
    layer = BareLayer(w, padding=2)
    x = np.ones((1, 1, 1, 70))
    for engine in engines.engine("numpy"), engines.engine("numba"):
        y = engine.convolve(engine.sign_words(x, np.zeros((1, 70)), 2), layer)
        assert np.array_equal(y[0, 0, 0], w[:, :, 2, 2].sum(1))
    assert layer.base(Geometry(70, 4, 1, 1, kernel=5, padding=2)).table.shape == (1, 1, 4)


def test_evaluate_packed(capsys):
    """The zoo's digits network: the same accuracy as in floats, and as its card says."""
    assert cli.main(["evaluate", "digits_sdbnn"]) == 0
    floats = capsys.readouterr().out
    assert cli.main(["evaluate", "digits_sdbnn", "--packed"]) == 0
    bits = capsys.readouterr().out
    assert "packed, numba" in bits
    assert bits.replace(", packed, numba", "") == floats
    assert cli.main(["evaluate", "digits_float", "--packed"]) == 2

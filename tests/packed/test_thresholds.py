"""One comparison of integers in the place of batch norm, Hardtanh and sign: the same bits for every possible sum."""

import numpy as np
import pytest
import torch
from samples import trained

import sdbnn_lite as sd
from sdbnn_lite.packed import engines, pack
from sdbnn_lite.packed.network import BareLayer
from sdbnn_lite.packed.thresholds import switch_of


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shifted", [True, False])
def test_every_sum_of_every_filter(dtype, shifted):
    """Against the three steps themselves, for factors of both signs, 0, and such that the sign never switches."""
    rng = np.random.default_rng(0)
    most, filters = 9 * 7, 300
    factor = (rng.standard_normal(filters) * 10.0 ** rng.integers(-6, 3, filters)).astype(dtype)
    offset = (rng.standard_normal(filters) * np.abs(factor) * most).astype(dtype)
    offset[:100] = -factor[:100] * rng.integers(-most, most + 1, 100).astype(dtype)  # exactly 0 at one of the sums
    factor[::10] = 0
    offset[5::10] = 100
    beta = (rng.standard_normal(filters) / 2).astype(dtype) if shifted else None
    switch = switch_of(factor, offset, beta, most)
    y = np.arange(-most, most + 1, dtype=np.int32)[:, None]
    value = np.clip(factor * y.astype(dtype) + offset, -1, 1)
    expected = (value if beta is None else value + beta) >= 0
    assert 0.2 < expected.mean() < 0.8
    assert np.array_equal((y >= switch.point) ^ switch.falling, expected)


@pytest.mark.parametrize("outputs", [16, 64, 70])
@pytest.mark.parametrize("pooled", [False, True])
def test_words_of_both_engines(outputs, pooled):
    rng = np.random.default_rng(1)
    layer = BareLayer(rng.choice([-1.0, 1.0], (outputs, 20, 3, 3)))
    x, shift = rng.standard_normal((3, 5, 7, 20)).astype(np.float32), np.zeros((3, 20), np.float32)
    switch = switch_of(*rng.standard_normal((3, outputs)), 180)
    found = []
    for engine in engines.engine("numpy"), engines.engine("numba"):
        padded = engine.sign_words(x, shift, 1)
        found.append(engine.signs(padded, layer, switch, pooled, 2))
    assert found[0].shape == ((3, 6, 7, -(-outputs // 64)) if pooled else (3, 9, 11, -(-outputs // 64)))
    assert found[0].any() and np.array_equal(*found)


@pytest.mark.parametrize("method", ["wsd", "xnor", "rsign"])
@pytest.mark.parametrize("name", ["digits_convnet", "cifar10_resnet18"])
def test_networks_without_asd_keep_no_real_values_between_two_layers(name, method, monkeypatch):
    net, images = trained(name, method)
    packed = pack(net)
    monkeypatch.setattr(packed.engine, "chains", lambda *args: False)  # layer by layer, as every target can
    seen, signs = [], packed.engine.signs
    monkeypatch.setattr(packed.engine, "signs", lambda *args: seen.append(1) or signs(*args))
    with torch.no_grad():
        logits = packed(images[:4])
        assert torch.allclose(logits, net(images[:4]), atol=1e-3, rtol=1e-4)
    assert len(seen) == {"digits_convnet": 1, "cifar10_resnet18": 8}[name]


def test_asd_needs_the_values():
    packed = pack(sd.build("cifar10_resnet18", method="asd"))
    first, second = packed.layers["layers.0.0.conv1"], packed.layers["layers.0.0.conv2"]
    assert first.switch_to(second) is None

"""Notebook 01's experiments against a second way of doing each."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import sdbnn_lite as sd
from sdbnn_lite.core.binarize import sign_ste
from sdbnn_lite.lessons import experiments as first


@pytest.fixture(scope="module")
def digits():
    return sd.data.load("digits")


@pytest.fixture(scope="module")
def images_labels(digits):
    return next(iter(digits.test_batches(digits.num_test)))


@pytest.fixture(scope="module")
def net():
    return sd.load("digits_bnn")


def test_bits_are_those_of_numpy():
    values = [0.3, -1, 0.0, -0.0, -2, 5, 1, -1]
    assert first.to_bits(values) == int(np.packbits(np.array(values) >= 0)[0])


def test_a_neuron_learns_only_with_a_surrogate_gradient():
    before, true = first.learn_nine_signs(torch.sign)
    assert true == before < 9 and first.learn_nine_signs(sign_ste) == (before, 9)


def test_batch_norm_cancels_the_factor_in_the_gradients_and_nothing_else_does(images_labels):
    """With it the loss of both networks is the same function of the weights."""
    scaled, plain = sd.load("digits_xnor"), sd.build("digits_convnet", method="bnn", num_classes=10)
    plain.load_state_dict(scaled.state_dict())
    before = {name: value.clone() for name, value in scaled.state_dict().items()}
    rows = first.gradient_ratios(scaled, plain, *images_labels)
    assert [row[:2] for row in rows] == [(c, f"conv{k}") for c in ("with", "without") for k in (1, 2, 3)]
    assert all(size == pytest.approx(1, abs=1e-3) and cosine > 0.9999 for _, _, size, cosine in rows[:3])
    assert all(size < 0.9 and cosine < 0.9 for _, _, size, cosine in rows[3:])
    assert all(torch.equal(value, before[name]) for name, value in scaled.state_dict().items())


def test_the_ratio_is_that_of_gradients_found_by_backward(images_labels):
    images, labels = (part[:40] for part in images_labels)
    torch.manual_seed(0)
    made = sd.build("digits_convnet", method="float", num_classes=10)
    (_, _, ratio, _), *_ = first.gradient_ratios(sd.load("digits_float"), made, images, labels)

    def size(network):
        network = network.double().train()
        F.cross_entropy(network(images.double()), labels).backward()
        return network.conv1.weight.grad.norm().item()

    assert ratio == pytest.approx(size(sd.load("digits_float")) / size(made), rel=1e-3)


def test_silence_counts_dead_and_nearly_dead():
    number, dead, nearly, low, high, bits = first.silence(np.array([[0, 1], [0.5, 0.985]]))
    assert (number, dead, nearly, low, high) == (4, 2, 3, 0, 1)
    assert bits == pytest.approx((1 - 0.985 * np.log2(0.985) - 0.015 * np.log2(0.015)) / 4)


def test_units_are_counted_pixel_by_pixel(net, images_labels):
    images, _ = images_labels
    with torch.no_grad():
        y2 = net.conv2(F.hardtanh(net.bn1(net.conv1(images))))
        y3 = net.conv3(F.hardtanh(net.bn2(F.max_pool2d(y2, 2))))
    units = first.unit_shares(net, images)
    assert list(units) == ["conv2", "conv3"]
    for name, y in (("conv2", y2), ("conv3", y3)):
        np.testing.assert_allclose(units[name], (y.numpy() >= 0).mean(axis=0))
        np.testing.assert_allclose(units[name].mean(axis=(1, 2)), sd.record_signs(net, images)[name].output)
    assert not net.conv2._forward_hooks


def test_a_push_of_nothing_changes_nothing_and_one_of_everything_leaves_nothing(net, digits, images_labels):
    images, labels = images_labels
    state = {name: value.clone() for name, value in net.state_dict().items()}
    none, all_plus = first.push(net, 0.0, digits), first.push(net, 1.0, digits)
    seen = sd.record_signs(net, images)["conv3"]
    assert (none.p, none.entropy, none.dead) == pytest.approx((seen.input_after.mean(), seen.entropy.mean(), 0))
    with torch.no_grad():
        assert none.accuracy == round(100 * (net(images).argmax(1) == labels).double().mean().item())
    assert all_plus.p == 1 and 0 < all_plus.always_plus < all_plus.dead and all_plus.accuracy < 15
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    # what a filter of all +1 inputs says in the middle of an image is the sign of its weights' sum
    total = net.conv3.binary_weight().sum(dim=(1, 2, 3))
    assert all_plus.always_plus <= int((total >= 0).sum())

"""The bit form: every weight comes back, every method's logits stay the same to the last bit."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import sdbnn_lite as sd
from sdbnn_lite.core.methods import METHODS
from sdbnn_lite.errors import UsageError
from sdbnn_lite.weights import bits, files
from sdbnn_lite.weights.bits import (
    bit_state,
    from_steps,
    matrix_names,
    pack_signs,
    round_matrices,
    to_steps,
    unpack_signs,
)
from sdbnn_lite.weights.files import describe, save_weights, tensor_bytes, write_tensors
from sdbnn_lite.weights.zoo import load


def naive_unpack(data, size):
    """The reference: bit by bit with Python integers, highest bit of each byte first."""
    return [1.0 if data[i // 8] >> (7 - i % 8) & 1 else -1.0 for i in range(size)]


def random_signs(shape, seed):
    return torch.from_numpy(np.random.default_rng(seed).choice([-1.0, 1.0], shape)).float()


@given(st.lists(st.sampled_from([-1.0, 1.0]), max_size=70))
def test_packing_against_bit_by_bit(values):
    packed = pack_signs(torch.tensor(values))
    assert packed.dtype == torch.uint8 and len(packed) == (len(values) + 7) // 8
    assert naive_unpack(packed.tolist(), len(values)) == values
    assert unpack_signs(packed, (len(values),)).tolist() == values


@pytest.mark.parametrize("shape", [(1,), (7,), (8,), (3, 5, 1, 1), (64, 32, 3, 3), (0,)])
def test_any_shape_comes_back(shape):
    w = random_signs(shape, 1)
    assert torch.equal(unpack_signs(pack_signs(w), w.shape), w)
    assert torch.equal(unpack_signs(pack_signs(w.double()), w.shape, torch.float64), w.double())
    by_filter = w.transpose(0, -1)  # not contiguous: the order is that of the shape, not of the memory
    assert torch.equal(unpack_signs(pack_signs(by_filter), by_filter.shape), by_filter)


def test_the_layout_is_as_documented():
    assert pack_signs(torch.tensor([1.0, -1, -1, -1, -1, -1, -1, 1, 1])).tolist() == [0b10000001, 0b10000000]


def test_only_signs_are_packed_and_only_whole_bytes_unpacked():
    for bad in (0.0, 0.5, float("nan")):
        with pytest.raises(UsageError, match="only -1 and \\+1"):
            pack_signs(torch.tensor([1.0, bad]))
    with pytest.raises(UsageError, match=r"\(9,\) needs 2 bytes"):
        unpack_signs(torch.zeros(1, dtype=torch.uint8), (9,))
    with pytest.raises(UsageError, match="float32"):
        unpack_signs(torch.zeros(2), (9,))
    with pytest.raises(UsageError, match="more than the 9"):
        unpack_signs(torch.tensor([0, 0b01111111], dtype=torch.uint8), (9,))


def lived_in(name, method="sdbnn", **options):
    """A network whose every parameter and statistic is away from its initial value, as after training."""
    generator = torch.Generator().manual_seed(3)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        net = sd.build(name, method, **options).eval()
    with torch.no_grad():
        for key, tensor in net.state_dict().items():
            if key.endswith(("running_var", "factor")):
                tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
            elif tensor.is_floating_point() and tensor.ndim:
                spread = tensor.std() or torch.tensor(1.0)
                tensor.add_(0.2 * spread * torch.randn(tensor.shape, generator=generator))
    for key, parameter in net.named_parameters():
        if key.endswith("factor"):
            parameter.data[::2] *= -1  # a learned scale is used through |·|
        if key.endswith("alpha"):
            parameter.data.fill_(50)  # σ = 1: the largest shift that WSD can make
    sd.set_ede(net, 3.0)
    return net


def pixels(net, count=8):
    side, channels = net.options.get("image_size", 32), net.options["in_channels"]
    return torch.randn(count, channels, side, side, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("name", ["digits_convnet", "cifar10_resnet20"])
@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_the_same_logits_to_the_last_bit(name, method, tmp_path):
    net = lived_in(name, method)
    write_tensors(tmp_path / "b.safetensors", bit_state(net), {**describe(net), "form": bits.FORM})
    again = load(tmp_path / "b.safetensors")
    x = pixels(net)
    with torch.no_grad():
        expected = net(x)
        assert torch.equal(again(x), expected) and expected.std() > 0
    assert again.method == net.method and again.options == net.options and not again.training
    layers = sd.binary_layers(net)
    assert layers.keys() == sd.binary_layers(again).keys()
    for layer, loaded in zip(layers.values(), sd.binary_layers(again).values(), strict=True):
        assert torch.equal(loaded.weight, layer.binary_weight()) and torch.equal(loaded.weight, loaded.binary_weight())
        scale, ours = layer.scale(), loaded.scale()
        assert (scale is None and ours is None) or torch.equal(scale, ours)


@pytest.mark.parametrize("method", METHODS)
def test_no_latent_weight_is_stored(method):
    net = lived_in("digits_convnet", method)
    state = bit_state(net)
    if method == "float":
        assert state.keys() == net.state_dict().keys()
        return
    assert state["conv2.bits"].shape == (64 * 32 * 9 // 8,)
    assert naive_unpack(state["conv2.bits"].tolist(), 18432) == net.conv2.binary_weight().flatten().tolist()
    inside = {key.removeprefix("conv2.") for key in state if key.startswith("conv2.")}
    asd = {"asd.squeeze.weight", "asd.expand.weight"}
    shift = {"static": {"rsign.beta"}, "asd": asd, "asd_tanh": asd, None: set()}
    scale = {"scale"} if METHODS[method].scale else set()
    assert inside == {"bits"} | shift[METHODS[method].activation_shift] | scale
    for key in state.keys() & net.state_dict().keys():
        assert torch.equal(state[key], net.state_dict()[key]) and state[key].dtype == net.state_dict()[key].dtype


def test_writing_leaves_the_network_as_it_was():
    net = lived_in("digits_convnet")
    before = {k: v.clone() for k, v in net.state_dict().items()}
    bit_state(net, rounded=True)
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())


def test_stage_1_keeps_its_real_weights():
    net = lived_in("digits_convnet", stage=1)
    assert bit_state(net).keys() == net.state_dict().keys()


@pytest.mark.parametrize("method", ["sdbnn", "irnet", "float"])
def test_a_network_in_bit_form_is_saved_in_bit_form(method, tmp_path):
    net = lived_in("digits_convnet", method)
    write_tensors(tmp_path / "a.safetensors", bit_state(net), {**describe(net), "form": bits.FORM})
    save_weights(tmp_path / "b.safetensors", load(tmp_path / "a.safetensors"))
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


# --- rounding --------------------------------------------------------------------------------------------------------


def test_steps_are_off_by_at_most_half_a_step():
    w = torch.randn(6, 40, 1, 1, generator=torch.Generator().manual_seed(0))
    w *= torch.logspace(-6, 3, 6).view(-1, 1, 1, 1)
    w[3] = 0
    q, step = to_steps(w)
    assert q.dtype == torch.int16 and step.shape == (6,)
    assert torch.equal(q.abs().amax((1, 2, 3)), torch.tensor([32767, 32767, 32767, 0, 32767, 32767], dtype=torch.int16))
    error = (from_steps(q, step) - w).abs().amax((1, 2, 3))
    assert (error <= 0.5001 * step + 1e-7 * w.abs().amax((1, 2, 3))).all() and error[3] == 0
    with pytest.raises(UsageError, match="NaN or infinite"):
        to_steps(torch.tensor([[1.0, float("inf")]]))


def test_only_asd_and_the_1x1_shortcuts_are_rounded(tmp_path):
    net = lived_in("cifar10_resnet18")
    names = matrix_names(net)
    assert len(names) == 2 * 16 + 3 and all(".asd." in n or ".shortcut.0." in n for n in names)
    write_tensors(tmp_path / "r.safetensors", bit_state(net, rounded=True), {**describe(net), "form": bits.FORM})
    again = load(tmp_path / "r.safetensors")
    for key, tensor in again.state_dict().items():
        if key in names:
            assert not torch.equal(tensor, net.state_dict()[key])
            row = net.state_dict()[key].abs().flatten(1).amax(1)
            assert ((tensor - net.state_dict()[key]).abs().flatten(1).amax(1) <= row / 60000).all()
        elif key in net.state_dict() and key.removesuffix(".weight") not in sd.binary_layers(net) and "ede" not in key:
            assert torch.equal(tensor, net.state_dict()[key]), key
    rounded = copy.deepcopy(net)
    round_matrices(rounded)
    x = pixels(net, 2)
    with torch.no_grad():
        assert torch.equal(again(x), rounded(x))


@pytest.mark.parametrize(
    "name, rounded, most",
    [("cifar10_resnet20", False, 0.08), ("cifar10_vgg_small", False, 1.2), ("cifar10_resnet18", True, 2.4)],
)
def test_sizes(name, rounded, most):
    net = sd.build(name)
    size = len(tensor_bytes(bit_state(net, rounded), {**describe(net), "form": bits.FORM}))
    binary = sum(layer.weight.numel() for layer in sd.binary_layers(net).values())
    assert binary / 8 < size <= most * 1e6


# --- damage ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda s: s.pop("conv2.bits"), "'conv2.bits' is missing"),
        (lambda s: s.pop("conv3.scale"), "'conv3.scale' is missing"),
        (lambda s: s.update({"conv2.bits": s["conv2.bits"][:-1]}), "conv2: bits: torch.uint8 .2303,. given"),
        (lambda s: s.update({"conv2.scale": torch.ones(3)}), "conv2.learned_scale.factor"),
        (lambda s: s.pop("linear.bias"), "linear.bias"),
        (lambda s: s.update({"conv2.weight": torch.ones(64, 32, 3, 3)}), "conv2.weight has no place in it"),
        (lambda s: s.update({"more": torch.ones(3)}), "more"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(change, message, tmp_path):
    net = lived_in("digits_convnet", "irnet")
    state = bit_state(net)
    change(state)
    write_tensors(tmp_path / "b.safetensors", state, {**describe(net), "form": bits.FORM})
    with pytest.raises(UsageError, match=message) as caught:
        load(tmp_path / "b.safetensors")
    assert "b.safetensors: " in str(caught.value)


@pytest.mark.parametrize("step", [None, torch.ones(3), torch.ones(2, 1)])
def test_steps_that_do_not_fit_are_refused(step, tmp_path):
    net = lived_in("digits_convnet")
    state = bit_state(net, rounded=True)
    del state["conv3.asd.squeeze.weight.step"]
    if step is not None:
        state["conv3.asd.squeeze.weight.step"] = step
    write_tensors(tmp_path / "b", state, {**describe(net), "form": bits.FORM})
    with pytest.raises(UsageError, match="conv3.asd.squeeze.weight and its step don't fit"):
        load(tmp_path / "b")


def test_bits_of_another_method_are_refused(tmp_path):
    net = lived_in("digits_convnet", "bnn")
    about = {"network": net.name, "options": {**net.options, "method": "asd"}, "form": bits.FORM}
    write_tensors(tmp_path / "b", bit_state(net), about)
    with pytest.raises(UsageError, match="asd.squeeze"):
        load(tmp_path / "b")
    assert not files.in_bits(net)

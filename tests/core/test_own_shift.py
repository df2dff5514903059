"""A shift module of one's own: in layers, networks, packing, cost; refused where a file would have to hold its code."""

import copy

import pytest
import torch
from own_shifts import Half, Tanh
from torch import nn

import sdbnn_lite as sd
from sdbnn_lite.core.layers import BinaryConv2d, BinaryLinear
from sdbnn_lite.cost.count import cost
from sdbnn_lite.errors import UsageError
from sdbnn_lite.fast.network import supports
from sdbnn_lite.weights.files import save_weights


class Returns(nn.Module):
    """Whatever it was told."""

    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, a):
        return self.value


def mine(shift, **parts):
    return sd.Method("mine", "mine", "ede", "ede", activation_shift=shift, **parts)


def test_a_layer_adds_it_before_the_sign():
    torch.manual_seed(0)
    layer, a = BinaryConv2d(4, 6, 3, padding=1, method=mine(Tanh)), torch.randn(5, 4, 7, 8)
    shift = torch.tanh(a.mean((2, 3)) @ layer.own_shift.mix.weight.T + layer.own_shift.mix.bias)[:, :, None, None]
    signs = torch.where(a + shift >= 0, 1.0, -1.0)
    weights = torch.where(layer.weight >= 0, 1.0, -1.0)
    assert torch.equal(layer(a), nn.functional.conv2d(signs, weights, padding=1))
    layer(a).sum().backward()
    assert layer.own_shift.mix.weight.grad.abs().sum() > 0


def test_a_constant_half_is_rsign_with_a_beta_of_a_half():
    torch.manual_seed(0)
    own, rsign, a = BinaryConv2d(4, 6, method=mine(Half)), BinaryConv2d(4, 6, method="rsign"), torch.randn(5, 4, 7, 8)
    rsign.weight, rsign.rsign.beta.data = own.weight, torch.full((4,), 0.5)
    assert torch.equal(own(a), rsign(a)) and torch.equal(own(a[0]), rsign(a)[0])


@pytest.mark.parametrize("shape", [(4,), (1, 4), (5, 4), (2, 3, 4)])
@pytest.mark.parametrize("shift", [Half, Tanh])
def test_a_linear_layer_takes_its_inputs_as_maps_of_one_pixel(shape, shift):
    layer, a = BinaryLinear(4, 6, method=mine(shift)), torch.randn(shape)
    expected = layer.own_shift(a.reshape(-1, 4, 1, 1)).flatten(1).expand(a.reshape(-1, 4).shape).reshape(shape)
    assert torch.equal(layer.binary_activation(a), torch.where(a + expected >= 0, 1.0, -1.0))


@pytest.mark.parametrize("value", [torch.zeros(3, 4), torch.zeros(4), torch.zeros(5, 4, 7, 8), torch.zeros(5, 1, 1, 1),
                                   torch.tensor(0.5), 0.5, None])  # fmt: skip
def test_another_shape_is_refused_in_words(value):
    layer = BinaryConv2d(4, 6, method=mine(lambda channels: Returns(value)))
    with pytest.raises(UsageError, match=r"activation_shift: Returns gave .* for activations \(5, 4, 7, 8\); \(N, 4\)"):
        layer(torch.zeros(5, 4, 7, 8))


def test_a_shift_that_is_neither_a_name_nor_a_class():
    with pytest.raises(UsageError, match="activation_shift"):
        mine(3)


@pytest.mark.parametrize("shift", [Half, Tanh])
def test_build_convert_record_and_pack_take_it(shift):
    torch.manual_seed(0)
    images = torch.randn(20, 1, 8, 8)
    net = sd.build("digits_convnet", method=mine(shift)).eval()
    assert {name for name in net.state_dict() if "own_shift" in name} == (
        set() if shift is Half else {f"conv{k}.own_shift.mix.{part}" for k in (2, 3) for part in ("weight", "bias")})
    seen = sd.record_signs(net, images)["conv2"]
    assert seen.input_flips > 0
    assert torch.allclose(sd.pack(net)(images), net(images), atol=1e-5)  # a PackedNet would leave the shift out
    plain = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(64, 2))
    twin = sd.convert(plain, mine(shift))
    assert type(twin[1].own_shift) is shift and twin(torch.zeros(2, 1, 8, 8)).shape == (2, 2)
    again = sd.build("digits_convnet", method=mine(shift))
    again.load_state_dict(net.state_dict())
    assert torch.equal(again.eval()(images), net(images))


def test_packing_takes_any_method_of_ones_own():
    net, images = sd.build("digits_convnet", method=sd.Method("mine", "mine")).eval(), torch.randn(3, 1, 8, 8)
    assert torch.allclose(sd.pack(net)(images), net(images), atol=1e-5)


def test_cost_counts_its_parameters_in_the_layer():
    rows = {row.name: row for row in cost(sd.build("digits_convnet", method=mine(Tanh)), image_size=8).layers}
    assert set(rows) == {"conv1", "conv2", "conv3", "linear", "norms"}
    assert (rows["conv2"].real_params, rows["conv3"].real_params) == (32 * 33, 64 * 65)


def test_the_fast_step_leaves_it_to_the_readable_one():
    assert supports(sd.build("cifar10_resnet20", method="asd"))
    assert not supports(sd.build("cifar10_resnet20", method=mine(Half)))


def test_files_say_that_the_module_is_your_own(tmp_path):
    impostor = sd.Method("asd", "not ASD", "ede", "ede", activation_shift=Tanh)
    for method in (mine(Half), mine(None), impostor):
        with pytest.raises(UsageError, match="is your own, and no file of weights holds its code: keep net.state_dict"):
            save_weights(tmp_path / "w", sd.build("digits_convnet", method=method))
    with pytest.raises(UsageError, match="a file can rebuild only what sd.build makes"):
        sd.save_packed(tmp_path / "p", sd.build("digits_convnet", method=impostor))
    with pytest.raises(UsageError, match="a name is needed; a run's files hold no Method of your own"):
        sd.train("digits", tmp_path / "run", method=mine(Half), epochs=1)
    assert list(tmp_path.iterdir()) == []


def test_onnx_has_no_form_for_it():
    pytest.importorskip("onnx")
    from sdbnn_lite.weights.onnx_graph import GraphWriter
    with pytest.raises(UsageError, match="conv2: no ONNX form"):
        GraphWriter(sd.build("digits_convnet", method=mine(Half)))


def test_a_copy_has_a_module_of_its_own():
    net = sd.build("digits_convnet", method=mine(Tanh))
    assert copy.deepcopy(net).conv2.own_shift is not net.conv2.own_shift

"""The one binary convolution, for every method, against loops whose signs get their gradient by the detach trick."""

import warnings

import pytest
import torch
import torch.nn.functional as F
from reference import assert_close, naive_binary_conv
from torch import nn

from sdbnn_lite.core.layers import BinaryConv2d, binary_layers, set_ede
from sdbnn_lite.core.methods import METHODS, get_method
from sdbnn_lite.errors import UsageError

EXTRA = {  # the parameters of each method beside the latent weights, for C = 4, O = 6, r = 2
    "xnor_pp": {"learned_scale.factor": (6,)},
    "rsign": {"rsign.beta": (4,)},
    "asd": {"asd.squeeze.weight": (2, 4), "asd.expand.weight": (4, 2)},
    "wsd": {"wsd.alpha": (6,)},
}
EXTRA["asd_tanh"] = EXTRA["asd"]
EXTRA["sdbnn"] = EXTRA["asd"] | EXTRA["wsd"]


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def layer_with(method, imagenet=False, t=0.3, **options):
    """float64, C = 4, O = 6, r = 2, every parameter drawn so that all parts matter: biased, larger weights."""
    options = {"padding": 1, "method": get_method(method, imagenet=imagenet), "reduction": 2, **options}
    layer = BinaryConv2d(4, 6, **options).double()
    for i, parameter in enumerate(layer.parameters()):
        parameter.data = 0.8 * normal(*parameter.shape, seed=i) + 0.3
    set_ede(layer, t)
    return layer


def compare(layer, method, *, imagenet=False, k, t, stride=1, padding=1, real_weights=False, seed=7):
    """Values and every gradient of ``layer`` against the loops; returns the names that got a gradient."""
    a = normal(2, 4, 5, 6, seed=seed) - 0.2
    a[0, :, 0, 0] = torch.tensor([0.0, -0.0, 1.0, -1.0])
    names = dict(layer.named_parameters())
    ours = {"input": a.clone().requires_grad_(), **names}
    theirs = {name: tensor.detach().clone().requires_grad_() for name, tensor in ours.items()}
    y = layer(ours["input"])
    options = {"stride": stride, "padding": padding, "imagenet": imagenet, "real_weights": real_weights}
    expected = naive_binary_conv(method, theirs["input"], theirs, k=k, t=t, **options)
    assert_close(y.detach(), expected.detach(), 1e-13, "y")

    upstream = normal(*y.shape, seed=seed + 1)
    (y * upstream).sum().backward()
    (expected * upstream).sum().backward()
    for name, tensor in ours.items():
        assert (tensor.grad is None) == (theirs[name].grad is None), name
        if tensor.grad is not None:
            assert float(theirs[name].grad.abs().max()) > 0, f"{name}: the comparison would say nothing"
            assert_close(tensor.grad, theirs[name].grad, 1e-11, name)
    return {name for name, tensor in ours.items() if tensor.grad is not None}


@pytest.mark.parametrize("k, t", [(1000.0, 0.001), (1 / 0.3, 0.3), (1.0, 5.0)])
@pytest.mark.parametrize("method", METHODS)
def test_values_and_all_gradients(method, k, t):
    """Input, latent weights, W1, W2, β, α, learned scale: whatever the method has, for three values of EDE."""
    assert compare(layer_with(method, t=t), method, k=k, t=t) == {"input", "weight", *EXTRA.get(method, {})}


@pytest.mark.parametrize("method", METHODS)
def test_values_and_all_gradients_on_imagenet(method):
    """There EDE gives way to the polynomial and the clipped identity, except in IR-Net."""
    layer = layer_with(method, imagenet=True)
    assert compare(layer, method, imagenet=True, k=1 / 0.3, t=0.3) == {"input", "weight", *EXTRA.get(method, {})}


@pytest.mark.parametrize(
    "kernel_size, stride, padding", [(3, 2, 1), (3, 1, 0), (1, 1, 0), (1, 2, 0), (5, 2, 2), (3, 3, 3)]
)
@pytest.mark.parametrize("method", ["bnn", "sdbnn", "irnet"])
def test_other_kernels_strides_and_paddings(method, kernel_size, stride, padding):
    layer = layer_with(method, kernel_size=kernel_size, stride=stride, padding=padding)
    compare(layer, method, k=1 / 0.3, t=0.3, stride=stride, padding=padding)


@pytest.mark.parametrize("method", METHODS)
def test_real_weights_under_binary_activations(method):
    """Stage 1: no weight shift, no scale; what belongs to the weights exists but takes no gradient."""
    layer = layer_with(method, binary_weights=False)
    with_gradient = compare(layer, method, k=1 / 0.3, t=0.3, real_weights=True)
    of_activations = {name for name in EXTRA.get(method, {}) if name.startswith(("asd", "rsign"))}
    assert with_gradient == {"input", "weight", *of_activations}


@pytest.mark.parametrize("method", METHODS)
def test_parameters_and_buffers(method):
    """Exactly the parts of the method, with their shapes, and k and t."""
    layer = layer_with(method)
    shapes = {name: tuple(p.shape) for name, p in layer.named_parameters()}
    assert shapes == {"weight": (6, 4, 3, 3), **EXTRA.get(method, {})}
    assert dict(layer.named_buffers()).keys() == {"ede_k", "ede_t"}


def test_padding_adds_zero_after_the_sign():
    """All inputs +1 and all weights +1: a corner counts its 4 inner taps, an edge 6, the middle 9.

    Padding before the sign would make sign(0) = +1 of the border, and 9 of everything.
    """
    layer = BinaryConv2d(1, 1, padding=1, method="bnn")
    layer.weight.data.fill_(0.5)
    assert layer(torch.full((1, 1, 3, 3), 0.2))[0, 0].tolist() == [[4, 6, 4], [6, 9, 6], [4, 6, 4]]


@pytest.mark.parametrize("method", [m for m in METHODS if m != "float"])
def test_operands_are_bits_and_sums_are_integers(method):
    """â and ŵ are ±1; the unscaled sum is an integer of the parity of the number of taps inside."""
    layer = layer_with(method)
    a = normal(2, 4, 5, 6)
    assert layer.binary_activation(a).unique().tolist() == [-1.0, 1.0]
    assert layer.binary_weight().unique().tolist() == [-1.0, 1.0]
    taps = F.conv2d(torch.ones_like(a), torch.ones(6, 4, 3, 3, dtype=a.dtype), padding=1)
    y = layer.unscaled(a).detach()
    assert torch.equal(y, y.round()) and torch.equal(y.remainder(2), taps.remainder(2))
    assert (y.abs() <= taps).all()


def test_float_twin_is_torchs_convolution():
    layer, a = layer_with("float", stride=2), normal(2, 4, 8, 8)
    plain = nn.Conv2d(4, 6, 3, stride=2, padding=1, bias=False).double()
    plain.load_state_dict({"weight": layer.weight})
    assert torch.equal(layer(a), plain(a))


def two_layers(method="sdbnn"):
    return nn.Sequential(layer_with(method), nn.BatchNorm2d(6), nn.Sequential(layer_with(method)))


def test_binary_layers_are_found_by_name_and_in_order():
    """Dotted names, nested ones too; none in the float twin."""
    net = two_layers()
    found = binary_layers(net)
    assert list(found) == ["0", "2.0"] and found["0"] is net[0] and found["2.0"] is net[2][0]
    assert binary_layers(two_layers("float")) == {}


@pytest.mark.parametrize("t, k", [(0.001, 1000.0), (0.5, 2.0), (1.0, 1.0), (10.0, 1.0)])
def test_set_ede_fills_the_buffers_of_every_layer(t, k):
    """k = max(1/t, 1) beside t, in all layers; saved, restored, and kept by .double()."""
    net, fresh = two_layers(), two_layers()
    set_ede(net, t)
    for layer in binary_layers(net.double()).values():
        assert (float(layer.ede_t), float(layer.ede_k)) == (t, k)
    state = net.state_dict()
    assert {float(v) for name, v in state.items() if name.endswith("ede_k")} == {k}
    assert {float(v) for name, v in state.items() if name.endswith("ede_t")} == {t}
    fresh.load_state_dict(state)
    assert [float(layer.ede_t) for layer in binary_layers(fresh).values()] == [t, t]
    assert [float(layer.ede_k) for layer in binary_layers(fresh).values()] == [k, k]


def test_ede_survives_a_change_of_dtype():
    """Set in float32, then .double(): the same k and t to float32's precision, and gradients of the new dtype."""
    layer = BinaryConv2d(4, 6, method=get_method("sdbnn"), reduction=2)
    set_ede(layer, 0.3)
    layer.double()
    assert layer.ede_t.dtype == layer.ede_k.dtype == torch.float64
    assert float(layer.ede_t) == pytest.approx(0.3, rel=1e-7) and float(layer.ede_k) == pytest.approx(1 / 0.3, rel=1e-7)
    layer(normal(1, 4, 3, 3)).sum().backward()
    assert layer.weight.grad.dtype == torch.float64


@pytest.mark.parametrize("t", [0.0, -0.1, float("nan"), float("inf")])
def test_set_ede_refuses_a_bad_t_and_changes_nothing_and_takes_another_k(t):
    net = two_layers()
    set_ede(net, 0.7)
    with pytest.raises(UsageError, match="t="):
        set_ede(net, t)
    with pytest.raises(UsageError, match="t="):
        set_ede(net, t, k=1.0)
    assert [float(layer.ede_t) for layer in binary_layers(net).values()] == [0.7, 0.7]
    set_ede(net, 4.0, k=0.25)
    assert {(float(layer.ede_t), float(layer.ede_k)) for layer in binary_layers(net).values()} == {(4.0, 0.25)}


def test_few_channels_warn():
    """A layer narrower than r warns if it has ASD, and only then."""
    with pytest.warns(UserWarning, match="channels=4 is below reduction=16"):
        BinaryConv2d(4, 6, method=get_method("sdbnn"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        BinaryConv2d(4, 6, method=get_method("wsd"))
        BinaryConv2d(16, 6, method=get_method("sdbnn"))


def test_weights_start_kaiming_normal():
    """Standard deviation √(2 / fan-in), mean 0."""
    torch.manual_seed(0)
    w = BinaryConv2d(64, 64, method=get_method("bnn")).weight.detach()
    assert float(w.std()) == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.03)
    assert abs(float(w.mean())) < 0.001


def test_printing_a_layer_says_what_it_is():
    text = repr(BinaryConv2d(16, 32, stride=2, padding=1, method="wsd"))
    assert "16, 32, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), bias=False, method=wsd" in text

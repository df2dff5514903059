"""The binary layers in other people's networks: torch's own arguments and shapes, and torch's own tools."""

import copy
import warnings

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call, grad, vmap

import sdbnn_lite as sd
from sdbnn_lite.core.methods import METHODS
from sdbnn_lite.errors import UsageError

pytestmark = pytest.mark.filterwarnings("ignore:ASD")
SIDE = st.integers(1, 3)
PAIR = st.one_of(SIDE, st.tuples(SIDE, SIDE))


def signs(x):
    return torch.where(x >= 0, 1.0, -1.0).to(x.dtype)


@st.composite
def geometries(draw):
    groups = draw(st.integers(1, 3))
    channels, outputs = groups * draw(st.integers(1, 3)), groups * draw(st.integers(1, 3))
    stride, mode = draw(PAIR), draw(st.sampled_from(("zeros", "reflect", "replicate", "circular")))
    padding = draw(st.one_of(st.just("valid"), st.just("same"), st.integers(0, 2), st.tuples(*[st.integers(0, 2)] * 2)))
    assume(padding != "same" or stride in (1, (1, 1)))
    options = {"kernel_size": draw(PAIR), "stride": stride, "padding": padding, "dilation": draw(PAIR)}
    return (channels, outputs), {**options, "groups": groups, "bias": draw(st.booleans()), "padding_mode": mode}


@settings(max_examples=300)
@given(geometries(), st.sampled_from(("bnn", "xnor", "sdbnn", "rsign", "float")), st.integers(0, 2**16))
def test_equals_torchs_convolution_of_signs(geometry, method, seed):
    """Values and gradients of w and bias, over every argument that nn.Conv2d has; batched and not."""
    (channels, outputs), options = geometry
    torch.manual_seed(seed)
    layer = sd.BinaryConv2d(channels, outputs, **options, method=method, dtype=torch.float64)
    plain = nn.Conv2d(channels, outputs, **options, dtype=torch.float64)
    assert layer.weight.shape == plain.weight.shape
    a = torch.randn(2, channels, 7, 8, dtype=torch.float64)
    shift = layer.activation_shift(a)
    seen, w = signs(a if shift is None else a + shift), layer.binary_weight()
    if method == "float":
        seen, w = a, layer.weight
    plain.load_state_dict({"weight": w.detach()} | ({"bias": layer.bias.detach()} if options["bias"] else {}))
    expected = plain(seen)
    if method == "xnor":
        scale = layer.weight.abs().flatten(1).mean(1)[:, None, None]
        bias = 0 if plain.bias is None else plain.bias[:, None, None]
        expected = (expected - bias) * scale + bias
    y = layer(a)
    torch.testing.assert_close(y, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(layer(a[1]), expected[1], rtol=1e-12, atol=1e-12)
    y.sum().backward()
    assert layer.weight.grad.isfinite().all() and (layer.bias is None or layer.bias.grad.eq(y[0, 0].numel() * 2).all())


@pytest.mark.parametrize("method", METHODS)
def test_a_linear_layer_is_a_convolution_of_one_pixel(method):
    torch.manual_seed(0)
    conv = sd.BinaryConv2d(8, 6, 1, bias=True, method=method, reduction=2)
    linear = sd.BinaryLinear(8, 6, bias=True, method=method, reduction=2)
    state = conv.state_dict()
    linear.load_state_dict({k: v.flatten(1) if k == "weight" else v for k, v in state.items()})
    a = torch.randn(5, 8)
    torch.testing.assert_close(linear(a), conv(a[:, :, None, None]).flatten(1))
    torch.testing.assert_close(linear(a.view(5, 1, 8))[:, 0], linear(a))
    torch.testing.assert_close(linear(a[0]), linear(a)[0])
    conv(a[:, :, None, None]).square().sum().backward()
    linear(a).square().sum().backward()
    torch.testing.assert_close(linear.weight.grad, conv.weight.grad.flatten(1))


def test_a_method_of_ones_own():
    mine = sd.Method("mine", "STE for activations, Bi-Real Net's polynomial for weights", weight_gradient="polynomial")
    layer = sd.BinaryConv2d(4, 4, method=mine)
    layer(torch.randn(1, 4, 5, 5)).sum().backward()
    assert layer.method is mine and layer.weight.grad is not None
    with pytest.raises(UsageError, match="unknown weight_gradient 'polynom'.*did you mean 'polynomial'"):
        sd.Method("mine", "a typing error", weight_gradient="polynom")


@pytest.mark.parametrize(
    "arguments, options, message",
    [
        ((16, 16), {"method": "bnnn"}, "unknown method 'bnnn'.*mean 'bnn'"),
        ((16, 16), {"method": 3}, "unknown method 3"),
        ((16, 16), {"groups": 3}, "divisible by groups"),
        ((0, 16), {}, "in_channels=0"),
        ((16, True), {}, "out_channels=True"),
        ((16, 16), {"kernel_size": 0}, "kernel_size=0"),
        ((16, 16), {"stride": (1, 0)}, r"stride=\(1, 0\)"),
        ((16, 16), {"padding": -1}, "padding=-1: a whole number from 0"),
        ((16, 16), {"padding": "some"}, "padding.*'same'"),
        ((16, 16), {"padding_mode": "mirror"}, "padding_mode"),
        ((16, 16), {"reduction": 0}, "reduction=0"),
    ],
)
def test_what_it_can_not_be_is_one_line(arguments, options, message):
    with pytest.raises(UsageError, match=message):
        sd.BinaryConv2d(*arguments, **options)


@pytest.mark.parametrize("shape", [(8, 8), (16,), (1, 2, 16, 8, 8), (2, 8, 8, 8)])
def test_other_shapes_are_one_line(shape):
    with pytest.raises(UsageError, match=r"input: shape .* given, \(N, 16, H, W\) or \(16, H, W\) needed"):
        sd.BinaryConv2d(16, 16)(torch.zeros(shape))
    with pytest.raises(UsageError, match=r"input: shape .* given, \(…, 5\) needed"):
        sd.BinaryLinear(5, 3)(torch.zeros(shape))


@pytest.mark.parametrize("value", [0.5, 0.0, -0.25])
def test_irnets_constant_filters_stay_finite(value):
    """Their variance is 0: w - mean is 0, which becomes +1; the scale of a filter of zeros is 1."""
    torch.manual_seed(0)
    layer = sd.BinaryConv2d(4, 3, method="irnet", dtype=torch.float64)
    layer.weight.data[0] = value
    other = sd.BinaryConv2d(1, 8, 1, method="irnet")  # one weight a filter has no variance
    layer(torch.randn(2, 4, 5, 5, dtype=torch.float64)).sum().backward()
    assert layer.binary_weight()[0].eq(1).all() and layer.scale()[0] == 1
    assert layer.weight.grad.isfinite().all()
    assert other(torch.randn(2, 1, 4, 4)).isfinite().all()
    w = layer.weight[1:]  # and the others are as published
    standard = (w - w.mean((1, 2, 3), keepdim=True)) / w.flatten(1).std(1)[:, None, None, None]
    torch.testing.assert_close(layer.shifted_weight()[1:], standard, rtol=1e-12, atol=0)


@pytest.mark.parametrize("t", [1e-45, 1e-39, 1e39, 1e300, float("nan"), float("inf"), 0.0, -1.0])
def test_ede_values_that_float32_can_not_hold_change_nothing(t):
    net = sd.build("digits_convnet")
    sd.set_ede(net, 0.25)
    with pytest.raises(UsageError, match="^t=.*(torch.float32|finite t > 0)"):
        sd.set_ede(net, t)
    assert {(float(m.ede_t), float(m.ede_k)) for m in sd.binary_layers(net).values()} == {(0.25, 4.0)}


def test_ede_in_half_precision():
    """float16 can't hold k = 1/t of a small t; k·t = 1 still has to be right where it can, and under autocast."""
    layer = sd.BinaryConv2d(4, 4, method="ede")
    with pytest.raises(UsageError, match="torch.float16 needs t, k and k·t from 6.1e-05"):
        sd.set_ede(copy.deepcopy(layer).half(), 1e-5)
    sd.set_ede(layer, 1e-6)  # k = 10^6 in a float32 buffer, activations in float16
    a = torch.randn(64, dtype=torch.float16, requires_grad=True)
    sd.core.binarize.binarize(a, "ede", layer.ede_k, layer.ede_t).sum().backward()
    torch.testing.assert_close(a.grad, torch.ones_like(a))


def test_set_ede_needs_a_binary_layer():
    with pytest.raises(UsageError, match="net: Linear given, which has no binary layer"):
        sd.set_ede(nn.Linear(2, 2), 1.0)


@pytest.fixture(scope="module")
def digits():
    torch.manual_seed(0)
    return sd.build("digits_convnet").eval(), torch.randn(4, 1, 8, 8), torch.arange(4)


def test_per_sample_gradients_equal_a_loops(digits):
    net, x, y = digits
    parameters, buffers = {k: p.detach() for k, p in net.named_parameters()}, dict(net.named_buffers())

    def loss(parameters, image, label):
        return F.cross_entropy(functional_call(net, (parameters, buffers), (image[None],)), label[None])

    each = vmap(grad(loss), (None, 0, 0))(parameters, x, y)
    for i in range(len(x)):
        one = torch.autograd.grad(F.cross_entropy(net(x[i : i + 1]), y[i : i + 1]), list(net.parameters()))
        for (name, _), expected in zip(net.named_parameters(), one, strict=True):
            torch.testing.assert_close(each[name][i], expected, rtol=1e-4, atol=1e-6)


def test_export(digits):
    net, x, _ = digits
    exported = torch.export.export(net, (x,), dynamic_shapes=({0: torch.export.Dim("batch", min=2)},)).module()
    for batch in (x, torch.randn(7, 1, 8, 8)):
        torch.testing.assert_close(exported(batch), net(batch))


def test_compile_is_one_graph_with_the_same_gradients(digits):
    net, x, y = digits
    with torch.no_grad():  # torch takes another way then
        assert torch.equal(torch.compile(net, fullgraph=True, backend="eager")(x), net(x))
    compiled = torch.compile(net, fullgraph=True, backend="aot_eager")
    ours, theirs = (torch.autograd.grad(F.cross_entropy(f(x), y), list(net.parameters())) for f in (net, compiled))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_torchs_own_onnx_export(digits, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    net, x, _ = digits
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the tracer
        torch.onnx.export(net, (x,), tmp_path / "net.onnx", dynamo=False, input_names=["images"])
    (logits,) = runtime.InferenceSession(tmp_path / "net.onnx").run(None, {"images": x.numpy()})
    torch.testing.assert_close(torch.from_numpy(logits), net(x).detach(), rtol=1e-4, atol=1e-4)


def test_copies_and_state_dicts(digits, tmp_path):
    net, x, _ = digits
    sd.set_ede(net, 0.3)
    torch.save(net.state_dict(), tmp_path / "state.pt")
    other = sd.build("digits_convnet").eval()
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    for twin in (copy.deepcopy(net), other, nn.DataParallel(net)):
        assert torch.equal(twin(x), net(x))
    assert float(other.conv2.ede_t) == pytest.approx(0.3)


def test_autocast(digits):
    """Sums of ±1 up to 256 are exact in bfloat16; the real layers and batch norm round."""
    net, x, y = digits
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = net(x)
    F.cross_entropy(logits.float(), y).backward()
    assert all(p.grad.isfinite().all() for p in net.parameters())
    layer, a = sd.BinaryConv2d(4, 4, method="bnn"), torch.randn(2, 4, 6, 6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = layer(a)
    assert half.dtype == torch.bfloat16 and torch.equal(half.float(), layer(a))

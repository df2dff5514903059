"""The half-precision convolution against the readable layer: values exact, gradients to 1e-2."""

import pytest
import torch
import torch.nn.functional as F

import sdbnn_lite as sd
from sdbnn_lite.core.layers import BinaryConv2d, binary_layers
from sdbnn_lite.core.methods import METHODS, get_method
from sdbnn_lite.training.steps.half_precision import GpuForward, HalfConv2d, half_conv, twin_of


def signs(*shape, seed=0):
    return torch.randint(0, 2, shape, generator=torch.Generator().manual_seed(seed)) * 2.0 - 1


def relative(a, b):
    """Largest difference over the largest value."""
    return ((a - b).abs().max() / b.abs().max()).item()


@pytest.mark.parametrize(
    "channels, kernel, stride, padding", [(1, 3, 1, 1), (16, 3, 2, 1), (64, 1, 1, 0), (256, 3, 1, 1)]
)
def test_values_are_exact(channels, kernel, stride, padding):
    a, w = signs(3, channels, 7, 6), signs(5, channels, kernel, kernel, seed=1)
    y = half_conv(a, w, (stride, stride), (padding, padding))
    assert y.dtype == torch.float32 and torch.equal(y, F.conv2d(a, w, stride=stride, padding=padding))


@pytest.mark.parametrize("channels, exact", [(256, True), (454, True), (512, False)])
def test_the_largest_sums(channels, exact):
    """All products agree, but for the few that walk through the largest sums: up to 4096 exact, then multiples of 4."""
    w = torch.ones(1, channels, 3, 3)
    for against in range(0, 40):
        a = torch.ones(1, channels, 3, 3)
        a.view(-1)[:against] = -1
        true = 9 * channels - 2 * against
        y = half_conv(a, w, 1, 0).item()
        assert (y == true) if exact or true <= 4096 else (y % 4 == 0 and abs(y - true) <= 2), (true, y)


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e6])
def test_gradients_to_one_in_a_hundred_at_any_size(scale):
    """The sizes that float16 would lose or overflow."""
    a, w = signs(4, 32, 8, 8).requires_grad_(), signs(16, 32, 3, 3, seed=1).requires_grad_()
    grad = scale * torch.randn(4, 16, 8, 8, generator=torch.Generator().manual_seed(2))
    ours = torch.autograd.grad(half_conv(a, w, (1, 1), (1, 1)), (a, w), grad)
    theirs = torch.autograd.grad(F.conv2d(a, w, padding=1), (a, w), grad)
    for mine, other in zip(ours, theirs):
        assert mine.dtype == torch.float32 and relative(mine, other) < 1e-2


@pytest.mark.parametrize("name", METHODS)
def test_the_layer_of_every_method(name):
    """Forward as the readable layer (a scale multiplies exact integers); every parameter's and the input's gradient."""
    torch.manual_seed(0)
    layer = BinaryConv2d(16, 8, stride=2, padding=1, method=get_method(name))
    half = BinaryConv2d(16, 8, stride=2, padding=1, method=get_method(name))
    half.load_state_dict(layer.state_dict())
    half.__class__ = HalfConv2d
    sd.set_ede(layer, 0.7)
    sd.set_ede(half, 0.7)
    x = torch.randn(4, 16, 9, 9)
    results = []
    for module in (half, layer):
        a = x.clone().requires_grad_()
        y = module(a)
        y.backward(torch.randn(y.shape, generator=torch.Generator().manual_seed(1)))
        results.append((y.detach(), a.grad, {n: p.grad for n, p in module.named_parameters()}))
    (y, a, parameters), (true_y, true_a, true_parameters) = results
    assert torch.equal(y, true_y) and relative(a, true_a) < 1e-2
    for n, grad in true_parameters.items():
        assert relative(parameters[n], grad) < 1e-2, n


def test_stage_1_stays_in_float32():
    net = sd.build("digits_convnet", stage=1)
    twin, x = twin_of(net, half=True).eval(), torch.randn(3, 1, 8, 8)
    assert torch.equal(twin(x), net.eval()(x))


def test_a_twin_shares_every_tensor_and_leaves_the_network_as_it_was():
    net = sd.build("cifar10_resnet20")
    twin = twin_of(net, half=True)
    mine, theirs = (dict([*n.named_parameters(), *n.named_buffers()]) for n in (twin, net))
    assert mine.keys() == theirs.keys() and all(mine[k] is theirs[k] for k in mine)
    assert {type(m) for m in binary_layers(twin).values()} == {HalfConv2d}
    assert {type(m) for m in binary_layers(net).values()} == {BinaryConv2d}
    assert twin_of(net, half=False) is not net and type(twin_of(net, half=False).layers[0][0].conv1) is BinaryConv2d


def test_the_forward_pass_follows_the_mode_and_trains_batch_norm():
    torch.manual_seed(0)
    net = sd.build("digits_convnet")
    forward, x = GpuForward(net, half=True), torch.randn(8, 1, 8, 8)
    net.eval()
    assert torch.equal(forward(x), net(x))
    net.train()
    forward(x)
    assert net.bn1.num_batches_tracked == 1 and net.bn1.running_mean.abs().max() > 0
    assert "float16" in forward.path and GpuForward(net, half=False).path == "float32"

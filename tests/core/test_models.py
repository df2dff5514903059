"""The six networks: every one with every method, their structure and size counted by hand."""

import pytest
import torch
from reference import assert_close, digits_convnet

import sdbnn_lite as sd
from sdbnn_lite.core.layers import BinaryConv2d
from sdbnn_lite.core.methods import METHODS
from sdbnn_lite.core.models import NETWORKS
from sdbnn_lite.errors import UsageError

# Pixels that are quick, and options that allow them. ImageNet's latent weights start positive, so all ŵ are +1: where
# the 3×3 kernel covers the whole image, as at 32 pixels, all outputs are one and the same sum, and batch norm is left
# without a variance.
SMALL = {
    "cifar10_resnet20": (8, {}),
    "cifar10_resnet18": (8, {}),
    "cifar10_vgg_small": (8, {"image_size": 8}),
    "digits_convnet": (8, {}),
    "imagenet_resnet18": (64, {}),
    "imagenet_resnet34": (64, {}),
}


def stages(*stages):
    """[(C, O, stride)] of stages given as (C, O, number of convolutions), halving the image from the second on."""
    rows = []
    for i, (c, o, count) in enumerate(stages):
        rows += [(c, o, 2 if i else 1)] + [(o, o, 1)] * (count - 1)
    return rows


# Binary convolutions as (C, O, stride), r of ASD, and everything real-valued as a count of parameters:
# first convolution + batch norms + shortcuts + PReLU + linear, by hand.
STRUCTURE = {
    "cifar10_resnet20": (
        stages((16, 16, 6), (16, 32, 6), (32, 64, 6)),
        16,
        3 * 16 * 9 + 2 * (7 * 16 + 6 * 32 + 6 * 64) + 2 * 64 + 64 * 10 + 10,
    ),
    "cifar10_resnet18": (
        stages((64, 64, 4), (64, 128, 4), (128, 256, 4), (256, 512, 4)),
        16,
        3 * 64 * 9
        + 2 * (5 * 64 + 4 * 128 + 4 * 256 + 4 * 512)
        + (64 * 128 + 128 * 256 + 256 * 512 + 2 * (128 + 256 + 512))
        + (2 * 512 + 512 * 10 + 10),
    ),
    "cifar10_vgg_small": (
        [(128, 128, 1), (128, 256, 1), (256, 256, 1), (256, 512, 1), (512, 512, 1)],
        16,
        3 * 128 * 9 + 2 * (128 + 128 + 256 + 256 + 512 + 512) + 8192 * 10 + 10,
    ),
    "digits_convnet": ([(32, 64, 1), (64, 64, 1)], 16, 1 * 32 * 9 + 2 * (32 + 64 + 64) + 64 * 2 * 2 * 10 + 10),
    "imagenet_resnet18": (
        stages((64, 64, 4), (64, 128, 4), (128, 256, 4), (256, 512, 4)),
        8,
        3 * 64 * 49
        + 2 * (5 * 64 + 4 * 128 + 4 * 256 + 4 * 512)
        + (4 * 64 + 4 * 128 + 4 * 256 + 4 * 512)
        + (64 * 128 + 128 * 256 + 256 * 512 + 2 * (128 + 256 + 512))
        + (512 * 1000 + 1000),
    ),
    "imagenet_resnet34": (
        stages((64, 64, 6), (64, 128, 8), (128, 256, 12), (256, 512, 6)),
        8,
        3 * 64 * 49
        + 2 * (7 * 64 + 8 * 128 + 12 * 256 + 6 * 512)
        + (6 * 64 + 8 * 128 + 12 * 256 + 6 * 512)
        + (64 * 128 + 128 * 256 + 256 * 512 + 2 * (128 + 256 + 512))
        + (512 * 1000 + 1000),
    ),
}


def count(module):
    return sum(p.numel() for p in module.parameters())


def build_empty(name, *arguments, **options):
    """Shapes without values: quick."""
    with torch.device("meta"):
        return sd.build(name, *arguments, **options)


def images_for(name, n=3, dtype=torch.float32, size=None):
    size = SMALL[name][0] if size is None else size
    channels = 1 if name == "digits_convnet" else 3
    return torch.randn(n, channels, size, size, generator=torch.Generator().manual_seed(0)).to(dtype)


def test_structure_lists_all_networks():
    assert list(STRUCTURE) == list(NETWORKS) == list(SMALL)


# ----------------------------------------------------------------------------------------- every network, every method


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_trains_with_every_method(name, method):
    """7 classes: logits' shape, and a finite gradient for every parameter."""
    torch.manual_seed(0)
    net = sd.build(name, method, num_classes=7, **SMALL[name][1])
    logits = net(images_for(name))
    assert logits.shape == (3, 7) and logits.dtype == torch.float32
    torch.nn.functional.cross_entropy(logits, torch.tensor([0, 6, 3])).backward()
    for key, p in net.named_parameters():
        assert p.grad is not None and torch.isfinite(p.grad).all(), key
    assert sum(bool(p.grad.any()) for p in net.parameters()) > 0.8 * len(list(net.parameters()))


@pytest.mark.parametrize(
    "name, method", [(name, "sdbnn") for name in NETWORKS] + [("cifar10_resnet20", method) for method in METHODS]
)
def test_every_network_and_every_method_in_other_dtypes(name, method):
    """bfloat16 and float64: finite logits of that dtype."""
    net = sd.build(name, method, num_classes=7, **SMALL[name][1]).eval()
    with torch.no_grad():
        for dtype in (torch.bfloat16, torch.float64):
            logits = net.to(dtype)(images_for(name, 1, dtype, size=min(SMALL[name][0], 32)))
            assert logits.shape == (1, 7) and logits.dtype == dtype and torch.isfinite(logits).all()


@pytest.mark.parametrize("method", METHODS)
def test_digits_convnet_equals_its_naive_twin(method):
    """Ours has no published counterpart: logits and every gradient against loops, training mode and evaluation."""
    torch.manual_seed(1)
    net = sd.build("digits_convnet", method, num_classes=5).double()
    sd.set_ede(net, 0.3)
    x, y = images_for("digits_convnet", 3, torch.float64), torch.tensor([0, 4, 2])
    parameters = {name: p.detach().clone().requires_grad_() for name, p in net.named_parameters()}
    state = dict(net.state_dict()) | parameters
    state = {name: value if name in parameters else value.clone() for name, value in state.items()}
    with torch.no_grad():
        assert_close(net.eval()(x), digits_convnet(method, state, x, False, 1 / 0.3, 0.3), 1e-9)
    logits, expected = net.train()(x), digits_convnet(method, state, x, True, 1 / 0.3, 0.3)
    assert_close(logits.detach(), expected.detach(), 1e-9)
    torch.nn.functional.cross_entropy(logits, y).backward()
    torch.nn.functional.cross_entropy(expected, y).backward()
    for name, p in net.named_parameters():
        assert_close(p.grad, parameters[name].grad, 1e-7, name)


@pytest.mark.parametrize("name", NETWORKS)
def test_stage_1_has_real_weights_and_the_same_layout(name):
    """Real weights: α takes no gradient, the latent weights do; its state dict fits stage 2, which starts from it."""
    torch.manual_seed(0)
    net = sd.build(name, stage=1, num_classes=4, **SMALL[name][1])
    assert all(not layer.binary_weights for layer in sd.binary_layers(net).values())
    net(images_for(name)).square().sum().backward()
    grads = {key: p.grad for key, p in net.named_parameters()}
    assert {key for key, grad in grads.items() if grad is None} == {key for key in grads if key.endswith("wsd.alpha")}

    second = build_empty(name, stage=2, num_classes=4, **SMALL[name][1]).to_empty(device="cpu")
    second.load_state_dict(net.state_dict())
    assert all(layer.binary_weights for layer in sd.binary_layers(second).values())
    with torch.no_grad():
        one, two = net.eval()(images_for(name)), second.eval()(images_for(name))
    assert not torch.allclose(one, two)


# ------------------------------------------------------------------------------------------------------------ structure


@pytest.mark.parametrize("name", NETWORKS)
def test_binary_layers_by_hand(name):
    """Number, widths, strides, 3×3 kernels with padding 1, and the bottleneck max(C // r, 1) of ASD."""
    layers = list(sd.binary_layers(build_empty(name)).values())
    rows, reduction, _ = STRUCTURE[name]
    assert [(layer.in_channels, layer.out_channels, layer.stride[0]) for layer in layers] == rows
    for layer in layers:
        assert tuple(layer.weight.shape[2:]) == (3, 3) and layer.padding == (1, 1)
        assert layer.asd.squeeze.weight.shape == (max(layer.in_channels // reduction, 1), layer.in_channels)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", NETWORKS)
def test_parameters_counted_by_hand(name, method):
    """Real-valued part + 9·C·O a convolution + what the method adds: O scales or α, C β, 2·C·(C // r) of ASD."""
    rows, r, real = STRUCTURE[name]
    inputs, outputs = sum(c for c, _, _ in rows), sum(o for _, o, _ in rows)
    added = {"xnor_pp": outputs, "rsign": inputs, "wsd": outputs}
    added["asd"] = sum(2 * c * max(c // r, 1) for c, _, _ in rows)
    added["asd_tanh"], added["sdbnn"] = added["asd"], added["asd"] + added["wsd"]
    assert count(build_empty(name, method)) == real + sum(9 * c * o for c, o, _ in rows) + added.get(method, 0)


def test_known_parameter_counts():
    """The float twins of the CIFAR ResNets: He et al.'s 0.27 M for 20 layers; torchvision's 18 and 34, with PReLU."""
    assert count(build_empty("cifar10_resnet20", "float")) == 269_722 + 2 * 64  # + BatchNorm1d
    prelu18, prelu34 = 4 * (64 + 128 + 256 + 512), 6 * 64 + 8 * 128 + 12 * 256 + 6 * 512
    assert count(build_empty("imagenet_resnet18", "float")) == 11_689_512 + prelu18
    assert count(build_empty("imagenet_resnet34", "float")) == 21_797_672 + prelu34


@pytest.mark.parametrize("name", NETWORKS)
def test_float_twin_has_no_binary_layer(name):
    """... and the same real-valued convolutions; the first convolution and the classifier are real in every method."""
    twin, net = build_empty(name, "float"), build_empty(name)
    assert sd.binary_layers(twin) == {} and not twin.method.binary
    assert sum(isinstance(m, BinaryConv2d) for m in twin.modules()) == len(STRUCTURE[name][0])
    assert isinstance(net.conv1, torch.nn.Conv2d) and isinstance(net.linear, torch.nn.Linear)


def test_imagenet_takes_bi_reals_gradients_and_cifar_ede():
    """The gradients of the sign that DESIGN names, per family."""
    for name in NETWORKS:
        imagenet = name.startswith("imagenet")
        for layer in sd.binary_layers(build_empty(name)).values():
            chosen = layer.method.activation_gradient, layer.method.weight_gradient
            assert chosen == (("polynomial", "ste") if imagenet else ("ede", "ede"))


# ------------------------------------------------------------------------------------------------------- initialisation


def spread(weight):
    return float(weight.detach().std())


@pytest.mark.parametrize("name", ["cifar10_resnet20", "cifar10_resnet18"])
def test_cifar_resnets_start_kaiming_normal(name):
    """Every convolution's and the linear layer's weights: √(2 / fan-in)."""
    torch.manual_seed(0)
    for key, p in sd.build(name, "bnn").named_parameters():
        if p.ndim >= 2:
            expected = (2 / p[0].numel()) ** 0.5
            assert spread(p) == pytest.approx(expected, rel=5 / p.numel() ** 0.5), key


def test_vgg_starts_as_published():
    """conv ~ N(0, √(2 / (k²·O))), linear ~ N(0, 0.01) with bias 0."""
    torch.manual_seed(0)
    net = sd.build("cifar10_vgg_small")
    for conv in (net.conv1, *net.convs):
        assert spread(conv.weight) == pytest.approx((2 / (9 * conv.weight.shape[0])) ** 0.5, rel=0.05)
    assert spread(net.linear.weight) == pytest.approx(0.01, rel=0.02)
    assert not net.linear.bias.any()


def test_imagenet_latent_weights_start_uniform():
    """U(0, 0.001) for the binary convolutions, so every ŵ is +1 at first; not for the real ones."""
    torch.manual_seed(0)
    net = sd.build("imagenet_resnet18")
    for layer in sd.binary_layers(net).values():
        w = layer.weight.detach()
        assert 0 <= float(w.min()) and float(w.max()) < 0.001
        assert float(w.mean()) == pytest.approx(0.0005, rel=0.02)
        assert spread(w) == pytest.approx(0.001 / 12**0.5, rel=0.02)
    assert float(net.conv1.weight.detach().min()) < 0


@pytest.mark.parametrize("real", [{"method": "float"}, {"stage": 1}], ids=["float twin", "stage 1"])
def test_real_weights_start_with_both_signs(real):
    """By He et al.'s √(2/fan-in): from U(0, 0.001), where all filters agree, a ResNet-34 learns slowly."""
    torch.manual_seed(0)
    net = sd.build("imagenet_resnet18", **real)
    for w in (m.weight.detach() for m in net.modules() if isinstance(m, BinaryConv2d)):
        assert spread(w) == pytest.approx((2 / w[0].numel()) ** 0.5, rel=0.02) and abs(float(w.mean())) < 1e-3


# --------------------------------------------------------------------------------------------- sizes, classes, channels


@pytest.mark.parametrize(
    "name, size, options",
    [
        ("cifar10_resnet20", (32, 32), {}),
        ("cifar10_resnet20", (17, 23), {}),
        ("cifar10_resnet18", (16, 24), {}),
        ("cifar10_resnet18", (13, 13), {}),
        ("cifar10_vgg_small", (32, 32), {}),
        ("cifar10_vgg_small", (24, 24), {"image_size": 24}),
        ("digits_convnet", (8, 8), {}),
        ("digits_convnet", (20, 20), {"image_size": 20}),
        ("imagenet_resnet18", (64, 96), {}),
        ("imagenet_resnet34", (64, 64), {}),
    ],
)
def test_other_image_sizes_and_channels(name, size, options):
    """Whatever size the shape allows, with 2 input channels."""
    net = sd.build(name, num_classes=3, in_channels=2, **options)
    with torch.no_grad():
        assert net.eval()(torch.randn(1, 2, *size)).shape == (1, 3)


@pytest.mark.parametrize(
    "name, size",
    [
        pytest.param("imagenet_resnet18", 100, id="25 pixels halved two ways"),
        pytest.param("imagenet_resnet18", 8, id="less than a pixel left"),
        pytest.param("cifar10_vgg_small", 16, id="built for 32"),
        pytest.param("digits_convnet", 12, id="built for 8"),
    ],
)
def test_a_size_that_does_not_fit_is_refused_by_name(name, size):
    """No raw shape error from inside the network."""
    net = sd.build(name, num_classes=3).eval()
    with torch.no_grad(), pytest.raises(UsageError, match="images"):
        net(images_for(name, 1, size=size))


def test_defaults_and_options_rebuild_the_network():
    """10 or 1000 classes; name, method and options are kept and build the same shapes again."""
    for name in NETWORKS:
        net = build_empty(name, "wsd")
        assert net.linear.out_features == (1000 if name.startswith("imagenet") else 10)
        assert net.name == name and net.method.name == "wsd"
        again = build_empty(net.name, **net.options)
        assert {k: v.shape for k, v in again.state_dict().items()} == {k: v.shape for k, v in net.state_dict().items()}
    options = build_empty("cifar10_vgg_small", "asd", 5, stage=1, in_channels=4, image_size=16).options
    assert options == {"method": "asd", "num_classes": 5, "stage": 1, "in_channels": 4, "image_size": 16}


def test_same_seed_same_network():
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        states.append(sd.build("digits_convnet").state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])

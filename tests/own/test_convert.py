"""Any network made binary: which layers, with which weights, and that everything else of the package takes it."""

import pytest
import torch
import torchvision
from torch import nn

import sdbnn_lite as sd
from sdbnn_lite.cost.count import cost
from sdbnn_lite.errors import UsageError

pytestmark = pytest.mark.filterwarnings("ignore:ASD")
X = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def small():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3, bias=True), nn.BatchNorm2d(8), nn.ReLU(),
        nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(128, 16), nn.ReLU(), nn.Linear(16, 3),
    )  # fmt: skip


def status(net):
    return {name: (now, why) for name, _, now, why in net.conversion.rows}


@pytest.mark.parametrize("name, binary", [("resnet18", 19), ("mobilenet_v2", 34), ("vgg11_bn", 7)])
def test_torchvisions_networks(name, binary):
    """By hand: resnet18 has 20 convolutions, mobilenet_v2 52 (17 of them depthwise), vgg11 8; the first stays real."""
    torch.manual_seed(0)
    net = getattr(torchvision.models, name)(num_classes=5)
    if name == "vgg11_bn":
        net.classifier = nn.Linear(512 * 49, 5)  # 100 million weights less
    made = sd.convert(net, "rsign", order="bn-sign-conv")
    layers = sd.binary_layers(made)
    assert len(layers) == binary and not sd.binary_layers(net)
    assert [now for now, _ in status(made).values()].count("binary") == binary
    sd.set_ede(made, 0.5)
    for norm in made.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.momentum = 1.0  # one batch is enough to know its statistics
    made(X)
    recorded = sd.record_signs(made, X)
    assert list(recorded) == list(layers)
    assert all(0.1 < r.input_after.mean() < 0.9 for r in recorded.values())  # behind a ReLU it would be 1
    counted = cost(made, image_size=32)
    depth = {name: w for name, (_, w) in status(made).items() if "depthwise" in w}
    assert len(depth) == (17 if name == "mobilenet_v2" else 0) and all("9 signs" in why for why in depth.values())
    assert counted.total("binary_params") == sum(layer.weight.numel() for layer in layers.values())


def test_a_seed_draws_the_same_network_in_every_process():
    """ASD's matrices are drawn layer by layer, in the order of the modules, as if each layer was made by hand."""
    net = nn.Sequential(*(nn.Conv2d(4, 4, 3) for _ in range(10)))
    torch.manual_seed(7)
    made = sd.convert(net, "asd", skip=None)
    torch.manual_seed(7)
    for layer in made:
        by_hand = sd.BinaryConv2d(4, 4, 3, method="asd", reduction=4)
        assert torch.equal(layer.asd.squeeze.weight, by_hand.asd.squeeze.weight)
        assert torch.equal(layer.asd.expand.weight, by_hand.asd.expand.weight)


def test_weights_are_kept_and_the_network_is_copied():
    net = small()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    made = sd.convert(net, "bnn")
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert torch.equal(made[2].weight, net[2].weight) and torch.equal(made[2].bias, net[2].bias)
    optimizer = torch.optim.SGD(made.parameters(), 0.5)
    made(X).square().sum().backward()
    optimizer.step()
    assert torch.equal(net[2].weight, before["2.weight"]) and not torch.equal(made[2].weight, net[2].weight)


def test_what_becomes_binary():
    made = sd.convert(small(), "bnn")
    assert status(made) == {
        "0": ("real", "first layer"), "2": ("binary", ""),
        "7": ("real", "linear: linear=True makes it binary"), "9": ("real", "linear: linear=True makes it binary"),
    }  # fmt: skip
    assert [type(m) for m in (made[1], made[4], made[8])] == [nn.Hardtanh, nn.ReLU, nn.ReLU]
    made = sd.convert(small(), "bnn", linear=True)
    assert isinstance(made[7], sd.BinaryLinear) and status(made)["9"] == ("real", "last layer")
    assert [type(m) for m in (made[1], made[4], made[8])] == [nn.Hardtanh, nn.Hardtanh, nn.ReLU]
    made = sd.convert(small(), "bnn", skip=None)
    assert status(made)["0"] == ("binary", "")
    for skip in (["0", "7"], "[07]", lambda name, layer: name in ("0", "7")):
        now = {name: now for name, (now, _) in status(sd.convert(small(), "bnn", skip, linear=True)).items()}
        assert now == {"0": "real", "2": "binary", "7": "real", "9": "binary"}
    assert "2      Conv2d 8×8×3×3  binary" in str(sd.convert(small()).conversion)


def test_batch_norm_before_the_sign():
    made = sd.convert(small(), "bnn", order="bn-sign-conv", linear=True)
    assert [type(m) for m in made[2]] == [nn.BatchNorm2d, sd.BinaryConv2d] and type(made[1]) is nn.ReLU
    assert [type(m) for m in made[7]] == [nn.BatchNorm1d, sd.BinaryLinear]
    shares = sd.record_signs(made.train(), X)
    assert made.training and set(shares) == {"2.1", "7.1"}


def test_a_layer_that_stands_twice_is_replaced_twice():
    conv = nn.Conv2d(4, 4, 3, padding=1)
    made = sd.convert(nn.Sequential(nn.Conv2d(3, 4, 1), conv, nn.ReLU(), conv, nn.Flatten(), nn.Linear(4 * 1024, 2)))
    assert made[1] is made[3] and isinstance(made[1], sd.BinaryConv2d)


def test_it_learns():
    torch.manual_seed(0)
    made = sd.convert(small(), "sdbnn", order="bn-sign-conv")
    optimizer, y, losses = torch.optim.Adam(made.parameters(), 0.01), torch.tensor([0, 2, 1, 0]), []
    for _ in range(60):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(made(X), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


@pytest.mark.parametrize(
    "net, options, message",
    [
        (3, {}, "net: int given"),
        (nn.Sequential(nn.ReLU()), {}, "no layer to make binary"),
        (sd.build("digits_convnet"), {}, "conv2 .* was already"),
        (small(), {"method": "sdbn"}, "unknown method 'sdbn'.*mean 'sdbnn'"),
        (small(), {"order": "bn"}, "unknown order 'bn'.*bn-sign-conv"),
        (small(), {"skip": "conv1"}, "unknown layer to skip 'conv1': .*first_and_last, 0, 2, 7, 9"),
        (nn.Sequential(nn.Conv2d(3, 3, 1), nn.Linear(3, 3)), {}, "linear=True makes it binary"),
    ],
)
def test_what_it_refuses(net, options, message):
    with pytest.raises(UsageError, match=f"(?s){message}"):
        sd.convert(net, **options)

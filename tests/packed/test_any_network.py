"""Any network packed: each binary layer against torch's convolution of ±1, whole networks equal to the last bit."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from samples import lively, normal
from torch import nn

import sdbnn_lite as sd
from sdbnn_lite.core.methods import METHODS
from sdbnn_lite.errors import UsageError
from sdbnn_lite.packed import PackedModule, pack

BINARY = [name for name, method in METHODS.items() if method.binary]
ENGINES, LAST = ("numpy", "numba"), torch.channels_last
NUMPYS = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}  # padding modes


def random_layer(kind, *sizes, method, seed, **options):
    """A layer whose latent weights and shifts have values on both sides of 0, and zeros among the weights."""
    layer = lively(kind(*sizes, method=method, reduction=1, **options), seed)
    with torch.no_grad():
        layer.weight.copy_(torch.randint(-3, 4, layer.weight.shape, generator=torch.Generator().manual_seed(seed)))
    return layer.eval()


def signs_of(x):
    return np.where(x.detach().numpy() >= 0, 1.0, -1.0)


def check_layer(layer, a, expected):
    """Sums equal to ``expected`` (float64), and outputs equal to the layer's, from both engines; are kernels used?"""
    with torch.no_grad():
        y = layer(a)
    for engine in ENGINES:
        packed = pack(nn.Sequential(layer), engine)
        assert torch.equal(packed.layers["0"](a).double(), expected)
        found = packed(a)
        assert torch.equal(found, y) and found.dtype == y.dtype
    return packed.layers["0"].kernels is not None


PAIR = st.tuples(st.integers(1, 3), st.integers(1, 3))


@pytest.mark.filterwarnings("ignore:Using padding='same'")  # with even kernels: torch says that it copies
@settings(max_examples=300, suppress_health_check=[HealthCheck.filter_too_much])
@given(
    method=st.sampled_from(BINARY),
    groups=st.sampled_from([1, 1, 1, 2, 5]),
    width=st.sampled_from([1, 3, 16, 64, 65]),
    filters=st.integers(1, 4),
    kernel=st.one_of(st.sampled_from([1, 3, 5]), PAIR),
    stride=st.one_of(st.integers(1, 3), PAIR),
    padding=st.one_of(st.integers(0, 2), st.tuples(st.integers(0, 2), st.integers(0, 2)), st.just("same")),
    dilation=st.one_of(st.just(1), PAIR),
    mode=st.sampled_from(["zeros", "zeros", "zeros", "reflect", "replicate", "circular"]),
    bias=st.booleans(),
    last=st.booleans(),
    size=st.tuples(st.integers(0, 3), st.integers(1, 9), st.integers(1, 9)),
    seed=st.integers(0, 2**31),
)
def test_convolutions_of_any_geometry(method, groups, width, filters, kernel, stride, padding, dilation, mode, bias,
                                      last, size, seed):  # fmt: skip
    """Against F.conv2d of ±1 in float64, padded by NumPy; zeros among the sums, no images too."""
    (kh, kw), (dh, dw) = (v if isinstance(v, tuple) else (v, v) for v in (kernel, dilation))
    stride = 1 if padding == "same" else stride
    (n, h, w), spread = size, (dh * (kh - 1), dw * (kw - 1))
    both = [(s // 2, s - s // 2) for s in spread] if padding == "same" else [
        (p, p) for p in (padding if isinstance(padding, tuple) else (padding, padding))]  # fmt: skip
    assume(h + sum(both[0]) > spread[0] and w + sum(both[1]) > spread[1])
    assume(mode == "zeros" or (n and max(both[0]) < h and max(both[1]) < w))  # torch's own limits
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups, "padding_mode": mode}
    sizes = groups * width, groups * filters, kernel
    layer = random_layer(sd.BinaryConv2d, *sizes, method=method, seed=seed, bias=bias, **options)
    a = torch.randint(-2, 3, (n, sizes[0], h, w), generator=torch.Generator().manual_seed(seed)).float()
    a = a.contiguous(memory_format=LAST) if last else a
    shift = layer.activation_shift(a)
    signs = np.pad(signs_of(a if shift is None else a + shift), [(0, 0), (0, 0), *both], NUMPYS[mode])
    weights = torch.from_numpy(signs_of(layer.shifted_weight()))
    expected = F.conv2d(torch.from_numpy(signs), weights, None, stride, 0, dilation, groups)
    around = both[0] + both[1] if mode == "zeros" else (0,)
    square = all(len({*sizes}) == 1 for sizes in ((kh, kw), layer.stride, around))
    assert check_layer(layer, a, expected) == (square and groups == 1 and (kh == 1 or dilation in (1, (1, 1))))


@settings(max_examples=100)
@given(
    method=st.sampled_from(BINARY),
    lead=st.lists(st.integers(0, 4), max_size=3),
    inputs=st.sampled_from([1, 2, 63, 64, 65, 130]),
    outputs=st.integers(1, 20),
    bias=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_linear_layers(method, lead, inputs, outputs, bias, seed):
    layer = random_layer(sd.BinaryLinear, inputs, outputs, method=method, seed=seed, bias=bias)
    a = torch.randint(-2, 3, (*lead, inputs), generator=torch.Generator().manual_seed(seed)).float()
    shift = layer.activation_shift(a)
    signs = torch.from_numpy(signs_of(a if shift is None else a + shift))
    assert check_layer(layer, a, signs @ torch.from_numpy(signs_of(layer.shifted_weight())).T)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_image_without_a_batch(dtype):
    layer = sd.BinaryConv2d(6, 5, 3, padding=1, bias=True, method="sdbnn", reduction=2).to(dtype).eval()
    image = normal(6, 7, 8).to(dtype)
    for engine in ENGINES:
        y = pack(layer, engine)(image)  # the network is the layer itself
        assert torch.equal(y, layer(image)) and y.shape == (5, 7, 8) and not y.requires_grad


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("weight", [False, True])
@pytest.mark.parametrize("options", [{}, {"groups": 2}, {"padding_mode": "circular"}])
def test_outputs_lie_in_memory_as_torchs_do(given, weight, options):
    """NCHW or channels_last: what is summed up later is summed up in the same order."""
    layer, a = sd.BinaryConv2d(4, 6, 3, padding=1, method="bnn", **options), normal(2, 4, 7, 8)
    layer = layer.to(memory_format=LAST) if weight else layer
    a = a.to(memory_format=LAST) if given else a
    assert pack(layer)(a).stride() == layer(a).stride()


@pytest.mark.parametrize("options", [{}, {"groups": 2}, {"dilation": 2}, {"kernel_size": (3, 5)}])
def test_images_too_small_for_the_kernel(options):
    packed = pack(sd.BinaryConv2d(4, 2, **{"kernel_size": 5, **options}, method="bnn"))
    with pytest.raises(UsageError, match="2×3 pixels are too small for a kernel of"):
        packed(normal(1, 4, 2, 3))


class Mixed(nn.Module):
    """One's own network: functional steps, a layer used twice, real layers, two inputs, a dict for an output."""

    def __init__(self, method="sdbnn"):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 24, 3, padding=1), nn.BatchNorm2d(24)
        self.conv = sd.BinaryConv2d(24, 24, 3, padding="same", bias=True, method=method, reduction=4)
        self.depth = sd.BinaryConv2d(24, 24, 3, padding=2, dilation=2, groups=24, method=method, reduction=4)
        self.hidden = sd.BinaryLinear(24, 40, bias=True, method=method, reduction=4)
        self.half_real = sd.BinaryLinear(40, 40, method=method, reduction=4, binary_weights=False)
        self.real, self.head = sd.BinaryLinear(40, 12, method="float"), nn.Linear(12, 5)

    def forward(self, images, *, add=None):
        x = torch.relu(self.norm(self.stem(images)))
        x = self.conv(x) / 10 + x[:, : self.conv.out_channels]
        x = F.avg_pool2d(self.conv(x) / 10 + self.depth(x), 2)
        features = torch.tanh(self.half_real(self.hidden(x.mean((2, 3))) / 5))
        return {"features": features, "logits": self.head(self.real(features)) + (0 if add is None else add)}


def small(kind):
    """(net, images) of some kind; batch norms have seen the images, and the network is left in training mode."""
    torch.manual_seed(0)
    nets = {
        "mixed": Mixed,
        "sequential": lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(2),
                                            sd.BinaryLinear(324, 6, reduction=4), nn.ReLU(), nn.Flatten(),
                                            nn.Linear(48, 4)),
    }  # fmt: skip
    net = lively(nets[kind]() if kind in nets else sd.build(kind)).train()
    pixels = {"digits_convnet": 8, "cifar10_vgg_small": 32, "imagenet_resnet18": 64}.get(kind, 20)
    images = normal(3, 1 if kind == "digits_convnet" else 3, pixels, pixels, seed=1)
    with torch.no_grad():
        net(images)
    return net, images


def equal(a, b):
    return all(torch.equal(a[k], b[k]) for k in b) if isinstance(b, dict) else torch.equal(a, b)


KINDS = ("mixed", "sequential", "digits_convnet", "cifar10_resnet20", "cifar10_resnet18", "cifar10_vgg_small",
         "imagenet_resnet18")  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_packed_network_is_a_copy(kind):
    """Everything in the source changes, in place, as a step of training does; the copy doesn't, nor does its call
    change the source, and packing leaves its mode, its gradients, and the stream of random numbers."""
    net, images = small(kind)
    for parameter in net.parameters():
        parameter.grad = torch.ones_like(parameter)
    random = torch.get_rng_state()
    packed = pack(net)
    assert torch.equal(random, torch.get_rng_state())
    assert all(m.training for m in net.modules()) and not any(m.training for m in packed.net.modules())
    assert all(p.grad is not None for p in net.parameters()) and all(p.grad is None for p in packed.net.parameters())
    before = packed(images)
    with torch.no_grad():
        for tensor in net.state_dict().values():
            tensor.copy_(-1.7 * tensor + 0.3)
    now = {key: tensor.clone() for key, tensor in net.state_dict().items()}
    assert equal(packed(images), before)
    assert equal(net.state_dict(), now)
    assert not equal(pack(net)(images), before)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("method", ["sdbnn", "irnet", "xnor_pp", "rsign"])
@pytest.mark.parametrize("last", [False, True])
def test_a_network_of_ones_own(method, engine, last):
    """What can be on bits is, the rest stays torch's, and every output is the float network's to the last bit."""
    torch.manual_seed(0)
    net, images = lively(Mixed(method)), normal(5, 3, 9, 11)
    if last:
        net, images = (part.to(memory_format=LAST) for part in (net, images))
    net(images)
    packed = pack(net.eval(), engine)
    assert isinstance(packed, PackedModule) and packed.engine.name == engine
    assert {name: layer.kernels is not None for name, layer in packed.layers.items()} == {
        "conv": True, "depth": False, "hidden": True}  # fmt: skip
    with torch.no_grad():
        assert equal(packed(images, add=normal(5)), net(images, add=normal(5)))


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_change_nothing(threads):
    net, images = small("mixed")
    torch.set_num_threads(threads)
    with torch.no_grad():
        assert equal(pack(net)(images), net.eval()(images))
    assert torch.get_num_threads() == threads


def test_steps_of_a_layer_that_a_class_changes_stay():
    class Scaled(sd.BinaryConv2d):
        def product(self, a, w):
            return super().product(a, w) * a.abs().mean()

    class Doubled(sd.BinaryConv2d):
        def scale(self):
            return 2 * super().scale()

    net = nn.Sequential(Scaled(3, 4, method="xnor"), Doubled(4, 4, method="xnor")).eval()
    packed = pack(net)
    assert list(packed.layers) == ["1"]
    assert torch.equal(packed(normal(2, 3, 8, 8)), net(normal(2, 3, 8, 8)))


def test_torchvisions_resnet18():
    """All convolutions but the first replaced by hand: equal logits from both engines, all layers by kernels."""
    torch.manual_seed(0)
    net, images = torchvision.models.resnet18(num_classes=7), normal(2, 3, 40, 40)
    for module in [m for m in net.modules() if m is not net]:
        for name, conv in [*module.named_children()]:
            if isinstance(conv, nn.Conv2d):
                sizes = conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding
                setattr(module, name, sd.BinaryConv2d(*sizes))
    net(images)
    net.eval()
    with torch.no_grad():
        expected = net(images)
    for engine in ENGINES:
        packed = pack(net, engine)
        assert len(packed.layers) == 19 and all(layer.kernels is not None for layer in packed.layers.values())
        assert torch.equal(packed(images), expected)


def changed(part, new):
    net, images = small("cifar10_resnet20")
    parent, _, name = part.rpartition(".")
    setattr(net.get_submodule(parent), name, new)
    return net.eval(), images


@pytest.mark.parametrize(
    "part, new, fused",
    [
        ("conv1", nn.Conv2d(3, 16, 3, padding=1, bias=True), False),
        ("conv1", sd.BinaryConv2d(3, 16, padding=1, method="bnn"), False),
        ("layers.0.1.conv2", nn.Conv2d(16, 16, 3, padding=1), False),
        ("layers.0.1.conv2", sd.BinaryConv2d(16, 16, 3, padding=2, dilation=2), False),
        ("layers.0.1.conv2", sd.BinaryConv2d(16, 16, padding=1, binary_weights=False), False),
        ("layers.0.1.bn2", nn.Identity(), False),
        ("layers.1.1.shortcut", nn.Sequential(nn.Conv2d(32, 32, 1), nn.Hardtanh()), False),
        ("linear", sd.BinaryLinear(64, 7, reduction=8), False),
        ("linear", nn.Linear(64, 7), True),
        ("linear", nn.Sequential(nn.ReLU(), nn.Dropout(), nn.Linear(64, 7)), True),
        ("bn1.momentum", None, True),
    ],
)
def test_our_networks_changed(part, new, fused, tmp_path):
    """What isn't as ``build`` made it is computed as it is, not as it was; its file would hold another network."""
    net, images = changed(part, new)
    packed = pack(net)
    assert isinstance(packed, PackedModule) != fused
    with torch.no_grad():
        assert torch.allclose(packed(images), net(images), atol=0 if not fused else 1e-3)
    if not fused or isinstance(new, nn.Sequential):
        for given in (net, packed):
            with pytest.raises(UsageError, match="can rebuild only what sd.build makes.*save net.state_dict()"):
                sd.save_packed(tmp_path / "net.safetensors", given)
        assert not [*tmp_path.iterdir()]


def test_a_new_head_comes_back_from_a_file(tmp_path):
    net, images = changed("linear", nn.Linear(64, 7))
    net.options = {**net.options, "num_classes": 7}
    sd.save_packed(tmp_path / "net.safetensors", net)
    assert torch.equal(sd.load_packed(tmp_path / "net.safetensors")(images), pack(net)(images))


@pytest.mark.parametrize("kind", ["digits_convnet", "mixed"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_types_become_float32(kind, dtype, tmp_path):
    net, images = small(kind)
    net, images = net.to(dtype), images.to(dtype)
    packed = pack(net)
    assert next(net.parameters()).dtype == dtype
    found = packed(images)
    assert equal(found, pack(net.float())(images.float())) and equal(packed(images.float()), found)
    if kind == "digits_convnet":
        sd.save_packed(tmp_path / "net.safetensors", net.to(dtype))
        assert torch.equal(sd.load_packed(tmp_path / "net.safetensors")(images), found)


def test_autocast_keeps_the_sums_exact():
    net, images = small("mixed")
    packed, inputs = pack(net), []
    packed.net.depth.register_forward_hook(lambda layer, args, y: inputs.append((*args, y)))
    with torch.autocast("cpu", torch.bfloat16):
        packed(images)
    (a, y), layer = inputs[0], pack(net).net.depth
    with torch.no_grad():
        assert torch.equal(y, layer(a.float()))


def test_refusals(tmp_path):
    for wrong in (None, 3, "net", pack(small("mixed")[0])):
        with pytest.raises(UsageError, match=r"net: \w+ given.*; a network \(torch.nn.Module\) is needed"):
            pack(wrong)
    with pytest.raises(UsageError, match="Sequential has real weights"):
        pack(nn.Sequential(nn.Conv2d(3, 4, 3), sd.BinaryConv2d(4, 4, binary_weights=False)))
    with pytest.raises(UsageError, match="unknown engine 'cuda'"):
        pack(Mixed(), "cuda")
    net = Mixed()
    net.held = net.head.weight * 2
    with pytest.raises(UsageError, match="Mixed can't be copied"):
        pack(net)
    with pytest.raises(UsageError, match="runs on the CPU"):
        pack(Mixed().to("meta"))

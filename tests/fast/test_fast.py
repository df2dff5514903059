"""The fast step against the readable path: integers exactly, gradients to 1e-2, losses statistically.

The kernels have tests of their own in ``test_fast_kernels.py``. Skipped where there are no kernels for the processor.
"""

import copy

import pytest
import torch
import torch.nn.functional as F
from samples import lively, normal
from tiny_runs import QUIET
from torch import nn

from sdbnn_lite import data
from sdbnn_lite.core.binarize import GRADIENTS, binarize
from sdbnn_lite.core.layers import binary_layers, set_ede
from sdbnn_lite.core.methods import METHODS
from sdbnn_lite.core.models import PadShortcut, build
from sdbnn_lite.fast import fast_forward
from sdbnn_lite.fast.layer import FusedLayer, Plan, Workspace, from_blocks, to_blocks
from sdbnn_lite.system.target import target
from sdbnn_lite.training.initial import initial_network
from sdbnn_lite.training.recipes import get_recipe
from sdbnn_lite.training.steps import pick_forward
from sdbnn_lite.training.train import train
from sdbnn_lite.training.trainer import Trainer

pytestmark = pytest.mark.skipif(not target().compiled, reason="no kernels for this processor")

BINARY = [name for name, method in METHODS.items() if method.binary]


def error(ours, theirs):
    """|ours - theirs| / |theirs|, of all elements together."""
    return float((ours - theirs).norm() / theirs.norm())


def readable_layer(x, shift, w, scale, gamma, beta, shortcut, bn, k, t, *, stride, gradient, weights, pooled):
    """The same layer from torch's own float64 operations and the tested sign."""
    y = F.conv2d(binarize(x + shift, gradient, k, t), binarize(w, weights, k, t), stride=stride, padding=1)
    y = F.max_pool2d(y, 2) if pooled else y
    y = y * scale[None, :, None, None]
    normed = F.batch_norm(y, bn.running_mean, bn.running_var, gamma, beta, bn.training, bn.momentum, bn.eps)
    out = F.hardtanh(normed if shortcut is None else normed + shortcut)
    return out, out.mean(dim=(2, 3))


CASES = [  # images, C, O, height, width, stride, pooled, shortcut
    (32, 8, 8, 4, 4, 1, False, None),
    (40, 8, 16, 7, 5, 1, False, "other"),
    (33, 16, 16, 6, 6, 1, False, "input"),
    (64, 16, 8, 8, 8, 2, False, "other"),
    (34, 8, 16, 7, 6, 2, False, "padded"),
    (20, 8, 8, 7, 9, 2, False, None),
    (5, 8, 24, 1, 1, 1, False, None),
    (37, 24, 8, 6, 8, 1, True, None),
]


@pytest.mark.parametrize("bits", [16, 8])
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_one_layer(case, training, bits):
    """Values to 1e-5, running statistics too, and the gradient of all seven inputs to 1e-2, with 8 bits to 1e-1."""
    images, c, o, h, w, stride, pooled, kind = case
    gradient, weights = GRADIENTS[CASES.index(case) % 3], GRADIENTS[CASES.index(case) // 2 % 3]
    ho, wo = ((h - 1) // stride + 1) // (1 + pooled), ((w - 1) // stride + 1) // (1 + pooled)
    k, t = torch.tensor(2.5), torch.tensor(0.4)
    theirs = {
        "x": normal(images, c, h, w, seed=1).double(),
        "shift": 0.5 * normal(images, c, 1, 1, seed=2).double(),
        "w": normal(o, c, 3, 3, seed=3).double(),
        "scale": (0.5 + normal(o, seed=4).abs()).double(),
        "gamma": normal(o, seed=5).double(),
        "beta": normal(o, seed=6).double(),
        "shortcut": normal(images, o, ho, wo, seed=7).double() if kind == "other" else None,
    }
    theirs["x"][0, 0, 0, 0] = -theirs["shift"][0, 0, 0, 0]  # exactly 0 before the sign
    ours = {key: None if v is None else v.float().requires_grad_() for key, v in theirs.items()}
    theirs = {key: None if v is None else v.float().double().requires_grad_() for key, v in theirs.items()}

    bn = nn.BatchNorm2d(o).train(training)
    bn.running_mean.copy_(normal(o, seed=8))
    bn.running_var.uniform_(5, 20)
    bn64 = copy.deepcopy(bn).double()
    shortcut = theirs["x"] if kind == "input" else theirs["shortcut"]
    if kind == "padded":
        shortcut = PadShortcut(c, o)(theirs["x"])
    args = [theirs[key] for key in ("x", "shift", "w", "scale", "gamma", "beta")]
    expected = readable_layer(*args, shortcut, bn64, k, t, stride=stride, gradient=gradient, weights=weights,
                              pooled=pooled)  # fmt: skip

    add = kind in ("input", "padded")
    plan = Plan(stride, *map(GRADIENTS.index, (gradient, weights)), images, bits, Workspace(), pooled, add)
    blocked = {key: to_blocks(ours[key]) for key in ("x",)}
    shift = to_blocks(ours["shift"].flatten(1))
    around = to_blocks(ours["shortcut"]) if kind == "other" else None
    args = [ours[key] for key in ("w", "scale", "gamma", "beta")]
    out, mean, _ = FusedLayer.apply(blocked["x"], shift, *args, around, bn, k, t, plan)
    got = from_blocks(out, images), from_blocks(mean, images)

    for value, wanted in zip(got, expected, strict=True):
        assert torch.allclose(value.double(), wanted, atol=1e-5)
    for name in ("running_mean", "running_var"):
        assert torch.allclose(getattr(bn, name).double(), getattr(bn64, name), rtol=1e-5, atol=1e-5)
    upstream = [normal(*value.shape, seed=9 + i) for i, value in enumerate(got)]
    sum((value * u).sum() for value, u in zip(got, upstream, strict=True)).backward()
    sum((value * u.double()).sum() for value, u in zip(expected, upstream, strict=True)).backward()
    for key, wanted in theirs.items():
        if wanted is not None and float(wanted.grad.norm()) > 1e-9:
            assert error(ours[key].grad.double(), wanted.grad) < (1e-2 if bits == 16 else 1e-1), key


@pytest.mark.parametrize("method", BINARY)
@pytest.mark.parametrize("network, pixels, images", [("digits_convnet", 8, 70), ("cifar10_resnet20", 12, 33)])
def test_whole_networks(network, pixels, images, method):
    """Same logits (no sign next to 0 flips with this seed), same statistics, every parameter's gradient to 3e-2.

    One layer's stays below 1e-2; over 18 of them the small sums that ASD lives on add up to more.
    """
    torch.manual_seed(0)
    net = lively(build(network, method=method).train())
    set_ede(net, 0.2)
    twin = copy.deepcopy(net)
    x = normal(images, net.options["in_channels"], pixels, pixels, seed=3)
    labels = torch.arange(images) % 10
    logits, expected = fast_forward(net)(x), twin(x)
    assert torch.allclose(logits, expected, atol=1e-4)
    F.cross_entropy(logits, labels).backward()
    F.cross_entropy(expected, labels).backward()
    for (name, p), q in zip(net.named_parameters(), twin.parameters(), strict=True):
        if q.grad is None or float(q.grad.norm()) < 1e-6:  # α's share of a thousandth: rounding only
            continue
        assert error(p.grad, q.grad) < 3e-2, name
    for (name, p), q in zip(net.named_buffers(), twin.buffers(), strict=True):
        assert torch.allclose(p, q, rtol=1e-4, atol=1e-4), name


@pytest.mark.parametrize("bits", [16, 8])
@pytest.mark.parametrize(
    "network, images", [("cifar10_resnet18", 40), ("cifar10_resnet18", 32), ("cifar10_vgg_small", 8)]
)
def test_the_wide_networks(network, images, bits):
    """One batch of each, with its real shortcuts (whole blocks or not) or pooling; 8 bits are off by up to a fifth
    where it adds up most."""
    torch.manual_seed(0)
    net = build(network).train()
    set_ede(net, 0.2)
    twin = copy.deepcopy(net)
    pixels = 32 if network.endswith("small") else 16
    x, labels = normal(images, 3, pixels, pixels), torch.arange(images) % 10
    logits, expected = fast_forward(net, bits)(x), twin(x)
    assert torch.allclose(logits, expected, atol=1e-3)
    F.cross_entropy(logits, labels).backward()
    F.cross_entropy(expected, labels).backward()
    for (name, p), q in zip(net.named_parameters(), twin.named_parameters(), strict=True):
        if name.endswith("weight") and p.ndim == 4:
            assert error(p.grad, q[1].grad) < (2e-2 if bits == 16 else 0.2), name
    for (name, p), q in zip(net.named_buffers(), twin.buffers(), strict=True):
        assert torch.allclose(p, q, rtol=1e-4, atol=1e-4), name


def test_evaluation_uses_the_running_statistics():
    net = lively(build("digits_convnet"))
    x = normal(45, 1, 8, 8)
    fast_forward(net.train())(x)
    net.eval()
    with torch.no_grad():
        assert torch.allclose(fast_forward(net)(x), net(x), atol=1e-4)


def test_images_behind_the_last_one_change_nothing():
    """33 images need two blocks of 32; alone or with 31 others in evaluation mode, each has the same logits."""
    net = lively(build("digits_convnet")).eval()
    x = normal(64, 1, 8, 8)
    forward = fast_forward(net)
    with torch.no_grad():
        assert torch.equal(forward(x)[:33], forward(x[:33]))


def test_only_what_it_supports():
    assert fast_forward(build("digits_convnet", method="float")) is None
    assert fast_forward(build("imagenet_resnet18")) is None
    assert fast_forward(build("digits_convnet", stage=1)) is None
    assert fast_forward(build("digits_convnet").double()) is None
    assert binary_layers(build("digits_convnet")) and fast_forward(build("digits_convnet")) is not None


def test_bad_images_are_refused_as_by_the_network():
    net = build("digits_convnet")
    with pytest.raises(Exception, match=r"\(N, 1, H, W\) needed"):
        fast_forward(net)(normal(2, 3, 8, 8))


@pytest.fixture
def fast_digits(monkeypatch):
    """Train the digits through fused layers too, which recipes don't."""
    monkeypatch.setattr("sdbnn_lite.training.trainer.pick_forward", lambda net, device, bits: fast_forward(net, bits))


@pytest.mark.parametrize("bits", [16, 8])
def test_a_run_through_it_gives_the_same_bits_twice(tmp_path, fast_digits, bits):
    """Whatever the number of threads: no sum depends on which was first, and torch computes with one."""
    recipe, nets = get_recipe("digits").changed(epochs=1, gradient_bits=bits), []
    for number, name in ((2, "one"), (2, "two"), (1, "three")):
        torch.set_num_threads(number)
        nets.append(train(recipe, tmp_path / name, options=QUIET).net.state_dict())
        assert torch.get_num_threads() == number
    assert all(torch.equal(nets[0][key], net[key]) for net in nets[1:] for key in net)


def test_recipes_choose_it_for_cifar_and_leave_the_digits():
    cpu = torch.device("cpu")
    assert pick_forward(build("cifar10_resnet20"), cpu).path.startswith("fused layers")
    for net in (build("digits_convnet"), build("cifar10_resnet20", method="float")):
        assert pick_forward(net, cpu) is net


def test_losses_are_statistically_the_same(fast_digits):
    """100 steps from the same start on the digits, 3 seeds: mean losses of the last 50 steps within 3 %.

    By a tenth of the recipe's rate. With all of it, two equal runs that differ in a rounding end 10 % apart.
    """
    images, means = data.load("digits"), {"readable": [], "16-bit": [], "8-bit": []}
    for seed in range(3):
        for path, losses in means.items():
            recipe = get_recipe("digits").changed(lr=0.01, gradient_bits=8 if path == "8-bit" else 16)
            trainer = Trainer(recipe, initial_network(recipe, "sdbnn", seed, images), images, seed)
            if path == "readable":
                trainer.step.forward = trainer.net
            assert path in trainer.step.path
            set_ede(trainer.net, 0.1)
            trainer.net.train()
            total = []
            while len(total) < 100:
                for x, y in trainer.batches(trainer.images, trainer.generator):
                    before = trainer.step.sums()[0]
                    trainer.step(x, y)
                    total.append((trainer.step.sums()[0] - before) / len(y))
            losses.append(sum(total[50:100]) / 50)
    readable, *fast = (sum(losses) / 3 for losses in means.values())
    assert all(abs(each / readable - 1) < 0.03 for each in fast), means

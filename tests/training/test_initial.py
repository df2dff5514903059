"""What a run starts from: images that don't fit, and teachers, are refused in words before anything is written."""

import dataclasses

import pytest
import torch
from tiny_runs import QUIET, quiet

import sdbnn_lite as sd
from sdbnn_lite import data
from sdbnn_lite.core.layers import binary_layers
from sdbnn_lite.core.models import NETWORKS
from sdbnn_lite.data import load
from sdbnn_lite.errors import UsageError
from sdbnn_lite.training.fine_tune import start_from
from sdbnn_lite.training.initial import (
    SIZED,
    check_fits,
    fingerprint,
    fitting,
    initial_network,
    load_teacher,
    next_size,
    set_gamma,
)  # fmt: skip
from sdbnn_lite.training.recipes import RECIPES
from sdbnn_lite.training.train import train
from sdbnn_lite.weights.files import save_weights

TINY = dataclasses.replace(RECIPES["digits"], epochs=1, batch_size=256)


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def changed(images, **tensors):
    return dataclasses.replace(images, **tensors)


def test_what_fits_passes(digits):
    for recipe in ("digits", "cifar10-resnet20"):
        net = initial_network(RECIPES[recipe], "sdbnn", 0, digits)
        check_fits(net, digits, recipe)
        assert net.options["num_classes"] == 10 and net.options["in_channels"] == 1


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda d: {"train_images": d.train_images[:, :, :7]}, r"shape \(1437, 1, 7, 8\), \(1437, 1, 8, 8\) is needed"),
        (lambda d: {"test_images": d.test_images[:, :, :6, :6]}, r"test images have shape \(360, 1, 6, 6\)"),
        (lambda d: {"train_labels": d.train_labels[:-1]}, r"train images have shape \(1437, .*\(1436, 1, 8, 8\)"),
        (lambda d: {"train_labels": d.train_labels + 1}, "train labels 1 to 10; 10 classes allow 0 to 9"),
        (lambda d: {"test_labels": d.test_labels - 1}, "test labels -1 to 8"),
        (lambda d: {"classes": d.classes[:9]}, "digits has 10 classes, .* has 9"),
        (lambda d: {"mean": (0.5,) * 3, "std": (0.5,) * 3}, "digits takes 1 channels, the images of .* have 3"),
        (lambda d: {"train_images": d.train_images[:1], "train_labels": d.train_labels[:1]}, "1 train images; at .* 2"),
        (lambda d: {"test_images": d.test_images[:0], "test_labels": d.test_labels[:0]}, "0 test images; at least 1"),
    ],
)  # fmt: skip
def test_images_that_do_not_fit(digits, change, message):
    net = sd.build("digits_convnet")
    with pytest.raises(UsageError, match=message):
        check_fits(net, changed(digits, **change(digits)), "digits")


def test_a_size_that_the_network_cannot_take_is_said_before_anything_is_written(tmp_path, monkeypatch):
    out = tmp_path / "run"
    with pytest.raises(UsageError, match="imagenet_resnet18 needs images of sides that are halved .* are 12×12"):
        train(dataclasses.replace(TINY, network="imagenet_resnet18", image_size=12), out, options=QUIET)
    with pytest.raises(UsageError, match="image_size=9: digits_convnet needs a multiple of 4"):
        train(dataclasses.replace(TINY, image_size=9), out, options=QUIET)
    bad = load("digits")
    monkeypatch.setattr(data, "load", lambda *a, **k: changed(bad, train_labels=bad.train_labels + 5))
    with pytest.raises(UsageError, match="train labels 5 to 14"):
        train(TINY, out, options=QUIET)
    assert not out.exists()


def test_the_initial_scale_multiplies_the_latent_weights_alone(digits, tmp_path):
    plain, scaled = (
        initial_network(dataclasses.replace(TINY, initial_scale=scale), "sdbnn", 0, digits) for scale in (1.0, 2.5)
    )
    latent = {f"{name}.weight" for name in binary_layers(plain)}
    for name, value in plain.state_dict().items():
        assert torch.equal(scaled.state_dict()[name], value * 2.5 if name in latent else value)
    save_weights(tmp_path / "w.safetensors", plain)
    again = initial_network(dataclasses.replace(TINY, initial_scale=2.5), "sdbnn", 1, digits)
    start_from(again, tmp_path / "w.safetensors")
    assert torch.equal(again.conv2.weight, plain.conv2.weight)  # what was trained already isn't scaled


@pytest.mark.parametrize("network, norms", [
    ("cifar10_resnet20", ("bn1", "bn2")), ("cifar10_resnet18", ("bn2",)), ("imagenet_resnet18", ("bn",)),
    ("cifar10_vgg_small", ()),
])  # fmt: skip
def test_the_initial_gamma_is_that_of_what_a_shortcut_is_added_to(network, norms):
    """And of nothing else: with γ = 0 a block gives what Hardtanh, or PReLU, makes of its shortcut."""
    net = sd.build(network)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    set_gamma(net, 0.25)
    changed = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {f"{name}.{norm}.weight" for name, _ in net.named_modules() if name.count(".") == 2
                       for norm in norms if f"{name}.{norm}.weight" in before}  # fmt: skip
    set_gamma(net, 0.0)
    if norms:
        block, x = net.layers[0][0].eval(), torch.randn(2, net.conv1.out_channels, 6, 6)
        assert torch.equal(block(x), torch.where(x < 0, x / 4, x) if norms == ("bn",) else x.clamp(-1, 1))


def test_an_augmentation_that_the_images_cannot_have(tmp_path):
    with pytest.raises(UsageError, match="pad=8: images of 8 pixels can only be mirrored by less than that"):
        train(dataclasses.replace(TINY, pad=8, reflect=True), tmp_path / "run", options=QUIET)
    assert not (tmp_path / "run").exists()


def test_teachers(digits, tmp_path):
    taught = dataclasses.replace(TINY, distill=0.5, name="digits-best")
    assert load_teacher(None, TINY) is None
    with pytest.raises(UsageError, match="--teacher x: recipe digits learns without one"):
        load_teacher("x", TINY)
    with pytest.raises(UsageError, match="learns from a teacher: .*`sdbnn-lite train digits --method float`"):
        load_teacher(None, taught)
    with pytest.raises(UsageError, match="no such file, run folder or zoo network"):
        load_teacher("y", taught)
    for name, dataset, command in (
        ("cifar10-resnet20", "mine", "cifar10-resnet20 --method float --dataset mine"),
        ("imagenet-resnet18-stage1", "mine", "imagenette-teacher --dataset mine"),
        ("imagenette-resnet18-stage2", "imagenette", "imagenette-teacher"),
    ):
        with pytest.raises(UsageError, match=f"`sdbnn-lite train {command}`, or learn without one: --distill 0"):
            load_teacher(None, RECIPES[name].changed(dataset=dataset, distill=1.0))
    save_weights(tmp_path / "t.safetensors", sd.build("digits_convnet", "float"))
    teacher = load_teacher(tmp_path / "t.safetensors", taught)
    assert not teacher.training and not any(p.requires_grad for p in teacher.parameters())
    save_weights(tmp_path / "seven.safetensors", sd.build("digits_convnet", "float", num_classes=7))
    with pytest.raises(UsageError, match="teacher .*seven.safetensors has 7 classes, digits .* has 10"):
        train(taught, tmp_path / "run", options=quiet(teacher=tmp_path / "seven.safetensors"))
    assert not (tmp_path / "run").exists()


def test_the_fingerprint_is_of_every_bit(tmp_path):
    torch.manual_seed(0)
    net = sd.build("digits_convnet")
    first = fingerprint(net)
    assert len(first) == 16 and fingerprint(net) == first
    with torch.no_grad():
        net.conv2.weight[0, 0, 0, 0] += 1e-6
    assert fingerprint(net) != first


def test_sides_that_networks_take():
    """The table of multiples is what ``build`` and ``takes`` allow; ImageNet's take up to three pixels less, too."""
    for network in NETWORKS:
        for side in range(8, 71):
            with torch.device("meta"):
                try:
                    taken = sd.build(network, **({"image_size": side} if network in SIZED else {})).takes(side, side)
                except UsageError:
                    taken = False
            fits = next_size(network, side) == side
            assert taken == fits or (taken and network.startswith("imagenet") and next_size(network, side) - side <= 3)


@pytest.mark.parametrize(
    "network, own, asked, given",
    [("cifar10_resnet20", 8, None, None), ("imagenet_resnet18", 8, None, 32), ("digits_convnet", 8, 12, 12),
     ("cifar10_vgg_small", 8, None, None)],
)  # fmt: skip
def test_a_recipe_takes_the_sets_own_size_or_the_next_that_its_network_can_have(network, own, asked, given):
    recipe = dataclasses.replace(TINY, network=network, image_size=asked)
    found = fitting(recipe)
    assert found == dataclasses.replace(recipe, image_size=given)
    images = load("digits", image_size=found.image_size)
    net = initial_network(found, "sdbnn", 0, images).eval()
    assert net(images.test_sample(2)).shape == (2, 10) and images.image_size == (given or own)


def test_an_unknown_set_whose_size_does_not_fit_is_said_with_one_that_does(digits):
    odd = changed(digits, train_images=digits.train_images[..., :6, :6], test_images=digits.test_images[..., :6, :6])
    for network, near in (("digits_convnet", 8), ("cifar10_vgg_small", 8), ("imagenet_resnet34", 32)):
        with pytest.raises(UsageError, match=f"give --image-size {near}$"):
            initial_network(dataclasses.replace(TINY, network=network), "sdbnn", 0, odd)

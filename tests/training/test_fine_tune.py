"""Starting from a trained network: of the same kind, with another head, another method, other parts, or in bit form."""

import dataclasses
import json

import pytest
import torch
from tiny_runs import QUIET, TINY, quiet, same_run

import sdbnn_lite as sd
from sdbnn_lite import data
from sdbnn_lite.core.layers import binary_layers
from sdbnn_lite.data.in_memory import ImageSet
from sdbnn_lite.errors import UsageError
from sdbnn_lite.training import run_folder
from sdbnn_lite.training.fine_tune import describe_start, start_from
from sdbnn_lite.training.recipes import RECIPES
from sdbnn_lite.training.train import train
from sdbnn_lite.weights.bits import FORM, bit_state
from sdbnn_lite.weights.files import describe, write_tensors

SHORT = dataclasses.replace(TINY, epochs=1, batch_size=512)
BITS = ("cifar10_resnet18", "cifar10_resnet20", "cifar10_vgg_small", "imagenette_resnet18")


def fresh(name="digits_convnet", method="sdbnn", seed=0, **options):
    torch.manual_seed(seed)
    return sd.build(name, method, **options).eval()


def logits(net, side=8, images=4):
    torch.manual_seed(1)
    with torch.no_grad():
        return net(torch.randn(images, net.options["in_channels"], side, side))


@pytest.fixture(scope="module")
def seven():
    """An image set in memory with seven classes: noise of CIFAR-10's size, 28 + 14 images."""
    pixels = torch.randint(256, (42, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(42) % 7
    return ImageSet(
        name="mine", label="mine (seven classes of noise)", classes=tuple("abcdefg"), train_images=pixels[:28],
        train_labels=labels[:28], test_images=pixels[28:], test_labels=labels[28:],
    )  # fmt: skip


@pytest.mark.parametrize("method", ["float", "bnn", "xnor", "xnor_pp", "irnet", "rsign", "sdbnn"])
def test_the_same_kind_of_network_is_taken_whole(method):
    net = fresh(method=method, seed=3)
    start = start_from(net, f"digits_{method}")
    assert torch.equal(logits(net), logits(sd.load(f"digits_{method}")))
    assert start == {"from": f"digits_{method}", "taken": len(net.state_dict()), "new": [], "latent": "its own"}


@pytest.mark.parametrize(
    "init, method, new",
    [
        ("digits_float", "bnn", set()),
        ("digits_float", "sdbnn", {"asd.squeeze.weight", "asd.expand.weight", "wsd.alpha"}),
        ("digits_bnn", "sdbnn", {"asd.squeeze.weight", "asd.expand.weight", "wsd.alpha"}),
        ("digits_float", "xnor_pp", {"learned_scale.factor"}),
        ("digits_asd", "rsign", {"rsign.beta"}),
        ("digits_sdbnn", "float", set()),
        ("digits_asd", "asd_tanh", set()),
    ],
)
def test_from_another_method_what_it_has_is_taken_and_the_rest_is_fresh(init, method, new):
    net, untouched, given = fresh(method=method), fresh(method=method).state_dict(), sd.load(init).state_dict()
    start = start_from(net, init)
    assert set(start["new"]) == {f"{layer}.{part}" for layer in ("conv2", "conv3") for part in new}
    for name, value in net.state_dict().items():
        assert torch.equal(value, (untouched if name in start["new"] else given)[name]), name
    assert start["taken"] + len(start["new"]) == len(net.state_dict())


def test_another_head_more_channels_and_another_size_are_fresh():
    net = fresh(num_classes=7, in_channels=3, image_size=12)
    start = start_from(net, "digits_sdbnn")
    assert start["new"] == ["conv1.weight", "linear.weight", "linear.bias"]
    said = describe_start(start, 7)
    assert said == "init digits_sdbnn: 27 tensors taken; new: conv1.weight, linear.weight, linear.bias (7 classes)"


def test_what_does_not_fit_at_all_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(UsageError, match="--init cifar10_resnet20: no weight of its cifar10_resnet20 fits this digits"):
        start_from(fresh(), "cifar10_resnet20")
    larger = dataclasses.replace(SHORT, network="cifar10_resnet18")
    with pytest.raises(UsageError, match="no weight of its digits_convnet fits this cifar10_resnet18"):
        train(larger, tmp_path / "run", options=quiet(init="digits_bnn"))
    with pytest.raises(UsageError, match="no such file, run folder or zoo network"):
        train(SHORT, tmp_path / "run", options=quiet(init="nowhere"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", BITS)
def test_a_network_stored_as_bits_starts_with_its_logits_and_with_weights_as_small_as_fresh_ones(name):
    zoo = sd.load(name)
    net = fresh(name.replace("imagenette", "imagenet"), num_classes=10)
    drawn = {k: layer.weight.std() for k, layer in binary_layers(net).items()}
    start = start_from(net, name)
    side = 64 if name.startswith("imagenette") else 32
    assert torch.equal(logits(net, side, 2), logits(zoo, side, 2))
    for layer, mine in binary_layers(net).items():
        assert torch.equal(mine.weight.abs(), drawn[layer].expand_as(mine.weight))
    assert all(key.endswith("wsd.alpha") for key in start["new"]) and len(start["new"]) == len(binary_layers(net))
    said = describe_start(start, 10)
    assert f"wsd.alpha ({len(start['new'])})" in said and "latent weights: its signs times the spread of" in said


@pytest.mark.parametrize("method", ["bnn", "xnor", "xnor_pp", "irnet", "ede", "rsign", "sdbnn"])
def test_so_does_every_method_with_its_scales(method, tmp_path):
    """XNOR-Net's factors come back as mean |w|, XNOR-Net++'s as they are, IR-Net's as powers of two."""
    trained = sd.load(f"digits_{method}")
    write_tensors(tmp_path / "bits.safetensors", bit_state(trained), {**describe(trained), "form": FORM})
    net = fresh(method=method)
    start_from(net, tmp_path / "bits.safetensors")
    torch.testing.assert_close(logits(net), logits(trained), rtol=1e-4, atol=1e-4)
    assert net.conv2.weight.std() < 0.3 and not hasattr(net, "form")
    assert describe(net) == describe(fresh(method=method))


def test_a_zoo_network_learns_seven_classes_of_ones_own(seven, tmp_path, monkeypatch, capsys):
    """It starts from the zoo's signs, says what is new, trains, saves, loads and packs."""
    monkeypatch.setattr(data, "load", lambda *a, **k: seven)
    recipe = RECIPES["cifar10-resnet20"].changed(epochs=1, batch_size=14, lr=0.01, dataset="mine")
    result = train(recipe, tmp_path / "run", options=quiet(init="cifar10_resnet20"))
    said, about = capsys.readouterr().err, json.loads((tmp_path / "run" / run_folder.RUN).read_text())
    new = "layers.*.*.conv*.wsd.alpha (18), linear.weight, linear.bias (7 classes)"
    assert said == f"init cifar10_resnet20: 191 tensors taken; new: {new}; latent weights: its signs times the " \
                   f"spread of fresh weights\n"  # fmt: skip
    assert about["dataset"] == "mine" and about["init"]["from"] == "cifar10_resnet20" and about["init"]["taken"] == 191
    assert {"linear.weight", "linear.bias"} < set(about["init"]["new"])
    zoo = binary_layers(sd.load("cifar10_resnet20"))
    kept = [(layer.binary_weight() == zoo[name].binary_weight()).float().mean()
            for name, layer in binary_layers(result.net).items()]  # fmt: skip
    assert 0.9 < min(kept)
    again = sd.load(tmp_path / "run")
    x = next(seven.test_batches(14))[0]
    with torch.no_grad():
        assert torch.equal(again(x), result.net(x)) and again(x).shape == (14, 7)
        torch.testing.assert_close(sd.pack(again, engine="numpy")(x), again(x), rtol=1e-4, atol=1e-4)


def test_a_run_that_goes_on_still_says_what_it_started_from(tmp_path, interrupt_after, monkeypatch, capsys):
    recipe = dataclasses.replace(TINY, epochs=2)
    train(recipe, tmp_path / "whole", options=quiet(init="digits_float"))
    interrupt_after(3)
    train(recipe, tmp_path / "run", options=quiet(init="digits_float"))
    monkeypatch.undo()
    begun = json.loads((tmp_path / "run" / run_folder.RUN).read_text())["init"]
    capsys.readouterr()
    train(recipe, tmp_path / "run", resume=True, options=QUIET)  # its weights are in the checkpoint
    same_run(tmp_path / "whole", tmp_path / "run")
    assert json.loads((tmp_path / "run" / run_folder.RUN).read_text())["init"] == begun
    assert begun["from"] == "digits_float" and capsys.readouterr().err == ""

"""A network's pixels and classes: the tensor is that of the data set's own batches; a new head makes a good file."""

import copy
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from image_trees import make_tree
from PIL import Image
from samples import normal, trained
from torch import nn

import sdbnn_lite as sd
from sdbnn_lite import data
from sdbnn_lite.core.models import NETWORKS
from sdbnn_lite.data.sets import described
from sdbnn_lite.errors import UsageError
from sdbnn_lite.weights.files import describe, read_tensors, save_weights, write_tensors
from sdbnn_lite.weights.onnx_export import metadata
from sdbnn_lite.weights.preprocessing import CIFAR10_CLASSES as CIFAR10
from sdbnn_lite.weights.preprocessing import Preprocessing, options_of, preprocessing_of


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("SDBNN_DATA", raising=False)


def from_json(images):
    """Its preprocessing, as if it had been read from a file."""
    return Preprocessing.of(json.loads(json.dumps(Preprocessing.of(images).described())))


def batches_of(images):
    """The normalised test images of the set, one after the other."""
    return torch.cat([x for x, _ in images.test_batches(7)])


@pytest.mark.parametrize("size, channels", [(8, 1), (8, 3), (12, 1)])
def test_a_digit_gives_the_tensor_of_its_batch(size, channels):
    digits = data.load("digits", image_size=size, channels=channels)
    prepared, expected = from_json(digits), batches_of(digits)
    for pixels, x in zip(digits.test_images[:5], expected):
        picture = Image.fromarray(pixels.permute(1, 2, 0).squeeze(2).numpy() if channels == 1 else pixels[0].numpy())
        assert torch.equal(prepared.prepare(picture), x) and x.shape == (channels, size, size)


@pytest.mark.parametrize("name, size", [("cifar10", 32), ("imagenette", 20), ("imagenet", 20)])
def test_a_picture_gives_the_tensor_of_its_batch(name, size, tmp_path):
    """Wide pictures, JPEG for ImageNet's rule of 256/224: resized, cropped and normalised to the same bits."""
    shape, ending = ((32, 32), "png") if name == "cifar10" else ((47, 33), "jpg")
    root = make_tree(tmp_path / name, splits=("train", "val"), size=shape, ending=ending)
    images = data.load(name, tmp_path, image_size=size, progress=False)
    prepared, paths = from_json(images), sorted((root / "val").glob("*/*"))
    assert prepared.classes == images.classes and prepared.side == (23 if name == "imagenet" else size)
    for path, x in zip(paths, batches_of(images), strict=True):
        with Image.open(path) as picture:
            assert torch.equal(prepared.prepare(picture), x)


def test_a_streamed_set_of_ones_own_is_cropped_as_imagenet_is(tmp_path):
    make_tree(tmp_path / "imagenet", ("a", "b"), ("train", "val"), (47, 33), ending="jpg")
    images = replace(data.load("imagenet", tmp_path, image_size=20), name="mine", workers=0)
    prepared = from_json(images)
    for path, x in zip(sorted((tmp_path / "imagenet" / "val").glob("*/*")), batches_of(images), strict=True):
        with Image.open(path) as picture:
            assert torch.equal(prepared.prepare(picture), x) and prepared.side == 23


def test_colours_for_a_grey_network_and_grey_ones_for_a_colour_network():
    """Grey = (299·R + 587·G + 114·B) / 1000, ITU-R 601; grey in three channels is three times the same."""
    pixels = np.random.default_rng(0).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    grey = Preprocessing(("a",), 6, 6, (0.5,), (0.25,))
    luma = torch.from_numpy(pixels @ np.array([0.299, 0.587, 0.114]))
    assert (grey.prepare(Image.fromarray(pixels))[0] * 0.25 + 0.5 - luma / 255).abs().max() < 1 / 255
    colour = Preprocessing(("a",), 6, 6, (0.5, 0, 0), (0.25, 1, 1))
    red, green, blue = colour.prepare(Image.fromarray(pixels[..., 0]))
    assert torch.equal(green, blue) and torch.allclose(red, (green - 0.5) / 0.25)
    assert torch.equal(green, torch.from_numpy(pixels[..., 0]) / 255)


def test_older_files_say_it_by_their_data_set():
    digits = data.load("digits")
    found = preprocessing_of(sd.load("digits_sdbnn"))
    assert found == from_json(digits) and found.names == tuple("0123456789")
    found = preprocessing_of(sd.load("cifar10_resnet20"))
    assert found.names == CIFAR10 and (found.image_size, found.channels) == (32, 3)
    found = preprocessing_of(sd.load("imagenette_resnet18"))
    assert found.names[0] == "tench" and found.names[-1] == "parachute" and found.image_size == found.side == 64
    assert found.classes[0] == "n01440764"  # as the set's folders are called
    assert preprocessing_of(sd.build("digits_convnet")) is None
    imagenet = preprocessing_of(sd.build("imagenet_resnet18"), "imagenet")
    assert imagenet.names[:2] == ("tench", "goldfish") and (imagenet.image_size, imagenet.side) == (224, 256)


def test_imagenet_folders_are_called_by_name():
    wnids = tuple(f"n{i:08}" for i in range(1000))
    assert Preprocessing(wnids, 8, 8, (0,), (1,)).names[388] == "giant panda"
    for others in (("n01440764", "own"), wnids[:999], tuple(map(str, range(1000)))):
        assert Preprocessing(others, 8, 8, (0,), (1,)).names == others
    assert Preprocessing(("n02102040", "n01440764"), 8, 8, (0,), (1,)).names == ("English springer", "tench")


@pytest.mark.parametrize("images", [3, {}, {"classes": ["a"]}, [1]])
def test_what_describes_no_images(images, tmp_path):
    net = sd.build("digits_convnet")
    with pytest.raises(UsageError, match="images: no description of an image set"):
        save_weights(tmp_path / "w.safetensors", net, images=images)
    assert list(tmp_path.iterdir()) == []


# A network with another head


def with_head(name, method="sdbnn", classes=7):
    net, images = trained(name, method)
    net.linear = nn.Linear(net.linear.in_features, classes)
    return net, images


@torch.no_grad()
@pytest.mark.parametrize("name", NETWORKS)
def test_a_new_head_is_saved_loaded_packed_and_exported(name, tmp_path):
    onnx, ort = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    from sdbnn_lite.weights.onnx_export import export_onnx

    net, images = with_head(name)
    expected = net(images)
    save_weights(tmp_path / "w.safetensors", net)
    again = sd.load(tmp_path / "w.safetensors")
    assert again.options == {**net.options, "num_classes": 7} and torch.equal(again(images), expected)
    packed = sd.pack(again)
    assert packed(images).shape == (6, 7) and (packed(images) - expected).abs().max() < 0.01 * expected.abs().max()
    sd.save_packed(tmp_path / "p.safetensors", net)
    assert torch.equal(sd.load_packed(tmp_path / "p.safetensors")(images), packed(images))
    export_onnx(net, tmp_path / "net.onnx", image_size=images.shape[-1])
    (given,) = onnx.load(tmp_path / "net.onnx").graph.output
    assert given.type.tensor_type.shape.dim[1].dim_value == 7
    session = ort.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    logits = torch.from_numpy(session.run(None, {"images": images.numpy()})[0])
    same = (logits - expected).abs().amax(1) < 1e-4 * expected.abs().max()
    assert logits.shape == expected.shape and same.sum() >= 5  # one may have an activation within rounding of 0


@torch.no_grad()
def test_a_zoo_network_with_a_new_head_keeps_its_pixels(tmp_path):
    """Latent weights and bits; the names of the earlier head's classes are gone."""
    for name, size in (("digits_sdbnn", 8), ("cifar10_resnet20", 32)):
        net = sd.load(name)
        net.linear = nn.Linear(net.linear.in_features, 7)
        save_weights(tmp_path / "w.safetensors", net)
        again, images = sd.load(tmp_path / "w.safetensors"), normal(4, net.options["in_channels"], size, size)
        assert torch.equal(again(images), net(images))
        found, before = preprocessing_of(again), preprocessing_of(sd.load(name))
        assert found.classes == () and (found.mean, found.std, found.side) == (before.mean, before.std, before.side)
        assert "classes" not in metadata(again) and json.loads(metadata(again)["mean"]) == list(before.mean)
        save_weights(tmp_path / "w.safetensors", net, images={**before.described(), "classes": list("abcdefg")})
        assert preprocessing_of(sd.load(tmp_path / "w.safetensors")).names == tuple("abcdefg")


def test_a_first_layer_with_other_channels(tmp_path):
    """Digits come in one channel or three; what is known of them is no help for two."""
    for channels, known in ((3, True), (2, False)):
        net = sd.load("digits_sdbnn")
        net.conv1 = nn.Conv2d(channels, 32, 3, padding=1, bias=False)
        save_weights(tmp_path / "w.safetensors", net)
        again = sd.load(tmp_path / "w.safetensors")
        assert options_of(again)["in_channels"] == channels and (preprocessing_of(again) is not None) == known


@pytest.mark.parametrize("head", [nn.Linear(256, 7, bias=False), nn.Sequential(nn.Linear(256, 7)), nn.Linear(9, 7)])
def test_a_head_that_no_file_can_hold_is_refused_before_it_is_written(head, tmp_path):
    net = sd.load("digits_sdbnn")
    net.linear, state = head, torch.random.get_rng_state()
    with pytest.raises(UsageError, match="net: weights of another network: .*linear"):
        save_weights(tmp_path / "w.safetensors", net)
    assert list(tmp_path.iterdir()) == [] and torch.equal(torch.random.get_rng_state(), state)


def test_a_head_without_a_bias_as_onnx(tmp_path):
    ort = pytest.importorskip("onnxruntime")
    from sdbnn_lite.weights.onnx_export import export_onnx

    net, images = with_head("digits_convnet")
    net.linear = nn.Linear(net.linear.in_features, 5, bias=False)
    export_onnx(net, tmp_path / "net.onnx")
    session = ort.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    logits = torch.from_numpy(session.run(None, {"images": images.numpy()})[0])
    assert torch.allclose(logits, net(images), atol=1e-3)


# What training leaves in its files


def test_training_says_what_the_images_are(tiny_run, tmp_path):
    expected = json.loads(json.dumps({**described(data.load("digits")), "side": 8}))
    for file in ("weights.safetensors", "checkpoint.safetensors"):
        _, about = read_tensors(tiny_run / file)
        assert about["images"] == expected and about["dataset"] == "digits"
    net = sd.load(tiny_run)
    sd.save_packed(tmp_path / "p.safetensors", net)
    for other in (sd.load_packed(tmp_path / "p.safetensors"), sd.pack(copy.deepcopy(net)), sd.load("digits_bnn")):
        assert preprocessing_of(other) == preprocessing_of(net) == Preprocessing.of(expected)


def test_files_that_exist_are_described_as_before():
    """A file without "images" loads; what it said is still said."""
    net = sd.load("digits_sdbnn")
    about = describe(net)
    assert about["options"] == net.options and list(about["options"]) == list(net.options)
    assert "images" not in net.about and about["images"]["label"] == net.about["data"]


# Paths


@pytest.mark.parametrize("given", [None, 3, b"digits_sdbnn", ["digits_sdbnn"], sd])
def test_what_is_no_path(given, tmp_path):
    for call, name in (
        (sd.load, "weights"),
        (sd.load_packed, "path"),
        (lambda path: sd.save_packed(path, sd.load("digits_bnn")), "path"),
    ):
        with pytest.raises(UsageError, match=f"^{name}="):
            call(given)


@pytest.mark.parametrize("given", ["", "no such thing", "a\0b", "x" * 5000])
def test_names_that_lead_nowhere(given):
    with pytest.raises(UsageError):
        sd.load(given)


def test_damaged_images_in_a_file(tmp_path):
    net = sd.build("digits_convnet")
    write_tensors(tmp_path / "w.safetensors", net.state_dict(), {**describe(net), "images": {"classes": 3}})
    with pytest.raises(UsageError, match="images: no description of an image set"):
        preprocessing_of(sd.load(tmp_path / "w.safetensors"))

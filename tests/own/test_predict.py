"""``sd.predict`` and its command: whatever form an image comes in, the softmax of the network's own logits."""

import json
from collections import Counter

import numpy as np
import pytest
import torch
from image_trees import make_tree
from PIL import Image
from torch import nn

import sdbnn_lite as sd
from sdbnn_lite import cli, data
from sdbnn_lite.data.in_memory import ImageSet
from sdbnn_lite.data.sets import described
from sdbnn_lite.data.tree_sets import CIFAR10_CLASSES
from sdbnn_lite.errors import UsageError
from sdbnn_lite.weights.files import save_weights
from sdbnn_lite.weights.preprocessing import IMAGENETTE, Preprocessing


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


@pytest.fixture(scope="module")
def net():
    return sd.load("digits_sdbnn")


@pytest.fixture
def files(digits, tmp_path):
    """Three test images of the digits as PNG files."""
    for number, pixels in enumerate(digits.test_images[:3]):
        Image.fromarray(pixels[0].numpy()).save(tmp_path / f"{number}.png")
    return [tmp_path / f"{number}.png" for number in range(3)]


@torch.no_grad()
def expected(net, x, names, top=5):
    """The likeliest classes of one normalised image, by sorting the softmax of the logits."""
    probabilities = net(x[None])[0].double().softmax(0)
    order = sorted(range(len(names)), key=lambda i: -probabilities[i])[:top]
    return [(names[i], pytest.approx(float(probabilities[i]), abs=1e-6)) for i in order]


def test_every_form_of_an_image_gives_the_same(net, digits, files):
    x, pixels = next(digits.test_batches(500))[0], digits.test_images
    for i, path in enumerate(files):
        right = expected(net, x[i], digits.classes)
        forms = [path, str(path), Image.open(path), pixels[i], pixels[i][0], pixels[i][0].numpy(), x[i], x[i].double()]
        forms += [pixels[i].permute(1, 2, 0).numpy(), np.repeat(pixels[i][0].numpy()[..., None], 3, 2)]
        for form in forms:
            found = sd.predict(net, form)
            assert found == right and all(isinstance(one.name, str) for one in found), type(form)
            assert found[0].probability >= found[-1].probability > 0
        assert sd.predict("digits_sdbnn", path, top=1) == right[:1]
        assert sum(one.probability for one in sd.predict(net, path, top=99)) == pytest.approx(1)
    arrays = pixels[:3].permute(0, 2, 3, 1).numpy()
    for several in (files, tuple(files), x[:3], pixels[:3], arrays, [*x[:2], pixels[2]]):
        found = sd.predict(net, several, top=2)
        assert found == [expected(net, one, digits.classes, 2) for one in x[:3]]


def test_a_packed_network_of_ones_own(digits, files):
    """A PackedModule knows no images itself; it is neither an nn.Module nor a PackedNet."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, 3), sd.BinaryConv2d(4, 4, 3, method="bnn"), nn.Flatten(), nn.Linear(64, 10))
    x = next(digits.test_batches(3))[0]
    right = [expected(net.eval(), one, digits.classes) for one in x]
    packed = sd.pack(net)
    assert sd.predict(packed, files, like=digits) == right == sd.predict(packed, x, like=digits)
    with pytest.raises(UsageError, match="net: doesn't say which images"):
        sd.predict(packed, files[0])


def test_a_packed_network_and_its_file(net, files, tmp_path):
    right = [[(name, pytest.approx(p, abs=1e-4)) for name, p in one] for one in sd.predict(net, files)]
    sd.save_packed(tmp_path / "p.safetensors", net)
    for packed in (sd.pack(sd.load("digits_sdbnn")), sd.load_packed(tmp_path / "p.safetensors")):
        assert sd.predict(packed, files) == right


def test_more_images_than_are_computed_at_once(net, digits):
    found = sd.predict(net, digits.test_images, top=1)
    right = sum(one[0].name == digits.classes[label] for one, label in zip(found, digits.test_labels))
    assert right / len(found) == pytest.approx(net.about["card"]["test_accuracy"]) and len(found) == 360


def test_the_network_stays_as_it_is(files):
    net = sd.load("digits_sdbnn").train()
    net.bn2.eval()
    modes, state = [part.training for part in net.modules()], {k: v.clone() for k, v in net.state_dict().items()}
    first = sd.predict(net, files)
    assert sd.predict(net, files) == first and modes == [part.training for part in net.modules()]
    assert all(torch.equal(v, state[k]) for k, v in net.state_dict().items())
    with pytest.raises(UsageError):
        sd.predict(net, torch.zeros(3, 8, 8))
    assert modes == [part.training for part in net.modules()]
    assert [one[0].name for one in sd.predict(net.double(), files)] == [one[0].name for one in first]


def test_a_photograph_of_any_size_and_mode(tmp_path):
    colours = np.random.default_rng(0).integers(0, 256, (50, 71, 4), dtype=np.uint8)
    picture = Image.fromarray(colours, "RGBA")
    for mode in ("RGB", "RGBA", "L", "P", "CMYK", "1", "LA"):
        (likeliest, *_) = sd.predict("cifar10_resnet20", picture.convert(mode))
        assert likeliest.name in CIFAR10_CLASSES


def test_a_network_of_ones_own(digits):
    """Any module: with ``like`` for pixels and names; without, prepared tensors and numbers."""
    torch.manual_seed(0)
    own = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    x, pixels = next(digits.test_batches(4))[0], digits.test_images
    right = expected(own, x[0], digits.classes, 3)
    for like in (digits, Preprocessing.of(described(digits))):
        assert sd.predict(own, pixels[0], 3, like=like) == right == sd.predict(own, x[0], 3)  # their names are 0 … 9
    with pytest.raises(UsageError, match="net: doesn't say which images .* `like`"):
        sd.predict(own, pixels[0])
    named = Preprocessing(tuple("abcdefghij"), 8, 8, (0.5,), (0.5,))
    assert sd.predict(own, x[0], 3, like=named) == expected(own, x[0], "abcdefghij", 3)


def test_a_new_head_without_names_counts(net, files, tmp_path):
    changed = sd.load("digits_sdbnn")
    changed.linear = nn.Linear(256, 3)
    save_weights(tmp_path / "w.safetensors", changed)
    for given in (changed, tmp_path / "w.safetensors"):
        assert Counter(one.name for one in sd.predict(given, files[0])) == Counter("012")


BAD = {
    "text": ("nowhere.png", "unreadable image nowhere.png"),
    "none": (None, "image: NoneType given"),
    "number": (3, "image: int given"),
    "nothing": ([], "image: an empty list"),
    "floats in an array": (np.zeros((8, 8)), "image: ndarray float64 given"),
    "16 bits": (np.zeros((8, 8), np.int16), "image: ndarray int16 given"),
    "whole numbers": (torch.zeros(1, 8, 8, dtype=torch.int64), "image: Tensor torch.int64 given"),
    "bool": (torch.zeros(1, 8, 8, dtype=torch.bool), "image: Tensor torch.bool given"),
    "one axis": (np.zeros(8, np.uint8), "image: "),
    "nothing in it": (np.zeros((0, 8), np.uint8), "image: "),
    "nothing in the tensor": (torch.zeros(1, 0, 8, dtype=torch.uint8), "image: "),
    "channels first": (np.zeros((3, 8, 8), np.uint8), "image: "),
    "floats without channels": (torch.zeros(8, 8), r"image: float \(8, 8\) given; \(C, H, W\)"),
    "NaN": (torch.full((1, 8, 8), float("nan")), "image: float .* without NaN"),
    "infinite, the second": ([torch.zeros(1, 8, 8), torch.full((1, 8, 8), float("inf"))], r"image\[1\]: float"),
    "other channels": (torch.zeros(3, 8, 8), r"images: shape \(1, 3, 8, 8\) given"),
    "another size": (torch.zeros(1, 9, 9), "9×9 pixels given"),
    "sizes": ([torch.zeros(1, 8, 8), torch.zeros(1, 8, 9)], "image: .*doesn't fit"),
    "five axes": (torch.zeros(1, 1, 1, 8, 8), "image: float"),
    "floating-point pixels": (Image.new("F", (8, 8)), "image: floating-point pixel values"),
    "nested": ([[np.zeros((8, 8), np.uint8)]], r"image\[0\]: list given"),
}


@pytest.mark.parametrize("image, message", BAD.values(), ids=BAD)
def test_what_is_no_image(net, image, message):
    with pytest.raises(UsageError, match=message) as caught:
        sd.predict(net, image)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("given", [None, 3, nn.Linear, len, ["digits_sdbnn"]])
def test_what_is_no_network(given):
    with pytest.raises(UsageError, match="^net="):
        sd.predict(given, torch.zeros(1, 8, 8))


def test_what_else_is_wrong(net):
    x = torch.zeros(1, 8, 8)
    for top in (0, -1, 2.0, "5", None, True):
        with pytest.raises(UsageError, match="^top="):
            sd.predict(net, x, top)
    for like in (3, "digits", {}, net):
        with pytest.raises(UsageError, match="images: no description"):
            sd.predict(net, x, like=like)
    with pytest.raises(UsageError, match="no such file, run folder or zoo network"):
        sd.predict("digit", x)
    with pytest.raises(UsageError, match="image: .*doesn't fit the network"):
        sd.predict(nn.Conv2d(3, 4, 3), x)
    with pytest.raises(UsageError, match="net: Conv2d gives no logits"):
        sd.predict(nn.Conv2d(1, 4, 3), x)


# The command line


@pytest.fixture
def command(capsys, tmp_path, monkeypatch):
    """command("predict", …) -> (exit code, stdout, stderr), in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SDBNN_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def call(*argv):
        code = cli.main(list(map(str, argv)))
        return code, *capsys.readouterr()

    return call


def test_the_command(command, net, files):
    code, out, err = command("predict", "digits_sdbnn", files[0].name, files[1].name, "--top", 3)
    lines = out.splitlines()
    right = sd.predict(net, files[:2], top=3)
    assert code == 0 and err == "" and len(lines) == 2
    for number, line in enumerate(lines):
        cells = line.replace(" %", "%").split()
        assert cells[0] == f"{number}.png"
        assert cells[1:] == [cell for name, p in right[number] for cell in (name, f"{100 * p:.1f}%")]
    code, out, _ = command("predict", "digits_sdbnn", files[2].name, "--json", "--packed", "--top", 2)
    (one,) = json.loads(out)
    (likeliest, _) = sd.predict(net, files[2], top=2)
    assert code == 0 and one["image"] == "2.png" and len(one["top"]) == 2
    assert one["top"][0] == {"class": likeliest.name, "probability": pytest.approx(likeliest.probability, abs=1e-4)}


def test_a_folder_of_pictures(command, files, tmp_path):
    (tmp_path / "empty" / "inside").mkdir(parents=True)
    for name in (".hidden.png", "._0.png", "notes.txt", ".DS_Store"):
        (tmp_path / name).write_bytes(b"no picture")
    code, out, _ = command("predict", "digits_sdbnn", tmp_path, files[0], "--json")
    assert code == 0 and [one["image"] for one in json.loads(out)] == [*map(str, files), str(files[0])]
    code, out, err = command("predict", "digits_sdbnn", "empty")
    assert code == 2 and "IMAGE empty: no pictures in this folder" in err and out == ""


def test_the_command_says_what_is_wrong(command, files, tmp_path):
    (tmp_path / "broken.png").write_bytes(files[0].read_bytes()[:50])
    save_weights(tmp_path / "unknown.safetensors", sd.build("digits_convnet"))
    for argv, message in (
        (("digits_sdbnn", files[0], "broken.png"), "unreadable image broken.png"),
        (("digits_sdbnn", "nowhere.png"), "unreadable image nowhere.png"),
        (("digits_sdbnn", files[0], "--top", 0), "top=0"),
        (("digits_float", files[0], "--packed"), "only binary weights and activations"),
        (("digits", files[0]), "no such file, run folder or zoo network"),
        (("unknown.safetensors", files[0]), "doesn't say which images it was trained on"),
        (("digits_sdbnn", files[0], "--dataset", "digit"), "did you mean 'digits'"),
    ):
        code, out, err = command("predict", *argv)
        assert code == 2 and message in err and len(err.strip().splitlines()) == 1 and out == "", argv
    code, out, _ = command("predict", "unknown.safetensors", files[0], "--dataset", "digits", "--top", 1)
    assert code == 0 and out.startswith(str(files[0]))


# Other classes than the network's


def own_set(digits, classes, **statistics):
    """The digits as a set of one's own."""
    parts = {name: getattr(digits, name) for name in ("train_images", "train_labels", "test_images", "test_labels")}
    parts |= {"mean": (0.5,), "std": (0.5,), **statistics}
    return ImageSet(name="mine", label="mine", classes=classes, **parts)


def test_scores_on_other_classes_are_refused(command):
    code, out, err = command("evaluate", "cifar10_resnet20", "--dataset", "digits")
    assert code == 2 and out == "" and "airplane" in err and "0, 1, 2" in err and len(err.strip().splitlines()) == 1


def test_a_network_of_ones_own_classes_is_scored(command, digits, monkeypatch, tmp_path):
    """By the set that its file names, and the statistics that it was trained with, whatever the folder's are."""
    trained, names = sd.load("digits_sdbnn"), tuple(f"digit {i}" for i in range(10))
    save_weights(tmp_path / "w.safetensors", trained, dataset="mine", images=described(own_set(digits, names)))
    asked = []

    def load(name, folder, **how):
        asked.append((name, folder, how["image_size"], how["channels"]))
        return own_set(digits, names, mean=(0.1,), std=(0.9,))

    monkeypatch.setattr(data, "load", load)
    code, out, _ = command("evaluate", "w.safetensors", "--data", "DIR", "--json")
    assert code == 0 and json.loads(out)["top1"] == trained.about["card"]["test_accuracy"]
    assert asked == [("mine", "DIR", 8, 1)]
    save_weights(tmp_path / "w.safetensors", trained, images=described(own_set(digits, names)))  # "images" says it too
    assert command("evaluate", "w.safetensors", "--data", "DIR")[0] == 0 and asked[1] == asked[0]
    monkeypatch.setattr(data, "load", lambda *_, **__: own_set(digits, names[::-1]))
    code, _, err = command("evaluate", "w.safetensors", "--data", "DIR")
    assert code == 2 and "digit 0" in err and "has others, digit 9" in err
    save_weights(tmp_path / "w.safetensors", trained, dataset="mine", images=described(own_set(digits, ())))
    code, out, _ = command("evaluate", "w.safetensors", "--data", "DIR", "--json")
    assert code == 0 and json.loads(out)["top1"] == trained.about["card"]["test_accuracy"]  # names unknown: the number


def test_imagenette_by_its_folders(command, tmp_path):
    """The zoo's network names its classes in words, the set's folders are n and eight digits: the same classes."""
    make_tree(tmp_path / "imagenette", list(IMAGENETTE), ("train", "val"), (40, 30))
    code, out, err = command("evaluate", "imagenette_resnet18", "--data", tmp_path)
    assert code == 0 and "all 10 test images" in out, err
    code, out, _ = command("predict", "imagenette_resnet18", tmp_path / "imagenette" / "val" / "n01440764", "--top", 10)
    assert code == 0 and "English springer" in out

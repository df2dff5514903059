"""Every public function, called wrongly: one sentence that names the argument, and nothing is changed or written."""

import pytest
import torch
from torch import nn

import sdbnn_lite as sd
from sdbnn_lite import data
from sdbnn_lite.errors import UsageError


@pytest.fixture(scope="module")
def net():
    return sd.build("digits_convnet")


@pytest.fixture(scope="module")
def digits():
    return sd.load("digits_sdbnn")


ONE = torch.zeros(1, 1, 8, 8)
CALLS = [  # (function, call with it and a network of the zoo, what the message says)
    ("BinaryConv2d", lambda f, net: f("16", 16), "in_channels='16'"),
    ("BinaryConv2d", lambda f, net: f(16, 16, method=None), "unknown method None"),
    ("BinaryLinear", lambda f, net: f(16, 0), "out_features=0"),
    ("Method", lambda f, net: f("mine", "mine", scale="big"), "unknown scale 'big'.*analytic"),
    ("binary_layers", lambda f, net: f(3), "net: int given"),
    ("build", lambda f, net: f(3), "unknown network 3"),
    ("build", lambda f, net: f("cifar10_resnet20", image_size=32), "image_size=32: cifar10_resnet20"),
    ("build", lambda f, net: f("cifar10_resnet20", image_size="x"), "image_size='x'"),
    ("build", lambda f, net: f("digits_convnet", image_size="x"), "image_size='x'"),
    ("build", lambda f, net: f("digits_convnet", stage=True), "stage=True: 1 .* or 2"),
    ("build", lambda f, net: f("digits_convnet", num_classes=True), "num_classes=True"),
    ("build", lambda f, net: f("digits_convnet", in_channels="3"), "in_channels='3'"),
    ("convert", lambda f, net: f("resnet18"), "net: str given"),
    ("from_original", lambda f, net: f(None, "cifar10_resnet20"), "state_dict: NoneType given"),
    ("from_original", lambda f, net: f({}, "resnet"), "unknown network 'resnet'"),
    ("load", lambda f, net: f(None), "weights.*None"),
    ("load", lambda f, net: f(3), "weights.*3"),
    ("load", lambda f, net: f("digits"), "weights 'digits': .*zoo names are .*digits_bnn"),
    ("load_packed", lambda f, net: f(None), "None"),
    ("pack", lambda f, net: f(None), "net: NoneType given"),
    ("pack", lambda f, net: f(net, engine="gpu"), "unknown .*engine.* 'gpu'.*numpy"),
    ("pack", lambda f, net: f(sd.build("digits_convnet", "float")), "real weights"),
    ("predict", lambda f, net: f(net, None), "image"),
    ("predict", lambda f, net: f(None, ONE[0]), "net"),
    ("predict", lambda f, net: f(net, ONE[0], top=0), "top=0"),
    ("record_signs", lambda f, net: f(net, ONE, batch_size=0), "batch_size=0"),
    ("record_signs", lambda f, net: f(net, ONE[:0]), "images: 0 given"),
    ("record_signs", lambda f, net: f(net, [1, 2]), "images: list given"),
    ("record_signs", lambda f, net: f(nn.Linear(2, 2), ONE), "no binary layer"),
    ("record_signs", lambda f, net: f(None, ONE), "net: NoneType given"),
    ("recipes", None, ""),  # takes nothing
    ("save_packed", lambda f, net: f(None, net), "None"),
    ("save_packed", lambda f, net: f("never.safetensors", 3), "net: int given"),
    ("set_ede", lambda f, net: f(nn.Linear(2, 2), 1.0), "no binary layer"),
    ("set_ede", lambda f, net: f(net, "1"), "t='1'"),
    ("set_ede", lambda f, net: f(net, 0.5, k=float("nan")), "k=nan"),
    ("set_ede", lambda f, net: f(net, 0.5, k="1"), "k='1'"),
    ("set_ede", lambda f, net: f(None, 1.0), "net: NoneType given, which has no binary"),
    ("train", lambda f, net: f(None), "recipe"),
    ("train", lambda f, net: f("digit"), "unknown recipe 'digit'.*mean 'digits'"),
    ("train", lambda f, net: f("digits", epoch=3), "unknown argument 'epoch'.*mean 'epochs'"),
    ("train", lambda f, net: f("digits", epochs="3"), "epochs"),
    ("train", lambda f, net: f("digits", seed=True), "seed=True"),
    ("train", lambda f, net: f("digits", device="tpu"), "tpu"),
]


@pytest.mark.parametrize(
    "name, call, message", [c for c in CALLS if c[1]], ids=lambda value: value if isinstance(value, str) else ""
)
def test_one_sentence(name, call, message, digits, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=message) as said:
        call(getattr(sd, name), digits)
    assert "\n" not in str(said.value) and not list(tmp_path.iterdir())


def test_every_public_name_is_among_them():
    assert {name for name, *_ in CALLS} == set(sd.__all__)


@pytest.mark.parametrize("images", [[1, 2], None, "picture.png", 3.0, ONE.numpy()])
def test_a_network_takes_tensors_only(net, images):
    with pytest.raises(UsageError, match="images: .* given, a tensor .N, 1, H, W. needed"):
        net(images)


@pytest.mark.parametrize(
    "arguments, options, message",
    [
        ((None,), {}, "unknown data set None"),
        (("digits",), {"image_size": True}, "image_size=True"),
        (("digits",), {"channels": 2}, "channels=2"),
        (("digits",), {"validation": True}, "validation=True"),
        (("digits",), {"validation": "5"}, "validation='5'"),
        (("cifar10", 3), {}, "data_dir=3"),
    ],
)
def test_loading_images(arguments, options, message):
    with pytest.raises(UsageError, match=message):
        data.load(*arguments, **options)

"""The published files: names and shapes, and agreement beyond the golden files."""

import json
from functools import cache, lru_cache

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from filler import filled
from places import GOLDEN as GOLDEN_FOLDER
from reference import assert_close, published_forward, published_name, published_shapes

import sdbnn_lite as sd
from sdbnn_lite.errors import UsageError
from sdbnn_lite.weights.published import IMPORTABLE
from sdbnn_lite.weights.torch_files import read_state_dict

GOLDEN = sorted(GOLDEN_FOLDER.glob("*.npz"))


@cache
def shapes_of(network, num_classes, **options):
    """{published name: shape}, by the hand-written names and our network's shapes."""
    with torch.device("meta"):
        return published_shapes(sd.build(network, num_classes=num_classes, **options).state_dict(), network)


@lru_cache(maxsize=1)  # tests that follow each other ask for the same
def drawn(network, num_classes, seed, **options):
    return filled(shapes_of(network, num_classes, **options), seed)


def published_state(network, num_classes=10, seed=5, **options):
    """What a file of the published trainer would hold: float64, its names, ImageNet's weights flat."""
    return dict(drawn(network, num_classes, seed, **options))


def with_gradient(state):
    """A copy whose parameters (not the running statistics) collect gradients."""
    state = {key: value.clone() for key, value in state.items()}
    for key, value in state.items():
        if "running" not in key and "tracked" not in key:
            value.requires_grad_()
    return state


# -------------------------------------------------------------------------------- agreement with the published networks


@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: p.stem)
def test_the_reference_of_these_tests_is_the_published_network(path):
    """tests/reference.py against the golden file: logits, loss, gradients. (Ours: test_golden.py.)"""
    golden = np.load(path, allow_pickle=False)
    meta = json.loads(str(golden["meta"]))
    network, _, stage = meta["network"].partition("_stage")
    stage = int(stage or 2)
    state = with_gradient(filled(meta["shapes"], meta["seed"]))
    rng = np.random.default_rng(meta["seed"])
    x = torch.from_numpy(rng.standard_normal((meta["batch"], 3, meta["size"], meta["size"])))
    y = torch.from_numpy(rng.integers(0, meta["classes"], meta["batch"]))
    options = {"k": meta["ede_k"], "t": meta["ede_t"], "stage": stage}
    with torch.no_grad():
        logits = published_forward(network, state, x, train=False, **options)
    assert_close(logits, torch.from_numpy(golden["eval_logits"]), 1e-9)
    logits = published_forward(network, state, x, train=True, **options)
    assert_close(logits.detach(), torch.from_numpy(golden["train_logits"]), 1e-9)
    loss = F.cross_entropy(logits, y)
    assert float(loss.detach()) == pytest.approx(float(golden["loss"]), rel=1e-9)
    loss.backward()
    for key, norm, head in zip(golden["grad_keys"], golden["grad_norm"], golden["grad_head"], strict=True):
        grad = state[key].grad
        if grad is None:
            assert norm == 0 and stage == 1 and key.endswith("alpha"), key
        else:
            assert float(grad.norm()) == pytest.approx(norm, rel=1e-7), key
            assert float(grad.flatten()[:8].sum()) == pytest.approx(head, rel=1e-7, abs=1e-7 * norm), key


@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: p.stem)
def test_hand_written_names_and_shapes_are_the_published_ones(path):
    """Every key of the golden file's network, no other, each with its shape (ImageNet's weights flat)."""
    meta = json.loads(str(np.load(path, allow_pickle=False)["meta"]))
    assert shapes_of(meta["network"].partition("_stage")[0], meta["classes"]) == meta["shapes"]


@pytest.mark.parametrize(
    "network, seed, size, batch, t, options",
    [
        ("cifar10_resnet20", 1, 32, 3, 0.001, {}),
        ("cifar10_resnet20", 2, 19, 4, 0.3, {}),
        ("cifar10_resnet20", 3, 40, 3, 5.0, {"num_classes": 100}),
        ("cifar10_resnet18", 5, 11, 3, 5.0, {"num_classes": 7}),
        ("cifar10_vgg_small", 6, 16, 3, 0.001, {"image_size": 16}),
        ("cifar10_vgg_small", 7, 24, 2, 5.0, {"image_size": 24, "num_classes": 3}),
        ("imagenet_resnet18", 8, 64, 3, 5.0, {}),
        ("imagenet_resnet18", 9, 96, 2, 0.3, {"stage": 1, "num_classes": 5}),
        ("imagenet_resnet34", 10, 64, 2, 0.001, {}),
    ],
)
def test_equals_the_published_network_elsewhere(network, seed, size, batch, t, options):
    """Other seeds, image sizes, classes and EDE values: logits to 1e-9, every gradient to 1e-7, input included."""
    options = {"num_classes": 10} | options
    classes, stage = options["num_classes"], options.get("stage", 2)
    state = with_gradient(published_state(seed=seed, network=network, **options))
    net = sd.build(network, **options).double()
    net.load_state_dict(sd.from_original({key: value.detach() for key, value in state.items()}, network))
    sd.set_ede(net, t)
    rng = np.random.default_rng(seed)
    x = torch.from_numpy(rng.standard_normal((batch, 3, size, size))).requires_grad_()
    y = torch.from_numpy(rng.integers(0, classes, batch))
    forward = {"k": max(1 / t, 1), "t": t, "stage": stage}

    with torch.no_grad():
        assert_close(net.eval()(x), published_forward(network, state, x, train=False, **forward), 1e-9, "evaluation")
    logits, expected = net.train()(x), published_forward(network, state, x, train=True, **forward)
    assert_close(logits.detach(), expected.detach(), 1e-9, "training")
    F.cross_entropy(logits, y).backward()
    (x_grad, x.grad) = (x.grad, None)
    F.cross_entropy(expected, y).backward()
    assert_close(x_grad, x.grad, 1e-7, "input")
    for ours, parameter in net.named_parameters():
        theirs = state[published_name(ours, network)].grad
        if theirs is None:
            assert parameter.grad is None and stage == 1 and ours.endswith("alpha"), ours
        else:
            assert_close(parameter.grad, theirs.reshape(parameter.shape), 1e-7, ours)


# -------------------------------------------------------------------------------------------------------- from_original


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("network", IMPORTABLE)
def test_every_value_arrives_where_it_belongs(network, prefix):
    """All five layouts, with and without DataParallel's prefix; k and t of the schedule's end; the dtype stays."""
    published = published_state(network, 4)
    ours = sd.from_original({prefix + key: value for key, value in published.items()}, network)
    with torch.device("meta"):
        net = sd.build(network, num_classes=4)
    expected = net.state_dict()
    assert set(ours) == set(expected)
    for key, value in ours.items():
        assert value.shape == expected[key].shape, key
        if key.endswith(("ede_k", "ede_t")):
            assert float(value) == (1.0 if key.endswith("k") else 10.0)
        else:
            source = published[published_name(key, network)]
            assert value.dtype == source.dtype and torch.equal(value, source.reshape(value.shape)), key
    net.to_empty(device="cpu").load_state_dict(ours)


@pytest.mark.parametrize("name", ["imagenet_resnet18_stage1", "imagenet_resnet18_stage2"])
def test_both_stages_share_a_layout(name):
    """The names of the golden files are understood as well."""
    network = name.rpartition("_")[0]
    state = published_state(network)
    assert set(sd.from_original(state, name)) == set(sd.from_original(state, network))


@pytest.mark.parametrize(
    "network, options",
    [
        ("cifar10_resnet20", {"num_classes": 100}),
        ("cifar10_vgg_small", {"num_classes": 100}),
        ("cifar10_vgg_small", {"num_classes": 3, "image_size": 64}),
        ("imagenet_resnet18", {"num_classes": 1000}),
    ],
)
def test_classes_and_image_size_are_read_from_the_file(network, options):
    """The state dict fits the network built with the same options, strictly."""
    ours = sd.from_original(published_state(network, **options), network)
    assert ours["linear.weight"].shape[0] == options["num_classes"]
    with torch.device("meta"):
        net = sd.build(network, **options)
    net.to_empty(device="cpu").load_state_dict(ours)


def test_every_key_that_does_not_fit_is_named():
    """Unknown, missing and mis-shaped keys, all in one message, by a name the reader can find."""
    state = published_state("cifar10_resnet20")
    state["layer9.0.conv1.weight"] = state["conv1.weight"]
    state["optimizer_step"] = torch.tensor(3)
    del state["layer1.0.bn1.running_mean"], state["layer3.2.conv2.dybeta.fc.0.weight"]
    state["layer2.1.conv1.alpha"] = torch.zeros(31)
    state["bn1.weight"] = torch.zeros(17)
    with pytest.raises(UsageError) as error:
        sd.from_original(state, "cifar10_resnet20")
    message = str(error.value)
    assert "cifar10_resnet20" in message and "6 keys" in message
    for key in ("layer9.0.conv1.weight", "optimizer_step"):
        assert f"{key} has no place" in message
    for key in ("layers.0.0.bn1.running_mean", "layers.2.2.conv2.asd.squeeze.weight"):
        assert f"{key} (our name) is missing" in message
    assert "layer2.1.conv1.alpha: (31,) given, (32,) needed" in message
    assert "bn1.weight: (17,) given, (16,) needed" in message


@pytest.mark.parametrize(
    "key, shape",
    [
        pytest.param("layer1.0.conv1.dybeta.fc.0.weight", (16, 1), id="W1 transposed"),
        pytest.param("layer3.1.conv1.dybeta.fc.2.weight", (4, 64), id="W2 transposed"),
        pytest.param("bn1.weight", (4, 4), id="a square for 16 values"),
        pytest.param("layer1.0.conv1.weight", (2304, 1), id="flat, which only ImageNet's are"),
        pytest.param("conv1.weight", (432, 1), id="flat, a real convolution"),
    ],
)
def test_a_shape_that_merely_has_the_right_number_of_values_is_refused(key, shape):
    """A transposed W1 would be read in the wrong order, silently."""
    state = published_state("cifar10_resnet20")
    state[key] = state[key].reshape(shape)
    with pytest.raises(UsageError, match=f"{key}: "):
        sd.from_original(state, "cifar10_resnet20")


@pytest.mark.parametrize("shape", [(3, 3), (36864,), (64, 576), (36863, 1)])
def test_imagenets_flat_weights_have_one_column(shape):
    """(O·C·k·k, 1) or our (O, C, k, k); other sizes are named with both shapes."""
    state = published_state("imagenet_resnet18")
    key = "layer1.0.binary_conv.weights"
    state[key] = torch.zeros(shape)
    with pytest.raises(UsageError, match=f"{key}: "):
        sd.from_original(state, "imagenet_resnet18")


def test_a_state_dict_of_another_network_is_refused():
    with pytest.raises(UsageError, match="doesn't fit cifar10_resnet18"):
        sd.from_original(published_state("cifar10_resnet20"), "cifar10_resnet18")
    with pytest.raises(UsageError, match="doesn't fit cifar10_vgg_small"):
        sd.from_original(published_state("imagenet_resnet18"), "cifar10_vgg_small")
    with pytest.raises(UsageError, match="conv1.weight .our name. is missing"):
        sd.from_original({}, "cifar10_resnet20")


def test_unknown_networks_list_those_that_were_published():
    """Our digits network has no published file, so it isn't among them."""
    assert set(IMPORTABLE) == {"cifar10_resnet20", "cifar10_resnet18", "cifar10_vgg_small"} | {
        "imagenet_resnet18",
        "imagenet_resnet34",
    }
    for name in ("digits_convnet", "cifar10_resnet21", "cifar10_resnet20_stage3"):
        with pytest.raises(UsageError, match=f"unknown network '{name}': choose one of {', '.join(IMPORTABLE)}"):
            sd.from_original({}, name)


def test_a_value_that_is_no_tensor_is_named():
    with pytest.raises(UsageError, match="bn1.weight: a tensor is needed, list given"):
        sd.from_original(published_state("cifar10_resnet20") | {"bn1.weight": [1.0]}, "cifar10_resnet20")


def test_a_parameter_given_twice_is_refused():
    state = published_state("cifar10_resnet20")
    with pytest.raises(UsageError, match="bn1.weight and module.bn1.weight are the same parameter"):
        sd.from_original(state | {"module.bn1.weight": state["bn1.weight"]}, "cifar10_resnet20")


def test_a_key_that_is_no_text_is_refused():
    with pytest.raises(UsageError, match="7"):
        sd.from_original({7: torch.zeros(1)}, "cifar10_resnet20")


def test_a_whole_file_becomes_a_network_that_computes_the_same(tmp_path):
    """From a file with ``module.`` to logits: save, read, map, load, compare with the published forward pass."""
    published = published_state("cifar10_resnet20", 10, seed=21)
    content = {"state_dict": {f"module.{key}": value for key, value in published.items()}, "best_prec1": 85.0}
    path = tmp_path / "checkpoint.th"
    torch.save(content, path)
    net = sd.build("cifar10_resnet20").double().eval()
    net.load_state_dict(sd.from_original(read_state_dict(path), "cifar10_resnet20"))
    x = torch.randn(2, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert_close(net(x), published_forward("cifar10_resnet20", published, x, train=False), 1e-9)

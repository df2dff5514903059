"""Weights and checkpoints: what is written comes back exactly, and nothing else is ever taken for it."""

import os
import pickle

import pytest
import torch
from safetensors.torch import save_file

import sdbnn_lite as sd
from sdbnn_lite.core.methods import METHODS
from sdbnn_lite.errors import RunError, UsageError
from sdbnn_lite.training.checkpoint import restore, save_checkpoint
from sdbnn_lite.weights import files, zoo
from sdbnn_lite.weights.files import read_tensors, save_weights
from sdbnn_lite.weights.zoo import find_weights, load


def same_state(a, b):
    assert a.keys() == b.keys()
    for key in a:
        assert a[key].dtype == b[key].dtype and torch.equal(a[key], b[key]), key


@pytest.mark.parametrize("method", METHODS)
def test_weights_come_back_with_their_network(method, tmp_path):
    net = sd.build("digits_convnet", method, num_classes=7, in_channels=3, image_size=16)
    sd.set_ede(net, 0.3)
    save_weights(tmp_path / "w.safetensors", net, dataset="digits")
    again = load(tmp_path / "w.safetensors")
    same_state(net.state_dict(), again.state_dict())
    assert again.options == net.options and again.about["dataset"] == "digits" and not again.training


def test_the_same_weights_make_the_same_bytes(tmp_path):
    net = sd.build("digits_convnet")
    save_weights(tmp_path / "a", net, one=1, two=2)
    save_weights(tmp_path / "b", net, one=1, two=2)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def trained_a_step(optimizer_class):
    net = sd.build("digits_convnet")
    optimizer = optimizer_class(
        net.parameters(), lr=0.1, **({"momentum": 0.9} if optimizer_class is torch.optim.SGD else {})
    )
    net(torch.randn(4, 1, 8, 8)).sum().backward()
    optimizer.step()
    return net, optimizer


@pytest.mark.parametrize("optimizer_class", [torch.optim.SGD, torch.optim.Adam])
def test_a_checkpoint_restores_network_optimizer_and_random_numbers(optimizer_class, tmp_path):
    net, optimizer = trained_a_step(optimizer_class)
    generator = torch.Generator().manual_seed(4)
    save_checkpoint(tmp_path / "c", net, optimizer, generator.get_state(), {"at": 3})
    other, other_optimizer = trained_a_step(optimizer_class)
    tensors, about = read_tensors(tmp_path / "c")
    state = restore(tensors, other, other_optimizer, "c")
    assert about["at"] == 3
    same_state(net.state_dict(), other.state_dict())
    expected = torch.rand(5, generator=generator)
    assert torch.equal(torch.rand(5, generator=torch.Generator().manual_seed(0).set_state(state)), expected)
    theirs, ours = optimizer.state_dict()["state"], other_optimizer.state_dict()["state"]
    assert theirs.keys() == ours.keys()
    for index, entries in theirs.items():
        same_state({k: torch.as_tensor(v) for k, v in entries.items() if v is not None}, ours[index])


def test_a_checkpoint_counts_as_weights(tmp_path):
    net, optimizer = trained_a_step(torch.optim.SGD)
    save_checkpoint(tmp_path / files.CHECKPOINT, net, optimizer, torch.Generator().get_state(), {})
    same_state(load(tmp_path).state_dict(), net.state_dict())
    save_weights(tmp_path / files.WEIGHTS, net)
    assert find_weights(tmp_path).name == files.WEIGHTS  # a finished run's weights come first


def test_truncated_at_any_byte_is_refused(tmp_path):
    path, cut = tmp_path / "w.safetensors", tmp_path / "cut.safetensors"
    save_weights(path, sd.build("digits_convnet"))
    whole = path.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    for size in [*range(0, 64), *range(64, header, 97), *range(header, len(whole), 9973), len(whole) - 1]:
        cut.write_bytes(whole[:size])
        with pytest.raises(UsageError, match="cut.safetensors: not a safetensors file, or a damaged one"):
            load(cut)


class Bomb:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("write", ["pickle", "torch"])
def test_a_pickle_with_code_in_it_is_refused_and_nothing_runs(write, tmp_path):
    path, marker = tmp_path / "evil.safetensors", tmp_path / "it-ran"
    content = {"state_dict": Bomb(marker)}
    path.write_bytes(pickle.dumps(content)) if write == "pickle" else torch.save(content, path)
    with pytest.raises(UsageError, match="not a safetensors file"):
        load(path)
    assert not marker.exists()


def test_files_of_others_are_refused(tmp_path):
    save_file({"a": torch.ones(1)}, tmp_path / "plain.safetensors")
    with pytest.raises(UsageError, match="not one of sdbnn_lite"):
        load(tmp_path / "plain.safetensors")
    with pytest.raises(UsageError, match="no such file, run folder or zoo network"):
        load("resnet_of_dreams")
    with pytest.raises(UsageError, match="without weights.safetensors or checkpoint.safetensors"):
        load(tmp_path)
    net = sd.build("digits_convnet", "bnn")
    files.write_tensors(tmp_path / "x", net.state_dict(), {"network": "digits_convnet", "options": {"method": "asd"}})
    with pytest.raises(UsageError, match="weights of another network: Missing key.*asd.squeeze"):
        load(tmp_path / "x")
    files.write_tensors(tmp_path / "y", net.state_dict(), {"nothing": 1})
    with pytest.raises(UsageError, match="doesn't say which network"):
        load(tmp_path / "y")


def test_a_folder_that_is_gone_is_a_run_error(tmp_path):
    with pytest.raises(RunError, match="there is no earlier one"):
        save_weights(tmp_path / "gone" / "w", sd.build("digits_convnet"))


def test_every_zoo_network_loads_and_says_where_it_comes_from():
    for name in zoo.zoo_names():
        net = load(name)
        assert net.about["result"]["test_images"] > 0 and net.about["identity"]["seed"] == 0, name

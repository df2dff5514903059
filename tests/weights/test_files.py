"""Files of weights: what is written comes back exactly, and nothing else is ever taken for it."""

import os
import pickle

import pytest
import torch
from safetensors.torch import save_file
from samples import same_state

import sdbnn_lite as sd
from sdbnn_lite.core.methods import METHODS
from sdbnn_lite.errors import RunError, UsageError
from sdbnn_lite.weights.files import save_weights, write_tensors
from sdbnn_lite.weights.zoo import load, zoo_names


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
    write_tensors(tmp_path / "x", net.state_dict(), {"network": "digits_convnet", "options": {"method": "asd"}})
    with pytest.raises(UsageError, match="weights of another network: Missing key.*asd.squeeze"):
        load(tmp_path / "x")
    write_tensors(tmp_path / "y", net.state_dict(), {"nothing": 1})
    with pytest.raises(UsageError, match="doesn't say which network"):
        load(tmp_path / "y")


def test_a_folder_that_is_gone_is_a_run_error(tmp_path):
    with pytest.raises(RunError, match="there is no earlier one"):
        save_weights(tmp_path / "gone" / "w", sd.build("digits_convnet"))


def test_every_zoo_network_loads_and_says_where_it_comes_from():
    for name in zoo_names():
        net = load(name)
        assert net.about["result"]["test_images"] > 0 and net.about["identity"]["seed"] == 0, name

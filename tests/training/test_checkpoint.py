"""Checkpoints: what is written comes back exactly, and counts as weights."""

import pytest
import torch
from samples import same_state

import sdbnn_lite as sd
from sdbnn_lite.training.checkpoint import restore, save_checkpoint
from sdbnn_lite.weights.files import CHECKPOINT, WEIGHTS, read_tensors, save_weights
from sdbnn_lite.weights.zoo import find_weights, load


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
    save_checkpoint(tmp_path / CHECKPOINT, net, optimizer, torch.Generator().get_state(), {})
    same_state(load(tmp_path).state_dict(), net.state_dict())
    save_weights(tmp_path / WEIGHTS, net)
    assert find_weights(tmp_path).name == WEIGHTS  # a finished run's weights come first

"""Which parameters decay; and the optimizer that a CUDA graph can hold, against torch's own."""

import dataclasses

import pytest
import torch

import sdbnn_lite as sd
from sdbnn_lite.core.methods import METHODS
from sdbnn_lite.training.optimizers import TensorSGD, make_optimizer, normalise_channels, parameter_groups, set_lr
from sdbnn_lite.training.recipes import RECIPES

RECIPE = RECIPES["digits"]


def names(net, group):
    found = {id(p): name for name, p in net.named_parameters()}
    return [found[id(p)] for p in group["params"]]


def test_as_published_everything_decays():
    net = sd.build("cifar10_resnet20")
    (group,) = parameter_groups(net, RECIPE)
    assert names(net, group) == [name for name, _ in net.named_parameters()] and group["weight_decay"] == 1e-4


@pytest.mark.parametrize("network", ["digits_convnet", "cifar10_resnet20", "cifar10_resnet18", "imagenet_resnet18"])
@pytest.mark.parametrize("method", ["float", "sdbnn", "rsign", "xnor_pp"])
def test_decay_all_off(network, method):
    net = sd.build(network, method)
    decayed, free = parameter_groups(net, dataclasses.replace(RECIPE, decay_all=False))
    assert decayed["weight_decay"] == 1e-4 and free["weight_decay"] == 0
    parameters = dict(net.named_parameters())
    assert sorted(names(net, decayed) + names(net, free)) == sorted(parameters)
    for name in names(net, decayed):  # a matrix or a kernel, and none of ASD's
        assert parameters[name].ndim in (2, 4) and name.endswith("weight") and ".asd." not in name
    for name in names(net, free):
        assert parameters[name].ndim == 1 or ".asd." in name


def test_every_parameter_of_every_method_is_in_one_group():
    for method in METHODS:
        net = sd.build("digits_convnet", method)
        groups = parameter_groups(net, dataclasses.replace(RECIPE, decay_all=False))
        assert sum(len(g["params"]) for g in groups) == len(list(net.parameters()))


@pytest.mark.parametrize("decay_all", [True, False])
def test_tensor_sgd_is_torchs_sgd(decay_all):
    recipe = dataclasses.replace(RECIPE, decay_all=decay_all, weight_decay=0.01)
    torch.manual_seed(0)
    ours_net = sd.build("digits_convnet")
    theirs_net = sd.build("digits_convnet")
    theirs_net.load_state_dict(ours_net.state_dict())
    theirs = make_optimizer(theirs_net, recipe)
    ours = TensorSGD(parameter_groups(ours_net, recipe), torch.tensor(0.1), 0.9)
    for step in range(5):
        for optimizer in (ours, theirs):
            set_lr(optimizer, 0.1 / (step + 1))
        for a, b in zip(ours_net.parameters(), theirs_net.parameters()):
            a.grad = torch.randn(a.shape)
            b.grad = a.grad.clone()
        ours.step()
        theirs.step()
        if step == 2:  # its state is torch's, by name and value: a checkpoint goes over from one to the other
            state = theirs.state_dict()["state"]
            ours.load_state_dict({**ours.state_dict(), "state": state})
    for a, b in zip(ours_net.parameters(), theirs_net.parameters()):
        assert torch.allclose(a, b, rtol=1e-6, atol=1e-7)
    assert isinstance(ours.param_groups[0]["lr"], torch.Tensor)


def test_normsgd_divides_each_channels_gradient_by_its_norm():
    """One step from rest moves every channel of a binary layer by lr, and all else as SGD does."""
    recipe = dataclasses.replace(RECIPE, weight_decay=0.0, lr=0.5)
    torch.manual_seed(0)
    net, plain = sd.build("digits_convnet"), sd.build("digits_convnet")
    plain.load_state_dict(net.state_dict())
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    for p, q in zip(net.parameters(), plain.parameters()):
        p.grad = torch.randn(p.shape)
        q.grad = p.grad.clone()
    make_optimizer(net, dataclasses.replace(recipe, optimizer="normsgd")).step()
    make_optimizer(plain, recipe).step()
    latent = {f"{name}.weight" for name in sd.binary_layers(net)}
    assert latent
    for (name, p), q in zip(net.named_parameters(), plain.parameters()):
        if name in latent:
            assert torch.allclose((p - before[name]).flatten(1).norm(dim=1), torch.tensor(0.5))
        else:
            assert torch.equal(p, q)


def test_a_channel_without_a_gradient_stays():
    weight = torch.nn.Parameter(torch.zeros(2, 1, 1, 2))
    weight.grad = torch.tensor([[[[3.0, 4.0]]], [[[0.0, 0.0]]]])
    normalise_channels([weight, torch.nn.Parameter(torch.zeros(1))])
    assert weight.grad.flatten().tolist() == pytest.approx([0.6, 0.8, 0, 0])


def test_tensor_sgd_leaves_what_has_no_gradient():
    p, q = (torch.ones(2, requires_grad=True) for _ in range(2))
    p.grad = torch.ones(2)
    TensorSGD([{"params": [p, q]}], torch.tensor(0.5), 0.9).step()
    assert torch.equal(p.detach(), torch.full((2,), 0.5)) and torch.equal(q.detach(), torch.ones(2))


def test_a_restored_buffer_has_its_parameters_memory_format():
    p = torch.randn(4, 3, 2, 2).to(memory_format=torch.channels_last).requires_grad_()
    optimizer = TensorSGD([{"params": [p]}], torch.tensor(0.5), 0.9)
    optimizer.load_state_dict({**optimizer.state_dict(), "state": {0: {"momentum_buffer": torch.ones(4, 3, 2, 2)}}})
    assert optimizer.state[p]["momentum_buffer"].is_contiguous(memory_format=torch.channels_last)

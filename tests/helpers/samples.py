"""Networks whose every part has something to do, and numbers that are the same in every run."""

import torch
from torch import nn

import sdbnn_lite as sd

AGREEMENT = 0.99  # of a card's predictions: float32 sums differ a little from machine to machine
PIXELS = {"digits_convnet": 8, "imagenet_resnet18": 64, "imagenet_resnet34": 32, "cifar10_vgg_small": 32}  # others 20


def normal(*shape, seed=0):
    """Standard normal float32 of that shape."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def lively(net, seed=0):
    """Parameters away from their special starting values, so that each takes part."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in net.named_parameters():
        if name.endswith(("alpha", "beta", "bias")):
            nn.init.normal_(parameter, 0, 0.2, generator=generator)
        if name.endswith("factor") or (parameter.ndim == 1 and name.endswith("weight")):
            nn.init.uniform_(parameter, 0.5, 1.5, generator=generator)
    return net


def trained(name, method):
    """(net, images): a network in evaluation mode whose batch norms have seen the images, small ones."""
    torch.manual_seed(0)
    net = lively(sd.build(name, method=method))
    pixels = PIXELS.get(name, 20)
    images = normal(6, net.options["in_channels"], pixels, pixels, seed=5)
    with torch.no_grad():
        net.train()(images)
    return net.eval(), images


def agreement(given, expected):
    """The share of equal classes in two texts of ``logits_check.predicted_classes``."""
    a, b = (text.split() if " " in text else list(text) for text in (given, expected))
    assert len(a) == len(b) > 0
    return sum(map(str.__eq__, a, b)) / len(b)


def same_state(a, b):
    """The same names, types and bits."""
    assert a.keys() == b.keys()
    for key in a:
        assert a[key].dtype == b[key].dtype and torch.equal(a[key], b[key]), key

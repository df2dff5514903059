"""Scores: against counting by hand, on every image."""

import pytest
import torch
import torch.nn.functional as F

import sdbnn_lite as sd
from sdbnn_lite import data
from sdbnn_lite.errors import UsageError
from sdbnn_lite.system.machine import describe_machine, pick_device
from sdbnn_lite.training.evaluate import evaluate


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


def test_equals_counting_one_image_at_a_time(digits):
    net = sd.build("digits_convnet")
    net.bn1.running_var.fill_(0.05)  # so that logits aren't all alike
    net.train()
    score = evaluate(net, digits, batch_size=77)
    assert net.training and score.images == 360
    net.eval()
    first = five = 0
    losses = []
    with torch.no_grad():
        for pixels, label in zip(digits.test_images, digits.test_labels, strict=True):
            logits = net((pixels[None] / 255 - 0.5) / 0.5)[0]
            better = int((logits > logits[label]).sum())
            first, five = first + (better == 0), five + (better < 5)
            losses.append(F.cross_entropy(logits[None], label[None]).item())
    assert (score.top1, score.top5) == (first / 360, five / 360)
    assert score.loss == pytest.approx(sum(losses) / 360, rel=1e-5)


def test_another_number_of_classes(digits):
    with pytest.raises(UsageError, match="7 classes, but digits .* has 10"):
        evaluate(sd.build("digits_convnet", num_classes=7), digits)


def test_another_way_to_compute_the_same_logits(digits):
    net = sd.build("digits_convnet")
    modes = []

    def forward(x):
        modes.append(net.training)
        return net(x)

    assert evaluate(net, digits, forward=forward) == evaluate(net, digits) and modes == [False]


def test_devices():
    assert pick_device("cpu").type == "cpu"
    with pytest.raises(UsageError, match="unknown device 'gpu': choose one of auto, cpu, cuda"):
        pick_device("gpu")
    if not torch.cuda.is_available():
        assert pick_device("auto").type == "cpu"
        with pytest.raises(UsageError, match="no CUDA device"):
            pick_device("cuda")
    assert describe_machine(torch.device("cpu"))["threads"] == torch.get_num_threads()

"""Scores, of all images and of each class: against counting by hand, on every image."""

import json

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import sdbnn_lite as sd
from sdbnn_lite import cli, data
from sdbnn_lite.commands.scoring import class_table
from sdbnn_lite.errors import UsageError
from sdbnn_lite.system.devices import pick_device
from sdbnn_lite.system.machine import describe_machine
from sdbnn_lite.training.evaluate import evaluate, score_classes


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


# Every class


def test_every_class_equals_a_loop_over_images():
    images = data.load("digits")
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    net.train()
    score, rows = score_classes(net, images, batch_size=77)
    assert score == evaluate(net, images, batch_size=77) and net.training
    assert [row.name for row in rows] == list(images.classes) and sum(row.images for row in rows) == 360
    ((x, y),) = images.test_batches(360)
    order = net(x).argsort(1, descending=True).tolist()
    for number, row in enumerate(rows):
        own = [choices for choices, label in zip(order, y.tolist()) if label == number]
        assert row.images == len(own)
        assert row.top1 == sum(choices[0] == number for choices in own) / len(own)
        assert row.top5 == sum(number in choices[:5] for choices in own) / len(own)
    assert abs(sum(row.top1 * row.images for row in rows) / 360 - score.top1) < 1e-12


def test_a_class_without_images_has_no_score():
    images = data.load("digits")
    images.test_images, images.test_labels = images.test_images[:1], images.test_labels[:1]
    _, rows = score_classes(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), images)
    assert [row.images for row in rows].count(0) == 9 and all(row.top1 == 0 for row in rows if not row.images)


def test_the_command_tells_it_class_table_and_as_json(capsys):
    assert cli.main(["evaluate", "digits_sdbnn", "--per-class", "--device", "cpu"]) == 0
    text = capsys.readouterr().out.splitlines()
    (title,) = [at for at, line in enumerate(text) if line.startswith("class ")]
    assert len(text) == title + 11 and text[title].split() == ["class", "images", "top-1", "%", "top-5", "%"]
    assert cli.main(["evaluate", "digits_sdbnn", "--per-class", "--json", "--device", "cpu"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["images"] == 360 and len(told["classes"]) == 10 and told["top1"] > 0.9
    for line, row in zip(text[title + 1 :], told["classes"]):
        assert line.split() == [row["name"], str(row["images"]), f"{100 * row['top1']:.2f}", f"{100 * row['top5']:.2f}"]
    assert cli.main(["evaluate", "digits_sdbnn", "--json", "--device", "cpu"]) == 0
    assert "classes" not in json.loads(capsys.readouterr().out)


def test_long_names_stay_aligned():
    _, rows = score_classes(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), data.load("digits"))
    lines = class_table([type(rows[0])("n01440764 tench", 1234, 1.0, 1.0), *rows]).splitlines()
    assert len({len(line) for line in lines}) == 1 and "1,234   100.00   100.00" in lines[1]

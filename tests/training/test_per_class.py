"""The score of every class, against a loop over images."""

import json

import torch
from torch import nn

from sdbnn_lite import cli, data
from sdbnn_lite.training.evaluate import evaluate
from sdbnn_lite.training.per_class import as_table, score_classes


def test_equals_a_loop_over_images():
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


def test_the_command_tells_it_as_table_and_as_json(capsys):
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
    lines = as_table([type(rows[0])("n01440764 tench", 1234, 1.0, 1.0), *rows]).splitlines()
    assert len({len(line) for line in lines}) == 1 and "1,234   100.00   100.00" in lines[1]

"""Every trained network of the package is the one that its card describes.

Where its test images are present (digits always, others with SDBNN_DATA), all of them are evaluated, and the card's
accuracy is demanded to 0.05 points; its predictions for the 500 images of the probe are demanded everywhere.
"""

import json
import os
from functools import cache

import pytest
from samples import AGREEMENT, agreement

from sdbnn_lite import data
from sdbnn_lite.analysis.tables import results_of
from sdbnn_lite.core.methods import METHODS
from sdbnn_lite.errors import UsageError
from sdbnn_lite.packed import pack
from sdbnn_lite.training.evaluate import evaluate
from sdbnn_lite.weights import bits, cards
from sdbnn_lite.weights.files import in_bits, read_tensors
from sdbnn_lite.weights.logits_check import predicted_classes, probe_images, probe_logits
from sdbnn_lite.weights.zoo import ZOO, load, zoo_names

CARDS = sorted(path.stem for path in ZOO.glob("*.json"))
PUBLISHED = [name for name in CARDS if not name.startswith("digits_")]
LARGEST = 2.4e6  # bytes, ResNet-18's; nothing on CIFAR-10 is larger


def card_of(name):
    return json.loads((ZOO / f"{name}.json").read_text(encoding="utf-8"))


def test_every_network_has_a_card_and_every_card_a_network():
    assert CARDS == zoo_names() and {f"digits_{method}" for method in METHODS} <= set(CARDS)


@cache
def load_images(dataset, size):
    return data.load(dataset, image_size=size, progress=False)


def images_of(card):
    """The image set of a card, or a skip that says what is missing."""
    if card["dataset"] != "digits" and not os.environ.get("SDBNN_DATA"):
        pytest.skip(f"needs {card['data']}: set SDBNN_DATA to the folder that holds {card['dataset']}/")
    try:
        images = load_images(card["dataset"], card["probe"]["image_size"])
    except UsageError as error:
        pytest.skip(f"needs {card['data']}: {error}")
    if images.label != card["data"]:
        pytest.skip(f"needs {card['data']}, found {images.label}")
    return images


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n in PUBLISHED)) for n in CARDS])
def test_the_accuracy_is_the_card_s(name):
    card = card_of(name)
    images = images_of(card)
    score = evaluate(load(name), images)
    assert cards.compare(card, score.top1, score.images, images.label).startswith("card: ")
    assert images.num_test == card["test_images"]  # so that it was compared


@pytest.mark.parametrize("name", CARDS)
def test_the_predictions_for_the_probe_are_the_card_s(name):
    """All of them by the bit-packed network, where there is one: the float network of the zoo's largest takes long,
    and 100 images will do for it."""
    net, probe = load(name), card_of(name)["probe"]
    assert len(probe["argmax"]) == 500 and len(set(probe["argmax"])) > 2
    images = probe_images(probe["image_size"], probe["mean"], probe["std"])
    packable = bool(bits.packable_layers(net))
    some = predicted_classes(probe_logits(net, images[: 100 if packable else None]))
    assert agreement(some, probe["argmax"][: len(some)]) >= AGREEMENT
    if packable:
        assert agreement(predicted_classes(probe_logits(pack(net), images)), probe["argmax"]) >= AGREEMENT


@pytest.mark.parametrize("name", CARDS)
def test_card_and_file_say_the_same(name):
    card = card_of(name)
    _, about = read_tensors(ZOO / f"{name}.safetensors")
    assert (about["network"], about["options"]["method"]) == (card["network"], card["method"])
    assert about["result"] == {key: card[key] for key in about["result"]}
    assert about["data"] == card["data"] and about["identity"]["seed"] == card["seed"]
    assert about["identity"]["epochs"] == card["epochs"] and card["n"] == 1 and card["command"]
    assert card["machine"]["cpu"] and card["machine"]["versions"]["torch"]
    assert (ZOO / f"{name}.safetensors").stat().st_size == card["bytes"]


def test_published_networks_are_in_bit_form_and_small():
    """Also without any yet: then it says so in its skip."""
    if not PUBLISHED:
        pytest.skip("no network was published yet: sdbnn-lite publish RUN")
    for name in PUBLISHED:
        net, card = load(name), card_of(name)
        assert card["form"] == "bits" and in_bits(net), name
        assert bits.packable_layers(net) or not net.method.binary or net.options["stage"] == 1, name
        assert card["bytes"] <= LARGEST or not (card["dataset"] == "cifar10" and net.method.binary), name
        for table in ("run.json", "log.csv"):
            assert (results_of(name) / table).is_file(), name
        run = json.loads((results_of(name) / "run.json").read_text(encoding="utf-8"))
        assert (run["recipe"], run["method"], run["seed"]) == (card["recipe"], card["method"], card["seed"])
        assert abs(run["result"]["test_accuracy"] - card["test_accuracy"]) <= 0.002

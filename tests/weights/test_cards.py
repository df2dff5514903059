"""Cards: the checksum that finds every damage, the network's predictions, and the comparison that `evaluate` makes."""

import ast
import hashlib
import re
import shutil
from pathlib import Path

import pytest
import torch
from samples import AGREEMENT, agreement

from sdbnn_lite import cli
from sdbnn_lite.commands import listing
from sdbnn_lite.cost import pareto
from sdbnn_lite.errors import RunError, UsageError
from sdbnn_lite.system.paths import PACKAGE
from sdbnn_lite.weights import cards
from sdbnn_lite.weights.zoo import ZOO, load


@pytest.fixture
def copied(tmp_path):
    """A copy of a zoo network with its card: the path of its weights."""
    for end in (".json", ".safetensors"):
        path = shutil.copy(ZOO / f"digits_sdbnn{end}", tmp_path)
    return Path(path)


def test_a_damaged_file_is_refused_wherever_the_damage_is(copied):
    card, whole = cards.read_card(copied), copied.read_bytes()
    for at in (0, 30, len(whole) // 2, len(whole) - 1):
        copied.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        found = hashlib.sha256(copied.read_bytes()).hexdigest()
        with pytest.raises(UsageError) as caught:
            load(copied)
        said = str(caught.value)
        assert f"{copied}: damaged, nothing was loaded" in said and found in said and card["sha256"] in said
        assert "fetch both files again" in said
    copied.write_bytes(whole[:-1])
    with pytest.raises(UsageError, match="damaged"):
        load(copied)
    copied.write_bytes(whole)
    assert load(copied).about["card"] == card


def test_a_damaged_card_is_refused_and_a_stranger_ignored(copied):
    beside = copied.with_suffix(".json")
    beside.write_text(beside.read_text()[:-20])
    with pytest.raises(UsageError, match="digits_sdbnn.json: the card of digits_sdbnn.safetensors is damaged"):
        load(copied)
    beside.write_text('{"somebody": "else\'s"}')
    assert "card" not in load(copied).about
    beside.unlink()
    assert "card" not in load(copied).about


def test_another_network_fails_the_probe():
    net = load("digits_sdbnn")
    probe = net.about["card"]["probe"]
    assert agreement(cards.probe_classes(net, probe), probe["argmax"]) >= AGREEMENT
    with torch.no_grad():
        net.linear.weight.neg_()
    assert agreement(cards.probe_classes(net, probe), probe["argmax"]) < AGREEMENT


CARD = {"network": "net", "data": "CIFAR-10", "test_accuracy": 0.8691, "test_images": 10000}


@pytest.mark.parametrize(
    "top1, label, images, said",
    [
        (0.8691, "CIFAR-10", 10000, "card: 86.91 %; equal"),
        (0.8693, "CIFAR-10", 10000, "card: 86.91 %; 0.02 points apart, within 0.05"),
        (0.8696, "CIFAR-10", 10000, "card: 86.91 %; 0.05 points apart, within 0.05"),
        (0.2, "CIFAR-10 (JPEG copy)", 10000, "card: 86.91 % on 10,000 test images of CIFAR-10; not compared, other"),
        (0.2, "CIFAR-10", 10, "not compared"),
    ],
)
def test_a_score_beside_its_card(top1, label, images, said):
    assert said in cards.compare(CARD, top1, images, label)


@pytest.mark.parametrize("top1", [0.8697, 0.8685])
def test_a_score_too_far_from_its_card(top1):
    with pytest.raises(RunError, match="0.06 points apart on the same CIFAR-10, 0.05 allowed"):
        cards.compare(CARD, top1, 10000, "CIFAR-10")


def test_the_package_ships_every_card_and_table():
    declared = (PACKAGE.parent / "pyproject.toml").read_text()
    patterns = ast.literal_eval(re.search(r"^sdbnn_lite = (\[.+?\])$", declared, re.MULTILINE | re.DOTALL)[1])
    assert {"zoo/*", "results/**/*"} <= set(patterns)
    shipped = {path for pattern in patterns for path in PACKAGE.glob(pattern)}
    for folder in ("zoo", "results"):
        assert all(path in shipped for path in (PACKAGE / folder).rglob("*") if path.is_file())


def test_a_file_that_rounds_says_so():
    card = {"test_accuracy": 0.453, "run_accuracy": 0.4522, "rounded": "ASD's matrices"}
    said = cards.stored_in_words("net", card)
    assert "45.30 %" in said and "45.22 %" in said and "(ASD's matrices)" in said
    assert cards.stored_in_words("net", {**card, "run_accuracy": 0.453}) == ""
    assert cards.stored_in_words("net", {"test_accuracy": 0.9}) == ""  # scored by the run
    moved = {**card, "rounded": "nothing", "scored": "as stored, on cpu", "machine": {"device": "cuda"}}
    assert "rounds nothing: it was scored as stored, on cpu, its run on cuda." in cards.stored_in_words("net", moved)


CARD_TEXT = (ZOO / "digits_sdbnn.json").read_text()
SPOILT = {  # what a card holds, what is said about it besides its name
    "cut": (CARD_TEXT[:200], "damaged"),
    "empty": ("", "damaged"),
    "not text": ("\x00\udcff", "damaged"),
    "brackets": ("[" * 100_000, "damaged"),
    "a list": ("[]", "not a network's card"),
    "another's": ('{"somebody": "else\'s"}', "not a network's card"),
    "a word for a number": (CARD_TEXT.replace('"epochs": 40', '"epochs": "thirty"'), "epochs='thirty'"),
    "not finite": (re.sub(r'("test_accuracy":) [\d.]+', r"\1 NaN", CARD_TEXT), "test_accuracy=nan"),
    "without its size": (re.sub(r' *"bytes": \d+,\n', "", CARD_TEXT), "bytes=None"),
    "a number for a name": (re.sub(r'("network":) "\w+"', r"\1 7", CARD_TEXT), "network=7"),
    "rounded, but how": (CARD_TEXT.replace('"rounded"', '"run_accuracy": 0.9, "round"'), "rounded=None"),
    "a word, rounded": (CARD_TEXT.replace('"rounded"', '"run_accuracy": "high", "rounded"'), "run_accuracy='high'"),
}


@pytest.mark.parametrize("kind", SPOILT)
def test_whoever_lists_cards_refuses_a_spoilt_one(kind, tmp_path, monkeypatch, capsys):
    """`list`, the zoo's table and what its files round: one line that names the card, and exit code 2."""
    (tmp_path / "zoo").mkdir()
    for name in ("digits_bnn", "digits_sdbnn"):
        shutil.copy(ZOO / f"{name}.json", tmp_path / "zoo")
    monkeypatch.setattr(listing, "PACKAGE", tmp_path)
    monkeypatch.setattr(pareto, "ZOO", tmp_path / "zoo")
    assert cli.main(["list", "zoo"]) == 0 and list(pareto.zoo_table()["name"]) == ["digits_bnn", "digits_sdbnn"]
    text, says = SPOILT[kind]
    assert text != CARD_TEXT
    (tmp_path / "zoo" / "digits_sdbnn.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    capsys.readouterr()
    for what in (["list"], ["list", "zoo", "--json"]):
        assert cli.main(what) == 2
        out, err = capsys.readouterr()
        assert out == "" and err.count("\n") == 1 and "digits_sdbnn.json: " in err and says in err
    for read in (pareto.zoo_table, pareto.rounding_in_words):
        with pytest.raises(UsageError, match="digits_sdbnn.json: "):
            read()

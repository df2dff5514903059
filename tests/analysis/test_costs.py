"""What notebook 07 says of whole networks, against the cost ledger."""

import pytest

from sdbnn_lite.analysis import costs
from sdbnn_lite.cost.count import cost
from sdbnn_lite.cost.roofline import ConvShape
from sdbnn_lite.system.target import TARGETS

ADDED = {
    "a": {"scale, folded": 0, "scale per filter": 2, "ASD and WSD": 3, "XNOR-Net with K": 6},
    "b": {"scale, folded": 0, "scale per filter": 1, "ASD and WSD": 2, "XNOR-Net with K": 10},
}


def test_shares_of_operations_by_hand():
    found, ledger = costs.operations("cifar10_resnet20"), cost("cifar10_resnet20", "bnn")
    assert found["OPs"] == pytest.approx(100 * ledger.total("bops") / 64 / ledger.total("ops"))
    assert found["products"] > found["OPs"] and found["million OPs"] == pytest.approx(ledger.total("ops") / 1e6)
    assert found["times fewer"] == pytest.approx(cost("cifar10_resnet20", "float").total("ops") / ledger.total("ops"))


def test_shares_are_said_the_largest_first():
    parts = {"products": {"a": 1.0, "b": 98.5, "c": 0.5}}
    assert costs.shares_in_words(parts) == "A bar of 100 percent for each. products: b 98 %, a 1 %."


def test_what_is_added_is_the_ledger_s():
    found, plain = costs.added("cifar10_resnet20"), cost("cifar10_resnet20", "bnn").total("ops")
    extra = cost("cifar10_resnet20", "sdbnn").total("ops") - plain
    assert found["ASD and WSD"] == pytest.approx(100 * extra / plain) and found["scale, folded"] == 0


def test_words_follow_the_numbers():
    assert costs.order(ADDED) == list(ADDED["a"])
    said = costs.added_in_words(ADDED)
    assert "the claim holds: ASD and WSD add 20 to 50 % of what K" in said
    assert "it doesn't hold: they add 50 to 100 %" in said
    other = {"a": {**ADDED["a"], "ASD and WSD": 7}}
    assert "the claim doesn't hold" in costs.added_in_words(other)
    assert costs.order({**ADDED, "c": other["a"]}) == []  # no order that all networks share
    cheap = {"a": {**ADDED["a"], "ASD and WSD": 1}}
    assert "it does, in some networks, hold" in costs.added_in_words(cheap)


def test_memory_is_said():
    real, binary, ours = costs.memory("cifar10_resnet20")
    said = costs.memory_in_words("cifar10_resnet20")
    assert f"{real / binary:.0f} times fewer" in said and f"ASD's matrices take {ours - binary:.2f} MB" in said


def test_intensities_by_hand():
    (row,) = costs.intensities([ConvShape(16, 16, 4, 4)])
    real, packed = (ConvShape(16, 16, 4, 4).products / bytes_ for bytes_ in (
        4 * 16 * 16 * 2 + 4 * 9 * 256, 4 * 16 * 16 + 2 * 8 * 16 + 8 * 9 * 16 + 2 * 16 * 16))  # fmt: skip
    assert row == ("16@4", f"{real:.0f}", row[2], f"{packed:.0f}", f"{packed / real:.1f}", "25%")


def test_widths_are_said_of_the_targets_that_were_timed(monkeypatch):
    """Every target has its row, and a time where there is one; the sentence compares with this process's own."""
    monkeypatch.setattr(costs, "target", lambda: TARGETS["avx512"])
    seconds = {"avx512": 1e-4, "avx2": 2.5e-4, "numpy": 4e-3}
    rows = {row[0]: row[1:] for row in costs.widths(seconds)}
    assert rows["avx2"] == ("256", "4", "vpshufb", "0.25", "16.0") and rows["numpy"][-2:] == ("4", "1.0")
    assert rows["neon"] == ("128", "2", "cnt", "-", "-") and rows.keys() == TARGETS.keys()
    said = costs.widths_in_words(seconds)
    assert said == "With avx512 the layer takes 0.1 ms,\n2.5 times as long with avx2,\n40.0 times as long with numpy."
    monkeypatch.setattr(costs, "target", lambda: TARGETS["numpy"])
    assert costs.widths_in_words({"numpy": 4e-3}) == "With numpy the layer takes 4 ms."

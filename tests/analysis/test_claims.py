"""The claims against a second way of counting each of their numbers, and the sentences against the numbers."""

import csv
import re
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from measured import claims_once

from sdbnn_lite import binary_layers, build
from sdbnn_lite.analysis import claims, tables
from sdbnn_lite.core.record import record_signs
from sdbnn_lite.cost.fold_scale import extra_operations
from sdbnn_lite.data.sets import digit_images
from sdbnn_lite.errors import UsageError
from sdbnn_lite.pages.chain import NOTEBOOKS
from sdbnn_lite.weights import zoo


@pytest.fixture(scope="module")
def measured():
    return claims_once()


def csv_rows(file, **wanted):
    with open(tables.RESULTS / "digits" / file, encoding="utf-8") as opened:
        return [row for row in csv.DictReader(opened) if all(row[k] == v for k, v in wanted.items())]


def column(name, **wanted):
    return [float(row[name]) for row in csv_rows("signs.csv", epoch="40", **wanted)]


# --- what a claim is -------------------------------------------------------------------------------------------------


def test_there_are_five_each_with_all_that_a_reader_needs(measured):
    assert [c.number for c in measured] == [1, 2, 3, 4, 5]
    for claim in measured:
        assert claim.claim and claim.paper and claim.numbers
        assert re.search(r"\bn = \d", claim.measured) and "digits, 40 epochs" in claim.measured
        assert re.fullmatch(r"0\d_[a-z_]+\.ipynb", claim.where)
        assert all(np.isfinite(value) for value in claim.numbers.values())


def test_the_verdicts(measured):
    """If one of these changes, so has what the README and notebook 04 have to say."""
    assert [c.holds for c in measured] == ["yes", "yes", "partly", "partly", "not decided here"]


def test_a_verdict_is_one_of_four(measured):
    with pytest.raises(UsageError, match="choose one of yes, partly, no, not decided here"):
        replace(measured[0], holds="maybe")


def test_it_is_the_same_with_other_threads_which_stay_as_they_were(measured):
    torch.set_num_threads(2)
    try:
        assert claims.measure() == measured
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


def test_without_networks_it_says_so_and_leaves_the_threads(monkeypatch, tmp_path):
    monkeypatch.setattr(zoo, "ZOO", tmp_path)
    torch.set_num_threads(2)
    try:
        with pytest.raises(UsageError, match="digits_bnn"):
            claims.measure()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


def test_the_caller_keeps_its_random_numbers():
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    extra_operations("digits_convnet", 8)
    assert torch.equal(torch.rand(3), expected)


# --- the cards -------------------------------------------------------------------------------------------------------


def test_a_headline_is_one_short_sentence_with_a_number(measured):
    for claim in measured:
        assert re.search(r"\d", claim.headline) and len(claim.headline.split()) <= 20 and claim.headline.endswith(".")


def test_headlines_follow_the_numbers(measured):
    n = [claim.numbers for claim in measured]
    heads = (f"{n[0]['flips']} of", f"r = {n[1]['r_median']:.2f} ", f"{n[2]['conv2_difference']:+.2f} bit",
             f"{100 * np.mean(column('weight_flips', method='wsd')):.2f} %", f"p = {n[4]['p']:.2f}:")  # fmt: skip
    assert [c.headline.startswith(head) for c, head in zip(measured, heads, strict=True)] == [True] * 5


def test_every_claim_is_a_section_with_its_verdict_and_no_table(measured):
    text = claims.markdown(measured)
    assert [line[3:] for line in text.splitlines() if line.startswith("## ")] == [
        f"Claim {c.number}: {c.holds}" for c in measured]  # fmt: skip
    for claim in measured:
        assert claim.measured in text and f"**{claim.headline}**" in text and f"(notebooks/{claim.where})" in text
    assert not re.search(r"^\|", text, re.MULTILINE)
    assert max(len(line.split()) for line in text.splitlines()) < 130


def test_links_follow_the_folder(measured):
    assert f"]({measured[0].where})" in claims.markdown(measured, folder="")


def test_the_notebooks_exist(measured):
    assert [c.where for c in measured if not (NOTEBOOKS / c.where).is_file()] == []


# --- 1: scaling factors ----------------------------------------------------------------------------------------------


def test_scaling_counted_with_hooks_of_our_own(measured):
    flips = outputs = 0
    for method in ("xnor", "xnor_pp", "irnet"):
        net = zoo.load(f"digits_{method}")
        for name, layer in binary_layers(net).items():
            seen = {}
            handle = layer.register_forward_hook(lambda _, i, o, seen=seen: seen.update(a=i[0], y=o))
            with torch.no_grad():
                net(digit_images())
                w = layer.weight
                if method == "irnet":
                    w = w - w.mean(dim=(1, 2, 3), keepdim=True)
                plain = F.conv2d(
                    torch.where(seen["a"] >= 0, 1.0, -1.0), torch.where(w >= 0, 1.0, -1.0), stride=1, padding=1
                )
            handle.remove()
            assert torch.equal(plain, seen["y"]) == (method == "irnet"), name  # whose factors are all 1
            flips += ((plain >= 0) != (seen["y"] >= 0)).sum().item()
            outputs += plain.numel()
    assert flips == measured[0].numbers["flips"] == 0
    assert measured[0].numbers["smallest_factor"] > 0 and "(IR-Net's are all 1)" in measured[0].measured
    assert outputs == measured[0].numbers["outputs"] == 3 * 360 * 64 * (8 * 8 + 4 * 4)


# --- 2: what decides a sign ------------------------------------------------------------------------------------------


def exact_share(w, p):
    """P(Σ w·x >= 0) by going through all inputs; one weight per channel."""
    total = 0.0
    for x in product((-1, 1), repeat=len(p)):
        chance = np.prod([q if v == 1 else 1 - q for v, q in zip(x, p, strict=True)])
        total += chance * (np.dot(w, x) >= 0)
    return total


@settings(max_examples=10)
@given(st.integers(0, 2**32 - 1))
def test_the_prediction_is_near_the_exact_probability(seed):
    random = np.random.default_rng(seed)
    w = random.choice((-1, 1), size=(3, 10, 1, 1))
    p = random.uniform(0.2, 0.8, 10)
    exact = [exact_share(row.ravel(), p) for row in w]
    np.testing.assert_allclose(claims.predicted_share(w, p), exact, atol=0.03)


def test_the_prediction_of_a_kernel_is_that_of_as_many_channels():
    random = np.random.default_rng(0)
    w = random.choice((-1, 1), size=(4, 5, 3, 3))
    p = random.uniform(0, 1, 5)
    flat = w.reshape(4, 45, 1, 1)
    np.testing.assert_allclose(claims.predicted_share(w, p), claims.predicted_share(flat, np.repeat(p, 9)))


def test_inputs_that_never_change_decide_alone():
    w = np.array([[1, 1, -1], [-1, -1, 1]]).reshape(2, 3, 1, 1)
    assert claims.predicted_share(w, np.array([1.0, 1.0, 1.0])).tolist() == [1.0, 0.0]


def test_the_prediction_follows_the_measurement_in_every_layer(measured):
    numbers = measured[1].numbers
    assert numbers["layers"] == 2 * len(claims.BINARY) and numbers["channels"] == 64 * numbers["layers"]
    assert 0.4 < numbers["r_lowest"] < numbers["r_median"] < numbers["r_highest"] < 1
    assert numbers["r_median"] > 0.8


def test_silent_channels_are_counted_on_both_data_sets(measured):
    """The digits alone would make them look rare; on Imagenette a third of the channels are one-sided."""
    claim = measured[1]
    with open(tables.RESULTS / "runs/imagenette_resnet18/final_signs.csv", encoding="utf-8") as opened:
        rows = list(csv.DictReader(opened))
    dead = sum(int(row["dead_channels"]) for row in rows)
    assert claim.numbers["imagenette_dead"] == dead > 0 == claim.numbers["dead"]
    assert f"on photographs {dead} of {claim.numbers['imagenette_channels']:,} channels are dead" in claim.measured
    assert f"on the digits 0 of {claim.numbers['channels']:,} are dead" in claim.measured
    assert "rare" not in claim.measured


def test_without_a_run_on_photographs_the_digits_stand_alone(monkeypatch):
    monkeypatch.setattr(claims, "silent_channels", lambda: None)
    nets = {"bnn": zoo.load("digits_bnn")}
    recorded = {"bnn": record_signs(nets["bnn"], digit_images()[:20])}
    claim = claims._distribution(nets, recorded, 20, "digits, 40 epochs")
    assert "photographs" not in claim.measured and claim.measured.endswith("n = 1 seed).")


# --- 3 and 4: the shifts ---------------------------------------------------------------------------------------------


def test_asd_only_moves_signs_up_counted_directly():
    net = zoo.load("digits_asd")
    down = []
    for layer in binary_layers(net).values():
        layer.register_forward_hook(
            lambda m, i, o: down.append(((i[0] >= 0) & (i[0] + m.activation_shift(i[0]) < 0)).sum().item())
        )
    with torch.no_grad():
        net(digit_images())
    assert down == [0, 0]


def test_asd_against_the_table(measured):
    numbers = measured[2].numbers
    flips = column("input_flips", method="asd")
    assert (numbers["flips_lowest"], numbers["flips_highest"]) == (min(flips), max(flips))
    assert numbers["moved_to_minus"] < 1e-12
    for layer in ("conv2", "conv3"):
        ours, control = (column("entropy", method=m, layer=layer) for m in ("asd", "ede"))
        assert numbers[f"{layer}_difference"] == pytest.approx(sum(ours) / 3 - sum(control) / 3)
        assert all(a < b for a, b in zip(ours, control, strict=True))
    assert numbers["lower"] == numbers["pairs"] == 6


def test_freezing_the_shifts_counted_by_another_road(measured):
    net, x = zoo.load("digits_asd"), digit_images()
    with torch.no_grad():
        a2 = F.hardtanh(net.bn1(net.conv1(x)))
        a3 = F.hardtanh(net.bn2(F.max_pool2d(net.conv2(a2), 2)))
        differ = []
        for layer, a in ((net.conv2, a2), (net.conv3, a3)):
            shift = torch.sigmoid(
                torch.relu(a.mean(dim=(2, 3)) @ layer.asd.squeeze.weight.T) @ layer.asd.expand.weight.T
            )
            own, mean = a + shift[:, :, None, None], a + shift.mean(dim=0)[None, :, None, None]
            differ.append(((own < 0) != (mean < 0)).sum().item() / a.numel())
    assert measured[2].numbers["frozen"] == pytest.approx(max(differ), abs=1e-4)
    assert 0 < max(differ) < 0.02


def test_the_sentence_on_asd_follows_the_numbers(measured):
    """Were ASD's entropies higher, the claim would be said to hold."""
    net = zoo.load("digits_asd")
    recorded = record_signs(net, digit_images()[:20])
    last = tables.read_study("digits", "signs.csv").query("epoch == 40").copy()
    last.loc[last["method"] == "asd", "entropy"] = 1.0
    claim = claims._asd(last, recorded, 0.01, "digits, 40 epochs")
    assert claim.holds == "yes" and "differ more" in claim.measured and "lower in 0 of 6" in claim.measured
    assert measured[2].holds == "partly" and "differ *less*" in measured[2].measured


def test_wsd_against_the_table_and_a_second_count(measured):
    numbers = measured[3].numbers
    flips = column("weight_flips", method="wsd")
    assert (numbers["flips_lowest"], numbers["flips_highest"]) == (min(flips), max(flips))
    torch.manual_seed(0)
    moved = weights = 0
    for layer in binary_layers(build("cifar10_resnet18", "wsd")).values():
        w = layer.weight.detach()
        shifted = w + 0.5 * 0.01 * w.mean(dim=(1, 2, 3), keepdim=True)
        moved, weights = moved + ((w >= 0) != (shifted >= 0)).sum().item(), weights + w.numel()
    assert numbers["weights"] == weights == 10_985_472
    assert numbers["flips_at_init"] * weights == pytest.approx(moved, abs=2)
    assert 1e-5 < numbers["flips_at_init"] < 8e-5 and 0 < numbers["alpha"] < 1e-3
    assert numbers["difference"] <= numbers["spread"]


def test_the_sentence_on_wsd_follows_the_numbers():
    last = tables.read_study("digits", "signs.csv").query("epoch == 40").copy()
    last.loc[last["method"] == "wsd", "entropy"] = 0.5
    claim = claims._wsd(last, {"wsd": zoo.load("digits_wsd")}, "digits, 40 epochs")
    assert claim.holds == "yes" and "differs by more than" in claim.measured


# --- 5: accuracy and cost --------------------------------------------------------------------------------------------


def test_accuracy_against_the_table(measured):
    numbers = measured[4].numbers
    by_method = {}
    for row in csv_rows("runs.csv"):
        by_method.setdefault(row["method"], []).append(float(row["test_accuracy"]))
    by_method.pop("float")
    means = {m: sum(v) / len(v) for m, v in by_method.items()}
    assert numbers["n"] == 3 and set(map(len, by_method.values())) == {3}
    assert numbers["sdbnn"] == pytest.approx(means["sdbnn"])
    assert numbers["lowest"] == pytest.approx(min(means.values()))
    assert numbers["highest"] == pytest.approx(max(means.values()))
    assert numbers["p"] > 0.05  # the seeds' spread hides what difference there is


def test_cost_worked_out_by_hand(measured):
    numbers = measured[4].numbers
    assert numbers["digits_convnet_asd_macs"] == 2 * 32 * 2 + 2 * 64 * 4
    assert numbers["digits_convnet_scale"] == 64 * 8 * 8 + 64 * 4 * 4
    assert numbers["cifar10_resnet18_asd_macs"] == 141_824
    assert numbers["cifar10_resnet18_scale"] == 491_520
    # Less than XNOR-Net's two-sided scaling, more than a scale per filter, and that one folds away.
    small, asd, large = (numbers[f"cifar10_resnet18_{key}"] for key in ("scale", "asd", "two_sided_scale"))
    assert small < asd < large
    assert numbers["predictions_changed_by_folding"] == 0 and numbers["predictions"] == 3 * 360

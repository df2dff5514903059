"""The ablation in numbers and words: contrasts by hand, and sentences that never say more than the runs carry."""

import numpy as np
import pandas as pd
import pytest
from standin import LAYERS, PLANNED, write_ablation

from sdbnn_lite.analysis import ablation, captions, tables
from sdbnn_lite.core.methods import METHODS
from sdbnn_lite.plots import gallery_cifar10


def made(**accuracies):
    """Runs of methods with these accuracies, a seed each."""
    rows = [{"method": m, "seed": k, "test_accuracy": a} for m, values in accuracies.items()
            for k, a in enumerate(values)]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    return tmp_path


def test_parts_differ_in_what_they_say():
    """Each comparison by the methods' own definitions."""
    for part, one, other in ablation.PARTS + tuple(("", *pair) for pair in ablation.SHIFTED):
        a, b = METHODS[one], METHODS[other]
        differing = {f for f in ("activation_gradient", "weight_gradient", "activation_shift", "weight_shift", "scale")
                     if getattr(a, f) != getattr(b, f)}  # fmt: skip
        shifts = {"activation_shift", "weight_shift"}
        if part.startswith("ASD, WSD and EDE"):
            assert differing == {"activation_gradient", "weight_gradient", *shifts}
        elif part == "ASD and WSD together":
            assert differing == shifts
        else:
            assert len(differing) == 1, part


def test_a_row_for_each_comparison_whose_methods_were_both_run():
    usual = {m: [0.8, 0.81] for m in PLANNED if m != "ede"}
    without = [row[1] for row in ablation.contrast_rows(made(**usual), 10_000)]
    rows = {row[1]: row for row in ablation.contrast_rows(made(**usual, ede=[0.7, 0.72]), 10_000)}
    assert without == [name for name in rows if "ede" not in name] and len(rows) == len(without) + 3
    assert rows["sdbnn − wsd"][2:4] == ("2 and 2", "+0.00")
    assert rows["sdbnn − ede"] == ("ASD and WSD together", "sdbnn − ede", "2 and 2", "+9.50", "seeds apart (by chance: "
                                   "33%)")  # fmt: skip


def layer_table(**methods):
    """Signs and accuracy of one seed: method -> (accuracy, sign difference in each layer)."""
    return pd.DataFrame([
        {"method": m, "seed": 0, "layer": f"l{k}", "sign_difference": d, "entropy": d, "test_accuracy": accuracy}
        for m, (accuracy, differences) in methods.items() for k, d in enumerate(differences)
    ])  # fmt: skip


def test_titles_state_what_the_table_holds():
    table = layer_table(bnn=(0.5, [0.3, 0.3, 0.3]), irnet=(0.6, [0.2, 0.2, 0.4]), wsd=(0.4, [0.4, 0.4, 0.2]))
    extremes = ablation.extremes_in_words(ablation.over_seeds(table))
    assert extremes == "The highest accuracy goes with the lowest sign difference: IR-Net"
    table["test_accuracy"] = 1 - table["test_accuracy"]  # WSD's is the highest now, and its difference too
    extremes = ablation.extremes_in_words(ablation.over_seeds(table))
    assert extremes == "The highest accuracy goes with the highest sign difference: WSD"
    with_control = pd.concat([table, layer_table(ede=(0.9, [0.31, 0.31, 0.25]))])
    assert ablation.layers_title(with_control) == (
        "Sign difference below EDE alone's: plain BNN in 2 of 3 layers, WSD in 1"
    )
    said = ablation.extremes_in_words(ablation.over_seeds(with_control))
    assert said == "The highest accuracy goes with the second lowest sign difference: EDE alone"


def test_the_committed_finding_is_in_the_figure_s_title_and_text():
    """By hand from the files: where the most accurate method stands among the sign differences."""
    signs, _ = ablation.signs_and_accuracy()
    columns = ["sign_difference", "test_accuracy"]
    mean = {m: signs.loc[signs["method"] == m, columns].mean() for m in set(signs["method"])}
    best = max(mean, key=lambda m: mean[m]["test_accuracy"])
    lowest = min(mean, key=lambda m: mean[m]["sign_difference"]) == best
    figure, said = gallery_cifar10.one("cifar10_signs")
    title = figure._suptitle.get_text()
    assert ("the lowest sign difference" in title) == lowest and METHODS[best].short in title and title in said


def test_all_methods_in_one_sentence(results):
    assert ablation.means_in_words() == ""
    write_ablation(results, ("bnn", "sdbnn"), seeds=2)
    rows = [("bnn", 0, 0.6), ("bnn", 1, 0.5), ("sdbnn", 0, 0.7)]
    runs = pd.DataFrame(rows, columns=["method", "seed", "test_accuracy"])
    runs.to_csv(results / ablation.STUDY / "runs.csv", index=False)
    assert ablation.means_in_words() == (
        "At equal length (ResNet-20, 15 epochs, n = 1 to 2 each, by its own learning rate) the methods reach SD-BNN "
        "70.0, plain BNN 55.0 %."
    )


def test_what_another_schedule_changes_by_hand(results):
    write_ablation(results)
    compressed = {"float": [0.8], "bnn": [0.6, 0.7], "ede": [0.5], "asd": [0.55], "wsd": [0.4], "sdbnn": [0.45]}
    own = {"float": [0.85], "bnn": [0.7, 0.7], "ede": [0.72], "asd": [0.73], "wsd": [0.74], "sdbnn": [0.9]}
    for study, found in ((ablation.COMPRESSED, compressed), (ablation.STUDY, own)):
        made(**found).to_csv(results / study / "runs.csv", index=False)
    assert ablation.schedules_in_words() == (
        "From the compressed schedule to the evening recipe and rates of their own the methods gain 5.0 to 45.0 points "
        "(least float twin, most SD-BNN). Places: float twin 1 → 2, plain BNN 2 → 6, EDE alone 4 → 5, ASD 3 → 4, "
        "WSD 6 → 3, SD-BNN 5 → 1. Differences with another sign: WSD alone (-10.0 → +2.0), ASD and WSD together "
        "(-5.0 → +18.0), WSD, with ASD in both (-10.0 → +17.0), ASD, WSD and EDE together (-20.0 → +20.0)."
    )
    assert captions.tuned_in_words(tables.study_facts(ablation.COMPRESSED)) == ""
    assert captions.tuned_in_words(tables.study_facts(ablation.STUDY)) == (
        "each method by the best of its 2 trials (1 epochs; made up (JPEG copy), 50 training images held out): lr=0.02 "
        "(float, xnor, irnet, rsign, asd, wsd, sdbnn); lr=0.01 (bnn, ede)"
    )


def test_a_contrast_by_hand():
    (c,) = ablation.contrasts(made(sdbnn=[0.82, 0.84], wsd=[0.78, 0.80]), 10_000)
    assert (c.one, c.other, c.n) == ("sdbnn", "wsd", (2, 2)) and c.points == pytest.approx(4)
    assert c.noise == pytest.approx(200 * np.sqrt((0.83 * 0.17 + 0.79 * 0.21) / 10_000))
    assert c.apart and c.by_chance == pytest.approx(1 / 3) and c.verdict == "seeds apart (by chance: 33%)"
    assert "hint, no proof" in ablation.contrasts_in_words([c])


@pytest.mark.parametrize(
    ("runs", "verdict", "said"),
    [
        (made(sdbnn=[0.90], wsd=[0.70]), "one seed", "With a single seed"),
        (made(sdbnn=[0.90, 0.70], wsd=[0.75, 0.60]), "seeds overlap", "None of these differences is clear"),
        (made(sdbnn=[0.802, 0.803], wsd=[0.800, 0.801]), "within the images' noise", "None of these"),
        (made(sdbnn=[0.90, 0.91], wsd=[0.70]), "one seed", "With a single seed"),
        (made(sdbnn=[0.9] * 4, wsd=[0.7] * 4), "seeds apart (by chance: 3%)", "All seeds are apart"),
        (made(bnn=[0.9], float=[0.9]), None, "No two methods"),
    ],
)
def test_no_more_is_said_than_the_runs_carry(runs, verdict, said):
    found = ablation.contrasts(runs, 10_000)
    assert [c.verdict.startswith(verdict) for c in found] == ([True] if verdict else [])
    assert ablation.contrasts_in_words(found).startswith(said)


def test_many_seeds_are_no_hint():
    assert "hint" not in ablation.contrasts_in_words(ablation.contrasts(made(sdbnn=[0.9] * 4, wsd=[0.7] * 4), 10_000))


def test_signs_come_from_the_last_epoch_with_each_run_s_accuracy(results):
    write_ablation(results)
    table, about = ablation.signs_and_accuracy()
    assert len(table) == 8 * 2 * 18 and about.startswith("500 test images")
    runs = tables.read_study("cifar10-resnet20").set_index(["method", "seed"])["test_accuracy"]
    for row in table.sample(10, random_state=0).itertuples():
        assert row.test_accuracy == runs[row.method, row.seed]
    single = ablation.over_layers(table)
    assert len(single) == 8 * 2
    one = table[(table["method"] == "asd") & (table["seed"] == 1)]
    found = single[(single["method"] == "asd") & (single["seed"] == 1)]
    assert found["entropy"].item() == pytest.approx(one["entropy"].mean())
    assert list(ablation.over_seeds(table).index) == [m for m in METHODS if m in PLANNED and m != "float"]


def test_layers_are_in_the_network_s_order_and_few_methods_give_no_rho(results):
    write_ablation(results, ("float", "bnn", "asd"), seeds=2)
    table, _ = ablation.signs_and_accuracy()
    found = ablation.by_layer(table, "entropy")
    assert list(found["layer"]) == LAYERS and found["rho"].isna().all() and set(found["n"]) == {2}
    assert "too few methods" in ablation.layers_in_words(found)
    assert ablation.correlation(ablation.over_seeds(table), "entropy") is None
    assert ablation.correlation_in_words(None, 2, "methods").startswith("2 methods are too few")


def test_a_study_of_the_float_twin_alone_has_no_signs(results):
    write_ablation(results, ("float",))
    table, about = ablation.signs_and_accuracy()
    assert table.empty and about == "no signs"
    assert "nothing can be said" in ablation.asd_in_words(table)
    assert "too few methods" in ablation.layers_in_words(ablation.by_layer(table, "entropy"))


@pytest.mark.parametrize("sign", [1, -1])
def test_a_relation_is_named_with_its_direction(sign):
    points = pd.DataFrame({"entropy": np.arange(8.0), "test_accuracy": sign * np.arange(8.0)})
    said = ablation.correlation_in_words(ablation.correlation(points, "entropy"), 8, "methods", "entropy")
    assert f"a higher entropy goes with a {'higher' if sign > 0 else 'lower'} accuracy" in said and "causes" in said
    points["test_accuracy"] = [3, 1, 4, 1, 5, 9, 2, 6]
    said = ablation.correlation_in_words(ablation.correlation(points, "entropy"), 8, "methods", "entropy")
    assert "no relation that we could see" in said and "0.74" in said  # of 8 pairs


@pytest.mark.parametrize(
    ("gaps", "said"),
    [([-0.1] * 18, "As on the digits"), ([0.1] * 18, "Other than on the digits"), ([-0.1, 0.1] * 9, "It depends")],
)
def test_what_asd_does_here_is_compared_with_the_digits(gaps, said):
    rows = [{"method": m, "seed": 0, "layer": layer, "sign_difference": 0.4 + (gap if m == "sdbnn" else 0)}
            for m in ("sdbnn", "wsd") for layer, gap in zip(LAYERS, gaps)]  # fmt: skip
    (found,) = ablation.asd_pairs(pd.DataFrame(rows)).values()
    assert found.sort_index().tolist() == pytest.approx(pd.Series(gaps, LAYERS).sort_index().tolist())
    words = ablation.asd_in_words(pd.DataFrame(rows))
    assert words.startswith(said) and f"lower in {sum(g < 0 for g in gaps)} of 18 layers (n = 1 seed each)" in words

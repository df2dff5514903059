"""The figures, read back from their artists: the numbers are those passed in, and every text can be read."""

import matplotlib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_results import FACTS, made_epochs, made_layer, made_runs, made_signs
from matplotlib.collections import PathCollection
from pictures import assert_readable, contrast_to_white

from sdbnn_lite.core.methods import METHODS
from sdbnn_lite.errors import UsageError
from sdbnn_lite.plots import methods as method_plots
from sdbnn_lite.plots import parts, theme

# --- reading a figure back -------------------------------------------------------------------------------------------


def scatters(ax):
    return [c for c in ax.collections if isinstance(c, PathCollection)]


def note_texts(ax):
    return [t.get_text() for t in ax.texts]


def dots(ax, number, rows):
    """Places in percent of the dots in row ``number`` from the top of ``rows``, ascending."""
    baseline = rows - 1 - number
    places = np.concatenate([np.asarray(c.get_offsets()) for c in scatters(ax)])
    return np.sort(places[(places[:, 1] > baseline) & (places[:, 1] < baseline + 1), 0])


MANY = [f"layers.{k}.0.conv1" for k in range(7)]
DRAWN = {
    "method_table": lambda: method_plots.method_table(made_runs(), FACTS),
    "method_table of one seed": lambda: method_plots.method_table(made_runs(seeds=1), FACTS),
    "output_signs": lambda: method_plots.output_signs(made_signs()),
    "output_signs with notes": lambda: method_plots.output_signs(
        made_signs(), {"irnet": "98.9 ± 0.2 %"}, "Seen", "On\nall"
    ),
    "output_signs of all methods": lambda: method_plots.output_signs(made_signs(tuple(METHODS)[1:])),
    "output_signs of many layers": lambda: method_plots.output_signs(made_signs(("bnn", "sdbnn"), MANY)),
    "sign_summary": lambda: method_plots.sign_summary(made_signs()["sdbnn"]),
    "sign_summary of one layer": lambda: method_plots.sign_summary({"conv2": made_layer()}),
    "learning_curves": lambda: method_plots.learning_curves(
        made_epochs(("float", "bnn", "irnet", "ede", "sdbnn")), FACTS
    ),
    "learning_curves of all methods": lambda: method_plots.learning_curves(made_epochs(tuple(METHODS)), FACTS),
    "learning_curves of one epoch": lambda: method_plots.learning_curves(made_epochs(("bnn", "asd"), epochs=1)),
}  # fmt: skip


@pytest.mark.parametrize("name", DRAWN)
def test_every_text_can_be_read(drawn, name):
    assert_readable(drawn[name])


def test_the_reader_of_figures_sees_what_is_wrong():
    figure = method_plots.sign_summary({"conv2": made_layer()})
    figure.axes[0].text(50, 0.5, "here", color="black")
    figure.axes[0].text(50, 0.5, "there", color="black")
    with pytest.raises(AssertionError, match="covers"):
        assert_readable(figure)
    assert contrast_to_white("white") == pytest.approx(1) and contrast_to_white("black") == pytest.approx(21)


@pytest.mark.parametrize("name", ["method_table", "output_signs", "sign_summary", "learning_curves"])
def test_bytes_are_the_same_each_time_and_whatever_the_callers_settings_are(drawn, name):
    before = dict(matplotlib.rcParams)
    again = DRAWN[name]()
    assert dict(matplotlib.rcParams) == before
    assert theme.svg_bytes(again) == theme.svg_bytes(drawn[name])
    with matplotlib.rc_context({"font.size": 20, "xtick.labelsize": 20, "axes.grid": False, "lines.linewidth": 9}):
        assert theme.png_bytes(DRAWN[name]()) == theme.png_bytes(again)


# --- method_table ----------------------------------------------------------------------------------------------------


def test_the_table_shows_every_seed_and_the_mean_in_the_order_of_methods(drawn):
    runs = made_runs()
    (ax,) = drawn["method_table"].axes
    assert [t.get_text() for t in ax.get_yticklabels()] == [m.title for m in METHODS.values()]
    assert len(scatters(ax)) == len(METHODS)
    for row, (method, circles) in enumerate(zip(METHODS, scatters(ax))):
        percent = 100 * runs.loc[runs["method"] == method, "test_accuracy"].to_numpy()
        assert np.asarray(circles.get_offsets())[:, 0] == pytest.approx(percent)
        assert np.abs(circles.get_offsets()[:, 1] - row).max() < 0.5
        mean, std = percent.mean(), np.sqrt(np.sum((percent - percent.mean()) ** 2) / (len(percent) - 1))
        assert note_texts(ax)[row] == f"{mean:.2f} ± {std:.2f}"
        low, high = ax.containers[row].lines[2][0].get_segments()[0][:, 0]
        assert (low, high) == pytest.approx((mean - std, mean + std))
        assert contrast_to_white(circles.get_edgecolor()[0]) >= 3  # also where the filling is pale
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first method is on top


def test_the_table_says_what_it_was_measured_on(drawn):
    figure = drawn["method_table"]
    assert figure.axes[0].get_xlabel() == "test accuracy (%)"
    caption = figure._supxlabel.get_text()
    for fact in ("digits (scikit-learn, 8x8 scans)", "40 epochs", "n = 3", "last epoch, all 360 test images",
                 "Intel Xeon Processor @ 2.80GHz, 2 threads"):  # fmt: skip
        assert fact in caption


def test_one_seed_has_no_spread(drawn):
    figure = drawn["method_table of one seed"]
    accuracy = made_runs(seeds=1)["test_accuracy"]
    assert note_texts(figure.axes[0])[:-1] == [f"{100 * a:.2f}" for a in accuracy]
    assert "n = 1;" in figure._supxlabel.get_text()


# --- shares of +1 ----------------------------------------------------------------------------------------------------


def test_every_channel_is_a_dot_at_its_share(drawn):
    recorded = made_signs()
    axes = drawn["output_signs"].axes
    assert len(axes) == 2
    for ax, layer in zip(axes, ("conv2", "conv3")):
        assert f"layer {layer}: 64 channels" in ax.get_title(loc="left")
        assert "+1" in ax.get_xlabel() and "0 %\nalways −1" in [t.get_text() for t in ax.get_xticklabels()]
        for number, method in enumerate(recorded):
            shares = np.sort(recorded[method][layer].output)
            assert (
                np.abs(dots(ax, number, len(recorded)) - 100 * shares).max() <= 100 / method_plots.STACK_BINS / 2 + 1e-9
            )
            h = np.mean([-p * np.log2(p) - (1 - p) * np.log2(1 - p) for p in shares])
            assert note_texts(ax)[number + 1] == f"{h:.3f} bit"


def test_methods_stand_in_their_order_with_their_notes():
    recorded = made_signs(("sdbnn", "irnet", "bnn"))
    (left, _) = method_plots.output_signs(recorded, {"irnet": "98 % correct", "float": "never drawn"}).axes
    labels = [t.get_text() for t in left.get_yticklabels()][::-1]
    assert labels == ["plain BNN\nsign, clipped STE", "IR-Net\n98 % correct", "SD-BNN\nASD + WSD"]


def test_each_leaning_has_its_own_shape_and_dead_channels_are_named():
    shares = [0, 0.2, 0.5, 0.9, 1, 1]
    (ax,) = method_plots.sign_summary({"conv2": made_layer(output=shares, before=[0.3], after=[0.3], flips=0.0)}).axes
    assert dots(ax, 1, 2) == pytest.approx([1.25, 21.25, 51.25, 91.25, 98.75, 98.75])
    assert note_texts(ax)[-1].endswith("bit\n3 dead")
    filled = {tuple(np.round(c.get_facecolor()[0], 3)) for c in scatters(ax)}
    assert len(filled) == 3  # orange, white and, for a cross, its own
    paths = {len(c.get_paths()[0].vertices) for c in scatters(ax)}
    assert len(paths) == 2  # circles and crosses
    for circles in scatters(ax):
        assert contrast_to_white(circles.get_edgecolor()[0][:3]) >= 3


def test_dots_of_the_same_share_stand_on_each_other():
    x, below = method_plots._stack(np.array([0.5, 0.51, 0.1, 0.505, 1.0]))
    assert x == pytest.approx([51.25, 51.25, 11.25, 51.25, 98.75]) and below.tolist() == [0, 1, 0, 2, 0]


def test_the_summary_has_inputs_before_and_after_and_outputs(drawn):
    layers = made_signs()["sdbnn"]
    for ax, layer in zip(drawn["sign_summary"].axes, layers.values()):
        for number, shares in enumerate((layer.input_before, layer.input_after, layer.output)):
            assert np.abs(dots(ax, number, 3) - 100 * np.sort(shares)).max() <= 100 / method_plots.STACK_BINS / 2 + 1e-9
    labels = [t.get_text() for t in drawn["sign_summary"].axes[0].get_yticklabels()]
    assert labels[::-1] == ["inputs,\nbefore the shift", "inputs,\nafter the shift", "outputs"]


def test_without_a_shift_the_inputs_are_drawn_once():
    (ax,) = method_plots.sign_summary({"conv2": made_layer(flips=0.0)}).axes
    assert [t.get_text() for t in ax.get_yticklabels()] == ["outputs", "inputs"]


def test_many_layers_stand_in_several_bands(drawn):
    figure = drawn["output_signs of many layers"]
    assert [ax.get_title(loc="left") for ax in figure.axes] == [f"layer {name}: 64 channels" for name in MANY]


# --- learning curves -------------------------------------------------------------------------------------------------


def test_curves_are_the_mean_and_the_range_of_the_seeds(drawn):
    methods = ["float", "bnn", "irnet", "ede", "sdbnn"]
    epochs = made_epochs(methods)
    (ax,) = drawn["learning_curves"].axes
    lines = {line.get_label(): line for line in ax.lines if line.get_label() in METHODS}
    assert list(lines) == methods
    bands = [c for c in ax.collections if not isinstance(c, PathCollection)]
    for method, band in zip(methods, bands):
        percent = 100 * epochs[epochs["method"] == method].pivot(index="epoch", columns="seed", values="test_accuracy")
        assert lines[method].get_xdata() == pytest.approx(range(1, 41))
        assert lines[method].get_ydata() == pytest.approx(percent.mean(axis=1).to_numpy())
        corners = band.get_paths()[0].vertices
        for epoch in (1, 17, 40):
            at = corners[corners[:, 0] == epoch, 1]
            assert (at.min(), at.max()) == pytest.approx((percent.loc[epoch].min(), percent.loc[epoch].max()))
        last = percent.loc[40].mean()
        assert any(t.endswith(f"  {last:.1f} %") for t in note_texts(ax))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "test accuracy (%)")


def test_every_curve_has_its_own_marker(drawn):
    (ax,) = drawn["learning_curves"].axes
    markers = [line.get_marker() for line in ax.lines if line.get_marker() not in ("None", None, "")]
    assert len(set(markers)) == 5


def test_the_axis_of_the_curves_goes_down_to_a_method_that_learns_nothing():
    epochs = made_epochs(("bnn", "sdbnn"))
    epochs.loc[epochs["method"] == "bnn", "test_accuracy"] = 0.1
    (ax,) = method_plots.learning_curves(epochs).axes
    assert ax.get_ylim()[0] == pytest.approx(5)


@pytest.mark.parametrize(
    ("low", "end", "limits"), [(0.3, 0.55, (35, 55)), (0.51, 0.862, (60, 90)), (0.9, 1, (90, 100))]
)
def test_the_axis_of_the_curves_goes_between_multiples_of_five_around_all_but_the_first_epochs(low, end, limits):
    rows = [{"method": m, "seed": 0, "epoch": e + 1, "test_accuracy": low + (end - low) * (e / 14) ** 0.5}
            for m in ("bnn", "sdbnn") for e in range(15)]  # fmt: skip
    (ax,) = method_plots.learning_curves(pd.DataFrame(rows)).axes
    bottom, top = ax.get_ylim()
    assert bottom == limits[0] and limits[1] < top < limits[1] + 1
    below = [row["epoch"] for row in rows if 100 * row["test_accuracy"] < bottom]
    assert len(below) <= len(rows) / 10 and all(epoch <= 2 for epoch in below)
    shown = [tick for tick in ax.get_yticks() if bottom <= tick <= top]
    assert shown[0] == limits[0] and shown[-1] == limits[1] and all(tick == int(tick) for tick in shown)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=10), st.floats(0.1, 10))
def test_spread_out_keeps_the_gap_the_order_and_the_limits(values, gap):
    values = sorted(values)
    places = parts.spread_out(values, gap, 0, 100)
    assert (np.diff(places) >= gap - 1e-9).all() and places[0] >= -1e-9 and places[-1] <= 100 + 1e-9
    if len(values) == 1 or min(np.diff(values)) >= gap:
        assert places == pytest.approx(values)


# --- wrong use -------------------------------------------------------------------------------------------------------


def test_nothing_to_draw_is_said():
    with pytest.raises(UsageError, match="no method"):
        method_plots.output_signs({})
    with pytest.raises(UsageError, match="no method"):
        method_plots.method_table(made_runs().iloc[:0], FACTS)
    with pytest.raises(UsageError, match="unknown method 'bnm'.*did you mean 'bnn'"):
        method_plots.output_signs({"bnm": {"conv2": made_layer()}})
    with pytest.raises(UsageError, match="no layer"):
        method_plots.sign_summary({})


def test_methods_of_different_networks_are_refused():
    with pytest.raises(UsageError, match="same network"):
        method_plots.output_signs({"bnn": {"conv2": made_layer()}, "asd": {"conv9": made_layer()}})

"""The figures of cost: that they show the numbers they are given, and tell nothing by colour alone."""

import pandas as pd
import pytest
from pictures import assert_readable

from sdbnn_lite.analysis import costs
from sdbnn_lite.cost import pareto
from sdbnn_lite.cost.roofline import KINDS, ConvShape, Peaks
from sdbnn_lite.errors import UsageError
from sdbnn_lite.plots import cost as cost_plots
from sdbnn_lite.plots.theme import png_bytes

PEAKS = Peaks(words=1e10, fma=4e10, copied=((2**18, 8e10), (2**22, 4e10), (2**27, 1e10)))
LAYERS = [(ConvShape(64, 64, 56, 56), {"float32": 4e-3, "bits": 3e-4, "packed": 4e-4}),
          (ConvShape(512, 512, 7, 7), {"float32": 5e-3, "bits": 2e-4, "packed": 2e-4})]  # fmt: skip


def test_the_roofs_and_the_layers_under_them():
    figure = cost_plots.roofline_plot(PEAKS, LAYERS, "a caption")
    (ax,) = figure.axes
    flat = [line.get_ydata()[0] for line in ax.lines if list(line.get_xdata()) == [0, 1]]
    assert flat == [640, 40]
    points = {line.get_label(): line for line in ax.lines if line.get_linestyle() == "None"}
    assert len(points) == len({line.get_marker() for line in points.values()}) == 3
    for kind in KINDS:
        line = points[cost_plots.KIND_LOOKS[kind][0]]
        assert line.get_xdata()[0] == pytest.approx(LAYERS[0][0].intensity(kind))
        assert line.get_ydata()[1] == pytest.approx(LAYERS[1][0].products / LAYERS[1][1][kind] / 1e9)
    said = figure._supxlabel.get_text()
    assert "1: 64 → 64 channels, 56×56, batch 1; 2: 512" in said and said.endswith("a caption")
    assert {"inner caches: 80 GB/s", "memory: 10 GB/s"} <= {t.get_text() for t in ax.get_legend().get_texts()}
    with pytest.raises(UsageError, match="measured: empty"):
        cost_plots.roofline_plot(PEAKS, [])


def test_shares_are_of_a_hundred():
    parts = {"products": {"binary": 98.0, "first": 2.0}, "OPs": {"binary": 1.0, "first": 3.0}}
    (ax,) = cost_plots.shares(parts, "t").axes
    widths = [bar.get_width() for bar in ax.patches]
    assert widths == pytest.approx([98, 2, 25, 75])
    assert [text.get_text() for text in ax.texts] == ["98 %", "25 %", "75 %"]
    assert len({bar.get_hatch() for bar in ax.patches}) == 2


def test_overheads_have_a_panel_for_every_network():
    table = {"a": {"folded": 0.0, "scale": 2.0}, "b": {"folded": 0.0, "scale": 5.0}}
    figure = cost_plots.overheads(table, "t")
    assert [ax.get_title("left") for ax in figure.axes] == ["a", "b"]
    assert [[text.get_text() for text in ax.texts] for ax in figure.axes] == [["0", "2.0"], ["0", "5.0"]]


def drawn_labels(ax):
    return [line.get_label() for line in ax.lines if line.get_marker() not in ("None", "o") or line.get_ms() == 9]


def zoo(*rows):
    """A row of ``pareto.zoo_table`` for each of ``rows``."""
    columns = ["name", "dataset", "network", "method", "epochs", "accuracy", "images", "ops", "bytes"]
    return pd.DataFrame(rows, columns=columns)

TABLE = zoo(
    ("a", "digits", "n", "float", 40, 99.0, 360, 1e6, 1e5),
    ("b", "digits", "n", "bnn", 40, 98.0, 360, 1e4, 1e3),
    ("c", "digits", "n", "xnor", 40, 98.0, 360, 1e4, 1e3),
    ("d", "digits", "n", "asd", 40, 97.0, 360, 2e4, 2e3),
    ("e", "cifar10", "cifar10_resnet20", "sdbnn", 100, 77.0, 10_000, 1e5, 1e4),
    ("f", "cifar10", "cifar10_vgg_small", "sdbnn", 3, 52.0, 10_000, 1e6, 1e5),
    ("g", "cifar10", "cifar10_resnet18", "sdbnn", 3, 50.0, 10_000, 2e6, 2e5),
)


def test_only_networks_of_one_length_stand_in_a_panel_and_the_front_is_ringed():
    """A network of 100 epochs once stood beside others of 3, and on the front."""
    figure = cost_plots.pareto(TABLE)
    titles = [ax.get_title("left") for ax in figure.axes[::2]]
    assert titles == ["cifar10, 3 epochs: 10,000 test images", "digits, 40 epochs: 360 test images"]
    top, bottom = figure.axes[0], figure.axes[2]
    rings = [line.get_ydata()[0] for line in bottom.lines if line.get_label() == "on the front"]
    assert sorted(rings) == [98, 98, 99]  # ASD is dominated
    assert sorted(drawn_labels(bottom)) == sorted(["plain BNN", "XNOR-Net", "ASD", "float twin"])
    assert [text.get_text() for text in top.texts] == ["VGG-Small", "ResNet-18"] and not bottom.texts
    assert [text.get_ha() for text in top.texts] == ["left", "right"]
    with pytest.raises(UsageError, match="nothing to draw"):
        cost_plots.pareto(TABLE[4:6])


def test_axes_have_ticks_and_marks_at_one_place_stand_apart():
    for ax in cost_plots.pareto(TABLE).axes:
        low, high = ax.get_xlim()
        assert sum(low <= tick <= high for tick in ax.get_xticks()) >= 2
        assert all(label.get_text() for label in ax.get_xticklabels())
    bottom = cost_plots.pareto(TABLE).axes[2]
    marks = [line for line in bottom.lines if line.get_label() in ("plain BNN", "XNOR-Net")]
    places = [line.get_transform().transform((line.get_xdata()[0], line.get_ydata()[0]))[0] for line in marks]
    assert abs(places[0] - places[1]) * 72 / bottom.figure.dpi >= 9  # points: as wide as a mark


def test_the_same_bytes_each_time():
    assert png_bytes(cost_plots.pareto(TABLE)) == png_bytes(cost_plots.pareto(TABLE))
    assert png_bytes(cost_plots.roofline_plot(PEAKS, LAYERS)) == png_bytes(cost_plots.roofline_plot(PEAKS, LAYERS))


CROWDED = [(ConvShape(c, c, s, s), {"float32": 1e-3, "bits": 1e-4, "packed": 1.2e-4})
           for c, s in ((64, 56), (128, 28), (256, 14), (512, 7), (16, 32))]  # fmt: skip
FIGURES = {
    "roofline": lambda: cost_plots.roofline_plot(PEAKS, CROWDED, "a caption"),
    "shares": lambda: cost_plots.shares(costs.shares("imagenet_resnet18"), "t"),
    "overheads": lambda: cost_plots.overheads({name: costs.added(name) for name in costs.NETWORKS}, "t"),
    "pareto": lambda: cost_plots.pareto(pareto.zoo_table(), "a caption"),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_text_can_be_read(name):
    assert_readable(FIGURES[name]())

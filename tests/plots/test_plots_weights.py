"""The pictures of latent weights and flips, read back from their artists."""

import numpy as np
import pandas as pd
import pytest
from pictures import assert_apart, visible_texts

from sdbnn_lite.plots import shifts
from sdbnn_lite.plots.theme import theme


def test_weights_close_to_zero_are_counted():
    draw = np.random.default_rng(0)
    kinds = {"fresh": draw.standard_normal(5000), "trained": draw.standard_normal(3000) / 2}
    figure = shifts.near_zero(kinds, reach=0.5)
    (ax,) = figure.axes
    counts = {patch.get_label(): patch.get_data().values.sum() for patch in ax.patches}
    assert counts == {kind: (np.abs(values) <= 0.5).sum() for kind, values in kinds.items()}
    with theme():
        assert_apart(figure, slack=1)


def test_every_run_is_a_line_over_its_layers_beside_what_is_expected():
    rows = [{"run": f"{method}{epochs}", "data": data, "network": "ResNet", "method": method, "epochs": epochs,
             "n": n, "layer": f"l{i}", "flips": 0.001 * i / epochs, "fresh": 1e-4 / (1 + i)}
            for data, method, epochs, n in (("CIFAR-10", "WSD", 15, 2), ("CIFAR-10", "SD-BNN", 15, 2),
                                            ("CIFAR-10", "SD-BNN", 100, 1), ("Imagenette", "SD-BNN", 6, 1))
            for i in range(6)]  # fmt: skip
    figure = shifts.flips_by_layer(pd.DataFrame(rows))
    cifar, imagenette = figure.axes
    lines = {line.get_label(): line.get_ydata() for line in cifar.lines}
    assert list(lines) == ["WSD, 15 epochs, n = 2", "SD-BNN, 15 epochs, n = 2", "SD-BNN, 100 epochs, n = 1",
                           "expected before training"]  # fmt: skip
    assert lines["SD-BNN, 100 epochs, n = 1"] == pytest.approx(0.1 * np.arange(6) / 100)
    assert lines["expected before training"] == pytest.approx(0.01 / (1 + np.arange(6)))
    looks = {(line.get_color(), line.get_marker()) for line in cifar.lines}
    assert len(looks) == 4 and len(imagenette.lines) == 2
    with theme():
        assert "ResNet on Imagenette" in [text.get_text() for text in visible_texts(figure)]
        assert_apart(figure, slack=1)

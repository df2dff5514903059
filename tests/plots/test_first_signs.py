"""The pictures of 00 and 01: what is drawn is what was given, and all of it can be read."""

import numpy as np
import pytest
import torch
from pictures import assert_apart

from sdbnn_lite.analysis.silent_channels import silent_channels
from sdbnn_lite.core.binarize import sign_ste
from sdbnn_lite.plots import first_signs


def test_maps_show_the_image_and_the_signs():
    rng = np.random.default_rng(0)
    image, maps = rng.random((8, 8)), rng.choice((-1.0, 1.0), (3, 8, 8))
    figure = first_signs.sign_maps(image, maps, "a 7")
    assert_apart(figure)
    assert [ax.get_title("left") for ax in figure.axes] == ["a 7", "map 0", "map 1", "map 2"]
    for ax, values in zip(figure.axes, (image, *maps)):
        assert (ax.images[0].get_array() == values).all()
    assert figure.axes[1].images[0].get_clim() == (-1, 1)  # also where a map has one sign alone


def test_the_surrogate_is_the_packages():
    figure = first_signs.sign_and_surrogate()
    assert_apart(figure)
    line = figure.axes[1].lines[1]
    x = torch.tensor(line.get_xdata(), requires_grad=True)
    sign_ste(x).sum().backward()
    assert (np.asarray(line.get_ydata(), float) == x.grad.numpy()).all()


def test_units_show_ink_and_entropy():
    shares = np.stack([np.full((4, 4), 0.5), np.full((4, 4), 1.0)])
    figure = first_signs.unit_maps(np.linspace(0, 1, 16).reshape(4, 4), shares)
    assert_apart(figure)
    assert {text.get_text() for text in figure.axes[1].texts} == {"0.5"}  # the mean of 1 and 0 bit


def test_every_layers_histogram_is_drawn_from_the_first_to_the_last():
    layers = silent_channels().layers
    figure = first_signs.shares_by_layer(layers)
    assert_apart(figure)
    left, right = figure.axes[:2]
    drawn = np.asarray(left.collections[0].get_array()).reshape(len(layers), -1)
    for row, (counts, channels) in zip(drawn, layers[["shares", "channels"]].to_numpy()):
        assert row == pytest.approx(100 * np.array(counts) / channels)
    assert left.get_ylim()[0] > left.get_ylim()[1], "the first layer is on top"
    assert [bar.get_width() for bar in right.patches] == layers["entropy"].tolist()
    assert [text.get_text() for text in right.texts] == [f"{dead} dead" for dead in layers["dead"] if dead]

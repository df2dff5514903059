"""The pictures of notebook 02 show the numbers they are given."""

import numpy as np
import pytest
import torch
from pictures import assert_apart, contrast_to_white, visible_texts

from sdbnn_lite.core.record import record_signs
from sdbnn_lite.core.signs import random_signs
from sdbnn_lite.data.sets import digit_images
from sdbnn_lite.plots import live, shifts
from sdbnn_lite.weights.zoo import load

LABELS = torch.arange(100) % 10
SHIFTS = {"conv2": 0.5 + 0.1 * torch.randn(100, 6, generator=torch.Generator().manual_seed(0)),
          "conv3": 0.5 + 0.01 * torch.arange(800.0).view(100, 8) / 800}  # fmt: skip
SLOPES = {t: torch.linspace(0, t, 11) for t in shifts.EDE_LOOKS}
LOG = [{"epoch": n, "test_accuracy": 0.5 + 0.1 * n} for n in (1, 2, 3)]
SIGNS = [{"epoch": n, "layer": layer, "entropy": 0.9 + 0.01 * n, "input_before": 0.4, "input_after": after}
         for n in (1, 2, 3) for layer, after in (("conv2", 0.6), ("conv3", 0.4))]  # fmt: skip

DRAWN = {
    "maps": lambda: shifts.shift_maps(SHIFTS, LABELS),
    "slopes": lambda: shifts.ede_slopes(SLOPES, torch.linspace(-1.5, 1.5, 11)),
    "live": lambda: live.training_so_far(LOG, SIGNS, 5, "asd"),
    "live, float": lambda: live.training_so_far(LOG, [], 5, "float"),
    "live, nothing yet": lambda: live.training_so_far([], [], 5, "asd_tanh"),
}


def test_every_text_can_be_read(drawn):
    for figure in drawn.values():
        assert_apart(figure)
        assert min(contrast_to_white(text.get_color()) for text in visible_texts(figure)) >= 4.5


def test_maps_have_five_rows_a_digit_and_channels_in_the_order_of_their_mean(drawn):
    for ax, shift in zip(drawn["maps"].axes, SHIFTS.values()):
        shown = np.asarray(ax.images[0].get_array())
        assert shown.shape == (50, shift.shape[1])
        order = np.argsort(shift.numpy().mean(axis=0))
        wanted = np.concatenate([shift.numpy()[LABELS.numpy() == digit][:5] for digit in range(10)])[:, order]
        assert shown == pytest.approx(wanted)
    low, high = drawn["maps"].axes[0].images[0].get_clim()
    assert low + high == pytest.approx(1) and high >= max(s.max() for s in SHIFTS.values()) - 1e-6  # ½ is the middle


def test_filters_lie_beside_the_formula():
    layer = record_signs(load("digits_asd"), digit_images()[:40])["conv2"]
    (ax,) = shifts.filters_and_outputs({"ASD": layer}).axes
    line, dots = ax.lines
    assert dots.get_xdata() == pytest.approx(100 * layer.weight_after)
    assert dots.get_ydata() == pytest.approx(100 * layer.output)
    closed = random_signs(layer.input_after.mean(), line.get_xdata()[7] / 100, 288).plus
    assert line.get_ydata()[7] == pytest.approx(100 * closed)
    assert f"p = {layer.input_after.mean():.2f}" in ax.get_title(loc="left")


def test_slopes_are_those_given_and_belong_to_the_function_beside(drawn):
    left, right = drawn["slopes"].axes
    for t, line, slope in zip(SLOPES, left.lines[1:], right.lines, strict=True):
        assert line.get_label() == slope.get_label() == f"t = {t:g}"
        assert slope.get_ydata() == pytest.approx(SLOPES[t].numpy())
        assert line.get_ydata()[-1] == pytest.approx(max(1 / t, 1) * np.tanh(1.5 * t))


def test_training_so_far_shows_the_rows(drawn):
    accuracy, entropy, plus = drawn["live"].axes
    assert list(accuracy.lines[0].get_ydata()) == [60, 70, 80] and accuracy.get_xlim() == (0, 6)
    assert [list(line.get_ydata()) for line in entropy.lines] == [[0.91, 0.92, 0.93]] * 2
    after2, before2, after3 = plus.lines  # conv3's shift changes nothing, so it has no dotted line
    assert (after2.get_label(), after3.get_label()) == ("conv2", "conv3") and before2.get_linestyle() == ":"
    assert list(after2.get_ydata()) == [60] * 3 and list(before2.get_ydata()) == [40] * 3
    assert drawn["live"]._suptitle.get_text() == "ASD: epoch 3 of 5"
    assert len(drawn["live, nothing yet"].axes[0].lines[0].get_xdata()) == 0

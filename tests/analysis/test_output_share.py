"""Rules that predict a channel's share of +1, against coins that are really tossed."""

import numpy as np
import pytest
import torch

from sdbnn_lite.analysis.output_share import correlation, fits, share_rules
from sdbnn_lite.core.layers import BinaryConv2d
from sdbnn_lite.core.record import record_signs


@pytest.fixture(scope="module")
def seen():
    """A layer that sees independent pixels, each input channel with its own share of +1."""
    draw = torch.Generator().manual_seed(0)
    layer = BinaryConv2d(6, 40, 3, method="bnn")
    layer.weight.data = torch.randn(layer.weight.shape, generator=draw)
    images = (torch.rand(400, 6, 9, 9, generator=draw) < torch.linspace(0.2, 0.9, 6)[:, None, None]).float() - 0.5
    net = torch.nn.Sequential(layer)
    return net, record_signs(net, images)


def test_knowing_each_channels_share_predicts_independent_inputs(seen):
    net, recorded = seen
    rules = share_rules(net[0], recorded["0"])
    assert list(rules) == ["random signs", "fixed filter", "p per input channel"]
    error = {rule: abs(P - recorded["0"].output).max() for rule, P in rules.items()}
    assert error["p per input channel"] < 0.03 < error["fixed filter"]


def test_the_random_rule_is_the_mean_over_filters_that_are_drawn(seen):
    net, recorded = seen
    P = share_rules(net[0], recorded["0"])["random signs"]
    rng, p = np.random.default_rng(0), recorded["0"].input_after.mean()
    q = recorded["0"].weight_after[0]
    x, w = rng.random((20_000, 54)) < p, rng.random((20_000, 54)) < q
    assert P[0] == pytest.approx(((x == w).sum(1) >= 27).mean(), abs=0.02)


def test_fits_say_both_for_every_layer_and_rule(seen):
    net, recorded = seen
    rows = fits(net, recorded)
    assert [row[:2] for row in rows] == [("0", rule) for rule in share_rules(net[0], recorded["0"])]
    P, output = share_rules(net[0], recorded["0"])["p per input channel"], recorded["0"].output
    a, b = P - P.mean(), output - output.mean()
    assert rows[-1][2] == pytest.approx((a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum())) == correlation(P, output)
    assert rows[-1][3] == pytest.approx(np.mean(np.abs(P - output)))

"""The explorer of WSD: its numbers agree with the network's own layers and a loop, its pictures show those numbers."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import sdbnn_lite as sd
from sdbnn_lite import data
from sdbnn_lite.errors import UsageError
from sdbnn_lite.lessons.explorers import weight_shift as explored

pytestmark = pytest.mark.usefixtures("one_thread")
START = {control.name: control.value for control in explored.CONTROLS}


def compute(**values):
    return explored.compute(**{**START, **values})


@pytest.fixture(scope="module")
def forward(one_thread):
    """What the trained network's binary layers receive and give, from plain hooks: {layer: (module, a, y)}."""
    images, _ = next(iter(data.load("digits").test_batches(360)))
    net, seen = sd.load("digits_wsd"), {}
    for name in ("conv2", "conv3"):
        module = getattr(net, name)
        module.register_forward_hook(lambda m, i, y, name=name: seen.update({name: (m, i[0].detach(), y.detach())}))
    with torch.no_grad():
        net(images)
    return seen


# --- compute ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("layer", "filter"), [("conv2", 0), ("conv2", 22), ("conv3", 52), ("conv3", 63)])
def test_as_published_it_shows_what_the_network_computes(forward, layer, filter):
    module, a, y = forward[layer]
    stats = compute(layer=layer, filter=filter, alpha=float(module.wsd.alpha[filter].detach()))
    with torch.no_grad():
        assert stats.shift == pytest.approx(float(module.wsd(module.weight)[filter]), rel=1e-6)
        assert (stats.after == (module.binary_weight()[filter] > 0).numpy()).all()
        without = torch.nn.functional.conv2d(
            torch.where(a >= 0, 1.0, -1.0), torch.where(module.weight[filter : filter + 1] >= 0, 1.0, -1.0), padding=1
        )
    assert (stats.w == module.weight[filter].detach().numpy()).all()
    assert (stats.before == (stats.w >= 0)).all()
    assert stats.images == len(a) == 360
    assert (stats.y_after == y[:, filter].flatten().numpy()).all()
    assert (stats.y_before == without.flatten().numpy()).all()


@settings(max_examples=15, deadline=None)
@given(
    st.sampled_from(("trained", "fresh")), st.sampled_from(("conv2", "conv3")), st.integers(0, 63),
    st.floats(-8, 8), st.floats(-3, 1), st.integers(0, 99),
)  # fmt: skip
def test_shift_and_turned_signs_equal_the_loop(weights, layer, filter, alpha, power, seed):
    stats = compute(weights=weights, layer=layer, filter=filter, alpha=alpha, constant=10**power, seed=seed)
    latent = [float(x) for x in stats.w.ravel()]
    mean = math.fsum(latent) / len(latent)
    shift = 10**power * mean / (1 + math.exp(-alpha))
    assert stats.mean == pytest.approx(mean, rel=1e-3, abs=1e-8)
    assert stats.shift == pytest.approx(shift, rel=1e-3, abs=1e-8)
    for x, turned, plus in zip(latent, stats.flipped.ravel(), stats.after.ravel()):
        if abs(x + shift) > 1e-7 + 1e-3 * abs(shift):  # away from the threshold, where float32 may decide otherwise
            assert plus == (x + shift >= 0)
            assert turned == ((x >= 0) != (x + shift >= 0))
    if stats.flipped.any():
        assert (stats.after[stats.flipped] == (shift > 0)).all()  # to the side of the mean


def test_outputs_change_by_two_for_every_turned_weight_that_they_see():
    stats = compute()
    moved = stats.y_after - stats.y_before
    assert stats.flipped.sum() == 2
    assert set(np.unique(moved)) <= {-4, -2, 0, 2, 4} and (moved != 0).any()
    assert stats.flipped_outputs == sum((b >= 0) != (a >= 0) for b, a in zip(stats.y_before, stats.y_after))


def test_fresh_weights_are_kaiming_and_follow_the_seed():
    w = explored.fresh_weights("conv3", 3)
    assert w.shape == (64, 64, 3, 3)
    assert float(w.std()) == pytest.approx(math.sqrt(2 / 576), rel=0.02)
    assert torch.equal(w, explored.fresh_weights("conv3", 3)) and not torch.equal(w, explored.fresh_weights("conv3", 4))
    stats = compute(weights="fresh", seed=3)
    assert (stats.w == w[START["filter"]].numpy()).all()
    assert (stats.y_before != compute(weights="fresh", seed=4).y_before).any()


def test_the_seed_leaves_trained_weights_and_torchs_own_random_numbers_alone():
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    explored.fresh_weights.cache_clear()
    assert (compute(seed=5).y_after == compute(seed=6).y_after).all()
    compute(weights="fresh", seed=7)
    assert torch.equal(torch.rand(3), expected)


def test_a_greater_constant_turns_every_sign_that_a_smaller_one_does():
    turned = [compute(constant=value).flipped for value in explored.VALUES]
    assert all((small <= large).all() for small, large in itertools.pairwise(turned))
    assert [t.sum() for t in turned] == sorted(t.sum() for t in turned) and turned[0].sum() < turned[-1].sum()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"weights": "trianed"}, "did you mean 'trained'"),
        ({"layer": "conv4"}, "unknown layer 'conv4'"),
        ({"filter": 64}, "filter=64: conv3 has filters 0 to 63"),
        ({"filter": -1}, "filter=-1"),
        ({"alpha": math.nan}, "finite"),
        ({"constant": math.inf}, "finite"),
    ],
)
def test_wrong_values_are_told(values, message):
    with pytest.raises(UsageError, match=message):
        compute(**values)


# --- words -----------------------------------------------------------------------------------------------------------


def test_the_sentence_says_the_numbers():
    stats = compute()
    said = explored.say(stats)
    for part in (
        "Filter 52 of conv3 (trained weights)", f"the mean {stats.mean:+.4f}", "α = 0 and the constant 0.01",
        f"shift by {stats.shift:+.1e}", "flips 2 of 576 weight signs", f"and {stats.flipped_outputs:,} of 5,760 output",
        f"{stats.before.mean():.1%} → {stats.after.mean():.1%}", "over 360 test images",
        f"{(stats.y_before >= 0).mean():.1%} → {(stats.y_after >= 0).mean():.1%}",
    ):  # fmt: skip
        assert part in said, part
    assert "seed" not in said and "(fresh Kaiming weights, seed 8)" in explored.say(compute(weights="fresh", seed=8))


# --- pictures --------------------------------------------------------------------------------------------------------


def test_the_static_version_names_every_constant():
    titles = [ax.get_title(loc="left") for ax in explored.small_multiples().axes[:5]]
    turned = [compute(constant=value).flipped.sum() for value in explored.VALUES]
    assert titles == [f"constant {value:g}\n{t} of 576 flip" for value, t in zip(explored.VALUES, turned)]


def test_the_picture_shows_the_numbers():
    stats = compute(constant=1.0)
    weights, near, signs, outputs = explored.draw(stats).axes
    # Bars: -1 left of the threshold, +1 right of it, all weights once.
    heights = {patch.get_label(): patch.get_data() for patch in weights.patches}
    assert heights["−1"].values.sum() == (~stats.after).sum() and heights["+1"].values.sum() == stats.after.sum()
    assert heights["+1"].edges[0] == pytest.approx(-stats.shift)
    # Crosses: as many as turned, in the close-up between the thresholds, on the map one each.
    scale = 10.0 ** int(near.get_xlabel().partition("1e")[2].rstrip("]"))
    crosses = next(line for line in near.lines if line.get_marker() == "X").get_xdata() * scale
    assert len(crosses) == stats.flipped.sum() > 0
    assert crosses.min() >= -stats.shift - 1e-9 and crosses.max() <= 0
    assert {len(line.get_xdata()) for line in signs.lines} == {stats.flipped.sum()}
    (picture,) = signs.images
    cells = np.ma.masked_invalid(picture.get_array())
    assert cells.count() == stats.w.size and cells.sum() == stats.after.sum()
    for line in signs.lines:  # every cross stands on a weight that turned
        places = zip(line.get_ydata().astype(int), line.get_xdata().astype(int))
        assert all(cells[y, x] == (stats.shift > 0) for y, x in places)
    # Outputs: bars with, line without.
    *bars, line = outputs.patches
    counts = [patch.get_data() for patch in bars]
    assert sum(c.values.sum() for c in counts) == line.get_data().values.sum() == stats.y_after.size
    assert sum(c.values.sum() for c in counts if c.edges[0] >= 0) == (stats.y_after >= 0).sum()
    assert f"{stats.flipped_outputs / stats.y_after.size:.1%}" in outputs.get_title(loc="left")


def test_presets_keep_what_their_names_promise():
    turned = {name: int(compute(**values).flipped.sum()) for name, values in explored.PRESETS.items()}
    two, none, high, hundred, thousand, _ = turned.values()
    assert (two, none) == (2, 0) and two <= high < hundred < thousand
    after = compute(**explored.PRESETS["1000 times the constant: one sign takes over"]).after.mean()
    assert max(after, 1 - after) > 0.75


def test_it_starts_as_published():
    assert explored.PRESETS["as published: two signs flip"].items() <= START.items()

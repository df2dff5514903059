"""The explorer of WSD: its numbers agree with the network's own layers and a loop, its pictures show those numbers."""

import itertools
import math

import matplotlib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg

import sdbnn_lite as sd
from sdbnn_lite import data
from sdbnn_lite.errors import UsageError
from sdbnn_lite.lessons.explorers import weight_shift as explored
from sdbnn_lite.plots import theme

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
    for x, turned, plus in zip(latent, stats.turned.ravel(), stats.after.ravel()):
        if abs(x + shift) > 1e-7 + 1e-3 * abs(shift):  # away from the threshold, where float32 may decide otherwise
            assert plus == (x + shift >= 0)
            assert turned == ((x >= 0) != (x + shift >= 0))
    if stats.turned.any():
        assert (stats.after[stats.turned] == (shift > 0)).all()  # to the side of the mean


def test_outputs_change_by_two_for_every_turned_weight_that_they_see():
    stats = compute()
    moved = stats.y_after - stats.y_before
    assert stats.turned.sum() == 2
    assert set(np.unique(moved)) <= {-4, -2, 0, 2, 4} and (moved != 0).any()
    assert stats.turned_outputs == sum((b >= 0) != (a >= 0) for b, a in zip(stats.y_before, stats.y_after))


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
    turned = [compute(constant=value).turned for value in explored.VALUES]
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


# --- the closed form -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fan_in", "share"), [(9, 0.5), (9, 5.0), (288, 0.5), (288, 50.0), (576, 5.0)])
def test_expected_turns_against_a_simulation(fan_in, share):
    w = np.random.default_rng(0).standard_normal((2_000_000 // fan_in, fan_in))
    turned = (w >= 0) != (w + share * w.mean(axis=1, keepdims=True) >= 0)
    assert turned.mean() == pytest.approx(explored.expected_turns(fan_in, share), rel=0.02)


def test_expected_turns_where_it_is_known():
    assert explored.expected_turns(288, 0) == 0
    assert explored.expected_turns(1, 100) == 0  # a weight alone only grows
    assert explored.expected_turns(576, 0.005) == pytest.approx(0.005 / (math.pi * 24), rel=2e-3)
    # A huge share leaves only the sign of the mean: they differ as w and its filter's mean do.
    assert explored.expected_turns(4, 1e12) == pytest.approx(math.acos(1 / 2) / math.pi)
    for wrong in ((0, 1.0), (9, -1.0), (9, math.nan)):
        with pytest.raises(UsageError, match="at least"):
            explored.expected_turns(*wrong)


# --- words -----------------------------------------------------------------------------------------------------------


def test_the_sentence_says_the_numbers():
    stats = compute()
    said = explored.say(stats)
    for part in (
        "Filter 52 of conv3 (trained weights)", f"the mean {stats.mean:+.4f}", "α = 0 and the constant 0.01",
        f"shift by {stats.shift:+.1e}", "turns 2 of 576 weight signs", f"and {stats.turned_outputs:,} of 5,760 output",
        f"{stats.before.mean():.1%} → {stats.after.mean():.1%}", "over 360 test images",
        f"{(stats.y_before >= 0).mean():.1%} → {(stats.y_after >= 0).mean():.1%}",
    ):  # fmt: skip
        assert part in said, part
    assert "seed" not in said and "(fresh Kaiming weights, seed 8)" in explored.say(compute(weights="fresh", seed=8))


# --- pictures --------------------------------------------------------------------------------------------------------


def texts(figure):
    """Every text that can be seen, with its box in pixels."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    found = [figure._suptitle] if figure._suptitle else []
    for ax in figure.axes:
        found += [*ax.texts, ax.title, ax._left_title, ax.xaxis.label, ax.yaxis.label]
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            ticks = zip(axis.get_major_ticks(), axis.get_majorticklocs())
            found += [tick.label1 for tick, place in ticks if low <= place <= high]
    shown = [t for t in found if t.get_visible() and t.get_text().strip()]
    return [(t, matplotlib.text.Text.get_window_extent(t, canvas.get_renderer())) for t in shown]


def assert_readable(figure):
    found = texts(figure)
    for (a, box_a), (b, box_b) in itertools.combinations(found, 2):
        assert not box_a.padded(-1).overlaps(box_b), f"{a.get_text()!r} covers {b.get_text()!r}"
    for text, box in found:
        assert text.get_fontsize() >= 9, text
        inside = box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 + 1 and box.y1 <= figure.bbox.y1 + 1
        assert inside, f"{text.get_text()!r} is cut"


CASES = [*explored.PRESETS.values(), {"layer": "conv2", "filter": 22},
         {"layer": "conv2", "constant": 10.0, "alpha": 8.0},
         {"weights": "fresh", "layer": "conv2", "filter": 7, "seed": 99, "constant": 0.001, "alpha": -8.0},
         {"layer": "conv3", "filter": 3, "constant": 10.0, "alpha": 8.0}]  # fmt: skip


@pytest.mark.parametrize("values", CASES, ids=str)
def test_every_picture_can_be_read(values):
    with theme.theme():
        assert_readable(explored.draw(compute(**values)))


def test_the_static_version_can_be_read_and_names_every_constant():
    with theme.theme():
        figure = explored.small_multiples()
        assert_readable(figure)
    titles = [ax.get_title(loc="left") for ax in figure.axes[:5]]
    turned = [compute(constant=value).turned.sum() for value in explored.VALUES]
    assert titles == [f"constant {value:g}\n{t} of 576 turn" for value, t in zip(explored.VALUES, turned)]
    with pytest.raises(UsageError, match="at least one constant"):
        explored.small_multiples(())


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
    assert len(crosses) == stats.turned.sum() > 0
    assert crosses.min() >= -stats.shift - 1e-9 and crosses.max() <= 0
    assert {len(line.get_xdata()) for line in signs.lines} == {stats.turned.sum()}
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
    assert f"{stats.turned_outputs / stats.y_after.size:.1%}" in outputs.get_title(loc="left")


def test_the_same_picture_twice_has_the_same_bytes():
    with theme.theme():
        assert theme.png_bytes(explored.draw(compute())) == theme.png_bytes(explored.draw(compute()))


# --- the sliders, without a kernel -----------------------------------------------------------------------------------


@pytest.fixture
def box():
    pytest.importorskip("ipywidgets")
    return explored.explorer()


def test_every_control_changes_picture_and_sentence(box):
    for name, value in {
        "filter": 6,
        "layer": "conv2",
        "alpha": 8.0,
        "constant": 1.0,
        "weights": "fresh",
        "seed": 4,
    }.items():
        picture, sentence = box.picture.value, box.sentence.value
        box.controls[name].value = value
        assert box.picture.value != picture and box.sentence.value != sentence, name
    assert (
        explored.say(compute(filter=6, layer="conv2", alpha=8, constant=1, weights="fresh", seed=4))
        in box.sentence.value
    )


@pytest.mark.parametrize("preset", explored.PRESETS)
def test_every_preset_shows_its_values(box, preset):
    box.preset.value = preset
    expected = compute(**explored.PRESETS[preset])
    assert explored.say(expected) in box.sentence.value
    assert box.preset.value == preset


def test_presets_keep_what_their_names_promise():
    turned = {name: int(compute(**values).turned.sum()) for name, values in explored.PRESETS.items()}
    two, none, high, hundred, thousand, _ = turned.values()
    assert (two, none) == (2, 0) and two <= high < hundred < thousand
    after = compute(**explored.PRESETS["1000 times the constant: one sign takes over"]).after.mean()
    assert max(after, 1 - after) > 0.75


def test_values_out_of_range_are_clamped_and_told(box):
    box.set(filter=64, constant=100)
    assert (box.controls["filter"].value, box.controls["constant"].value) == (63, 10)
    assert "64 is outside 0 to 63 number, so 63 is used." in box.sentence.value
    assert "100 is outside 0.001 to 10 times the mean, so 10 is used." in box.sentence.value


def test_it_starts_as_published(box):
    assert box.preset.value == "as published: two signs turn"
    assert box.controls["constant"].value == 0.01 and box.controls["alpha"].value == 0

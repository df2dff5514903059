"""The explorer of ASD: its numbers agree with the network's own forward pass, and its pictures show those numbers."""

import numpy as np
import pytest
import torch

import sdbnn_lite as sd
from sdbnn_lite import data
from sdbnn_lite.errors import UsageError
from sdbnn_lite.lessons.explorers import activation_shift as explorer
from sdbnn_lite.plots import theme

pytestmark = pytest.mark.usefixtures("one_thread")
START = {control.name: control.value for control in explorer.CONTROLS}
PLACES = [(0, "conv2", 0, 0), (4, "conv2", 31, 63), (359, "conv3", 63, 17), (100, "conv3", 40, 5)]


def compute(**values):
    return explorer.compute(**{**START, **values})


def at(place, **values):
    return compute(**dict(zip(("image", "layer", "channel", "filter"), place)), **values)


@pytest.fixture(scope="module")
def forward(one_thread):
    """What the network's layers receive and give in 64 bits, by plain hooks: {layer: (a, y)}; the images' labels."""
    digits = data.load("digits")
    images, labels = next(iter(digits.test_batches(360)))
    net, seen = sd.load("digits_asd").double(), {}
    for name in explorer.LAYERS:
        module = getattr(net, name)
        module.register_forward_hook(lambda m, i, y, name=name: seen.update({name: (i[0].detach(), y.detach())}))
    with torch.no_grad():
        net(images.double())
    return seen, labels, digits.test_images


# --- compute ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", PLACES)
def test_with_asd_it_shows_what_the_network_computes(forward, place):
    seen, labels, pixels = forward
    image, layer, channel, filter = place
    stats = at(place, mode="asd")
    a, y = seen[layer]
    assert stats.label == labels[image] and (stats.pixels == pixels[image, 0].numpy()).all()
    assert (stats.a == a[image, channel].numpy()).all()
    assert (stats.output_after == (y[image, filter] >= 0).numpy()).all()
    assert 0 < stats.shift < 1
    assert (stats.after == (a[image, channel].numpy() + stats.shift >= 0)).all()
    assert not (stats.flipped & stats.before).any()  # only ever towards +1


@pytest.mark.parametrize("place", PLACES)
def test_without_asd_nothing_is_turned(place):
    stats = at(place, mode="off")
    assert stats.shift == 0 and not stats.flipped.any()
    assert (stats.after == (stats.a >= 0)).all() and (stats.output_after == stats.output_before).all()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("own", [-1.0, -0.3, 0.0, 0.25, 0.99, 1.0])
def test_my_own_shift_moves_the_threshold_of_every_channel(forward, place, own):
    image, layer, _, filter = place
    stats = at(place, mode="own", own_shift=own)
    a = forward[0][layer][0][image]
    assert stats.shift == pytest.approx(own)
    assert (stats.after == (stats.a >= -own)).mean() > 0.98  # a + shift and a >= -shift round differently
    signs = np.pad(np.where(a + own >= 0, 1, -1), ((0, 0), (1, 1), (1, 1)))
    weight = np.where(getattr(sd.load("digits_asd"), layer).weight[filter].detach() >= 0, 1, -1)
    size = a.shape[1]
    y = [[(signs[:, r : r + 3, c : c + 3] * weight).sum() for c in range(size)] for r in range(size)]
    assert (stats.output_after == (np.array(y) >= 0)).all()


def test_the_ends_of_the_shift():
    assert compute(mode="own", own_shift=1.0).after.all()  # -1 + 1 = 0, whose sign is +1
    low = compute(mode="own", own_shift=-1.0)
    assert (low.after == (low.a == 1)).all()
    high = compute(mode="own", own_shift=0.999)
    assert high.stuck == (high.a == -1).sum() > 0 and (~high.after).sum() >= high.stuck


def test_the_usual_distribution_is_that_of_all_images(forward):
    for layer, (a, _) in forward[0].items():
        channel = a[:, 3].numpy()
        usual = compute(layer=layer, channel=3).usual
        assert usual.sum() == pytest.approx(1)
        assert usual[0] == pytest.approx((channel < -0.95).mean()) and usual[-1] == pytest.approx(
            (channel > 0.95).mean()
        )


def test_a_channel_that_the_layer_does_not_have_is_its_last():
    stats = compute(layer="conv2", channel=50)
    assert stats.channel == 31 and "32 input channels, so channel 31" in explorer.say(stats)
    assert not compute(layer="conv3", channel=50).note


@pytest.mark.parametrize(
    "wrong", [{"layer": "conv1"}, {"mode": "on"}, {"image": 360}, {"channel": 64}, {"filter": -1}, {"own_shift": 1.5}]
)
def test_what_makes_no_sense_is_refused(wrong):
    with pytest.raises(UsageError, match=str(next(iter(wrong.values())))):
        compute(**wrong)


def test_the_controls_cover_the_network():
    digits, inputs, layers = explorer.scene()
    ends = {control.name: control.max for control in explorer.CONTROLS}
    assert ends["image"] + 1 == digits.num_test
    assert ends["channel"] + 1 == max(layer.in_channels for layer in layers.values())
    assert all(ends["filter"] + 1 == layer.out_channels for layer in layers.values())
    assert tuple(layers) == tuple(inputs) == explorer.LAYERS


def test_its_64_bits_change_no_sign():
    images, _ = next(iter(data.load("digits").test_batches(360)))
    usual = explorer.layer_inputs(sd.load("digits_asd"), images)
    for name, exact in explorer.scene()[1].items():
        assert exact.a.dtype == torch.float64 and (exact.a - usual[name].a).abs().max() < 1e-6
        assert torch.equal(exact.before, usual[name].before) and torch.equal(exact.after, usual[name].after)


# --- layer_inputs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["ede", "rsign", "asd"])
def test_layer_inputs_agree_with_record_signs(method):
    images, _ = next(iter(data.load("digits").test_batches(50)))
    net = sd.load(f"digits_{method}")
    recorded = sd.record_signs(net, images)
    for name, seen in explorer.layer_inputs(net, images).items():
        assert seen.shift.shape == seen.a.shape[:2] == (50, net.get_submodule(name).in_channels)
        assert seen.before.double().mean((0, 2, 3)).numpy() == pytest.approx(recorded[name].input_before)
        assert seen.after.double().mean((0, 2, 3)).numpy() == pytest.approx(recorded[name].input_after)
        assert not (seen.a.requires_grad or seen.shift.requires_grad)
        if method == "ede":
            assert not seen.shift.any()
        if method == "rsign":
            assert (seen.shift == seen.shift[0]).all() and seen.shift.min() < 0 < seen.shift.max()
    assert not any(module._forward_pre_hooks for module in net.modules())


def test_the_own_shift_can_be_moved_only_where_it_takes_part():
    """With ASD on or off the slider used to do nothing, without a hint."""
    pytest.importorskip("ipywidgets")
    box = explorer.explorer()
    slider, mode = box.controls["own_shift"], box.controls["mode"]
    assert slider.disabled and mode.value == "asd"
    box.set(mode="own")
    picture = box.picture.value
    assert not slider.disabled
    slider.value = -0.7
    assert box.picture.value != picture
    box.preset.value = "the same without ASD"
    assert slider.disabled and not any(w.disabled for name, w in box.controls.items() if name != "own_shift")


# --- say and draw ----------------------------------------------------------------------------------------------------


def test_the_sentence_says_the_numbers():
    stats = compute(mode="asd")
    said = explorer.say(stats)
    for part in (
        "Image 4 (a 7), layer conv2, channel 0, ASD on",
        f"the shift is {stats.shift:+.2f}, so a sign is +1 from a = {-stats.shift:.2f} up",
        f"flips {stats.flipped.sum()} of 64 signs to +1 and 0 to -1",
        f"{stats.before.mean():.0%} were +1, now {stats.after.mean():.0%} are",
        f"{stats.stuck} of the activations sit at exactly -1",
        f"of filter 0, {stats.output_after.mean():.0%} are +1 ({stats.output_before.mean():.0%} without a shift)",
    ):
        assert part in said
    assert "ASD off: the shift is +0.00, so a sign is +1 from a = 0.00 up" in explorer.say(compute(mode="off"))
    assert "my own shift for every channel: the shift is -0.50" in explorer.say(compute(mode="own", own_shift=-0.5))


def markers(axes, marker):
    return sum(len(line.get_xdata()) for ax in axes for line in ax.lines if line.get_marker() == marker)


@pytest.mark.parametrize("layer", explorer.LAYERS)
def test_the_picture_shows_the_numbers(layer):
    stats = compute(layer=layer, channel=5, filter=9)
    figure = explorer.draw(stats)
    board, histogram = figure.axes
    maps = [image.get_array() for image in board.images]
    for drawn, expected in zip(maps, (stats.pixels, stats.a, stats.after, stats.output_after), strict=True):
        assert (np.asarray(drawn) == expected).all()
    assert markers([board], "+") == stats.after.sum() + stats.output_after.sum()
    assert markers([board], "_") == (~stats.after).sum() + (~stats.output_after).sum()
    turned = stats.flipped.sum() + (stats.output_after != stats.output_before).sum()
    assert markers([board], "o") == turned
    (line,) = [line for line in histogram.lines]
    assert set(line.get_xdata()) == {-stats.shift}
    minus, both, usual = (patch.get_data().values for patch in histogram.patches)
    assert minus.sum() == pytest.approx(100 * (~stats.after).mean()) and both.sum() == pytest.approx(100)
    assert usual == pytest.approx(100 * stats.usual)
    assert histogram.get_ylim()[1] >= max(both.max(), usual.max())
    assert [patch.get_hatch() for patch in histogram.patches[:2]] == [theme.MINUS_HATCH, theme.PLUS_HATCH]


def test_signs_stand_in_their_cells():
    stats = compute(mode="own", own_shift=0.3)
    board = explorer.draw(stats).axes[0]
    plus = next(line for line in board.lines if line.get_marker() == "+")
    cell = explorer.SIDE / 8
    columns = (plus.get_xdata() - explorer.SIGN) / cell - 0.5
    rows = 7.5 - (plus.get_ydata() - explorer.BELOW) / cell
    assert {(round(r), round(c)) for r, c in zip(rows, columns)} == set(map(tuple, np.argwhere(stats.after).tolist()))
    assert np.abs(rows - rows.round()).max() < 1e-6


def test_small_multiples_have_a_column_per_shift():
    axes = np.reshape(explorer.small_multiples((-0.25, 0.75)).axes, (3, 3))
    assert [ax.get_title(loc="left") for ax in axes[0]] == ["image: a 7", "shift −0.25", "shift +0.75"]
    low, high = (compute(mode="own", own_shift=v) for v in (-0.25, 0.75))
    assert [ax.get_title(loc="left") for ax in axes[1, 1:]] == [f"{s.after.mean():.0%} are +1" for s in (low, high)]
    assert [ax.get_title(loc="left") for ax in axes[2, 1:]] == [
        f"{s.output_after.mean():.0%} are +1" for s in (low, high)
    ]

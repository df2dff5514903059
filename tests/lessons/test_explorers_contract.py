"""What every explorer promises: controls that matter, presets in range, values clamped and said, readable pictures."""

import html
import pkgutil
import re
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import matplotlib
import pytest
from pictures import assert_apart

from sdbnn_lite.errors import UsageError
from sdbnn_lite.lessons import explorers
from sdbnn_lite.lessons.explorers import activation_shift, layer_cost, output_signs, sum_of_signs, weight_shift
from sdbnn_lite.lessons.widgets import clamp
from sdbnn_lite.plots import theme

pytestmark = pytest.mark.usefixtures("same_machine")


@dataclass
class Explorer:
    """An explorer's module, and what to do with it.

    changes    a new value for each control, one after the other, each of which changes picture and sentence
    outside    values out of range, the values that are taken for them, and what is said about it
    drawn      values, besides the presets, whose pictures have to be readable
    static     arguments of the static version, besides the usual ones
    """

    module: ModuleType
    changes: dict[str, Any]
    outside: tuple[dict[str, Any], dict[str, Any], list[str]]
    drawn: list[dict[str, Any]] = field(default_factory=list)
    static: list[dict[str, Any]] = field(default_factory=list)

    def compute(self, **values):
        return self.module.compute(**{**{c.name: c.value for c in self.module.CONTROLS}, **values})


EXPLORERS = {
    "activation_shift": Explorer(
        activation_shift,
        {"image": 7, "channel": 3, "filter": 2, "mode": "own", "own_shift": -0.2, "layer": "conv3"},
        ({"mode": "own", "own_shift": 3}, {"own_shift": 1}, ["so 1 is used"]),
        [{"image": 359, "layer": "conv3", "channel": 63, "filter": 63}, {"image": 100, "mode": "off"}],
        [{"values": (0, 1), "layer": "conv3", "channel": 10, "filter": 10}],
    ),
    "layer_cost": Explorer(
        layer_cost,
        {"channels": 80, "outputs": 128, "side": 14, "batch": 3},
        ({"channels": 9000, "side": 0}, {"channels": 512, "side": 2},
         ["channels in: 9000 is outside 16 to 512 maps, so 512 is used."]),
    ),
    "output_signs": Explorer(
        output_signs,
        {"method_a": "irnet", "method_b": "wsd", "layer": "conv3", "epoch": 3, "seed": 2},
        ({"epoch": 400, "method_a": "resnet"}, {"epoch": 40, "method_a": "ede"},
         ["400 is outside 1 to 40 of training, so 40 is used.", "'resnet' isn't one of plain BNN"]),
        [{"method_a": a, "method_b": b, "layer": layer, "epoch": epoch, "seed": seed}
         for a, b, layer in (("bnn", "irnet", "conv3"), ("asd", "sdbnn", "conv2"), ("ede", "ede", "conv2"))
         for epoch, seed in ((1, "all"), (40, 2))],
    ),
    "sum_of_signs": Explorer(
        sum_of_signs,
        {"p": 0.9, "q": 0.45, "fan_in": 100, "threshold": 20, "seed": 4},
        ({"p": 1.7, "fan_in": 10**6}, {"p": 1, "fan_in": 576},
         ["inputs: p: 1.7 is outside 0 to 1 share of +1, so 1 is used.", "1000000"]),
    ),
    "weight_shift": Explorer(
        weight_shift,
        {"filter": 6, "layer": "conv2", "alpha": 8.0, "constant": 1.0, "weights": "fresh", "seed": 4},
        ({"filter": 64, "constant": 100}, {"filter": 63, "constant": 10},
         ["64 is outside 0 to 63 number, so 63 is used.", "100 is outside 0.001 to 10 times the mean, so 10 is used."]),
        [{"layer": "conv2", "filter": 22}, {"layer": "conv2", "constant": 10.0, "alpha": 8.0},
         {"weights": "fresh", "layer": "conv2", "filter": 7, "seed": 99, "constant": 0.001, "alpha": -8.0},
         {"layer": "conv3", "filter": 3, "constant": 10.0, "alpha": 8.0}],
    ),
}  # fmt: skip


@pytest.fixture(params=EXPLORERS)
def each(request):
    return EXPLORERS[request.param]


@pytest.fixture
def box(each):
    pytest.importorskip("ipywidgets")
    return each.module.explorer()


def said(box):
    return html.unescape(re.sub(r"<[^>]*>", "", box.sentence.value))


def test_every_explorer_is_here():
    assert {module.name for module in pkgutil.iter_modules(explorers.__path__)} == set(EXPLORERS)


def test_it_starts_at_its_controls_values(each, box):
    assert {name: widget.value for name, widget in box.controls.items()} == {
        control.name: control.value for control in each.module.CONTROLS
    }
    assert all(widget.description for widget in box.controls.values())
    assert said(box) == each.module.say(each.compute())


def test_every_control_changes_picture_and_sentence(each, box):
    assert set(each.changes) == set(box.controls)
    for name, value in each.changes.items():
        picture, sentence = box.picture.value, box.sentence.value
        box.controls[name].value = value
        assert box.picture.value != picture and box.sentence.value != sentence, name
        assert "data:image/png;base64," in box.picture.value
        alt = re.match(r'<img alt="([^"]*)"', box.picture.value)[1]
        assert html.unescape(alt) == said(box) == each.module.say(each.module.compute(**values(box)))


def values(box):
    return {name: widget.value for name, widget in box.controls.items()}


def test_every_preset_is_in_range_and_shows_its_values(each, box):
    pictures = set()
    for name, preset in each.module.PRESETS.items():
        assert clamp(each.module.CONTROLS, preset)[1] == []
        box.preset.value = name
        assert box.preset.value == name and values(box).items() >= preset.items()
        assert each.module.say(each.module.compute(**values(box))) in said(box)
        pictures.add(box.picture.value)
    assert len(pictures) == len(each.module.PRESETS)


def test_values_out_of_range_are_clamped_and_said(each, box):
    given, kept, notes = each.outside
    box.set(**given)
    assert values(box).items() >= kept.items()
    assert all(note in said(box) for note in notes)


def test_every_picture_can_be_read(each):
    with theme.theme():
        for chosen in [{}, *each.module.PRESETS.values(), *each.drawn]:
            assert_apart(each.module.draw(each.compute(**chosen)), slack=1)
        for chosen in [{}, *each.static]:
            assert_apart(each.module.small_multiples(**chosen), slack=1)


def test_drawing_is_pure(each):
    before = dict(matplotlib.rcParams)
    for make in (lambda: each.module.draw(each.compute()), each.module.small_multiples):
        assert theme.png_bytes(make()) == theme.png_bytes(make())
    assert dict(matplotlib.rcParams) == before


def test_a_static_version_of_nothing_is_refused(each):
    with pytest.raises(UsageError, match="at least one"):
        each.module.small_multiples(())

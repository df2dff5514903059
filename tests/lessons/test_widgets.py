"""Explorers in general: controls, clamping, presets, and the box of widgets, moved here without a kernel."""

import builtins
import re
import struct
from base64 import b64decode

import numpy as np
import pytest

from sdbnn_lite.errors import UsageError
from sdbnn_lite.lessons import widgets
from sdbnn_lite.lessons.widgets import OWN, Control, clamp
from sdbnn_lite.plots.theme import new_figure, theme

CONTROLS = (
    Control("height", "height", 0.5, unit="m", min=0.0, max=2.0, step=0.1),
    Control("count", "how many", 3, unit="bars", min=1, max=9, step=1),
    Control("t", "EDE's t", 0.1, min=1e-3, max=10, step=0.1, log=True),
    Control("method", "method", "bnn", choices=("bnn", "xnor")),
    Control("asd", "ASD", False, choices=(("off", False), ("on", True)), buttons=True),
)
PRESETS = {"high": {"height": 2.0, "asd": True}, "low": {"height": 0.0, "asd": False}}


def compute(height, count, t, method, asd):
    if count == 7:
        raise UsageError("seven is no number of bars")
    return {"heights": [height] * count, "t": t, "method": method, "asd": asd}


def draw(stats):
    with theme():
        figure = new_figure(2, 1)
        figure.subplots().bar(range(len(stats["heights"])), stats["heights"])
    return figure


def say(stats):
    return f"{len(stats['heights'])} bars <{max(stats['heights']):.1f} m>, t = {stats['t']:.3f}, {stats['method']}"


@pytest.fixture
def box():
    pytest.importorskip("ipywidgets")
    return widgets.explorer(compute, draw, say, CONTROLS, PRESETS)


# --- controls, without widgets ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [
        ("height", 1.25, 1.25),  # a slider's step is how it moves, not what it allows
        ("height", 7, 2.0),
        ("height", -1, 0.0),
        ("height", float("inf"), 2.0),
        ("height", float("nan"), 0.5),
        ("height", "tall", 0.5),
        ("height", None, 0.5),
        ("height", np.float32(1), 1.0),
        ("count", 99, 9),
        ("count", 4.0, 4),
        ("t", 100, 10.0),
        ("t", 0, 1e-3),
        ("method", "xnor", "xnor"),
        ("method", "irnet", "bnn"),
        ("asd", True, True),
    ],
)
def test_clamping_keeps_what_is_allowed_and_says_what_it_changed(name, given, kept):
    values, notes = clamp(CONTROLS, {name: given})
    assert values[name] == kept and type(values[name]) is type(kept)
    assert set(values) == {control.name for control in CONTROLS}
    if given == kept:
        assert notes == []
    else:
        (note,) = notes
        label = next(control.label for control in CONTROLS if control.name == name)
        assert note.startswith(label) and str(given) in note


def test_notes_name_the_range_with_its_unit():
    assert clamp(CONTROLS, {"height": 7})[1] == ["height: 7 is outside 0 to 2 m, so 2 is used."]
    assert clamp(CONTROLS, {"method": "x"})[1] == ["method: 'x' isn't one of bnn, xnor, so bnn is used."]


def test_an_unknown_control_is_refused():
    with pytest.raises(UsageError, match="'hight': choose one of height, .*'height'"):
        clamp(CONTROLS, {"hight": 1})


@pytest.mark.parametrize(
    "wrong",
    [
        {"value": 1},
        {"value": 1, "min": 0, "max": 2},
        {"value": 1, "min": 2, "max": 0, "step": 1},
        {"value": 1, "min": 0, "max": 2, "step": 0},
        {"value": 9, "min": 0, "max": 2, "step": 1},
        {"value": 1, "min": 0, "max": 2, "step": 1, "log": True},
        {"value": "c", "choices": ("a", "b")},
    ],
)
def test_a_control_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(UsageError, match="^control a: "):
        Control("a", "a", **wrong)


# --- the box ---------------------------------------------------------------------------------------------------------


def text(box):
    return re.sub(r"<[^>]*>", "", box.sentence.value)


def test_every_control_has_a_widget_with_label_unit_and_readout(box):
    import ipywidgets

    kinds = {name: type(widget).__mro__ for name, widget in box.controls.items()}
    assert ipywidgets.FloatSlider in kinds["height"] and ipywidgets.IntSlider in kinds["count"]
    assert ipywidgets.FloatLogSlider in kinds["t"]
    assert ipywidgets.Dropdown in kinds["method"] and ipywidgets.ToggleButtons in kinds["asd"]
    assert box.controls["height"].description == "height [m]"
    for name in ("height", "count", "t"):
        slider = box.controls[name]
        assert slider.readout and not slider.continuous_update
    assert [box.controls[c.name].value for c in CONTROLS] == [c.value for c in CONTROLS]
    controls, picture = box.children
    assert {*box.controls.values(), box.preset} <= set(controls.children)
    assert {box.picture, box.sentence} == set(picture.children)
    assert controls.layout.flex == "1 1 20em" and picture.layout.flex == "1 1 44em"  # a row where there is room


def test_the_picture_is_an_image_with_alt_text(box):
    found = re.fullmatch(r'<img alt="([^"]*)" src="data:image/png;base64,([^"]*)" style="[^"]*">', box.picture.value)
    assert found[1] == "3 bars &lt;0.5 m&gt;, t = 0.100, bnn"
    png = b64decode(found[2])
    assert struct.unpack(">II", png[16:24]) == (2 * widgets.DPI, widgets.DPI)
    assert box.sentence.value == f'<p role="status" aria-live="polite">{found[1]}</p>'
    assert box.picture.value.count("<img") == 1


def test_a_moved_slider_changes_picture_and_sentence(box):
    before = box.picture.value, box.sentence.value
    box.controls["height"].value = 1.5
    assert box.picture.value != before[0] and box.sentence.value != before[1]
    box.controls["height"].value = 0.5
    assert (box.picture.value, box.sentence.value) == before  # the same values, the same bytes


def test_a_slider_set_out_of_range_is_clamped_and_says_so(box):
    slider = box.controls["height"]
    slider.value = 99
    assert slider.value == 2.0 and text(box).startswith("height: 99.0 is outside 0 to 2 m, so 2 is used. 3 bars")
    slider.value = 1
    assert "outside" not in text(box)
    box.controls["count"].value = 1
    box.controls["count"].value = -5  # stays at 1: nothing changes, and it is said all the same
    assert box.controls["count"].value == 1 and "how many: -5 is outside 1 to 9 bars" in text(box)
    slider.value = float("nan")
    assert slider.value == 0.5 and "nan" in text(box)


def test_set_changes_several_values_with_one_redraw(box, monkeypatch):
    drawn = []
    monkeypatch.setattr(widgets, "image", lambda figure, alt: drawn.append(alt) or alt)
    box.set(height=9, count=2, method="nonsense")
    assert drawn == ["2 bars <2.0 m>, t = 0.100, bnn"]
    assert "height: 9 is outside" in text(box) and "'nonsense' isn't one of" in text(box)
    with pytest.raises(UsageError, match="'hight'"):
        box.set(hight=1)


def test_presets_set_their_values_and_follow_them(box):
    assert box.preset.value == OWN
    box.preset.value = "high"
    assert box.controls["height"].value == 2.0 and box.controls["asd"].value is True
    assert text(box).startswith("3 bars")
    box.controls["count"].value = 4  # no value of the preset
    assert box.preset.value == "high"
    box.controls["height"].value = 1.0
    assert box.preset.value == OWN and box.controls["asd"].value is True
    box.set(height=0, asd=False)
    assert box.preset.value == "low"
    box.preset.value = OWN  # changes nothing
    assert box.controls["height"].value == 0


def test_what_compute_refuses_is_said_and_the_picture_stays(box):
    before = box.picture.value
    box.controls["count"].value = 7
    assert text(box) == "Nothing to draw: seven is no number of bars" and box.picture.value == before
    box.controls["count"].value = 6
    assert text(box).startswith("6 bars")


def test_it_can_start_elsewhere_also_out_of_range():
    pytest.importorskip("ipywidgets")
    box = widgets.explorer(compute, draw, say, CONTROLS, height=5, count=2)
    assert box.preset is None and box.controls["count"].value == 2 and box.controls["height"].value == 2.0
    assert text(box).startswith("height: 5 is outside")


def test_a_preset_out_of_range_is_refused():
    pytest.importorskip("ipywidgets")
    with pytest.raises(UsageError, match="preset: height: 5 is outside"):
        widgets.explorer(compute, draw, say, CONTROLS, {"tall": {"height": 5}})


def test_without_ipywidgets_one_sentence_says_what_to_do(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.partition(".")[0] == "ipywidgets":
            raise ModuleNotFoundError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    shown = widgets.explorer(compute, draw, say, CONTROLS, PRESETS)
    assert repr(shown) == "the sliders need ipywidgets: pip install 'sdbnn-lite[notebooks]'"

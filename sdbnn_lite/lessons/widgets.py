"""The explorers' sliders: the only module that uses ipywidgets, imported only when an explorer is made.

An explorer is three pure functions and its controls; :func:`explorer` puts sliders in front of them:

    compute(**values) -> stats      numbers, no drawing
    draw(stats) -> Figure           a picture, no computing
    say(stats) -> str               what the picture shows, in words; also the picture's alt text
"""

import html
import io
import math
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ..errors import UsageError, unknown
from ..plots.theme import theme

NEEDED = "the sliders need ipywidgets: pip install 'sdbnn-lite[notebooks]'"
OWN = "my own values"  # what the list of presets shows when none of them fits
HINT = "Tab moves to the next control. Arrow keys move a slider; Space opens a list, arrow keys and Enter choose."
DPI = 90  # of the pictures
CONTROLS_WIDTH, PICTURE_WIDTH = "20em", "44em"  # in a row where there is room for both, else below each other
# A control's label stands above it. Controls without a picture beside them share the rows.
STYLE = """<style>
.sdbnn-explorer, .sdbnn-explorer > .widget-box { display: flex; flex-flow: row wrap; align-content: flex-start }
.sdbnn-explorer > * > * { flex: 1 1 16em; min-width: 0; max-width: 30em; height: auto; flex-flow: row wrap }
.sdbnn-explorer .widget-label { width: 100%; text-align: left }
.sdbnn-explorer > * > .widget-html { flex: 1 1 100%; max-width: none }
.sdbnn-explorer .widget-html-content { line-height: 1.4 }
</style>"""


@dataclass(frozen=True)
class Control:
    """One value that a learner can move.

    name      the argument of ``compute``
    label     what stands beside the control; ``unit`` follows it in brackets: about 30 letters in all have room
    value     where it starts
    min, max, step    a slider: whole numbers where all of these and ``value`` are, else real ones
    log       a slider whose steps are factors: ``step`` is in powers of ten, ``min`` and ``max`` are values above 0
    choices   a list instead of a slider: values, or pairs (label, value); ``buttons`` shows them side by side
    only      (name, value): the control is disabled while the control of that name has another value

    Raises UsageError for a control that makes no sense.
    """

    name: str
    label: str
    value: Any
    unit: str = ""
    min: float | None = None
    max: float | None = None
    step: float | None = None
    log: bool = False
    choices: Sequence[Any] | None = None
    buttons: bool = False
    only: tuple[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.choices is None:
            if None in (self.min, self.max, self.step) or not self.min < self.max or not self.step > 0:
                raise UsageError(f"control {self.name}: a slider needs min < max and step > 0, a list needs choices")
            if self.log and not self.min > 0:
                raise UsageError(f"control {self.name}: min={self.min}, but a logarithmic slider starts above 0")
        if self.clamp(self.value)[1]:
            raise UsageError(f"control {self.name}: it can't start at {self.value!r}, which {self.allowed}")

    @property
    def whole(self) -> bool:
        """Whether the slider's values are whole numbers."""
        return all(isinstance(value, int) for value in (self.min, self.max, self.step, self.value)) and not self.log

    @property
    def pairs(self) -> list[tuple[str, Any]]:
        """The choices as (label, value)."""
        return [c if isinstance(c, tuple) and len(c) == 2 else (str(c), c) for c in self.choices]

    @property
    def allowed(self) -> str:
        if self.choices is None:
            return f"is outside {self.min:g} to {self.max:g}{f' {self.unit}' if self.unit else ''}"
        return f"isn't one of {', '.join(label for label, _ in self.pairs)}"

    def clamp(self, value: Any) -> tuple[Any, str]:
        """The nearest allowed value (for a choice or a NaN the starting one), and a sentence where that differs."""
        if self.choices is not None:
            if any(value == choice for _, choice in self.pairs):
                return value, ""
            start = next((label for label, choice in self.pairs if choice == self.value), None)
            return self.value, f"{self.label}: {value!r} {self.allowed}, so {start} is used."
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        kept = self.value if math.isnan(number) else min(max(number, self.min), self.max)
        kept = round(kept) if self.whole else float(kept)
        same = math.isclose(kept, number, rel_tol=1e-9) or (self.whole and round(number) == kept)
        return kept, "" if same else f"{self.label}: {value} {self.allowed}, so {kept:g} is used."


def clamp(controls: Sequence[Control], values: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """A value for every control, those not given at their start; and a sentence for each that had to be changed.

    Raises UsageError for a name that no control has.
    """
    known = {control.name: control for control in controls}
    for name in values:
        if name not in known:
            raise unknown("control", name, known)
    both = {name: control.clamp(values.get(name, control.value)) for name, control in known.items()}
    return {name: value for name, (value, _) in both.items()}, [note for _, note in both.values() if note]


class Sentence(str):
    """What a notebook shows, without quotes, instead of an explorer that can't be made."""

    __repr__ = str.__str__


def explorer(compute: Callable[..., Any], draw: Callable[[Any], Figure], say: Callable[[Any], str],
             controls: Sequence[Control], presets: Mapping[str, Mapping[str, Any]] | None = None,
             **start: Any):  # fmt: skip
    """Sliders, lists and presets beside a picture and a sentence, or above where it is narrow: an ``ipywidgets.Box``.

    ``presets``: name -> values of some or all controls. ``start``: values to begin with, by the controls' names.
    Values out of range are clamped, and the sentence says so. Randomness belongs into a control named ``seed``.

    The box also has, for programs and tests: ``box.controls`` (name -> widget), ``box.preset`` (the list, or None),
    ``box.picture`` and ``box.sentence`` (HTML widgets), and ``box.set(**values)``, which changes several values with
    one redraw. Without ipywidgets the sentence ``NEEDED`` is returned, so that the notebook continues.
    """
    try:
        import ipywidgets
    except ImportError:
        return Sentence(NEEDED)
    return _Explorer(ipywidgets, (compute, draw, say), controls, presets or {}, start).box


def choice(question: str, labels: Sequence[str], picked: int | None, on_pick: Callable[[int], None]):
    """The question above one button a label, none or the ``picked`` one pressed; ``on_pick`` is told the index."""
    try:
        import ipywidgets
    except ImportError:
        return Sentence(NEEDED)
    buttons = ipywidgets.RadioButtons(options=[(label, n) for n, label in enumerate(labels)], index=picked,
                                      layout=ipywidgets.Layout(width="max-content", max_width="100%"))  # fmt: skip
    buttons.observe(lambda change: on_pick(change["new"]), "value")
    return ipywidgets.VBox([ipywidgets.HTML(f"<b>{html.escape(question)}</b>"), buttons])


class _Explorer:
    """The widgets of one explorer and what happens when one of them changes."""

    def __init__(self, ipywidgets: Any, functions: tuple[Callable, Callable, Callable], controls, presets, start):
        self.compute, self.draw, self.say = functions
        self.controls, self.presets = {control.name: control for control in controls}, presets
        for values in presets.values():
            if found := clamp(controls, values)[1]:
                raise UsageError(f"preset: {found[0]}")
        first, self.notes = clamp(controls, start)
        self.busy = False  # while several values change at once
        self.widgets = {name: self._widget(ipywidgets, c, first[name]) for name, c in self.controls.items()}
        for widget in self.widgets.values():
            widget.observe(self._on_value, "value")
        self.preset = None
        if presets:
            self.preset = ipywidgets.Dropdown(options=[OWN, *presets], description="preset")
            self.preset.observe(self._on_preset, "value")
        self.picture, self.sentence = ipywidgets.HTML(), ipywidgets.HTML()
        self._changed()
        above = [self.preset] if presets else []
        hint = ipywidgets.HTML(f"<small>{HINT}</small>{STYLE}")
        parts = {CONTROLS_WIDTH: [*above, *self.widgets.values(), hint], PICTURE_WIDTH: [self.picture, self.sentence]}
        self.box = ipywidgets.Box([ipywidgets.Box(part, layout={
            "flex": f"1 1 {width}", "min_width": "0"}) for width, part in parts.items()])  # fmt: skip
        self.box.add_class("sdbnn-explorer")
        self.box.controls, self.box.preset, self.box.set = self.widgets, self.preset, self.set
        self.box.picture, self.box.sentence = self.picture, self.sentence

    def set(self, **values: Any) -> None:
        """Change several values with one redraw; those out of range are clamped, and the sentence says so."""
        clamped, found = clamp(list(self.controls.values()), values)
        self.notes += found
        self._assign({name: clamped[name] for name in values})

    def _assign(self, values: Mapping[str, Any]) -> None:
        self.busy = True
        try:
            for name, value in values.items():
                self.widgets[name].value = value
        finally:
            self.busy = False
        self._changed()

    def _on_value(self, _: Any) -> None:
        if not self.busy:
            self._changed()

    def _on_preset(self, change: Any) -> None:
        if not self.busy and change["new"] != OWN:
            self._assign(self.presets[change["new"]])

    def _changed(self) -> None:
        """Name the preset that the values belong to, and draw."""
        values = {name: widget.value for name, widget in self.widgets.items()}
        for control in (control for control in self.controls.values() if control.only):
            name, needed = control.only
            self.widgets[control.name].disabled = values[name] != needed
        if self.preset is not None:
            self.busy = True
            self.preset.value = next((n for n, preset in self.presets.items() if preset.items() <= values.items()), OWN)
            self.busy = False
        try:
            stats = self.compute(**values)
            said = self.say(stats)
            self.picture.value = image(self.draw(stats), alt=said)
        except UsageError as error:
            said = f"Nothing to draw: {error}"
        text = html.escape(" ".join([*self.notes, said]), quote=False)
        self.sentence.value = f'<p role="status" aria-live="polite">{text}</p>'
        self.notes.clear()

    def _widget(self, ipywidgets: Any, control: Control, value: Any) -> Any:
        unit = f" [{control.unit}]" if control.unit else ""
        look = {"description": control.label + unit}
        if control.choices is not None:
            kind = ipywidgets.ToggleButtons if control.buttons else ipywidgets.Dropdown
            return kind(options=control.pairs, value=value, **look)
        look |= {"value": value, "step": control.step, "readout": True, "continuous_update": False}
        if control.log:
            look |= {"base": 10, "readout_format": ".3g"}
            kind, ends = ipywidgets.FloatLogSlider, (math.log10(control.min), math.log10(control.max))
        else:
            kind, ends = (ipywidgets.IntSlider if control.whole else ipywidgets.FloatSlider), (control.min, control.max)
            if not control.whole:
                look["readout_format"] = f".{max(0, math.ceil(-math.log10(control.step) - 1e-9))}f"
        return _telling(kind, control, self._on_clamped)(min=ends[0], max=ends[1], **look)

    def _on_clamped(self, note: str, unchanged: bool) -> None:
        self.notes.append(note)
        if unchanged:  # no value changes, so nothing else would show the note
            self._changed()


def _telling(kind: type, control: Control, on_clamped: Callable[[str, bool], None]) -> type:
    """ipywidgets' own ``kind`` of slider, which clamps in silence, made to tell ``on_clamped``."""
    from traitlets import validate

    class Slider(kind):
        @validate("value")
        def _validate_value(self, proposal: Any) -> Any:
            kept, note = control.clamp(proposal["value"])
            if note:
                on_clamped(note, kept == self.value)
            return kept

    return Slider


def image(figure: Figure, alt: str) -> str:
    """``<img>`` with the figure in it, never wider than the page."""
    figure.dpi = DPI
    png = io.BytesIO()
    with theme():  # ticks are made when they are first drawn
        # Not savefig, which would draw everything twice; and little compression, which is quick.
        FigureCanvasAgg(figure).print_png(png, metadata={"Software": None}, pil_kwargs={"compress_level": 1})
    source = "data:image/png;base64," + b64encode(png.getvalue()).decode()
    return f'<img alt="{html.escape(alt)}" src="{source}" style="max-width: 100%">'

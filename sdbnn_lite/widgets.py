"""The explorers' sliders: the one module that knows ipywidgets, and imports it only when an explorer is made.

An explorer is three pure functions and its controls; :func:`explorer` puts sliders in front of them:

    compute(**values) -> stats      numbers, no drawing
    draw(stats) -> Figure           a picture, no computing
    say(stats) -> str               what the picture shows, in words; also the picture's alt text
"""

import html
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from .errors import UsageError, unknown
from .theme import data_uri

NEEDED = "the sliders need ipywidgets: pip install 'sdbnn-lite[notebooks]'"
OWN = "my own values"  # what the list of presets shows when none of them fits
HINT = "Tab moves to the next control, the arrow keys change it. The picture follows when you let go."
LABEL_WIDTH, WIDTH = "17em", "44em"


@dataclass(frozen=True)
class Control:
    """One value that a learner can move.

    name      the argument of ``compute``
    label     what stands beside the control; ``unit`` follows it in brackets
    value     where it starts
    min, max, step    a slider: whole numbers where all of these and ``value`` are, else real ones
    log       a slider whose steps are factors: ``step`` is in powers of ten, ``min`` and ``max`` are values above 0
    choices   a list instead of a slider: values, or pairs (label, value); ``buttons`` shows them side by side

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
        """The nearest value that is allowed (the starting value for a choice or a NaN), and a sentence if it differs."""
        if self.choices is not None:
            kept = value if any(value == choice for _, choice in self.pairs) else self.value
            label = next(label for label, choice in self.pairs if choice == kept)
            return kept, "" if value == kept else f"{self.label}: {value!r} {self.allowed}, so {label} is used."
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


class Sentence:
    """What stands in a notebook where an explorer can't."""

    def __init__(self, text: str):
        self.text = text

    def __repr__(self) -> str:
        return self.text


def explorer(
    compute: Callable[..., Any],
    draw: Callable[[Any], Figure],
    say: Callable[[Any], str],
    controls: Sequence[Control],
    presets: Mapping[str, Mapping[str, Any]] | None = None,
    **start: Any,
):
    """Sliders, lists and presets above a picture and a sentence: an ``ipywidgets.VBox``.

    ``presets``: name -> values of some or all controls. ``start``: values to begin with, by the controls' names.
    Values out of range are clamped, and the sentence says so. Randomness belongs into a control named ``seed``.

    The box also has, for programs and tests: ``box.controls`` (name -> widget), ``box.preset`` (the list, or None),
    ``box.picture`` and ``box.sentence`` (HTML widgets), and ``box.set(**values)``, which changes several values with
    one redraw. Without ipywidgets the sentence ``NEEDED`` is returned, so that a notebook goes on.
    """
    try:
        import ipywidgets
    except ImportError:
        return Sentence(NEEDED)

    presets = presets or {}
    for values in presets.values():
        _, notes = clamp(controls, values)
        if notes:
            raise UsageError(f"preset: {notes[0]}")
    first, notes = clamp(controls, start)

    picture, sentence = ipywidgets.HTML(), ipywidgets.HTML()
    busy = False  # while several values change, or the list of presets follows them

    def redraw() -> None:
        try:
            stats = compute(**{name: widget.value for name, widget in widgets.items()})
            said = say(stats)
            picture.value = image(draw(stats), alt=said)
        except UsageError as error:
            said = f"Nothing to draw: {error}"
        sentence.value = f'<p role="status" aria-live="polite">{html.escape(" ".join([*notes, said]))}</p>'
        notes.clear()

    def note(text: str) -> None:
        """A widget was given ``text``'s value. Where clamping leaves it as it is, nothing else would say so."""
        notes.append(text)

    def assign(values: Mapping[str, Any]) -> None:
        nonlocal busy
        busy = True
        try:
            for name, value in values.items():
                widgets[name].value = value
        finally:
            busy = False
        follow()

    def follow(_: Any = None) -> None:
        """After a value has changed: name the preset that it belongs to, and draw."""
        nonlocal busy
        if busy:
            return
        if preset is not None:
            busy = True
            preset.value = next((name for name in presets if fits(presets[name])), OWN)
            busy = False
        redraw()

    def fits(values: Mapping[str, Any]) -> bool:
        return all(widgets[name].value == value for name, value in values.items())

    def on_preset(change: Any) -> None:
        if not busy and change["new"] != OWN:
            assign(presets[change["new"]])

    def set_values(**values: Any) -> None:
        """Change several values at once."""
        known = {control.name: control for control in controls}
        clamped, found = clamp([known[name] for name in values if name in known], values)
        notes.extend(found)
        assign(clamped)

    widgets = {c.name: _widget(ipywidgets, c, first[c.name], note, follow) for c in controls}
    preset = None
    if presets:
        preset = ipywidgets.Dropdown(options=[OWN, *presets], description="preset", **_look(ipywidgets))
        preset.observe(on_preset, "value")
    for widget in widgets.values():
        widget.observe(follow, "value")
    follow()

    hint = ipywidgets.HTML(f"<small>{HINT}</small>")
    box = ipywidgets.VBox([*([preset] if preset else []), *widgets.values(), hint, picture, sentence])
    box.controls, box.preset, box.picture, box.sentence, box.set = widgets, preset, picture, sentence, set_values
    return box


def image(figure: Figure, alt: str) -> str:
    """``<img>`` with the figure in it, never wider than the page."""
    return f'<img alt="{html.escape(alt)}" src="{data_uri(figure)}" style="max-width: 100%">'


def _widget(ipywidgets: Any, control: Control, value: Any, note: Callable[[str], None], follow: Callable[[], None]):
    """The widget of one control; a slider tells ``note`` when it had to clamp."""
    unit = f" [{control.unit}]" if control.unit else ""
    look = {"description": control.label + unit, **_look(ipywidgets)}
    if control.choices is not None:
        kind = ipywidgets.ToggleButtons if control.buttons else ipywidgets.Dropdown
        return kind(options=control.pairs, value=value, **look)

    from traitlets import validate

    if control.log:
        kind, ends = ipywidgets.FloatLogSlider, {"min": math.log10(control.min), "max": math.log10(control.max)}
        look |= {"base": 10, "readout_format": ".3g"}
    else:
        kind = ipywidgets.IntSlider if control.whole else ipywidgets.FloatSlider
        ends = {"min": control.min, "max": control.max}
        if not control.whole:
            look["readout_format"] = f".{max(0, -math.floor(math.log10(control.step) + 1e-9))}f"

    class Slider(kind):
        """ipywidgets' own slider, which clamps in silence; this one says so."""

        @validate("value")
        def _validate_value(self, proposal: Any) -> Any:
            kept, text = control.clamp(proposal["value"])
            if text:
                note(text)
                if kept == self.value:  # no change, so nobody would be told
                    follow()
            return kept

    return Slider(value=value, **ends, step=control.step, readout=True, continuous_update=False, **look)


def _look(ipywidgets: Any) -> dict[str, Any]:
    return {
        "style": {"description_width": LABEL_WIDTH},
        "layout": ipywidgets.Layout(width=WIDTH, max_width="100%"),
    }

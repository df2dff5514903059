"""``sdbnn-lite bench explorers``: how long each explorer takes from a moved control to its picture and its sentence."""

import importlib
import pkgutil
import time
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from ..errors import UsageError
from . import explorers

GOAL_MS = 150  # for the median redraw: a picture that follows the hand
WARM_UP, REDRAWS = 3, 24


def explorer_modules() -> dict[str, ModuleType]:
    """Every explorer by its name: the modules of ``explorers``."""
    names = sorted(module.name for module in pkgutil.iter_modules(explorers.__path__))
    return {name: importlib.import_module(f"{explorers.__name__}.{name}") for name in names}


def bench_explorers(redraws: int = REDRAWS) -> list[dict[str, Any]]:
    """Per explorer: milliseconds from a moved control to its picture as PNG and its sentence.

    ``cpu_ms`` is the median of the processor time, which other programs on a busy machine don't stretch as much.
    """
    rows = []
    for name, module in explorer_modules().items():
        box = module.explorer()
        if not hasattr(box, "set"):
            raise UsageError(str(box))  # what stands there without ipywidgets: a sentence with the remedy
        moves = [move(module.CONTROLS, step) for step in range(WARM_UP + redraws)]
        wall, cpu = 1000 * np.array([_seconds(box.set, **values) for values in moves])[WARM_UP:].T
        low, median, high = np.percentile(wall, (10, 50, 90))
        times = {"median_ms": median, "p10_ms": low, "p90_ms": high, "cpu_ms": np.median(cpu)}
        row = {"explorer": name, "redraws": redraws} | {key: round(float(value), 1) for key, value in times.items()}
        rows.append(row | {"goal_ms": GOAL_MS, "met": bool(median <= GOAL_MS)})
    return rows


def move(controls: Sequence[Any], step: int) -> dict[str, Any]:
    """One control's new value: the controls take turns, and their values spread over all that they allow."""
    control = controls[step % len(controls)]
    turn = step // len(controls) + 1
    if control.choices is not None:
        return {control.name: control.pairs[turn % len(control.pairs)][1]}
    place = turn * 0.618 % 1  # the golden ratio: no two turns come near each other
    if control.log:
        return {control.name: control.min * (control.max / control.min) ** place}
    steps = round(place * (control.max - control.min) / control.step)
    return {control.name: control.min + steps * control.step}


def _seconds(function: Callable[..., Any], **arguments: Any) -> tuple[float, float]:
    """Seconds that passed, and seconds of processor time."""
    wall, cpu = time.perf_counter(), time.process_time()
    function(**arguments)
    return time.perf_counter() - wall, time.process_time() - cpu

"""``sdbnn-lite bench``: how long things take on this machine. A new measurement is one more entry in ``BENCHES``.

A measurement gives rows, dictionaries with the same keys; what they were measured on stands beside them.
"""

import importlib
import importlib.metadata
import pkgutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import torch

from ..cost.time_packed import bench_packed
from ..cost.time_reading import bench_data
from ..cost.time_steps import bench_train
from ..errors import UsageError, unknown
from ..lessons import explorers
from ..system.machine import describe_machine
from ..system.text import aligned_table

THREADS = 2  # torch's, as in the notebooks
GOAL_MS = 150  # for the median redraw: a picture that follows the hand
WARM_UP, REDRAWS = 3, 24
PACKAGES = ("matplotlib", "ipywidgets")  # whose versions matter here, besides those that describe_machine names


@dataclass(frozen=True)
class Bench:
    """One measurement: ``run() -> rows``, and the headline of its table."""

    title: str
    run: Callable[[], list[dict[str, Any]]]


def measure(names: Iterable[str] = ()) -> dict[str, Any]:
    """{"machine": …, name: rows, …} for the measurements ``names`` (none: all of them); ready for JSON.

    Raises UsageError for an unknown name.
    """
    names = list(names) or list(BENCHES)
    for name in names:
        if name not in BENCHES:
            raise unknown("measurement", name, BENCHES)
    machine = describe_machine(torch.device("cpu"))
    machine["versions"] |= {name: _version(name) for name in PACKAGES}
    return {"machine": machine, **{name: BENCHES[name].run() for name in names}}


def as_text(result: dict[str, Any]) -> str:
    """What ``measure`` gave, as aligned tables with the machine under them."""
    parts = [f"{BENCHES[name].title}\n{_aligned(rows)}" for name, rows in result.items() if name != "machine"]
    machine = result["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items() if version)
    parts.append(f"{machine['cpu']}, {machine['cores']} cores, {machine['threads']} threads\n{versions}")
    return "\n\n".join(parts)


# --- explorers -------------------------------------------------------------------------------------------------------


def explorer_modules() -> dict[str, ModuleType]:
    """Every explorer by its name: the modules of ``explorers`` that have controls."""
    names = sorted(module.name for module in pkgutil.iter_modules(explorers.__path__))
    found = {name: importlib.import_module(f"{explorers.__name__}.{name}") for name in names}
    return {name: module for name, module in found.items() if hasattr(module, "CONTROLS")}


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


BENCHES = {
    "train": Bench("Training step of the CIFAR networks, milliseconds; ratios: median (10th-90th)", bench_train),
    "data": Bench("Training images a second, and processor time of each; goal: CIFAR on two cores", bench_data),
    "packed": Bench("On bits: milliseconds beside torch's best float32; ratios: median (10th-90th)", bench_packed),
    "explorers": Bench(f"Explorers: one control moved to picture and sentence; goal {GOAL_MS} ms", bench_explorers),
}


# --- text ------------------------------------------------------------------------------------------------------------


def _aligned(rows: list[dict[str, Any]]) -> str:
    """Rows under their keys; numbers to the right."""
    if not rows:
        return "nothing"
    lines = [list(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
    return aligned_table(lines, [isinstance(value, int | float) for value in rows[0].values()])


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "-"
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None

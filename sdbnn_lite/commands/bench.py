"""``sdbnn-lite bench``: how long things take on this machine. A new measurement is one more entry in ``BENCHES``."""

from collections.abc import Callable, Iterable
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, NamedTuple

import torch

from ..analysis import time_to_accuracy
from ..cost.step_roofline import bench_roofline
from ..cost.time_packed import bench_packed
from ..cost.time_reading import bench_data
from ..cost.time_steps import bench_train
from ..errors import check_whole, unknown
from ..lessons.time_explorers import GOAL_MS, bench_explorers
from ..system.machine import describe_machine
from ..system.text import rows_table
from ..system.timing import busy_processes

THREADS = 2  # torch's, as in the notebooks
PACKAGES = ("matplotlib", "ipywidgets")  # whose versions matter here, besides those that describe_machine names


class Bench(NamedTuple):
    """One measurement: the headline of its table, and what gives its rows, dictionaries with the same keys."""

    title: str
    run: Callable[..., list[dict[str, Any]]]


def measure(names: Iterable[str] = (), beside: int = 0, network: str | None = None) -> dict[str, Any]:
    """{"machine": …, name: rows, …} for the measurements ``names`` (none: all of them); ready for JSON.

    ``beside``: other processes that keep a core busy each meanwhile; ``network``: the one of "roofline". Raises
    UsageError for an unknown name.
    """
    names = list(names) or list(BENCHES)
    for name in names:
        if name not in BENCHES:
            raise unknown("measurement", name, BENCHES)
    machine = describe_machine(torch.device("cpu"))
    machine["versions"] |= {name: version(name) if find_spec(name) else None for name in PACKAGES}
    if beside:
        check_whole(most=1024, beside=beside)
        machine["beside"] = beside
    which = {"roofline": (network,)} if network else {}
    with busy_processes(beside):
        return {"machine": machine, **{name: BENCHES[name].run(*which.get(name, ())) for name in names}}


def as_text(result: dict[str, Any]) -> str:
    """What ``measure`` gave, as aligned tables with the machine under them."""
    parts = [f"{BENCHES[name].title}\n{rows_table(rows, 1)}" for name, rows in result.items() if name != "machine"]
    machine = result["machine"]
    versions = ", ".join(f"{name} {found}" for name, found in machine["versions"].items() if found)
    hardware = f"{machine['cpu']}, {machine['cores']} cores, {machine['threads']} threads"
    beside = f", beside {machine['beside']} busy processes" if "beside" in machine else ""
    parts.append(f"{hardware}, kernels for {machine['kernels']}{beside}\n{versions}")
    return "\n\n".join(parts)


BENCHES = {
    "train": Bench("Training step of the CIFAR networks, milliseconds; ratios: median (10th-90th)", bench_train),
    "data": Bench("Training images a second, and processor time of each; goal: CIFAR on two cores", bench_data),
    "packed": Bench("Bit-packed: milliseconds beside torch's best float32; ratios: median (10th-90th)", bench_packed),
    "roofline": Bench("One training step in parts: multiply-adds, bytes, and the share of the peak", bench_roofline),
    "explorers": Bench(f"Explorers: one control moved to picture and sentence; goal {GOAL_MS} ms", bench_explorers),
    "accuracy": Bench("ResNet-20 on CIFAR-10, committed runs: minutes to a test accuracy", time_to_accuracy.rows),
}

"""The committed measurements of speed (``results/bench/``), as tables for the README.

results/bench/train.json     what `sdbnn-lite bench train --json` printed on the machine that it names
results/bench/packed.json    the same for `sdbnn-lite bench packed --json`
results/bench/data.json      the same for `sdbnn-lite bench data --data DIR --json`
"""

import json
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..system.machine import processor
from ..system.text import markdown_table
from . import tables

WAYS = {"resident": "in memory"}  # names in the files -> in the table


def read(what: str) -> dict[str, Any]:
    """A committed measurement, as ``bench.measure`` gave it; UsageError where there is none."""
    path = _path(what)
    if not path.is_file():
        raise UsageError(f"no committed measurement {what!r}; `sdbnn-lite bench {what}` measures this machine")
    return json.loads(path.read_text(encoding="utf-8"))


def markdown() -> str:
    """A table for each committed measurement, the machine and the command that made it below."""
    parts = {"train": _train, "data": _data, "packed": _packed}
    return "\n\n".join(part(read(what)) for what, part in parts.items() if _path(what).is_file())


def _path(what: str) -> Path:
    return tables.RESULTS / "bench" / f"{what}.json"


def _train(result: dict[str, Any]) -> str:
    rows = [
        [_title(row["network"]), _ms(row["published_ms"]), _ms(row["readable_ms"]), _ms(row["float_ms"]),
         _ms(row["fast_ms"]), f"**{row['published/fast']}**", f"{row['readable_saved_mb']} → {row['fast_saved_mb']} MB"]
        for row in result["train"]
    ]  # fmt: skip
    head = ["One training step", "published code", "readable", "float twin", "fast", "published / fast",
            "saved for backward, readable → fast"]  # fmt: skip
    batch, rounds = (result["train"][0][key] for key in ("batch", "rounds"))
    below = f"{_source(result, 'train')}, batch {batch}, at least {rounds} rounds, interleaved."
    return f"{markdown_table(head, rows)}\n\n{below}"


def _data(result: dict[str, Any]) -> str:
    """With the most workers, that is processes of torchvision's, threads of ours; what lies in memory needs none."""
    most = max(row["workers"] for row in result["data"])
    rows = [
        [row["source"], f"{row['pixels']}", WAYS.get(row["way"], row["way"]), f"**{row['images_s']:,}**",
         "–" if row["goal"] is None else f"{row['goal']:,}"]
        for row in result["data"] if row["workers"] in (0, most) and (row["workers"] or row["way"] == "resident")
    ]  # fmt: skip
    head = ["Reading training images", "pixels", "how", "images a second", "our goal"]
    below = f"{_source(result, 'data --data DIR')}, {most} workers; median of the rounds, files in memory already."
    return f"{markdown_table(head, rows)}\n\n{below}"


def _packed(result: dict[str, Any]) -> str:
    rows = [
        [_title(row["what"]), str(row["batch"]), _ms(row["float32_ms"]), _ms(row["packed_ms"]),
         f"**{row['float32/packed']}**", "–" if row["goal"] is None else f"{row['goal']:g}"]
        for row in result["packed"]
    ]  # fmt: skip
    head = ["Bit-packed", "images", "torch's best float32", "packed, with packing the signs", "ratio", "our goal"]
    below = f"{_source(result, 'packed')}. Ratios: median (10th-90th percentile) of the rounds."
    return f"{markdown_table(head, rows)}\n\n{below}"


def _source(result: dict[str, Any], what: str) -> str:
    machine = result["machine"]
    command = f"sdbnn-lite bench {what} --threads {machine['threads']} --json"
    return f"{processor(machine)} on {machine['cores']} cores, torch {machine['versions']['torch']}: `{command}`"


def _title(what: str) -> str:
    if "@" in what:
        channels, side = what.split("@")
        return f"3×3, {channels} → {channels} channels, {side}×{side}"
    return f"`{what}`"


def _ms(value: float) -> str:
    return f"{value:,.0f} ms" if value >= 100 else f"{value:.3g} ms"

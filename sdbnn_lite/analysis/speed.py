"""The committed measurements of speed, as tables for the README.

results/bench/{train,packed,data}*.json   what `sdbnn-lite bench train --json`, `bench packed --json` and
                                          `bench data --data DIR --json` printed on the machines that they name
"""

from typing import Any

from ..errors import UsageError
from ..system.files import read_json
from ..system.machine import processor
from ..system.text import markdown_table
from . import tables

WAYS = {"resident": "in memory"}  # names in the files -> in the table


def read(what: str) -> dict[str, Any]:
    """A committed measurement, as ``bench.measure`` gave it; UsageError where there is none."""
    path = tables.RESULTS / "bench" / f"{what}.json"
    if not path.is_file():
        raise UsageError(f"no committed measurement {what!r}; `sdbnn-lite bench {what}` measures this machine")
    return read_json(path)


def markdown() -> str:
    """A table for each committed measurement, the machine and the command that made it below."""
    said = []
    for what, part in (("train", _train), ("data", _data), ("packed", _packed)):
        for path in sorted((tables.RESULTS / "bench").glob(f"{what}*.json")):
            result = read(path.stem)
            (head, rows, note), machine = part(result[what]), result["machine"]
            command = f"sdbnn-lite bench {what}{' --data DIR' * (what == 'data')} --threads {machine['threads']} --json"
            kernels = f"for {machine['kernels']}" if "kernels" in machine else "of an earlier version"
            kernels = "" if what == "data" else f", kernels {kernels}"
            where = f"{processor(machine)} on {machine['cores']} cores{kernels}, torch {machine['versions']['torch']}"
            said += [markdown_table(head, rows), f"{where}: `{command}`{note}"]
    return "\n\n".join(said)


def _train(train: list[dict[str, Any]]) -> tuple[list, list, str]:
    head = ["One training step", "published code", "readable", "float twin", "fast", "fast, 8-bit gradients",
            "published / fast", "published / fast, 8-bit", "our goal", "kept for backward: readable, fast"]  # fmt: skip
    ways = ("published", "readable", "float", "fast", "fast8")
    rows = [
        [_title(row["network"]), *(_ms(row[f"{way}_ms"]) for way in ways), row["published/fast"],
         f"**{row['published/fast8']}**", row["goal"], f"{row['readable_saved_mb']}, {row['fast_saved_mb']} MB"]
        for row in train
    ]  # fmt: skip
    return head, rows, f", batch {train[0]['batch']}, at least {train[0]['rounds']} rounds, interleaved."


def _data(data: list[dict[str, Any]]) -> tuple[list, list, str]:
    """With the most workers, that is processes of torchvision's, threads of ours; what lies in memory needs none."""
    most = max(row["workers"] for row in data)
    head = ["Reading training images", "pixels", "how", "images a second", "our goal"]
    rows = [
        [row["source"], row["pixels"], WAYS.get(row["way"], row["way"]), f"**{row['images_s']:,}**",
         "–" if row["goal"] is None else f"{row['goal']:,}"]
        for row in data if row["workers"] in (0, most) and (row["workers"] or row["way"] == "resident")
    ]  # fmt: skip
    return head, rows, f", {most} workers; median of the rounds, files in memory already."


def _packed(packed: list[dict[str, Any]]) -> tuple[list, list, str]:
    head = ["Bit-packed", "images", "torch's best float32", "packed, with packing the signs", "ratio", "our goal"]
    rows = [
        [_title(row["what"]), row["batch"], _ms(row["float32_ms"]), _ms(row["packed_ms"]),
         f"**{row['float32/packed']}**", "–" if row["goal"] is None else f"{row['goal']:g}"]
        for row in packed
    ]  # fmt: skip
    return head, rows, ". Ratios: median (10th-90th percentile) of the rounds."


def _title(what: str) -> str:
    if "@" in what:
        channels, side = what.split("@")
        return f"3×3, {channels} → {channels} channels, {side}×{side}"
    return f"`{what}`"


def _ms(value: float) -> str:
    return f"{value:,.0f} ms" if value >= 100 else f"{value:.3g} ms"

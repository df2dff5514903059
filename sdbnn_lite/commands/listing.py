"""``list``: the recipes, networks, methods, trained networks and image sets that there are."""

import argparse
import json

from ..system.text import rows_table
from .known import TABLES
from .options import JSON, command, option

USED_BY = {
    "recipes": "sdbnn-lite train RECIPE",
    "networks": 'sd.build("NETWORK", method="METHOD"); parameters with method sdbnn',
    "methods": "sdbnn-lite train RECIPE --method METHOD",
    "zoo": 'sd.load("NAME"), sdbnn-lite evaluate NAME',
    "datasets": "DIR: given as --data DIR, or by SDBNN_DATA",
}


@command(
    option("what", nargs="?", choices=TABLES, metavar="WHAT", help=f"one of {', '.join(TABLES)} (default: all)"),
    JSON,
)
def run_list(args: argparse.Namespace) -> None:
    """List recipes, networks, methods, the zoo with accuracies, data sets."""
    names = [args.what] if args.what else list(TABLES)
    if args.json:
        print(json.dumps({name: TABLES[name]() for name in names}, indent=2, ensure_ascii=False))
        return
    for name in names:
        above = "\n" if name != names[0] else ""
        print(f"{above}{name}    {USED_BY[name]}\n{rows_table(TABLES[name](), cell)}", flush=True)


def cell(value: object) -> str:
    """A value as the tables print it; a share as percent."""
    if isinstance(value, float):
        return f"{100 * value:.2f} %"
    if value is None or isinstance(value, bool):
        return "yes" if value else "-"
    return f"{value:,}" if isinstance(value, int) else str(value)

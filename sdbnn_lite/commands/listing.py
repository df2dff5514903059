"""``list``: the recipes, networks, methods, trained networks, image sets and targets that there are, without torch."""

import argparse
import json
from dataclasses import replace
from pathlib import Path

from ..core.methods import METHODS, PAPERS
from ..system.files import read_toml
from ..system.paths import PACKAGE
from ..system.target import TARGETS, runnable, target
from ..system.text import rows_table
from ..training.recipes import CHAINS, RECIPES
from ..weights.cards import cards_in
from .options import JSON, command, option

FACTS = read_toml(Path(__file__).with_suffix(".toml"))  # of networks and data sets
COLUMNS = FACTS["columns"]  # of each table, after the name
NAMES = {"recipe": "recipes", "network": "networks", "method": "methods", "dataset": "datasets", "weights": "zoo",
         "init": "zoo", "teacher": "zoo"}  # a command's argument: the table whose names may stand there  # fmt: skip


@command(
    option("what", nargs="?", choices=COLUMNS, metavar="WHAT", help=f"one of {', '.join(COLUMNS)} (default: all)"), JSON
)
def run_list(args: argparse.Namespace) -> None:
    """List recipes, networks, methods, the zoo with accuracies, data sets, what kernels are for."""
    found = {table: rows(table) for table in ([args.what] if args.what else COLUMNS)}
    text = "\n\n".join(f"{table}:\n{rows_table(found[table], digits=4)}" for table in found)
    print(json.dumps(found, indent=2) if args.json else text)


def rows(table: str) -> list[dict]:
    """The rows of a table of ``COLUMNS``."""
    keys = COLUMNS[table].split()
    if table == "recipes":
        chains = [replace(RECIPES[parts[-1]], name=name, epochs=sum(RECIPES[part].epochs for part in parts),
                          about=f"in a row: {', '.join(parts)}") for name, parts in CHAINS.items()]  # fmt: skip
        found = {recipe.name: vars(recipe) for recipe in (*RECIPES.values(), *chains)}
    elif table == "zoo":
        found = cards_in(PACKAGE / "zoo")
    elif table == "methods":
        found = {name: {"title": m.title, "paper": PAPERS.get(name)} for name, m in METHODS.items()}
    elif table == "targets":
        here = dict.fromkeys(runnable(), "possible") | {target().name: "used"}
        found = {name: {**vars(t), "here": here.get(name)} for name, t in TARGETS.items()}
    else:
        found = FACTS[table]
    return [{"name": name, **{key: row[key] for key in keys}} for name, row in found.items()]


def names(action: argparse.Action, **_: object) -> list[str]:
    """What Tab completes as a command's argument (argcomplete's default completer); where nothing fits, files."""
    return [row["name"] for row in rows(NAMES[action.dest])] if action.dest in NAMES else []

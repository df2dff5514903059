"""``search``: which settings of a recipe reach the highest accuracy on held-out training images."""

import argparse
from pathlib import Path

from ..errors import UsageError
from ..training.recipes import choose
from .options import DATASET, METHOD, QUIET, READING, command, option
from .training import run_options

SPACE = """\
the space file (TOML): a line per setting of the recipe, with limits, choices, or one value
  lr = {low = 0.001, high = 0.03, log = true}
  batch_size = [64, 128]
  optimizer = ["adam"]
  ede_t_min = {low = 0.1, high = 2.0, log = true}

run again, it goes on up to N trials in all; started several times, the processes share them
"""
SHOWN = 10  # trials in the printed table


@command(
    option("recipe", metavar="RECIPE", help="a recipe of `sdbnn-lite list recipes`"),
    option("--space", metavar="FILE", required=True, help="which settings, between which limits (see below)"),
    option("--trials", type=int, metavar="N", required=True, help="how many in all, earlier calls' included"),
    option("--out", metavar="DIR", required=True, help="the search's folder; resumes if stopped"),
    METHOD,
    option("--seed", type=int, default=0, metavar="S", help="of trials and of proposals (default: 0)"),
    option("--epochs", type=int, metavar="E", help="of every trial, the schedules compressed (default: all)"),
    option("--validation", type=int, default=5000, metavar="N", help="images held out (default: %(default)s)"),
    option("--confirm", type=int, default=0, metavar="K", help="then train the best K anew …"),
    option("--confirm-epochs", type=int, default=30, metavar="E", help="… for E epochs (%(default)s)"),
    option("--confirm-seeds", type=int, nargs="+", default=(1, 2), metavar="S", help="… with these seeds"),
    *READING,
    DATASET,
    option("--teacher", metavar="WEIGHTS", help="the network that trials with distillation learn from"),
    option("--threads", type=int, metavar="N", help="CPU threads of this process"),
    QUIET,
    epilog=SPACE,
)
def run_search(args: argparse.Namespace) -> None:
    """Try many settings of a recipe, judged by held-out training images."""
    for name, least in (("trials", 1), ("confirm", 0), ("confirm_epochs", 1), ("validation", 1)):
        if getattr(args, name) < least:
            raise UsageError(f"--{name.replace('_', '-')} {getattr(args, name)}: a number from {least} up is needed")
    recipe = choose(args.recipe, epochs=args.epochs, dataset=args.dataset)
    import pandas as pd

    from ..training.confirm import CONFIRMED, confirm
    from ..training.initial import fitting
    from ..training.search import TRIALS, Search
    from ..training.search_space import read_space
    recipe = fitting(recipe)
    space = read_space(args.space, recipe)
    search = Search(recipe, space, args.out, args.method, args.seed, run_options(args, validation=args.validation))
    search.run(args.trials)
    table = pd.DataFrame(search.rows())
    draw(search, table)
    best = table[table["state"] != "failed"].sort_values(["state", "validation_accuracy"], ascending=[True, False])
    print(best.head(SHOWN).to_string(index=False, float_format="{:.4g}".format))
    print(f"{describe_counts(table)}; all of them: {Path(args.out) / TRIALS}")
    if args.confirm:
        rows = confirm(search, args.confirm, args.confirm_epochs, args.confirm_seeds)
        print(pd.DataFrame(rows).to_string(index=False, float_format="{:.4g}".format))
        print(f"the best trained anew: {Path(args.out) / CONFIRMED}")


def draw(search, table) -> None:
    """trials.svg in the search's folder."""
    from ..plots.search import settings_tried
    from ..plots.theme import svg_bytes
    from ..system.files import write_atomic
    scales = {name: "log" if getattr(d, "log", False) else "linear" if hasattr(d, "low") else "choices"
              for name, d in search.space.items()}  # fmt: skip
    recipe, images = search.recipe, search.images
    caption = f"{recipe.name}, method {search.method}, {recipe.epochs} epochs a trial, seed {search.seed}; " \
              f"{describe_counts(table)}\n{images.num_test:,} validation images: {images.label}"  # fmt: skip
    figure = settings_tried(table, scales, "What was tried, and how well it did", caption)
    write_atomic(search.folder / "trials.svg", svg_bytes(figure))


def describe_counts(table) -> str:
    """How many trials there are in each state."""
    counts = table["state"].value_counts().sort_index()
    return f"{len(table)} trials: {', '.join(f'{number} {state}' for state, number in counts.items())}"

"""``train`` and ``study``: one network by a recipe, or several methods with several seeds."""

import argparse
import shlex
import sys
import textwrap
from pathlib import Path

from ..core.methods import METHODS, get_method
from ..errors import UsageError, unknown
from ..system.interrupt import stop_code
from ..training.recipes import CHAINS, RECIPES, RENAMED, choose, default_method, get_recipe, read_recipe, recipe_toml
from .options import METHOD_LIST, TRAINING, command, option, reading
from .scoring import describe_score

SEVERAL = """\
on several GPUs or machines (the run's folder, --out, must be one that all of them see):
  torchrun --nproc-per-node M --max-restarts 3 -m sdbnn_lite train RECIPE --data DIR --out RUN
and on each of N machines, the first of which is called FIRST (ID: a new one for each launch):
  torchrun --nnodes N --nproc-per-node M --max-restarts 3 --rdzv-backend c10d --rdzv-id ID \\
      --rdzv-endpoint FIRST:29500 -m sdbnn_lite train RECIPE --data DIR --out RUN
"""
NAMES = textwrap.fill(", ".join([*RECIPES, *CHAINS]), 110, initial_indent="  ", subsequent_indent="  ",
                      break_on_hyphens=False)  # fmt: skip


@command(
    option("recipe", metavar="RECIPE", nargs="?", help="one of the recipes below"),
    option("--config", metavar="FILE", help="a TOML file with a recipe of your own, or what it changes in RECIPE"),
    option("--print-config", action="store_true", help="print the recipe as such a file, every field explained"),
    option("--method", metavar="M", help=f"one of {METHOD_LIST} (default: sdbnn; a teacher: float)"),
    option("--seed", type=int, default=0, metavar="S", help="initial weights, order of images (default: 0)"),
    option("--out", metavar="DIR", help="the run's folder (default: runs/RECIPE-METHOD-seedS)"),
    option("--resume", action="store_true", help="resume the run in that folder exactly where it stopped"),
    option("--init", metavar="WEIGHTS", help="start from a trained network: what fits is taken, the rest is new"),
    *TRAINING,
    epilog=f"recipes (what each is: sdbnn-lite list recipes):\n{NAMES}\n\n{SEVERAL}",
)
def run_train(args: argparse.Namespace) -> int:
    """Train one network by a recipe."""
    recipes = chosen(args)
    chain = args.recipe if len(recipes) > 1 else None
    if args.print_config:
        if chain:
            raise UsageError(f"--print-config: {chain} is several recipes, {', '.join(CHAINS[chain])}; name one")
        print(recipe_toml(recipes[0]), end="")
        return 0
    method = get_method(args.method or default_method(chain or recipes[0].name)).name  # said before torch is loaded
    from ..training.api import default_folder
    from ..training.initial import fitting
    from ..training.stages import train_stages
    from ..training.steps.processes import is_main, leave
    from ..training.train import train
    recipes = list(map(fitting, recipes))
    out = Path(args.out or default_folder(recipes[-1], method, args.seed, chain))
    how = {"method": method, "seed": args.seed, "resume": args.resume, "options": run_options(args, init=args.init)}
    results = train_stages(recipes, out, **how) if chain else [train(recipes[0], out, **how)]
    leave()
    said = [describe_run(result, args.seed) for result in results if result.finished]
    stopped = not results[-1].finished
    if stopped:
        typed = args.typed if args.resume else f"{args.typed} --resume"
        said.append(f"stopped; the state is saved in {results[-1].out}. Resume it with:\n  {typed}")
    if is_main():
        print(*said, sep="\n", flush=True)
    return stop_code() if stopped else 0


def chosen(args: argparse.Namespace) -> list:
    """The recipes that the command line names, with what it changes; several where it names a chain."""
    if args.config is not None:
        base = None if args.recipe is None else get_recipe(args.recipe)
        return [changed(read_recipe(args.config, base), args)]
    if args.recipe is None:
        raise UsageError("RECIPE or --config FILE is needed; `sdbnn-lite train --help` lists the recipes")
    if not args.recipe.endswith(".toml") and args.recipe not in {*RECIPES, *CHAINS, *RENAMED}:
        raise unknown("recipe", args.recipe, [*RECIPES, *CHAINS])
    return [changed(name, args) for name in CHAINS.get(args.recipe, [args.recipe])]


def describe_run(result, seed: int) -> str:
    """What a finished run reached, on what, and how to score it again."""
    from ..system.machine import describe_machine, processor
    net, machine = result.net, describe_machine(next(result.net.parameters()).device)
    return (f"{describe_score(result.score, result.label)}\n"
            f"({net.name}, method {net.options['method']}, {len(result.log)} epochs, seed {seed}, n = 1, last epoch, "
            f"{processor(machine)})\n"
            f"run: {result.out}    evaluate it again: sdbnn-lite evaluate {shlex.quote(str(result.out))}")  # fmt: skip


@command(
    option("recipe", metavar="RECIPE", help="a recipe of `sdbnn-lite list recipes`"),
    option("--methods", metavar="A,B", help="comma-separated (default: all)"),
    option("--seeds", type=int, default=3, metavar="N", help="seeds 0 … N-1 (default: 3)"),
    option("--out", metavar="DIR", help="the runs' folder (default: runs/RECIPE-study); resumes if stopped"),
    option("--searches", metavar="DIR", help="each method by the best settings of its `search --out DIR/METHOD`"),
    option("--partial", action="store_true", help="train nothing: gather the runs that are finished so far"),
    option("--publish", action="store_true", help="put the tables into the package (digits: the weights too)"),
    option("--add", action="store_true", help="with --publish: leave the package's other runs as they are"),
    *TRAINING,
)
def run_study(args: argparse.Namespace) -> None:
    """Train several methods with several seeds and gather their tables."""
    recipe = changed(args.recipe, args)
    check_publish(args, recipe)
    methods = [get_method(name).name for name in args.methods.split(",")] if args.methods else list(METHODS)
    import pandas as pd

    from .. import data
    from ..analysis import study as studies
    from ..analysis.ede_gradients import write_study_gradients
    from ..analysis.final_signs import write_study_signs
    from ..analysis.publish import card_study
    from ..analysis.tables import study_facts, study_folder, summary
    from ..analysis.tuned import read_tuned
    from ..data.sets import given_folder
    from ..training.initial import fitting
    from ..weights.zoo import ZOO
    recipe = fitting(recipe)
    out = Path(args.out or studies.default_folder(recipe))
    published = study_folder(recipe.name)
    tables = published if args.publish and not args.add else out
    planned, left_out, tuned = studies.plan(methods, args.seeds), [], read_tuned(args.searches, recipe, methods)
    if args.partial:
        rows, left_out = studies.finished(recipe, out, methods, args.seeds, tuned)
        planned = [(row["method"], row["seed"]) for row in rows]
    if args.add:
        studies.check_adds(published, recipe)
    elif args.publish:
        studies.check_replaces(tables, recipe.epochs, planned)  # before anything is trained
    if not args.partial:
        try:
            rows = studies.run_study(recipe, out, methods, args.seeds, run_options(args), tuned)
        except KeyboardInterrupt:
            print("stopped; the same command with --partial gathers what is finished", file=sys.stderr)
            raise
    studies.gather(out, rows, tables, again_command(args), left_out, tuned)
    if recipe.dataset == "cifar10" and given_folder(args.data):
        images = data.load(recipe.dataset, args.data)
        write_study_signs(out, rows, tables, images, recipe.epochs)
        write_study_gradients(out, rows, tables, images)
    if args.add:
        studies.add(tables, published)
    if args.publish and recipe.name == "digits":
        studies.publish(out, rows, ZOO, recipe.name)
        card_study(ZOO, recipe.name, {**study_facts(recipe.name), "methods": list({row["method"]: 0 for row in rows})})
    table = summary(pd.DataFrame(rows)) * [1, 100, 100]
    print(table.rename(columns={"mean": "mean %", "std": "std %"}).round(2).to_string())
    lacking = [f"left out: {run['method']} seed {run['seed']} ({run['why']})" for run in left_out]
    print(*lacking, f"tables: {published if args.publish else tables}", sep="\n")


def check_publish(args: argparse.Namespace, recipe) -> None:
    """Raise UsageError where --publish or --add make no sense."""
    if args.publish and recipe.dataset != get_recipe(args.recipe).dataset:
        raise UsageError(f"--publish --dataset {recipe.dataset}: the package's tables are of the recipe's own images")
    if args.add and not args.publish:
        raise UsageError("--add: adds to the package's runs; it needs --publish")
    if args.add and args.searches:
        raise UsageError("--add with --searches: methods that were tuned are gathered all together; leave --add out")


def again_command(args: argparse.Namespace) -> str:
    """What makes a study's tables again anywhere: as typed, without the folders of this machine."""
    kept = ["sdbnn-lite", "study", args.recipe, "--seeds", str(args.seeds)]
    where = {"data": args.data and "DIR", "teacher": args.teacher and Path(args.teacher).name,
             "searches": args.searches and "SEARCHES"}  # fmt: skip
    for name in ("methods", "dataset", "epochs", "batch_size", "lr", "image_size", "distill", "ede", *where, "threads"):
        value = where.get(name, getattr(args, name))
        if value not in (None, ""):
            kept += [f"--{name.replace('_', '-')}", *map(str, value if name == "ede" else [value])]
    return shlex.join(kept + ["--publish"] * args.publish + ["--add"] * args.add)


def changed(recipe, args: argparse.Namespace):
    """The recipe (or the one of that name) with what the command line changes."""
    others = {"image_size": args.image_size, "distill": args.distill, "ede": args.ede, "dataset": args.dataset}
    return choose(recipe, epochs=args.epochs, batch_size=args.batch_size, lr=args.lr, **others)


def run_options(args: argparse.Namespace, **more):
    """What every training takes from the command line, and ``more``; sets the number of threads."""
    from ..system.devices import set_threads
    from ..training.options import RunOptions
    if args.threads is not None:
        set_threads(args.threads)
    more |= {"tensorboard": getattr(args, "tensorboard", None)}
    more |= {"progress": not args.quiet, "command": args.typed, "teacher": args.teacher, **reading(args)}
    return RunOptions(args.data, args.device, **more)

"""``train`` and ``study``: one network by a recipe, or several methods with several seeds."""

import argparse
import os
import shlex
import sys
from pathlib import Path

from .options import Commands, add_command, add_training_options, method_list
from .scoring import describe_score

SEVERAL = """\
on several GPUs or machines (the run's folder, --out, must be one that all of them see):
  torchrun --nproc-per-node M --max-restarts 3 -m sdbnn_lite train RECIPE --data DIR --out RUN
and on each of N machines, the first of which is called FIRST (ID: a new one for each launch):
  torchrun --nnodes N --nproc-per-node M --max-restarts 3 --rdzv-backend c10d --rdzv-id ID --rdzv-endpoint FIRST:29500 \
      -m sdbnn_lite train RECIPE --data DIR --out RUN
"""


def add_train(commands: Commands) -> None:
    """Command ``train`` and its options."""
    sub = add_command(commands, run_train, "train", "train one network by a recipe", recipe_list())
    sub.add_argument("recipe", metavar="RECIPE", help="one of the recipes or rows of recipes below")
    sub.add_argument("--method", metavar="M", help=f"one of {method_list()} (default: sdbnn; a teacher: float)")
    sub.add_argument("--seed", type=int, default=0, metavar="S", help="initial weights, order of images (default: 0)")
    sub.add_argument("--out", metavar="DIR", help="the run's folder (default: runs/RECIPE-METHOD-seedS)")
    sub.add_argument("--resume", action="store_true", help="resume the run in that folder exactly where it stopped")
    sub.add_argument("--init", metavar="WEIGHTS", help="first weights from a trained network (stage 2 from stage 1)")
    add_training_options(sub)


def recipe_list() -> str:
    """The recipes and the chains of them, with what each is: below the help of ``train``."""
    from ..training.recipes import CHAINS, RECIPES

    width = max(map(len, RECIPES))
    lines = [f"  {r.name:{width}}  {r.about}{'; as published' if r.published else ''}" for r in RECIPES.values()]
    chains = [f"  {name:{width}}  {', '.join(parts)}" for name, parts in CHAINS.items()]
    return "\n".join(["recipes:", *lines, "", "consecutive runs (each in a folder of its own):", *chains, "", SEVERAL])


def run_train(args: argparse.Namespace) -> int:
    """Train one network, or a chain of them; exit code 130 if it was stopped and can be resumed."""
    from ..training.recipes import CHAINS, default_method, get_recipe
    from ..training.stages import train_stages
    from ..training.steps.processes import is_main, leave
    from ..training.train import train

    method = args.method or default_method(args.recipe)
    out = Path(args.out or f"runs/{args.recipe}-{method}-seed{args.seed}")
    how = {"method": method, "seed": args.seed, "resume": args.resume, "options": run_options(args, init=args.init)}
    if args.recipe in CHAINS:
        results = train_stages([changed(get_recipe(part), args) for part in CHAINS[args.recipe]], out, **how)
    else:
        results = [train(changed(get_recipe(args.recipe), args), out, **how)]
    leave()
    said = [describe_run(result, args.seed) for result in results if result.finished]
    stopped = not results[-1].finished
    if stopped:
        typed = args.typed if args.resume else f"{args.typed} --resume"
        said.append(f"stopped; the state is saved in {results[-1].out}. Resume it with:\n  {typed}")
    if is_main():
        print(*said, sep="\n", flush=True)
    return 130 if stopped else 0


def describe_run(result, seed: int) -> str:
    """What a finished run reached, on what, and how to score it again."""
    from ..system.machine import describe_machine, processor

    net, machine = result.net, describe_machine(next(result.net.parameters()).device)
    return (
        f"{describe_score(result.score, result.label)}\n"
        f"({net.name}, method {net.options['method']}, {len(result.log)} epochs, seed {seed}, n = 1, last epoch, "
        f"{processor(machine)})\n"
        f"run: {result.out}    evaluate it again: sdbnn-lite evaluate {shlex.quote(str(result.out))}"
    )


def add_study(commands: Commands) -> None:
    """Command ``study`` and its options."""
    summary = "train several methods with several seeds and gather their tables"
    sub = add_command(commands, run_study, "study", summary)
    sub.add_argument("recipe", metavar="RECIPE", help="a recipe of `sdbnn-lite train --help`")
    sub.add_argument("--methods", metavar="A,B", help="comma-separated (default: all)")
    sub.add_argument("--seeds", type=int, default=3, metavar="N", help="seeds 0 … N-1 (default: 3)")
    sub.add_argument("--out", metavar="DIR", help="the runs' folder (default: runs/RECIPE-study); resumes if stopped")
    sub.add_argument("--partial", action="store_true", help="train nothing: gather the runs that are finished so far")
    sub.add_argument("--publish", action="store_true", help="put the tables into the package (digits: the weights too)")
    add_training_options(sub)


def run_study(args: argparse.Namespace) -> int:
    """Train the methods (or gather what is finished), write the tables, print the summary."""
    from .. import data
    from ..analysis import study as studies
    from ..analysis.ede_gradients import write_study_gradients
    from ..analysis.final_signs import write_study_signs
    from ..analysis.publish import card_study
    from ..analysis.tables import study_facts, study_folder, summary
    from ..core.methods import METHODS
    from ..training.recipes import get_recipe
    from ..weights.zoo import ZOO

    recipe = changed(get_recipe(args.recipe), args)
    out = Path(args.out or studies.default_folder(recipe))
    methods = args.methods.split(",") if args.methods else list(METHODS)
    tables = study_folder(recipe.name) if args.publish else out
    planned, left_out = studies.plan(methods, args.seeds), []
    if args.partial:
        rows, left_out = studies.finished(recipe, out, methods, args.seeds)
        planned = [(row["method"], row["seed"]) for row in rows]
    if args.publish:
        studies.check_replaces(tables, recipe.epochs, planned)  # before anything is trained
    if not args.partial:
        try:
            rows = studies.run_study(recipe, out, methods, args.seeds, run_options(args))
        except KeyboardInterrupt:
            print("stopped; the same command with --partial gathers what is finished", file=sys.stderr)
            raise
    studies.gather(out, rows, tables, again_command(args), left_out)
    if recipe.dataset == "cifar10" and (args.data or os.environ.get("SDBNN_DATA")):
        images = data.load(recipe.dataset, args.data)
        write_study_signs(out, rows, tables, images, recipe.epochs)
        write_study_gradients(out, rows, tables, images)
    if args.publish and recipe.name == "digits":
        studies.publish(out, rows, ZOO, recipe.name)
        card_study(ZOO, recipe.name, study_facts(recipe.name))
    import pandas as pd

    table = summary(pd.DataFrame(rows)) * [1, 100, 100]
    print(table.rename(columns={"mean": "mean %", "std": "std %"}).round(2).to_string())
    for run in left_out:
        print(f"left out: {run['method']} seed {run['seed']} ({run['why']})")
    print(f"tables: {tables}")
    return 0


def again_command(args: argparse.Namespace) -> str:
    """What makes a study's tables again anywhere: as typed, without the folders of this machine."""
    kept = ["sdbnn-lite", "study", args.recipe, "--seeds", str(args.seeds)]
    kept += ["--methods", args.methods] if args.methods else []
    for option in ("epochs", "batch_size", "lr", "image_size", "distill"):
        value = getattr(args, option)
        kept += [f"--{option.replace('_', '-')}", str(value)] if value is not None else []
    kept += ["--ede", *map(str, args.ede)] if args.ede else []
    kept += ["--data", "DIR"] if args.data else []
    kept += ["--teacher", Path(args.teacher).name] if args.teacher else []
    kept += ["--threads", str(args.threads)] if args.threads else []
    return shlex.join(kept + (["--publish"] if args.publish else []))


def changed(recipe, args: argparse.Namespace):
    """The recipe with what the command line changes."""
    ede = None if args.ede is None else tuple(args.ede)
    others = {"image_size": args.image_size, "distill": args.distill, "ede": ede}
    return recipe.changed(args.epochs, args.batch_size, args.lr, **others)


def run_options(args: argparse.Namespace, **more):
    """What every training takes from the command line, and ``more``; sets the number of threads."""
    from ..system.devices import set_threads
    from ..training.options import RunOptions

    if args.threads is not None:
        set_threads(args.threads)
    same = {name: getattr(args, name) for name in ("device", "download", "teacher", "strict", "workers")}
    return RunOptions(args.data, progress=not args.quiet, command=args.typed, **same, **more)

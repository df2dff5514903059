"""``train`` and ``study``: one network by a recipe, or several methods with several seeds."""

import argparse
import os
import shlex
import sys
from pathlib import Path

from .scoring import describe_score


def run_train(args: argparse.Namespace) -> int:
    """Train one network, or a chain of them; exit code 130 if it was stopped and can go on."""
    from ..training.recipes import CHAINS, default_method, get_recipe
    from ..training.stages import train_stages
    from ..training.steps.processes import leads, leave
    from ..training.train import train

    method = args.method or default_method(args.recipe)
    out = Path(args.out or f"runs/{args.recipe}-{method}-seed{args.seed}")
    options = {"method": method, "seed": args.seed, "resume": args.resume, "init": args.init, **training_options(args)}
    say = (lambda line: print(line, flush=True)) if leads() else (lambda line: None)
    if args.recipe in CHAINS:
        results = train_stages(args.recipe, out, change=lambda r: changed(r, args), say=say, **options)
    else:
        results = [train(changed(get_recipe(args.recipe), args), out, **options)]
    leave()
    for result in results:
        if result.finished:
            say(describe_run(result, args.seed))
    if not results[-1].finished:
        typed = args.typed if args.resume else f"{args.typed} --resume"
        say(f"stopped; the state is saved in {results[-1].out}. Go on with:\n  {typed}")
        return 130
    return 0


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
            rows = studies.run_study(recipe, out, methods, args.seeds, **training_options(args))
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
    return recipe.changed(args.epochs, args.batch_size, args.lr, args.image_size, args.distill, ede)


def training_options(args: argparse.Namespace) -> dict:
    """What every training takes from the command line; sets the number of threads."""
    from ..system.devices import set_threads

    if args.threads is not None:
        set_threads(args.threads)
    return {
        "data_dir": args.data,
        "device": args.device,
        "download": args.download,
        "teacher": args.teacher,
        "progress": not args.quiet,
        "command": args.typed,
        "strict": args.strict,
        "workers": args.workers,
    }

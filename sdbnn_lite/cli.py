"""The command ``sdbnn-lite`` (= ``python -m sdbnn_lite``)."""

import argparse
import json
import os
import shlex
import sys
from pathlib import Path

from .errors import RunError, UsageError

DESCRIPTION = """\
Self-Distribution Binary Neural Networks: learn, test and reproduce them.

New here?    sdbnn-lite walkthrough      everything on embedded images, about five minutes
Train one:   sdbnn-lite train digits     under a minute on a laptop
"""

PUBLISHING = """\
Writes zoo/NAME.safetensors (binary layers as bits), its card zoo/NAME.json, and results/runs/NAME/ (run.json, log.csv,
signs.csv). Given the images (--data), the stored file is scored on all test images, and the card holds that figure; its
answers go into predictions.csv, its signs on images from the whole set into final_signs.csv.
Afterwards `sdbnn-lite evaluate NAME` compares with the card, and sd.load("NAME") loads the network.
"""

SEVERAL = """\
on several GPUs or machines (the run's folder, --out, must be one that all of them see):
  torchrun --nnodes N --nproc-per-node M --max-restarts 3 -m sdbnn_lite train RECIPE --data DIR --out DIR
"""


class Parser(argparse.ArgumentParser):
    """Wrong use is one line and exit code 2."""

    def error(self, message: str) -> None:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def make_parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = Parser("sdbnn-lite", description=DESCRIPTION, formatter_class=raw)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=Parser)

    def command(name: str, run, summary: str, epilog: str = "") -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=summary, description=summary, epilog=epilog, formatter_class=raw)
        sub.set_defaults(run=run)
        return sub

    sub = command("walkthrough", walkthrough, "run the whole notebook chain on embedded images, draw the figures")
    sub.add_argument("--out", default="walkthrough", metavar="DIR", help="where to (default: %(default)s)")

    sub = command("train", run_train, "train one network by a recipe", epilog=recipe_list())
    sub.add_argument("recipe", metavar="RECIPE", help="one of the recipes or rows of recipes below")
    sub.add_argument("--method", metavar="M", help=f"one of {method_list()} (default: sdbnn; a teacher: float)")
    sub.add_argument("--seed", type=int, default=0, metavar="S", help="initial weights, order of images (default: 0)")
    sub.add_argument("--out", metavar="DIR", help="the run's folder (default: runs/RECIPE-METHOD-seedS)")
    sub.add_argument("--resume", action="store_true", help="go on with the run in that folder, exactly where it was")
    sub.add_argument("--init", metavar="WEIGHTS", help="first weights from a trained network (stage 2 from stage 1)")
    add_training_options(sub)

    sub = command("study", study, "train several methods with several seeds and gather their tables")
    sub.add_argument("recipe", metavar="RECIPE", help="a recipe of `sdbnn-lite train --help`")
    sub.add_argument("--methods", metavar="A,B", help="comma-separated (default: all)")
    sub.add_argument("--seeds", type=int, default=3, metavar="N", help="seeds 0 … N-1 (default: 3)")
    sub.add_argument("--out", metavar="DIR", help="the runs' folder (default: runs/RECIPE-study); goes on where it was")
    sub.add_argument("--partial", action="store_true", help="train nothing: gather the runs that are finished so far")
    sub.add_argument("--publish", action="store_true", help="put the tables into the package (digits: the weights too)")
    add_training_options(sub)

    sub = command("evaluate", run_evaluate, "score a trained network on all test images")
    sub.add_argument("weights", metavar="WEIGHTS", help="a zoo name, a run's folder, or a weights or checkpoint file")
    sub.add_argument("--dataset", metavar="NAME", help="default: the one it was trained on")
    sub.add_argument("--packed", action="store_true", help="run it on bits: XNOR and popcount, on the CPU")
    sub.add_argument("--per-class", action="store_true", help="top-1 and top-5 of every class too")
    sub.add_argument("--json", action="store_true", help="the same as JSON")
    add_data_options(sub)

    sub = command("pack-images", pack_images, "pack ImageNet's images once, resized, for fast reading")
    sub.add_argument("--data", metavar="DIR", help="folder that holds imagenet/{train,val}/<class>/… (or SDBNN_DATA)")
    sub.add_argument("--image-size", type=int, default=224, metavar="N", help="that will be trained (default: 224)")
    sub.add_argument("--workers", type=int, metavar="N", help="threads (default: the CPU's cores)")
    sub.add_argument("--strict", action="store_true", help="stop at an unreadable image instead of leaving it out")
    sub.add_argument("--quiet", action="store_true", help="no progress bar")

    sub = command("cost", run_cost, "what one image costs: BOPs, FLOPs, OPs = BOPs/64 + FLOPs, parameters, bytes")
    sub.add_argument("network", metavar="NETWORK", help="for example cifar10_resnet20 or imagenet_resnet18")
    sub.add_argument("--method", default="sdbnn", metavar="M", help=f"one of {method_list()} (default: %(default)s)")
    sub.add_argument("--image-size", type=int, metavar="N", help="pixels a side (default: the network's usual one)")
    sub.add_argument("--json", action="store_true", help="the same as JSON")

    sub = command("publish", publish, "put a finished run's network and tables into the package", epilog=PUBLISHING)
    sub.add_argument("folder", metavar="RUN", help="the folder of a finished run")
    sub.add_argument("name", metavar="NAME", nargs="?", help="default: NETWORK, or NETWORK_METHOD unless that is sdbnn")
    sub.add_argument("--round", action="store_true", help="ASD's matrices and 1x1 shortcuts in 16-bit steps: smaller")
    sub.add_argument("--out", metavar="DIR", help="write into DIR/zoo and DIR/results instead of the package")
    add_data_options(sub)

    sub = command("import-original", import_original, "turn a checkpoint of the published code into our weights")
    sub.add_argument("file", metavar="FILE", help="what the published trainer saved (read without running any code)")
    sub.add_argument("network", metavar="NETWORK", help="which network it is, for example cifar10_resnet20")
    sub.add_argument("out", metavar="OUT", help="the safetensors file to write")

    sub = command("figures", figures, "draw the figures again from the committed results")
    sub.add_argument("--out", default="figures", metavar="DIR", help="where to (default: %(default)s)")
    sub.add_argument("--data", metavar="DIR", help="with the images: the pictures that show some of them too")

    sub = command("bench", run_bench, "measure how long things take on this machine")
    sub.add_argument("what", nargs="*", metavar="WHAT", help="any of: train, data, packed, explorers (default: all)")
    sub.add_argument("--json", action="store_true", help="the same as JSON")
    sub.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: 2, as in the notebooks)")
    sub.add_argument("--data", metavar="DIR", help="real images for `bench data` (or SDBNN_DATA)")
    return parser


def add_data_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--data", metavar="DIR", help="folder with the image sets, DIR/<set>/… (or SDBNN_DATA)")
    sub.add_argument("--download", action="store_true", help="fetch CIFAR-10 into --data, or ImageNet's teacher, first")
    sub.add_argument("--device", default="auto", metavar="auto|cpu|cuda", help="default: CUDA where there is one")
    sub.add_argument("--strict", action="store_true", help="stop at an unreadable training image, don't leave it out")
    sub.add_argument("--workers", type=int, metavar="N", help="threads that read ImageNet (default: cores, at most 16)")


def add_training_options(sub: argparse.ArgumentParser) -> None:
    add_data_options(sub)
    sub.add_argument("--epochs", type=int, metavar="N", help="compress or stretch the recipe's schedules to N epochs")
    sub.add_argument("--batch-size", type=int, metavar="N", help="images per step in all; lr follows, unless --lr")
    sub.add_argument("--lr", type=float, metavar="X", help="the highest learning rate, instead of the recipe's")
    sub.add_argument("--image-size", type=int, metavar="N", help="pixels a side, instead of the recipe's")
    sub.add_argument("--distill", type=float, metavar="M", help="loss (1-M)·cross-entropy + M·KL to the teacher")
    sub.add_argument("--teacher", metavar="WEIGHTS", help="the network that a recipe with distillation learns from")
    sub.add_argument("--threads", type=int, metavar="N", help="CPU threads; the same number gives the same bits")
    sub.add_argument("--quiet", action="store_true", help="no progress bar")


def method_list() -> str:
    from .methods import METHODS

    return ", ".join(METHODS)


def recipe_list() -> str:
    from .recipes import CHAINS, RECIPES

    width = max(map(len, RECIPES))
    lines = [f"  {r.name:{width}}  {r.about}{'; as published' if r.published else ''}" for r in RECIPES.values()]
    chains = [f"  {name:{width}}  {', '.join(parts)}" for name, parts in CHAINS.items()]
    return "\n".join(["recipes:", *lines, "", "several in a row (each in a folder of its own):", *chains, "", SEVERAL])


def training_options(args: argparse.Namespace) -> dict:
    from .machine import set_threads

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


def describe_score(score, label: str) -> str:
    """Accuracy as it may be quoted: of which images, and how many."""
    top5 = f", top-5 {100 * score.top5:.2f} %" if score.top5 < 1 else ""
    return f"test accuracy {100 * score.top1:.2f} %{top5} on all {score.images:,} test images of {label}"


def run_train(args: argparse.Namespace) -> int:
    from .distributed import leads, leave
    from .recipes import CHAINS, default_method, get_recipe
    from .stages import train_stages
    from .train import train

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


def changed(recipe, args: argparse.Namespace):
    """The recipe with what the command line changes."""
    return recipe.changed(args.epochs, args.batch_size, args.lr, args.image_size, args.distill)


def describe_run(result, seed: int) -> str:
    """What a finished run reached, on what, and how to score it again."""
    from .machine import describe_machine

    net, machine = result.net, describe_machine(next(result.net.parameters()).device)
    return (
        f"{describe_score(result.score, result.label)}\n"
        f"({net.name}, method {net.options['method']}, {len(result.log)} epochs, seed {seed}, n = 1, last epoch, "
        f"{machine['gpu'] or machine['cpu']}, {machine['threads']} threads)\n"
        f"run: {result.out}    evaluate it again: sdbnn-lite evaluate {shlex.quote(str(result.out))}"
    )


def study(args: argparse.Namespace) -> int:
    from . import data
    from . import study as studies
    from .checkpoints import ZOO
    from .final_signs import write_study_signs
    from .methods import METHODS
    from .publish import card_study
    from .recipes import get_recipe

    recipe = changed(get_recipe(args.recipe), args)
    out = Path(args.out or studies.default_folder(recipe))
    methods = args.methods.split(",") if args.methods else list(METHODS)
    tables = studies.RESULTS / recipe.name if args.publish else out
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
        write_study_signs(out, rows, tables, data.load(recipe.dataset, args.data), recipe.epochs)
    if args.publish and recipe.name == "digits":
        studies.publish(out, rows, ZOO, recipe.name)
        card_study(ZOO, recipe.name, studies.study_facts(recipe.name))
    import pandas as pd

    table = studies.summary(pd.DataFrame(rows)) * [1, 100, 100]
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
    kept += ["--data", "DIR"] if args.data else []
    kept += ["--teacher", Path(args.teacher).name] if args.teacher else []
    kept += ["--threads", str(args.threads)] if args.threads else []
    return shlex.join(kept + (["--publish"] if args.publish else []))


def run_evaluate(args: argparse.Namespace) -> int:
    from . import cards, data
    from .checkpoints import load
    from .machine import pick_device
    from .packed import pack
    from .per_class import as_table, score_classes

    device = pick_device("cpu" if args.packed and args.device == "auto" else args.device)
    if args.packed and device.type != "cpu":
        raise UsageError("--packed --device cuda: packed networks run on the CPU")
    net = load(args.weights)
    dataset = args.dataset or net.about.get("dataset")
    if dataset is None:
        raise UsageError(f"{args.weights}: doesn't say which images it was trained on; give --dataset")
    wanted = net.about.get("identity", {}).get("image_size") or net.options.get("image_size")
    channels = net.options["in_channels"]
    options = {"download": args.download, "strict": args.strict, "workers": args.workers}
    images = data.load(dataset, args.data, image_size=wanted, channels=channels, **options)
    forward = pack(net) if args.packed else None
    score, classes = score_classes(net.to(device), images.to(device), forward=forward)
    if args.json:
        about = {"weights": args.weights, "network": net.name, "method": net.method.name, "data": images.label}
        each = {"classes": [vars(row) for row in classes]} if args.per_class else {}
        print(json.dumps({**about, **vars(score), **each}, indent=2, ensure_ascii=False))
        return 0
    how = f", packed, {forward.engine.name}" if forward else ""
    print(f"{args.weights} ({net.name}, method {net.method.name}{how}): {describe_score(score, images.label)}")
    if "card" in net.about:
        print(cards.compare(net.about["card"], score, images.label))
    if args.per_class:
        print(as_table(classes))
    return 0


def pack_images(args: argparse.Namespace) -> int:
    from .data import check_workers, imagenet_tree
    from .packing import pack, side_for

    check_workers(args.workers)
    if args.image_size < 1:
        raise UsageError(f"--image-size {args.image_size}: a whole number of pixels, 1 or more, is needed")
    side = side_for(args.image_size)
    options = {} if args.workers is None else {"workers": args.workers}
    made = pack(imagenet_tree(args.data), side, strict=args.strict, progress=not args.quiet, **options)
    print(f"{made.place}: {made.images:,} images, shorter side {side} pixels, {made.bytes / 1e9:,.1f} GB on the disk; "
          f"{len(made.left_out)} unreadable ones left out")  # fmt: skip
    return 0


def publish(args: argparse.Namespace) -> int:
    from . import data
    from .machine import pick_device
    from .publish import RUN_RESULTS, ZOO, publish_run, read_run

    device = pick_device(args.device)
    run = read_run(Path(args.folder))
    images = None
    if args.data or os.environ.get("SDBNN_DATA") or run["dataset"] == "digits":
        images = data.load(run["dataset"], args.data, image_size=run["image_size"], download=args.download).to(device)
    folders = {"zoo": ZOO, "results": RUN_RESULTS}
    if args.out:
        folders = {"zoo": Path(args.out) / "zoo", "results": Path(args.out) / "results" / "runs"}
    name, card = publish_run(args.folder, args.name, images=images, rounded=args.round, **folders)
    print(
        f"{name}: {card['bytes']:,} bytes, {100 * card['test_accuracy']:.2f} % on all {card['test_images']:,} test "
        f"images of {card['data']} (scored {card['scored']}), rounded: {card['rounded']}"
    )
    print(f"network and card: {folders['zoo']}    tables: {folders['results'] / name}")
    return 0


def import_original(args: argparse.Namespace) -> int:
    from .checkpoints import rebuild, save_weights
    from .original import from_original, read_original, stored_options

    state = from_original(read_original(args.file), args.network)
    about = {"network": args.network, "options": stored_options(state, args.network)}
    net = rebuild(state, about, args.file)
    save_weights(Path(args.out), net, dataset=args.network.split("_")[0], imported=Path(args.file).name)
    print(f"{args.out}: {args.network}, {sum(p.numel() for p in net.parameters()):,} parameters, every key fitted")
    return 0


def figures(args: argparse.Namespace) -> int:
    from .figures import draw_all

    for path in draw_all(args.out, args.data):
        print(path)
    return 0


def run_cost(args: argparse.Namespace) -> int:
    from .cost import cost

    result = cost(args.network, args.method, image_size=args.image_size)
    print(result.to_json() if args.json else result.text())
    return 0


def run_bench(args: argparse.Namespace) -> int:
    from . import bench
    from .machine import set_threads

    set_threads(bench.THREADS if args.threads is None else args.threads)
    if args.data:
        os.environ["SDBNN_DATA"] = args.data  # a measurement takes no arguments
    result = bench.measure(args.what)
    print(json.dumps(result, indent=2, ensure_ascii=False) if args.json else bench.as_text(result))
    return 0


def walkthrough(args: argparse.Namespace) -> int:
    from .walkthrough import walk

    walk(args.out)
    return 0


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit code: 0, 1 (a run failed), 2 (wrong use), 130 (Ctrl-C)."""
    argv = sys.argv[1:] if argv is None else argv
    args = make_parser().parse_args(argv)
    args.typed = shlex.join(["sdbnn-lite", *argv])
    try:
        return args.run(args)
    except (UsageError, RunError) as error:
        rank = int(os.environ.get("RANK", 0))  # of several processes, one says what holds for all
        if rank == 0 or not getattr(error, "everywhere", False):
            which = f"process {rank}: " if rank else ""
            print(f"sdbnn-lite {args.command}: {which}{error}", file=sys.stderr, flush=True)
        return 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt:
        print(f"sdbnn-lite {args.command}: stopped; the same command goes on where it was saved", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of a pipe (`| head`) has gone
        sys.stderr.close()
        return 0

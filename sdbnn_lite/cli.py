"""The command ``sdbnn-lite`` (= ``python -m sdbnn_lite``): its options. What each one does stands in ``commands``."""

import argparse
import os
import shlex
import sys

from .commands import converting, drawing, measuring, publishing, scoring, training
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
  torchrun --nproc-per-node M --max-restarts 3 -m sdbnn_lite train RECIPE --data DIR --out RUN
and on each of N machines, the first of which is called FIRST (ID: a new one for each launch):
  torchrun --nnodes N --nproc-per-node M --max-restarts 3 --rdzv-backend c10d --rdzv-id ID --rdzv-endpoint FIRST:29500 \
      -m sdbnn_lite train RECIPE --data DIR --out RUN
"""


GO_ON = ("study", "walkthrough", "pack-images")  # begun again, these keep what is done


class Parser(argparse.ArgumentParser):
    """Wrong use is one line and exit code 2."""

    def error(self, message: str) -> None:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def make_parser() -> argparse.ArgumentParser:
    """Every command with its options; ``args.run`` is the function of ``commands`` that does it."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = Parser("sdbnn-lite", description=DESCRIPTION, formatter_class=raw)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=Parser)

    def command(name: str, run, summary: str, epilog: str = "") -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=summary, description=summary, epilog=epilog, formatter_class=raw)
        sub.set_defaults(run=run)
        return sub

    sub = command(
        "walkthrough", drawing.run_walkthrough, "run the whole notebook chain on embedded images, draw the figures"
    )
    sub.add_argument("--out", default="walkthrough", metavar="DIR", help="where to (default: %(default)s)")

    sub = command("train", training.run_train, "train one network by a recipe", epilog=recipe_list())
    sub.add_argument("recipe", metavar="RECIPE", help="one of the recipes or rows of recipes below")
    sub.add_argument("--method", metavar="M", help=f"one of {method_list()} (default: sdbnn; a teacher: float)")
    sub.add_argument("--seed", type=int, default=0, metavar="S", help="initial weights, order of images (default: 0)")
    sub.add_argument("--out", metavar="DIR", help="the run's folder (default: runs/RECIPE-METHOD-seedS)")
    sub.add_argument("--resume", action="store_true", help="go on with the run in that folder, exactly where it was")
    sub.add_argument("--init", metavar="WEIGHTS", help="first weights from a trained network (stage 2 from stage 1)")
    add_training_options(sub)

    sub = command("study", training.run_study, "train several methods with several seeds and gather their tables")
    sub.add_argument("recipe", metavar="RECIPE", help="a recipe of `sdbnn-lite train --help`")
    sub.add_argument("--methods", metavar="A,B", help="comma-separated (default: all)")
    sub.add_argument("--seeds", type=int, default=3, metavar="N", help="seeds 0 … N-1 (default: 3)")
    sub.add_argument("--out", metavar="DIR", help="the runs' folder (default: runs/RECIPE-study); goes on where it was")
    sub.add_argument("--partial", action="store_true", help="train nothing: gather the runs that are finished so far")
    sub.add_argument("--publish", action="store_true", help="put the tables into the package (digits: the weights too)")
    add_training_options(sub)

    sub = command("evaluate", scoring.run_evaluate, "score a trained network on all test images")
    sub.add_argument("weights", metavar="WEIGHTS", help="a zoo name, a run's folder, or a weights or checkpoint file")
    sub.add_argument("--dataset", metavar="NAME", help="default: the one it was trained on")
    sub.add_argument("--packed", action="store_true", help="run it on bits: XNOR and popcount, on the CPU")
    sub.add_argument("--per-class", action="store_true", help="top-1 and top-5 of every class too")
    sub.add_argument("--json", action="store_true", help="the same as JSON")
    add_data_options(sub)

    sub = command("pack-images", converting.run_pack_images, "pack ImageNet's images once, resized, for fast reading")
    sub.add_argument("--data", metavar="DIR", help="folder that holds imagenet/{train,val}/<class>/… (or SDBNN_DATA)")
    sub.add_argument("--image-size", type=int, default=224, metavar="N", help="that will be trained (default: 224)")
    sub.add_argument("--workers", type=int, metavar="N", help="threads (default: the CPU's cores)")
    sub.add_argument("--strict", action="store_true", help="stop at an unreadable image instead of leaving it out")
    sub.add_argument("--quiet", action="store_true", help="no progress bar")

    sub = command(
        "cost", measuring.run_cost, "what one image costs: BOPs, FLOPs, OPs = BOPs/64 + FLOPs, parameters, bytes"
    )
    sub.add_argument("network", metavar="NETWORK", help="for example cifar10_resnet20 or imagenet_resnet18")
    sub.add_argument("--method", default="sdbnn", metavar="M", help=f"one of {method_list()} (default: %(default)s)")
    sub.add_argument("--image-size", type=int, metavar="N", help="pixels a side (default: the network's usual one)")
    sub.add_argument("--json", action="store_true", help="the same as JSON")

    sub = command(
        "publish", publishing.run_publish, "put a finished run's network and tables into the package", epilog=PUBLISHING
    )
    sub.add_argument("folder", metavar="RUN", help="the folder of a finished run")
    sub.add_argument("name", metavar="NAME", nargs="?", help="default: NETWORK, or NETWORK_METHOD unless that is sdbnn")
    sub.add_argument("--round", action="store_true", help="ASD's matrices and 1x1 shortcuts in 16-bit steps: smaller")
    sub.add_argument("--tables-only", action="store_true", help="no network in the zoo: for one too large (a teacher)")
    sub.add_argument("--out", metavar="DIR", help="write into DIR/zoo and DIR/results instead of the package")
    add_data_options(sub)

    sub = command(
        "import-original", converting.run_import_original, "turn a checkpoint of the published code into our weights"
    )
    sub.add_argument("file", metavar="FILE", help="what the published trainer saved (read without running any code)")
    sub.add_argument("network", metavar="NETWORK", help="which network it is, for example cifar10_resnet20")
    sub.add_argument("out", metavar="OUT", help="the safetensors file to write")

    sub = command("export-onnx", converting.run_export_onnx, "write a trained network as ONNX, for other tools")
    sub.add_argument("weights", metavar="WEIGHTS", help="a zoo name, a run's folder, or a weights or checkpoint file")
    sub.add_argument("out", metavar="OUT", help="the ONNX file to write")
    sub.add_argument("--image-size", type=int, metavar="N", help="pixels a side (default: as it was trained)")
    sub.add_argument("--dataset", metavar="NAME", help="whose normalisation and classes (default: as it was trained)")

    sub = command("figures", drawing.run_figures, "draw the figures again from the committed results")
    sub.add_argument("--out", default="figures", metavar="DIR", help="where to (default: %(default)s)")
    sub.add_argument("--data", metavar="DIR", help="with the images: the pictures that show some of them too")

    sub = command("bench", measuring.run_bench, "measure how long things take on this machine")
    sub.add_argument("what", nargs="*", metavar="WHAT", help="any of: train, data, packed, explorers (default: all)")
    sub.add_argument("--json", action="store_true", help="the same as JSON")
    sub.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: 2, as in the notebooks)")
    sub.add_argument("--data", metavar="DIR", help="real images for `bench data` (or SDBNN_DATA)")
    return parser


def add_data_options(sub: argparse.ArgumentParser) -> None:
    """Where the images are, and how they are read."""
    sub.add_argument("--data", metavar="DIR", help="folder with the image sets, DIR/<set>/… (or SDBNN_DATA)")
    sub.add_argument("--download", action="store_true", help="fetch CIFAR-10 into --data, or ImageNet's teacher, first")
    sub.add_argument("--device", default="auto", metavar="auto|cpu|cuda", help="default: CUDA where there is one")
    sub.add_argument("--strict", action="store_true", help="stop at an unreadable training image, don't leave it out")
    sub.add_argument("--workers", type=int, metavar="N", help="threads that read ImageNet (default: cores, at most 16)")


def add_training_options(sub: argparse.ArgumentParser) -> None:
    """Those of the data, and what a command line may change in a recipe."""
    add_data_options(sub)
    sub.add_argument("--epochs", type=int, metavar="N", help="compress or stretch the recipe's schedules to N epochs")
    sub.add_argument("--batch-size", type=int, metavar="N", help="images per step in all; lr follows, unless --lr")
    sub.add_argument("--lr", type=float, metavar="X", help="the highest learning rate, instead of the recipe's")
    sub.add_argument("--image-size", type=int, metavar="N", help="pixels a side, instead of the recipe's")
    sub.add_argument("--distill", type=float, metavar="M", help="loss (1-M)·cross-entropy + M·KL to the teacher")
    sub.add_argument(
        "--ede", type=float, nargs=2, metavar=("T0", "T1"), help="EDE's first and last t, not the recipe's"
    )
    sub.add_argument("--teacher", metavar="WEIGHTS", help="the network that a recipe with distillation learns from")
    sub.add_argument("--threads", type=int, metavar="N", help="CPU threads; the same number gives the same bits")
    sub.add_argument("--quiet", action="store_true", help="no progress bar")


def method_list() -> str:
    """The methods' names, for a help text."""
    from .core.methods import METHODS

    return ", ".join(METHODS)


def recipe_list() -> str:
    """The recipes and the chains of them, with what each is: below the help of ``train``."""
    from .training.recipes import CHAINS, RECIPES

    width = max(map(len, RECIPES))
    lines = [f"  {r.name:{width}}  {r.about}{'; as published' if r.published else ''}" for r in RECIPES.values()]
    chains = [f"  {name:{width}}  {', '.join(parts)}" for name, parts in CHAINS.items()]
    return "\n".join(["recipes:", *lines, "", "several in a row (each in a folder of its own):", *chains, "", SEVERAL])


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
        more = "; the same command goes on where it was" if args.command in GO_ON else ""
        print(f"sdbnn-lite {args.command}: stopped{more}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of a pipe (`| head`) has gone
        sys.stderr.close()
        return 0

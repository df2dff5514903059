"""How a function becomes a command, and the options that several commands share."""

import argparse
from collections.abc import Callable

from ..core.methods import METHODS


def option(*names: str, **settings) -> tuple[tuple, dict]:
    """An argument or option, as ``add_argument`` takes it."""
    return names, settings


def command(*options: tuple[tuple, dict], epilog: str = "") -> Callable:
    """Make ``run_NAME(args)`` the command NAME; its docstring is the summary, what it returns the exit code (or 0)."""

    def declare(run: Callable[[argparse.Namespace], int | None]) -> Callable:
        run.options, run.epilog = options, epilog
        return run

    return declare


def add_to(commands: argparse._SubParsersAction, run: Callable) -> None:
    """Put the command ``run`` on the command line."""
    name, summary = run.__name__.removeprefix("run_").replace("_", "-"), run.__doc__[0].lower() + run.__doc__[1:-1]
    raw = argparse.RawDescriptionHelpFormatter
    sub = commands.add_parser(name, help=summary, description=summary, epilog=run.epilog, formatter_class=raw)
    for names, settings in run.options:
        sub.add_argument(*names, **settings)
    sub.set_defaults(run=run)


METHOD_LIST = ", ".join(METHODS)
METHOD = option("--method", default="sdbnn", metavar="M", help=f"one of {METHOD_LIST} (default: %(default)s)")
WEIGHTS = option("weights", metavar="WEIGHTS", help="a zoo name, a run's folder, or a weights or checkpoint file")
JSON = option("--json", action="store_true", help="the same as JSON")
QUIET = option("--quiet", action="store_true", help="no progress bar")

READING = (  # where the images are, and how they are read
    option("--data", metavar="DIR", help="folder with the image sets, DIR/<set>/… (or SDBNN_DATA)"),
    option("--download", action="store_true", help="fetch CIFAR or MNIST into --data, or ImageNet's teacher, first"),
    option("--device", default="auto", metavar="auto|cpu|cuda", help="default: CUDA where there is one"),
    option("--strict", action="store_true", help="stop at an unreadable training image, don't leave it out"),
    option("--workers", type=int, metavar="N", help="threads that read ImageNet (default: cores, at most 16)"),
)
DATASET = option("--dataset", metavar="NAME", help="another image set than the recipe's, DIR/NAME of your own too")
TRAINING = (  # and what a command line may change in a recipe
    *READING,
    DATASET,
    option("--epochs", type=int, metavar="N", help="compress or stretch the recipe's schedules to N epochs"),
    option("--batch-size", type=int, metavar="N", help="images per step in all; lr follows, unless --lr"),
    option("--lr", type=float, metavar="X", help="the highest learning rate, instead of the recipe's"),
    option("--image-size", type=int, metavar="N", help="pixels a side, instead of the recipe's"),
    option("--distill", type=float, metavar="M", help="loss (1-M)·cross-entropy + M·KL to the teacher"),
    option("--ede", type=float, nargs=2, metavar=("T0", "T1"), help="EDE's first and last t, not the recipe's"),
    option("--teacher", metavar="WEIGHTS", help="the network that a recipe with distillation learns from"),
    option("--threads", type=int, metavar="N", help="CPU threads; the same number gives the same bits"),
    option("--tensorboard", nargs="?", const="", metavar="DIR",
           help="curves, flips, histograms for TensorBoard, in RUN/tensorboard or, named like RUN, in DIR"),
    QUIET,
)  # fmt: skip


def reading(args: argparse.Namespace) -> dict:
    """What was said of reading the images, as ``data.load`` takes it."""
    return {"download": args.download, "strict": args.strict, "workers": args.workers}

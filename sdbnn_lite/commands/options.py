"""Options that several commands share, and how a command is added to the command line."""

import argparse
from collections.abc import Callable

Commands = argparse._SubParsersAction  # what ``add_subparsers`` returns


def add_command(
    commands: Commands, run: Callable[[argparse.Namespace], int], name: str, summary: str, epilog: str = ""
) -> argparse.ArgumentParser:
    """The parser of a new command; ``args.run`` is the function that does it and returns the exit code."""
    raw = argparse.RawDescriptionHelpFormatter
    sub = commands.add_parser(name, help=summary, description=summary, epilog=epilog, formatter_class=raw)
    sub.set_defaults(run=run)
    return sub


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
    first_last = "EDE's first and last t, not the recipe's"
    sub.add_argument("--ede", type=float, nargs=2, metavar=("T0", "T1"), help=first_last)
    sub.add_argument("--teacher", metavar="WEIGHTS", help="the network that a recipe with distillation learns from")
    sub.add_argument("--threads", type=int, metavar="N", help="CPU threads; the same number gives the same bits")
    sub.add_argument("--quiet", action="store_true", help="no progress bar")


def add_weights(sub: argparse.ArgumentParser) -> None:
    """The trained network that a command reads."""
    sub.add_argument("weights", metavar="WEIGHTS", help="a zoo name, a run's folder, or a weights or checkpoint file")


def method_list() -> str:
    """The methods' names, for a help text."""
    from ..core.methods import METHODS

    return ", ".join(METHODS)

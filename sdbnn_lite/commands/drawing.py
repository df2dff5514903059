"""``figures`` and ``walkthrough``: the pictures, and the notebooks that explain them."""

import argparse

from .options import Commands, add_command


def add_figures(commands: Commands) -> None:
    """Command ``figures`` and its options."""
    sub = add_command(commands, run_figures, "figures", "draw the figures again from the committed results")
    sub.add_argument("--out", default="figures", metavar="DIR", help="where to (default: %(default)s)")
    sub.add_argument("--data", metavar="DIR", help="with the images: the pictures that show some of them too")


def run_figures(args: argparse.Namespace) -> int:
    """Draw the figures again and name each file."""
    from ..plots.gallery import draw_all

    for path in draw_all(args.out, args.data):
        print(path)
    return 0


def add_walkthrough(commands: Commands) -> None:
    """Command ``walkthrough`` and its options."""
    summary = "run the whole notebook chain on embedded images, draw the figures"
    sub = add_command(commands, run_walkthrough, "walkthrough", summary)
    sub.add_argument("--out", default="walkthrough", metavar="DIR", help="where to (default: %(default)s)")


def run_walkthrough(args: argparse.Namespace) -> int:
    """Run the whole chain of notebooks."""
    from ..pages.walkthrough import walk

    walk(args.out)
    return 0

"""``figures`` and ``walkthrough``: the pictures, and the notebooks that explain them."""

import argparse

from .options import command, option


@command(
    option("--out", default="figures", metavar="DIR", help="where to (default: %(default)s)"),
    option("--data", metavar="DIR", help="with the images: the pictures that show some of them too"),
)
def run_figures(args: argparse.Namespace) -> None:
    """Draw the figures again from the committed results."""
    from ..plots.gallery import draw_all

    for path in draw_all(args.out, args.data):
        print(path)


@command(option("--out", default="walkthrough", metavar="DIR", help="where to (default: %(default)s)"))
def run_walkthrough(args: argparse.Namespace) -> None:
    """Run the whole notebook chain on embedded images, draw the figures."""
    from ..pages.walkthrough import walk

    walk(args.out)

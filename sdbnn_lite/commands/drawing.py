"""``figures`` and ``walkthrough``: the pictures, and the notebooks that explain them."""

import argparse


def run_figures(args: argparse.Namespace) -> int:
    """Draw the figures again and name each file."""
    from ..plots.gallery import draw_all

    for path in draw_all(args.out, args.data):
        print(path)
    return 0


def run_walkthrough(args: argparse.Namespace) -> int:
    """Run the whole chain of notebooks."""
    from ..pages.walkthrough import walk

    walk(args.out)
    return 0

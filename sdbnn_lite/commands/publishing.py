"""``publish``, ``plot``, ``figures``, ``walkthrough``: a run goes into the package; pictures and notebooks show it."""

import argparse
from pathlib import Path

from ..errors import UsageError, unknown
from .options import READING, command, option, reading

ABOUT = """\
Writes zoo/NAME.safetensors (binary layers as bits), its card zoo/NAME.json, and results/runs/NAME/ (run.json, log.csv,
signs.csv). Given the images (--data), the stored file is scored on all test images, and the card holds that figure; its
answers go into predictions.csv, its signs on images from the whole set into final_signs.csv.
Afterwards `sdbnn-lite evaluate NAME` compares with the card, and sd.load("NAME") loads the network.
"""


@command(
    option("folder", metavar="RUN", help="the folder of a finished run"),
    option("name", metavar="NAME", nargs="?", help="default: NETWORK, or NETWORK_METHOD unless that is sdbnn"),
    option("--round", action="store_true", help="ASD's matrices and 1x1 shortcuts in 16-bit steps: smaller"),
    option("--tables-only", action="store_true", help="no network in the zoo: for one too large (a teacher)"),
    option("--so-far", action="store_true", help="of a run that isn't finished the log alone: a curve in the figures"),
    option("--out", metavar="DIR", help="write into DIR/zoo and DIR/results instead of the package"),
    *READING,
    epilog=ABOUT,
)
def run_publish(args: argparse.Namespace) -> None:
    """Put a finished run's network and tables into the package."""
    from .. import data
    from ..analysis.publish import Target, publish_log, publish_run, read_run
    from ..data.sets import given_folder
    from ..system.devices import pick_device
    if args.so_far:
        return print(publish_log(args.folder, args.name, Target.at(args.out)))
    device = pick_device(args.device)
    run = read_run(Path(args.folder))
    images = None
    if given_folder(args.data) or run["dataset"] == "digits":
        images = data.load(run["dataset"], args.data, image_size=run["image_size"], **reading(args)).to(device)
    to = Target.at(args.out)
    name, card = publish_run(args.folder, args.name, images=images, to=to, rounded=args.round,
                             tables_only=args.tables_only)  # fmt: skip
    print(f"{name}: {card['bytes']:,} bytes, {100 * card['test_accuracy']:.2f} % on all {card['test_images']:,} test "
          f"images of {card['data']} (scored {card['scored']}), rounded: {card['rounded']}")  # fmt: skip
    print(f"network and card: {'none (--tables-only)' if args.tables_only else to.zoo}    tables: {to.results / name}")


@command(
    option("runs", nargs="+", metavar="RUN", help="a run's folder, also while it is being trained"),
    option("--out", metavar="FILE", help=".png or .svg (default: RUN/curves.png; of several runs: ./curves.png)"),
)
def run_plot(args: argparse.Namespace) -> None:
    """Draw accuracy, loss and schedules of one or several runs."""
    import pandas as pd

    from ..plots.parts import joined, wrapped
    from ..plots.runs import compared
    from ..plots.theme import FORMATS
    from ..system.files import writable_folder, write_atomic
    from ..training.run_folder import read_run
    folders = list(map(Path, dict.fromkeys(args.runs)))
    out = Path(args.out or (folders[0] if len(folders) == 1 else Path()) / "curves.png")
    if out.suffix not in FORMATS:
        raise unknown("ending of --out", out.name, FORMATS)
    runs, logs = zip(*map(read_run, folders))
    for folder, log in zip(folders, logs):
        if not log:
            raise UsageError(f"{folder}: nothing to draw yet, no epoch is finished")
    named = dict(zip(labels(folders, runs, logs), (pd.DataFrame(log).astype(float) for log in logs)))
    caption = wrapped(f"{joined(run['data'] for run in runs)}; training images: augmented, while the weights change")
    figure = compared(named, f"{joined(run['recipe'] for run in runs)}, epoch by epoch", caption)
    write_atomic(writable_folder(out.parent) / out.name, FORMATS[out.suffix](figure))
    print(out)


def labels(folders: list[Path], runs: tuple[dict, ...], logs: tuple[list, ...]) -> list[str]:
    """Method and seed where these tell runs of one recipe apart, else folders; of unfinished ones how far they are."""
    who = [f"{run['method']} seed {run['seed']}" for run in runs]
    if len(set(who)) < len(who) or len({(run["recipe"], run["epochs"]) for run in runs}) > 1:
        who = list(map(str, folders))
    return [name if run["result"] else f"{name}, epoch {len(log)} of {run['epochs']}"
            for name, run, log in zip(who, runs, logs)]  # fmt: skip


@command(
    option("--out", default="figures", metavar="DIR", help="where to (default: %(default)s)"),
    option("--data", metavar="DIR", help="with the images: the pictures that show some of them too"),
)
def run_figures(args: argparse.Namespace) -> None:
    """Draw the figures again from the committed results."""
    from ..plots.gallery import draw_all
    print(*draw_all(args.out, args.data), sep="\n")


@command(option("--out", default="walkthrough", metavar="DIR", help="where to (default: %(default)s)"))
def run_walkthrough(args: argparse.Namespace) -> None:
    """Run the whole notebook chain on embedded images, draw the figures."""
    from ..pages.walkthrough import walk
    walk(args.out)

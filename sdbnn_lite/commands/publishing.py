"""``publish``: a finished run goes into the package."""

import argparse
import os
from pathlib import Path

from .options import Commands, add_command, add_data_options

ABOUT = """\
Writes zoo/NAME.safetensors (binary layers as bits), its card zoo/NAME.json, and results/runs/NAME/ (run.json, log.csv,
signs.csv). Given the images (--data), the stored file is scored on all test images, and the card holds that figure; its
answers go into predictions.csv, its signs on images from the whole set into final_signs.csv.
Afterwards `sdbnn-lite evaluate NAME` compares with the card, and sd.load("NAME") loads the network.
"""


def add_publish(commands: Commands) -> None:
    """Command ``publish`` and its options."""
    summary = "put a finished run's network and tables into the package"
    sub = add_command(commands, run_publish, "publish", summary, ABOUT)
    sub.add_argument("folder", metavar="RUN", help="the folder of a finished run")
    sub.add_argument("name", metavar="NAME", nargs="?", help="default: NETWORK, or NETWORK_METHOD unless that is sdbnn")
    sub.add_argument("--round", action="store_true", help="ASD's matrices and 1x1 shortcuts in 16-bit steps: smaller")
    sub.add_argument("--tables-only", action="store_true", help="no network in the zoo: for one too large (a teacher)")
    sub.add_argument("--out", metavar="DIR", help="write into DIR/zoo and DIR/results instead of the package")
    add_data_options(sub)


def run_publish(args: argparse.Namespace) -> int:
    """Write the run's network, card and tables, scored again where the images are at hand."""
    from .. import data
    from ..analysis.publish import Target, publish_run, read_run
    from ..system.devices import pick_device

    device = pick_device(args.device)
    run = read_run(Path(args.folder))
    images = None
    if args.data or os.environ.get("SDBNN_DATA") or run["dataset"] == "digits":
        options = {"download": args.download, "strict": args.strict, "workers": args.workers}
        images = data.load(run["dataset"], args.data, image_size=run["image_size"], **options).to(device)
    to = Target.at(args.out)
    chosen = {"rounded": args.round, "tables_only": args.tables_only}
    name, card = publish_run(args.folder, args.name, images=images, to=to, **chosen)
    print(
        f"{name}: {card['bytes']:,} bytes, {100 * card['test_accuracy']:.2f} % on all {card['test_images']:,} test "
        f"images of {card['data']} (scored {card['scored']}), rounded: {card['rounded']}"
    )
    network = "network and card: none (--tables-only)" if args.tables_only else f"network and card: {to.zoo}"
    print(f"{network}    tables: {to.results / name}")
    return 0

"""``publish``: a finished run goes into the package."""

import argparse
import os
from pathlib import Path


def run_publish(args: argparse.Namespace) -> int:
    """Write the run's network, card and tables, scored again where the images are at hand."""
    from .. import data
    from ..analysis.publish import RUN_RESULTS, ZOO, publish_run, read_run
    from ..system.machine import pick_device

    device = pick_device(args.device)
    run = read_run(Path(args.folder))
    images = None
    if args.data or os.environ.get("SDBNN_DATA") or run["dataset"] == "digits":
        options = {"download": args.download, "strict": args.strict, "workers": args.workers}
        images = data.load(run["dataset"], args.data, image_size=run["image_size"], **options).to(device)
    folders = {"zoo": ZOO, "results": RUN_RESULTS}
    if args.out:
        folders = {"zoo": Path(args.out) / "zoo", "results": Path(args.out) / "results" / "runs"}
    chosen = {"rounded": args.round, "tables_only": args.tables_only}
    name, card = publish_run(args.folder, args.name, images=images, **chosen, **folders)
    print(
        f"{name}: {card['bytes']:,} bytes, {100 * card['test_accuracy']:.2f} % on all {card['test_images']:,} test "
        f"images of {card['data']} (scored {card['scored']}), rounded: {card['rounded']}"
    )
    network = "network and card: none (--tables-only)" if args.tables_only else f"network and card: {folders['zoo']}"
    print(f"{network}    tables: {folders['results'] / name}")
    return 0

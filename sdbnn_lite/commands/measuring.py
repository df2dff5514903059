"""``cost`` and ``bench``: what a network costs by counting, and what this machine takes for it."""

import argparse
import json
import os

from .options import Commands, add_command, method_list


def add_cost(commands: Commands) -> None:
    """Command ``cost`` and its options."""
    summary = "what one image costs: BOPs, FLOPs, OPs = BOPs/64 + FLOPs, parameters, bytes"
    sub = add_command(commands, run_cost, "cost", summary)
    sub.add_argument("network", metavar="NETWORK", help="for example cifar10_resnet20 or imagenet_resnet18")
    sub.add_argument("--method", default="sdbnn", metavar="M", help=f"one of {method_list()} (default: %(default)s)")
    sub.add_argument("--image-size", type=int, metavar="N", help="pixels a side (default: the network's usual one)")
    sub.add_argument("--json", action="store_true", help="the same as JSON")


def run_cost(args: argparse.Namespace) -> int:
    """Print the operations, parameters and bytes of one image."""
    from ..cost.count import cost

    result = cost(args.network, args.method, image_size=args.image_size)
    print(result.to_json() if args.json else result.text())
    return 0


def add_bench(commands: Commands) -> None:
    """Command ``bench`` and its options."""
    sub = add_command(commands, run_bench, "bench", "measure how long things take on this machine")
    sub.add_argument("what", nargs="*", metavar="WHAT", help="any of: train, data, packed, explorers (default: all)")
    sub.add_argument("--json", action="store_true", help="the same as JSON")
    sub.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: 2, as in the notebooks)")
    sub.add_argument("--data", metavar="DIR", help="real images for `bench data` (or SDBNN_DATA)")


def run_bench(args: argparse.Namespace) -> int:
    """Measure what was named, or everything, with the number of threads that was asked for."""
    from ..system.devices import set_threads
    from . import bench

    set_threads(bench.THREADS if args.threads is None else args.threads)
    if args.data:
        os.environ["SDBNN_DATA"] = args.data  # a measurement takes no arguments
    result = bench.measure(args.what)
    print(json.dumps(result, indent=2, ensure_ascii=False) if args.json else bench.as_text(result))
    return 0

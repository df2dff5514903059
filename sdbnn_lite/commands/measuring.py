"""``cost`` and ``bench``: what a network costs by counting, and what this machine takes for it."""

import argparse
import json
import os

from ..errors import UsageError
from .options import JSON, METHOD, command, option


@command(
    option("network", metavar="NETWORK", help="for example cifar10_resnet20 or imagenet_resnet18"),
    METHOD,
    option("--image-size", type=int, metavar="N", help="pixels a side (default: the network's usual one)"),
    JSON,
)
def run_cost(args: argparse.Namespace) -> None:
    """What one image costs: BOPs, FLOPs, OPs = BOPs/64 + FLOPs, parameters, bytes."""
    from ..cost.count import cost
    result = cost(args.network, args.method, image_size=args.image_size)
    print(result.to_json() if args.json else result.text())


@command(
    option("what", nargs="*", metavar="WHAT",
           help="any of: train, data, packed, roofline, explorers, accuracy (default: all)"),
    JSON,
    option("--threads", type=int, metavar="N", help="CPU threads (default: 2, as in the notebooks)"),
    option("--data", metavar="DIR", help="real images for `bench data` (or SDBNN_DATA)"),
    option("--roofline", nargs="?", const="cifar10_resnet20", metavar="NETWORK",
           help="with `bench train`: one step in parts, beside the chip's peak (default: cifar10_resnet20)"),
    option("--beside", type=int, default=0, metavar="N", help="keep N other processes busy meanwhile (default: none)"),
)  # fmt: skip
def run_bench(args: argparse.Namespace) -> None:
    """Measure how long things take on this machine."""
    from ..system.devices import set_threads
    from . import bench
    set_threads(bench.THREADS if args.threads is None else args.threads)
    if args.data:
        os.environ["SDBNN_DATA"] = args.data  # a measurement takes no arguments
    if args.roofline and args.what not in ([], ["train"]):
        raise UsageError(f"--roofline: only with `bench train`, not with {', '.join(args.what)}")
    result = bench.measure(["roofline"] if args.roofline else args.what, args.beside, args.roofline)
    print(json.dumps(result, indent=2) if args.json else bench.as_text(result))

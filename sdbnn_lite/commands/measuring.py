"""``cost`` and ``bench``: what a network costs by counting, and what this machine takes for it."""

import argparse
import json
import os


def run_cost(args: argparse.Namespace) -> int:
    """Print the operations, parameters and bytes of one image."""
    from ..cost.count import cost

    result = cost(args.network, args.method, image_size=args.image_size)
    print(result.to_json() if args.json else result.text())
    return 0


def run_bench(args: argparse.Namespace) -> int:
    """Measure what was named, or everything, with the number of threads that was asked for."""
    from ..system.machine import set_threads
    from . import bench

    set_threads(bench.THREADS if args.threads is None else args.threads)
    if args.data:
        os.environ["SDBNN_DATA"] = args.data  # a measurement takes no arguments
    result = bench.measure(args.what)
    print(json.dumps(result, indent=2, ensure_ascii=False) if args.json else bench.as_text(result))
    return 0

"""``evaluate``: a trained network on all test images."""

import argparse
import json
from dataclasses import replace

from ..errors import UsageError
from .options import JSON, READING, WEIGHTS, command, option, reading


@command(
    WEIGHTS,
    option("--dataset", metavar="NAME", help="default: the one it was trained on"),
    option("--packed", action="store_true", help="bit-packed: XNOR and popcount, on the CPU"),
    option("--per-class", action="store_true", help="top-1 and top-5 of every class too"),
    JSON,
    *READING,
)
def run_evaluate(args: argparse.Namespace) -> None:
    """Score a trained network on all test images."""
    from .. import data
    from ..data.tree import some
    from ..packed import pack
    from ..system.devices import keep_freed_memory, pick_device
    from ..training.evaluate import score_classes
    from ..weights import cards
    from ..weights.preprocessing import Preprocessing, options_of, preprocessing_of
    from ..weights.zoo import load, unfinished
    device = pick_device("cpu" if args.packed and args.device == "auto" else args.device)
    if args.packed and device.type != "cpu":
        raise UsageError("--packed --device cuda: packed networks run on the CPU")
    if device.type == "cpu":
        keep_freed_memory()
    net = load(args.weights)
    known = preprocessing_of(net)
    dataset = args.dataset or (known.dataset if known else net.about.get("dataset"))
    if dataset is None:
        raise UsageError(f"{args.weights}: doesn't say which images it was trained on; give --dataset")
    wanted = known.image_size if known else net.options.get("image_size")
    channels = options_of(net)["in_channels"]
    images = data.load(dataset, args.data, image_size=wanted, channels=channels, **reading(args))
    if known:
        names, images = Preprocessing.of(images).names, replace(images, mean=known.mean, std=known.std)
        if known.classes and known.names != names:
            raise UsageError(f"{args.weights} knows {some(known.names)}; {images.label} has others, {some(names)}")
    forward = pack(net) if args.packed else None
    score, classes = score_classes(net.to(device), images.to(device), forward=forward)
    if args.json:
        about = {"weights": args.weights, "network": net.name, "method": net.method.name, "data": images.label}
        each = {"classes": [vars(row) for row in classes]} if args.per_class else {}
        about |= {"unfinished": unfinished(net)} if unfinished(net) else {}
        print(json.dumps({**about, **vars(score), **each}, indent=2))
        return
    how = f", packed, {forward.engine.name}" if forward else ""
    how += f"; {unfinished(net)}" if unfinished(net) else ""
    print(f"{args.weights} ({net.name}, method {net.method.name}{how}): {describe_score(score, images.label)}")
    if "card" in net.about:
        print(cards.compare(net.about["card"], score.top1, score.images, images.label))
    if args.per_class:
        print(class_table(classes))


def describe_score(score, label: str) -> str:
    """Accuracy as it may be quoted: of which images, and how many."""
    top5 = f", top-5 {100 * score.top5:.2f} %" if score.top5 < 1 else ""
    return f"test accuracy {100 * score.top1:.2f} %{top5} on all {score.images:,} test images of {label}"


def class_table(classes) -> str:
    """Aligned text, a class a line."""
    from ..system.text import rows_table
    shares = [{"class": c.name, "images": c.images, "top-1 %": 100 * c.top1, "top-5 %": 100 * c.top5} for c in classes]
    return rows_table(shares, digits=2)

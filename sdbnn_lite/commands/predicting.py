"""``predict``: what a trained network takes pictures for."""

import argparse
import json
from pathlib import Path

from ..errors import UsageError
from .options import JSON, WEIGHTS, command, option


@command(
    WEIGHTS,
    option("images", metavar="IMAGE", nargs="+", help="a picture, or a folder of pictures"),
    option("--packed", action="store_true", help="bit-packed: XNOR and popcount"),
    option("--top", type=int, default=5, metavar="N", help="how many classes of each (default: %(default)s)"),
    option("--dataset", metavar="NAME", help="whose classes and normalisation (default: as it was trained)"),
    JSON,
)
def run_predict(args: argparse.Namespace) -> None:
    """Say what a trained network takes pictures for."""
    from ..own.predict import predict
    from ..packed import pack
    from ..system.text import aligned_table
    from ..weights.preprocessing import preprocessing_of
    from ..weights.zoo import load
    net, paths = load(args.weights), [file for given in args.images for file in picture_files(given)]
    like = preprocessing_of(net, args.dataset)
    found = list(zip(paths, predict(pack(net) if args.packed else net, paths, args.top, like=like)))
    if args.json:
        named = [(path, [{"class": name, "probability": p} for name, p in top]) for path, top in found]
        print(json.dumps([{"image": path, "top": top} for path, top in named], indent=2))
        return
    rows = [[path, *(cell for name, p in top for cell in (name, f"{100 * p:.1f} %"))] for path, top in found]
    print(aligned_table(rows, [False] + [False, True] * (len(rows[0]) // 2)))


def picture_files(given: str) -> list[str]:
    """The file itself, or a folder's pictures in order, without hidden ones; UsageError where there is none."""
    from torchvision.datasets.folder import is_image_file
    if not Path(given).is_dir():
        return [given]
    found = [str(path) for path in sorted(Path(given).iterdir()) if path.name[0] != "." and is_image_file(path.name)]
    if not found:
        raise UsageError(f"IMAGE {given}: no pictures in this folder; those in folders inside it aren't looked for")
    return found

"""``import-original``, ``pack-images``, ``export-onnx``: files of others turned into ours, and ours into theirs."""

import argparse
from pathlib import Path

from ..errors import check_whole
from .options import QUIET, WEIGHTS, command, option


@command(
    option("file", metavar="FILE", help="what the published trainer saved (read without running any code)"),
    option("network", metavar="NETWORK", help="which network it is, for example cifar10_resnet20"),
    option("out", metavar="OUT", help="the safetensors file to write"),
)
def run_import_original(args: argparse.Namespace) -> None:
    """Turn a checkpoint of the published code into our weights."""
    from ..weights.files import rebuild, save_weights
    from ..weights.published import from_original, stored_options
    from ..weights.torch_files import read_state_dict
    state = from_original(read_state_dict(args.file), args.network)
    network, _, stage = args.network.partition("_stage")
    options = stored_options(state, network) | ({"stage": int(stage)} if stage else {})
    net = rebuild(state, {"network": network, "options": options}, args.file)
    save_weights(Path(args.out), net, dataset=network.split("_")[0], imported=Path(args.file).name)
    print(f"{args.out}: {args.network}, {sum(p.numel() for p in net.parameters()):,} parameters, every key fitted")


@command(
    option("--data", metavar="DIR", help="folder that holds NAME/{train,val}/<class>/… (or SDBNN_DATA)"),
    option("--dataset", metavar="NAME", default="imagenet", help="a set of your own, too large for memory"),
    option("--image-size", type=int, metavar="N", help="that will be trained (default: 224; yours: their usual side)"),
    option("--workers", type=int, metavar="N", help="threads (default: the CPU's cores)"),
    option("--strict", action="store_true", help="stop at an unreadable image instead of leaving it out"),
    QUIET,
)
def run_pack_images(args: argparse.Namespace) -> None:
    """Pack ImageNet's images once, or an image tree of your own, resized, for fast reading."""
    from ..data.image_file import MOST_SIDE
    from ..data.resized_copy import pack, side_for
    from ..data.sets import check_workers, imagenet_tree
    from ..data.tree_sets import usual_side
    check_workers(args.workers)
    if args.image_size is not None:
        check_whole(1, MOST_SIDE, image_size=args.image_size)
    tree = imagenet_tree(args.data, args.dataset)
    side = side_for(args.image_size or (224 if args.dataset == "imagenet" else usual_side(tree.train)))
    options = {} if args.workers is None else {"workers": args.workers}
    made = pack(tree, side, strict=args.strict, progress=not args.quiet, **options)
    print(f"{made.place}: {made.images:,} images, shorter side {side} pixels, {made.bytes / 1e9:,.1f} GB on the disk; "
          f"{made.left_out} unreadable ones left out")  # fmt: skip


@command(
    WEIGHTS,
    option("out", metavar="OUT", help="the ONNX file to write"),
    option("--image-size", type=int, metavar="N", help="pixels a side (default: as it was trained)"),
    option("--dataset", metavar="NAME", help="whose normalisation and classes (default: as it was trained)"),
)
def run_export_onnx(args: argparse.Namespace) -> None:
    """Write a trained network as ONNX, for other tools."""
    from ..weights.onnx_export import export_onnx
    from ..weights.preprocessing import options_of
    from ..weights.zoo import load
    net, out = load(args.weights), Path(args.out)
    about = export_onnx(net, out, image_size=args.image_size, dataset=args.dataset)
    options = options_of(net)
    shape = f"(batch, {options['in_channels']}, {about['image_size']}, {about['image_size']})"
    print(f"{out}: {net.name}, method {net.method.name}, {out.stat().st_size / 1e6:,.1f} MB: images {shape} -> logits "
          f"(batch, {options['num_classes']})")  # fmt: skip
    if "mean" in about:
        print(f"feed it {about['normalisation']}")
        print(f"mean {about['mean']}, std {about['std']}; also in the file's metadata")

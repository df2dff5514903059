"""``import-original``, ``pack-images``, ``export-onnx``: files of others turned into ours, and ours into theirs."""

import argparse
from pathlib import Path

from ..errors import UsageError
from .options import Commands, add_command, add_weights


def add_import_original(commands: Commands) -> None:
    """Command ``import-original`` and its options."""
    summary = "turn a checkpoint of the published code into our weights"
    sub = add_command(commands, run_import_original, "import-original", summary)
    sub.add_argument("file", metavar="FILE", help="what the published trainer saved (read without running any code)")
    sub.add_argument("network", metavar="NETWORK", help="which network it is, for example cifar10_resnet20")
    sub.add_argument("out", metavar="OUT", help="the safetensors file to write")


def run_import_original(args: argparse.Namespace) -> int:
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
    return 0


def add_pack_images(commands: Commands) -> None:
    """Command ``pack-images`` and its options."""
    summary = "pack ImageNet's images once, resized, for fast reading"
    sub = add_command(commands, run_pack_images, "pack-images", summary)
    sub.add_argument("--data", metavar="DIR", help="folder that holds imagenet/{train,val}/<class>/… (or SDBNN_DATA)")
    sub.add_argument("--image-size", type=int, default=224, metavar="N", help="that will be trained (default: 224)")
    sub.add_argument("--workers", type=int, metavar="N", help="threads (default: the CPU's cores)")
    sub.add_argument("--strict", action="store_true", help="stop at an unreadable image instead of leaving it out")
    sub.add_argument("--quiet", action="store_true", help="no progress bar")


def run_pack_images(args: argparse.Namespace) -> int:
    """Pack ImageNet's images once, resized to what the training will need."""
    from ..data.resized_copy import pack, side_for
    from ..data.sets import check_workers, imagenet_tree

    check_workers(args.workers)
    if args.image_size < 1:
        raise UsageError(f"--image-size {args.image_size}: a whole number of pixels, 1 or more, is needed")
    side = side_for(args.image_size)
    options = {} if args.workers is None else {"workers": args.workers}
    made = pack(imagenet_tree(args.data), side, strict=args.strict, progress=not args.quiet, **options)
    print(f"{made.place}: {made.images:,} images, shorter side {side} pixels, {made.bytes / 1e9:,.1f} GB on the disk; "
          f"{made.left_out} unreadable ones left out")  # fmt: skip
    return 0


def add_export_onnx(commands: Commands) -> None:
    """Command ``export-onnx`` and its options."""
    sub = add_command(commands, run_export_onnx, "export-onnx", "write a trained network as ONNX, for other tools")
    add_weights(sub)
    sub.add_argument("out", metavar="OUT", help="the ONNX file to write")
    sub.add_argument("--image-size", type=int, metavar="N", help="pixels a side (default: as it was trained)")
    sub.add_argument("--dataset", metavar="NAME", help="whose normalisation and classes (default: as it was trained)")


def run_export_onnx(args: argparse.Namespace) -> int:
    """Write a trained network as ONNX, for other tools."""
    from ..weights.onnx_export import export_onnx
    from ..weights.zoo import load

    net, out = load(args.weights), Path(args.out)
    about = export_onnx(net, out, image_size=args.image_size, dataset=args.dataset)
    shape = f"(batch, {net.options['in_channels']}, {about['image_size']}, {about['image_size']})"
    print(f"{out}: {net.name}, method {net.method.name}, {out.stat().st_size / 1e6:,.1f} MB: images {shape} -> logits "
          f"(batch, {net.options['num_classes']})")  # fmt: skip
    if "mean" in about:
        print(f"feed it {about['normalisation']}")
        print(f"mean {about['mean']}, std {about['std']}; also in the file's metadata")
    return 0

"""``import-original``, ``pack-images``, ``export-onnx``: files of others turned into ours, and ours into theirs."""

import argparse
from pathlib import Path

from ..errors import UsageError


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


def run_pack_images(args: argparse.Namespace) -> int:
    """Pack ImageNet's images once, resized to what the training will need."""
    from ..data import check_workers, imagenet_tree
    from ..data.resized_copy import pack, side_for

    check_workers(args.workers)
    if args.image_size < 1:
        raise UsageError(f"--image-size {args.image_size}: a whole number of pixels, 1 or more, is needed")
    side = side_for(args.image_size)
    options = {} if args.workers is None else {"workers": args.workers}
    made = pack(imagenet_tree(args.data), side, strict=args.strict, progress=not args.quiet, **options)
    print(f"{made.place}: {made.images:,} images, shorter side {side} pixels, {made.bytes / 1e9:,.1f} GB on the disk; "
          f"{made.left_out} unreadable ones left out")  # fmt: skip
    return 0


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
        print(
            f"feed it {about['normalisation']}\nmean {about['mean']}, std {about['std']}; also in the file's metadata"
        )
    return 0

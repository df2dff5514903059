"""Packed networks in files: safetensors, one bit per binary weight, with a version and a digest of all tensors.

The tensors are the bit form of ``sdbnn_lite.weights.bits``; the JSON beside them names the network and how it was
built, the version of this form, and SHA-256 over names, types, shapes and bytes of all tensors.
"""

from pathlib import Path

from torch import Tensor, nn

from ..core.models import BinaryNet
from ..errors import UsageError
from ..weights import bits, files
from ..weights.files import checked_path, describe, read_tensors, rebuild, write_tensors
from .modules import PackedModule, check, pack
from .network import PackedNet, frozen, fuses

VERSION = 1


def digest(tensors: dict[str, Tensor], network: str, options: dict) -> str:
    """SHA-256 of what the file holds, whatever the order of its tensors."""
    return files.digest(sorted(tensors.items()), f"{network} {sorted(options.items())}")


def save_packed(path: str | Path, net: PackedNet | BinaryNet, *, rounded: bool = False) -> None:
    """Write a network in its packed form: `cifar10_resnet18` takes 2.7 MB instead of 44.7 MB, 2.2 MB with ``rounded``.

    ``rounded`` stores ASD's matrices and the 1×1 shortcuts in 16-bit steps (see ``bits``); else the logits stay the
    same to the last bit. Raises UsageError for a network that can't be packed, or that ``build`` didn't make and a
    file therefore couldn't rebuild; RunError where it can't be written.
    """
    path, net = checked_path(path), net.net if isinstance(net, (PackedNet, PackedModule)) else net
    check(net)
    if not fuses(net) or not isinstance(net.linear, nn.Linear) or net.linear.bias is None:
        raise UsageError(f"net: {type(net).__name__} given; a file can rebuild only what sd.build makes, with another "
                         f"nn.Linear at most: save net.state_dict(), load that and pack again")  # fmt: skip
    net = frozen(net)
    tensors, about = bits.bit_state(net, rounded), describe(net)
    mark = {"form": bits.FORM, "packed": VERSION, "digest": digest(tensors, about["network"], about["options"])}
    write_tensors(path, tensors, {**about, **mark})


def load_packed(path: str | Path, engine: str | None = None) -> PackedNet:
    """The packed network in a file of :func:`save_packed`, ready to run; ``engine`` as for :func:`pack`.

    Raises UsageError, naming the file, where it is missing, damaged, of another kind or of a later version.
    """
    tensors, about = read_tensors(path)
    if not isinstance(about, dict) or "packed" not in about:
        raise UsageError(f"{path}: not a packed network; sd.load reads other weights, sd.save_packed writes this form")
    if about["packed"] != VERSION:
        raise UsageError(f"{path}: packed form {about['packed']!r}, this version of sdbnn_lite reads {VERSION}")
    network, options = about.get("network"), about.get("options")
    if not isinstance(options, dict) or about.get("digest") != digest(tensors, network, options):
        raise UsageError(f"{path}: damaged, its tensors aren't those that were written; get or make the file again")
    return pack(rebuild(tensors, about, path), engine)

"""Packed networks in files (see ``weights.files``): one bit per binary weight, the version of this form in the JSON.

The tensors are the bit form of ``sdbnn_lite.weights.bits``; the JSON names the network and how it was built.
"""

from pathlib import Path

from torch import nn

from ..core.models import BinaryNet
from ..errors import UsageError
from ..weights import bits
from ..weights.files import checked_path, describe, read_tensors, rebuild, write_tensors
from .modules import PackedModule, check, pack
from .network import PackedNet, frozen, fuses

VERSION = 1


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
    write_tensors(path, bits.bit_state(net, rounded), {**describe(net), "form": bits.FORM, "packed": VERSION})


def load_packed(path: str | Path, engine: str | None = None) -> PackedNet:
    """The packed network in a file of :func:`save_packed`, ready to run; ``engine`` as for :func:`pack`.

    Raises UsageError, naming the file, where it is missing, damaged, of another kind or of a later version.
    """
    tensors, about = read_tensors(path)
    if "packed" not in about:
        raise UsageError(f"{path}: not a packed network; sd.load reads other weights, sd.save_packed writes this form")
    if about["packed"] != VERSION:
        raise UsageError(f"{path}: packed form {about['packed']!r}, this version of sdbnn_lite reads {VERSION}")
    return pack(rebuild(tensors, about, path), engine)

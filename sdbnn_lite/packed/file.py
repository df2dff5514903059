"""Packed networks in files (see ``weights.files``): one bit per binary weight, the version of this form in the JSON.

The tensors are the bit form of ``sdbnn_lite.weights.bits``; the JSON names the network and how it was built.
"""

import copyreg
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..core.models import BinaryNet
from ..errors import UsageError
from ..weights import bits
from ..weights.files import checked_json, checked_path, describe, read_tensors, rebuild, signed_json, write_tensors
from .base import Packed, frozen
from .modules import PackedModule, check, pack
from .network import PackedNet, fuses

VERSION = 1


def save_packed(path: str | Path, net: PackedNet | BinaryNet, *, rounded: bool = False) -> None:
    """Write a network in its packed form: `cifar10_resnet18` takes 2.7 MB instead of 44.7 MB, 2.2 MB with ``rounded``.

    ``rounded`` stores ASD's matrices and the 1×1 shortcuts in 16-bit steps (see ``bits``); else the logits stay the
    same to the last bit. Raises UsageError for a network that can't be packed, or that ``build`` didn't make and a
    file therefore couldn't rebuild; RunError where it can't be written.
    """
    path = checked_path(path)
    write_tensors(path, *_form(net.net if isinstance(net, Packed) else net, rounded))


def _form(net: BinaryNet, rounded: bool = False) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a file and the JSON beside them."""
    check(net)
    if not fuses(net) or not isinstance(net.linear, nn.Linear) or net.linear.bias is None:
        raise UsageError(f"net: {type(net).__name__} given; a file can rebuild only what sd.build makes, with another "
                         f"nn.Linear at most: save net.state_dict(), load that and pack again")  # fmt: skip
    net = frozen(net)
    return bits.bit_state(net, rounded), {**describe(net), "form": bits.FORM, "packed": VERSION}


def load_packed(path: str | Path, engine: str | None = None) -> Packed:
    """The packed network in a file of :func:`save_packed`, ready to run; ``engine`` as for :func:`pack`.

    Raises UsageError, naming the file, where it is missing, damaged, of another kind or of a later version.
    """
    return pack(_network(*read_tensors(path), path), engine)


def _network(tensors: dict[str, Tensor], about: dict[str, Any], path: object) -> BinaryNet:
    if "packed" not in about:
        raise UsageError(f"{path}: not a packed network; sd.load reads other weights, sd.save_packed writes this form")
    if about["packed"] != VERSION:
        raise UsageError(f"{path}: packed form {about['packed']!r}, this version of sdbnn_lite reads {VERSION}")
    return rebuild(tensors, about, path)


def unpickled(tensors: dict[str, Tensor], about: str, engine: str | None) -> Packed:
    """What ``copy``, ``pickle`` and ``torch.save`` keep of a packed network: the tensors of its file, and the JSON."""
    source = "a pickled network"
    return pack(_network(tensors, checked_json(tensors, json.loads(about), source), source), engine)


def _reduced(packed: Packed) -> tuple[Any, ...]:
    """In the form of a file, or as the network itself where a file couldn't rebuild it to the last bit."""
    engine = packed.engine.name if packed.engine.name == "numpy" else None  # numba only where it compiles
    real = all(p.dtype == torch.float32 for p in packed.parameters())
    with suppress(UsageError):
        if real and isinstance(packed, PackedNet):
            tensors, about = _form(packed.net)
            return unpickled, (tensors, signed_json(tensors, about), engine)
    return pack, (frozen(packed.net), engine)


for kind in (PackedNet, PackedModule):
    copyreg.pickle(kind, _reduced)
torch.serialization.add_safe_globals([unpickled])  # its tensors and its text are checked as those of a file

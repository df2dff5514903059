"""Tensors in files: safetensors with one JSON text, so that nothing can run when a file is read.

A file of weights holds the network's state dict, or its bit form (see ``bits``), and in the JSON how the network was
built. A run's checkpoint, ``training.checkpoint``, is such a file too. Each carries a digest of its tensors and its
JSON, which is checked whenever it is read.
"""

import functools
import hashlib
import json
import math
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from ..core.methods import METHODS
from ..core.models import BinaryNet, build
from ..errors import UsageError, check_fields
from ..system.files import write_atomic
from . import bits

_KEY = "sdbnn_lite"  # one key: safetensors keeps several in no fixed order, and files should be equal byte for byte
_DIGEST = "sha256"  # in the JSON; earlier versions wrote none
CHECKPOINT, WEIGHTS = "checkpoint.safetensors", "weights.safetensors"
_SAID = {"network": str, "options": dict, "form": str, "dataset": str, "data": str, "result": dict, "identity": dict,
         "progress": {"epoch": int, "step": int}}  # what a file may say


def checked_path(given: object, name: str = "path") -> Path:
    """The path ``given``; raises UsageError, naming the argument, for what can't be one."""
    if not isinstance(given, str | os.PathLike):
        raise UsageError(f"{name}={given!r}: a path is needed, as text or a Path; {type(given).__name__} given")
    return Path(given)


def digest(tensors: Iterable[tuple[str, Tensor]], about: str = "") -> str:
    """SHA-256, in hex, over ``about`` and over names, types, shapes and bytes of the tensors, in their order."""
    found = hashlib.sha256(about.encode())
    for name, tensor in tensors:
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return found.hexdigest()


def signed_json(tensors: dict[str, Tensor], about: dict) -> str:
    """``about`` as JSON, with a digest of itself and the tensors."""
    said = json.dumps(about)
    return json.dumps({**json.loads(said), _DIGEST: digest(sorted(tensors.items()), said)})


def checked_json(tensors: dict[str, Tensor], about: object, source: object, verified: bool = False) -> dict:
    """What :func:`signed_json` was given, of what its JSON says. Raises UsageError, naming ``source``, where that isn't
    a file's, or it, a tensor or the digest's name was changed; without a digest a line on stderr says so, unless
    ``verified``.
    """
    check_fields(source, about, _SAID, optional=True)
    said = about.pop(_DIGEST, None) or next((v for v in about.values() if re.fullmatch("[0-9a-f]{64}", str(v))), None)
    if said is None and not verified:
        _tell_unchecked(source)
    elif said not in (None, digest(sorted(tensors.items()), json.dumps(about))):
        raise UsageError(f"{source}: damaged, what it holds isn't what was written; get or make the file again")
    return about


def tensor_bytes(tensors: dict[str, Tensor], about: dict) -> bytes:
    """Tensors and a JSON-able dict, with a digest of both, as the content of one safetensors file."""
    tensors = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    return save(tensors, {_KEY: signed_json(tensors, about)})


def write_tensors(path: Path, tensors: dict[str, Tensor], about: dict) -> None:
    """Tensors and a JSON-able dict in one file, atomically; raises RunError where it can't be written."""
    write_atomic(path, tensor_bytes(tensors, about))


def read_tensors(path: str | Path, verified: bool = False) -> tuple[dict[str, Tensor], dict]:
    """What :func:`write_tensors` wrote. Raises UsageError, naming the file, for anything else: missing, truncated,
    changed since, of another kind. A file of an earlier version, without a digest, is read; a line on stderr says so,
    unless its bytes were ``verified`` already.
    """
    path = checked_path(path)
    if not os.path.isfile(path):
        raise UsageError(f"{path}: no such file")
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118 - not a dict
            about = json.loads((file.metadata() or {})[_KEY])
    except KeyError as error:
        raise UsageError(f"{path}: a safetensors file, but not one of sdbnn_lite") from error
    except (SafetensorError, ValueError, OSError, RecursionError) as error:
        raise UsageError(f"{path}: not a safetensors file, or a damaged one ({error}); nothing was read") from error
    return tensors, checked_json(tensors, about, path, verified)


@functools.cache
def _tell_unchecked(source: object) -> None:
    print(f"{source}: of an earlier version, without a digest: whether it is undamaged can't be told", file=sys.stderr)


def describe(net: BinaryNet) -> dict:
    """How ``net`` was built, what :func:`rebuild` needs; and what it knows of the images that it learned from."""
    from .preprocessing import options_of, preprocessing_of  # with it scikit-learn and torchvision
    form, images = {"form": bits.FORM} if in_bits(net) else {}, preprocessing_of(net)
    known = {"images": images.described()} if images else {}
    return {"network": net.name, "options": options_of(net), **form, **known}


def in_bits(net: BinaryNet) -> bool:
    """Whether ``net`` was read from a file in bit form: its binary layers hold ŵ, and no latent weights."""
    return getattr(net, "form", None) == bits.FORM


def rebuild(state: dict[str, Tensor], about: dict, source: object = "weights") -> BinaryNet:
    """The network that ``about`` describes, and keeps, with the weights ``state``; UsageError where they don't fit."""
    check_fields(source, about, _SAID, optional=True)
    _check_size(about.get("options", {}), state, source)
    try:
        net = build(about["network"], **about["options"])
    except (KeyError, TypeError) as error:
        raise UsageError(f"{source}: doesn't say which network it holds ({error})") from error
    if about.get("form") == bits.FORM:
        state = bits.expand_bits(net, state, source)
        net.form = bits.FORM
    load_state(net, state, source)
    net.about = about
    return net.eval()


def _check_size(options: dict, state: dict[str, Tensor], source: object) -> None:
    """Raise UsageError, before anything is allocated, where ``options`` mean a larger network than its weights are."""
    head, first = (getattr(state.get(f"{name}.weight"), "shape", ()) for name in ("linear", "conv1"))
    limits = (head[0], first[1], math.isqrt(head[1])) if (len(head), len(first)) == (2, 4) else (0, 0, 0)
    for name, limit in zip(("num_classes", "in_channels", "image_size"), limits):
        given = options.get(name)
        if isinstance(given, int) and given > limit:
            raise UsageError(f"{source}: weights of another network: {name} is {given}, linear and conv1 fit {limit}")


def load_state(net: nn.Module, state: dict[str, Tensor], source: object) -> None:
    """``net.load_state_dict``, strict, as one sentence where it fails; numbers must be finite, and of the same kind."""
    try:
        net.load_state_dict(state)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:]]
        raise UsageError(f"{source}: weights of another network: {' '.join(lines)[:600]}") from error
    for name, own in net.state_dict().items():
        if own.is_floating_point() and not state.get(name, own).is_floating_point():  # norms' counters may be either
            raise UsageError(f"{source}: {name} holds {state[name].dtype}, {own.dtype} is needed")
    check_finite(state, source)


def check_finite(tensors: dict[str, Tensor], source: object) -> None:
    """Raise UsageError, naming ``source`` and the first culprit, where a tensor holds NaN, infinity or 8-bit floats."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and (tensor.element_size() < 2 or not tensor.isfinite().all()):
            raise UsageError(f"{source}: {name} holds values that aren't finite: damaged, or of a run that failed")


def save_weights(path: Path, net: BinaryNet, **about: object) -> None:
    """The network (in bit form, if it was read from it) and how it was built, plus ``about`` (data set, recipe, …).

    ``images``: what ``data.described`` says of the set, where ``net`` doesn't know it (see ``preprocessing``). Raises
    UsageError for a network that :func:`rebuild` couldn't make of the file, as one with a method of your own.
    """
    from .preprocessing import preprocessing_of
    if net.method.name not in METHODS or callable(net.method.activation_shift):
        raise UsageError(f"net: its method {net.method.name!r} is your own, and no file of weights holds its code: "
                         "keep net.state_dict() with torch.save, and load it into what sd.build makes of it")
    state, about = bits.bit_state(net) if in_bits(net) else net.state_dict(), {**describe(net), **about}
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers stay as they were
        preprocessing_of(rebuild(state, about, "net"))
    write_tensors(path, state, about)

"""Weights and checkpoints, both safetensors: tensors and one JSON text, nothing that could run when it is read.

weights      model's state dict, or its bit form (see ``bits``)     + how the network was built
checkpoint   model/…, optimizer/<parameter>/<entry>, random/epoch   + that, and where the run stands
             average/… where the recipe averages weights: not what ``load`` takes, which is model/…
"""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from ..core.models import BinaryNet, build
from ..errors import UsageError
from ..system.files import write_atomic
from ..system.paths import PACKAGE
from . import bits, cards

_KEY = "sdbnn_lite"  # one key: safetensors keeps several in no fixed order, and files should be equal byte for byte
CHECKPOINT, WEIGHTS = "checkpoint.safetensors", "weights.safetensors"


def tensor_bytes(tensors: dict[str, Tensor], about: dict) -> bytes:
    """Tensors and a JSON-able dict as the content of one safetensors file."""
    tensors = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    return save(tensors, {_KEY: json.dumps(about)})


def write_tensors(path: Path, tensors: dict[str, Tensor], about: dict) -> None:
    """Tensors and a JSON-able dict in one file, atomically; raises RunError where it can't be written."""
    write_atomic(path, tensor_bytes(tensors, about))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict]:
    """What :func:`write_tensors` wrote. Raises UsageError, naming the file, for anything else: missing, truncated,
    a pickle (it is never unpickled), or a safetensors file of another program."""
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118 - not a dict
            about = json.loads((file.metadata() or {})[_KEY])
    except KeyError as error:
        raise UsageError(f"{path}: a safetensors file, but not one of sdbnn_lite") from error
    except (SafetensorError, ValueError, OSError) as error:
        raise UsageError(f"{path}: not a safetensors file, or a damaged one ({error}); nothing was read") from error
    return tensors, about


def describe(net: BinaryNet) -> dict:
    """How ``net`` was built: what :func:`rebuild` needs."""
    form = {"form": bits.FORM} if in_bits(net) else {}
    return {"network": net.name, "options": net.options, **form}


def in_bits(net: BinaryNet) -> bool:
    """Whether ``net`` was read from a file in bit form: its binary layers hold ŵ, and no latent weights."""
    return getattr(net, "form", None) == bits.FORM


def rebuild(state: dict[str, Tensor], about: dict, source: object = "weights") -> BinaryNet:
    """The network that ``about`` describes with the weights ``state``; raises UsageError where they don't fit."""
    try:
        net = build(about["network"], **about["options"])
    except (KeyError, TypeError) as error:
        raise UsageError(f"{source}: doesn't say which network it holds ({error})") from error
    if about.get("form") == bits.FORM:
        state = bits.expand_bits(net, state, source)
        net.form = bits.FORM
    load_state(net, state, source)
    return net.eval()


def load_state(net: nn.Module, state: dict[str, Tensor], source: object) -> None:
    """``net.load_state_dict``, strict, as one sentence where it fails."""
    try:
        net.load_state_dict(state)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:]]
        raise UsageError(f"{source}: weights of another network: {' '.join(lines)[:600]}") from error


def save_weights(path: Path, net: BinaryNet, **about: object) -> None:
    """The network's state dict and how it was built, plus ``about`` (data set, recipe, …).

    A network that was read from the bit form is written in it again.
    """
    write_tensors(path, bits.bit_state(net) if in_bits(net) else net.state_dict(), {**describe(net), **about})


def save_checkpoint(
    path: Path, net: BinaryNet, optimizer: torch.optim.Optimizer, random: Tensor, about: dict, extra: dict | None = None
) -> None:
    """All that a run needs to go on exactly: ``random`` is the data generator's state at the start of the epoch.

    ``extra``: tensors under names of their own, such as ``averaging``'s; :func:`restore` leaves them alone.
    """
    tensors = {f"model/{k}": v for k, v in net.state_dict().items()}
    for index, entries in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{k}": torch.as_tensor(v) for k, v in entries.items() if v is not None}
    write_tensors(path, tensors | (extra or {}) | {"random/epoch": random}, {**describe(net), **about})


def restore(tensors: dict[str, Tensor], net: BinaryNet, optimizer: torch.optim.Optimizer, source: object) -> Tensor:
    """Put what :func:`save_checkpoint` wrote back into ``net`` and ``optimizer``; return the generator's state."""
    load_state(net, {k.removeprefix("model/"): v for k, v in tensors.items() if k.startswith("model/")}, source)
    state: dict[int, dict] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer/"):
            _, index, entry = key.split("/")
            state.setdefault(int(index), {})[entry] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    return tensors["random/epoch"]


ZOO = PACKAGE / "zoo"


def zoo_names() -> list[str]:
    """Names of the trained networks that come with the package."""
    return sorted(p.stem for p in ZOO.glob("*.safetensors"))


def find_weights(weights: str | Path) -> Path:
    """The file that ``weights`` means: a file, a run's folder (its last checkpoint or final weights), a zoo name."""
    path = Path(weights)
    if path.is_file():
        return path
    if path.is_dir():
        for name in (WEIGHTS, CHECKPOINT):
            if (path / name).is_file():
                return path / name
        raise UsageError(f"{path}: a folder without {WEIGHTS} or {CHECKPOINT}; is it a run's folder?")
    if (ZOO / f"{weights}.safetensors").is_file():
        return ZOO / f"{weights}.safetensors"
    zoo = f"zoo names are {', '.join(zoo_names())}" if zoo_names() else "the zoo is empty"
    raise UsageError(f"weights {str(weights)!r}: no such file, run folder or zoo network; {zoo}")


def load(weights: str | Path) -> BinaryNet:
    """A trained network in evaluation mode, float32 on the CPU, from a file, a run's folder, or a zoo name.

    ``net.about`` holds what the file says of itself (recipe, data set, seed, …), and ``net.about["card"]`` the card
    beside it, where there is one (see ``cards``). The zoo's CIFAR networks are in bit form: same logits as the trained
    ones, but no latent weights, so they can't be trained on (see ``bits``).

    Raises UsageError for anything else, and for a file that isn't the one its card describes.
    """
    path = find_weights(weights)
    card = cards.read_card(path)
    if card:
        cards.verify(path, card)
    tensors, about = read_tensors(path)
    if any(k.startswith("model/") for k in tensors):
        tensors = {k.removeprefix("model/"): v for k, v in tensors.items() if k.startswith("model/")}
    net = rebuild(tensors, about, path)
    net.about = {**about, "card": card} if card else about
    return net

"""The trained networks that come with the package, and what else :func:`load` takes: a file, a run's folder."""

import os
from pathlib import Path

from ..core.models import BinaryNet
from ..errors import UsageError
from ..system.paths import PACKAGE
from . import cards
from .files import CHECKPOINT, WEIGHTS, checked_path, read_tensors, rebuild

ZOO = PACKAGE / "zoo"


def zoo_names() -> list[str]:
    """Names of the trained networks that come with the package."""
    return sorted(p.stem for p in ZOO.glob("*.safetensors"))


def find_weights(weights: str | Path) -> Path:
    """The file that ``weights`` means: a file, a run's folder (its last checkpoint or final weights), a zoo name."""
    path = checked_path(weights, "weights")
    if os.path.isfile(path):
        return path
    if os.path.isdir(path):
        for name in (WEIGHTS, CHECKPOINT):
            if (path / name).is_file():
                return path / name
        raise UsageError(f"{path}: a folder without {WEIGHTS} or {CHECKPOINT}; is it a run's folder?")
    if os.path.isfile(ZOO / f"{weights}.safetensors"):
        return ZOO / f"{weights}.safetensors"
    zoo = f"zoo names are {', '.join(zoo_names())}" if zoo_names() else "the zoo is empty"
    raise UsageError(f"weights {str(weights)!r}: no such file, run folder or zoo network; {zoo}")


def load(weights: str | Path) -> BinaryNet:
    """A trained network in evaluation mode, float32 on the CPU, from a file, a run's folder, or a zoo name.

    ``net.about`` holds what the file says of itself (recipe, data set, seed, …), and ``net.about["card"]`` the card
    beside it, where there is one (see ``cards``). The zoo's CIFAR networks are in bit form: same logits as the trained
    ones, but no latent weights (see ``bits``); ``sd.train(…, init=name)`` starts from their signs.

    Raises UsageError for anything else, and for a file that isn't the one its card describes.
    >>> load("digits_sdbnn").method.title
    'SD-BNN (ASD + WSD)'
    """
    path = find_weights(weights)
    card = cards.read_card(path)
    if card:
        cards.verify(path, card)
    tensors, about = read_tensors(path, verified=bool(card))
    if card:
        cards.check_agrees(path, card, about)
    if any(k.startswith("model/") for k in tensors):
        tensors = {k.removeprefix("model/"): v for k, v in tensors.items() if k.startswith("model/")}
    net = rebuild(tensors, about, path)
    if card:
        net.about = {**about, "card": card}
    return net


def unfinished(net: BinaryNet) -> str:
    """How far the run was from whose checkpoint ``net`` was read: "epoch k of n, unfinished"; "" for other files."""
    if "progress" not in net.about:
        return ""
    return f"epoch {net.about['progress']['epoch']} of {net.about.get('identity', {}).get('epochs', '?')}, unfinished"

"""The card of a trained network: a JSON beside its file that says what it is, and by which the file is checked."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import RunError, UsageError, check_fields
from ..system.files import read_json

if TYPE_CHECKING:  # cards are listed without torch
    from ..core.models import BinaryNet

TOLERANCE = 0.05  # percentage points by which an accuracy may differ from the card's
_SAID = {"network": str, "method": str, "dataset": str, "data": str, "epochs": int, "test_accuracy": float,
         "test_images": int, "bytes": int, "sha256": str}  # what others read of a card  # fmt: skip
_ROUNDED = {"run_accuracy": float, "rounded": str}  # and of one that gives the run's accuracy too
_REMEDY = "fetch both files again (git checkout, or pip install --force-reinstall sdbnn-lite)"


def card_path(weights: Path) -> Path:
    """Where the card of the file ``weights`` is, if it has one."""
    return Path(weights).with_suffix(".json")


def digest(content: bytes) -> str:
    """SHA-256 as 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def probe_classes(net: "BinaryNet", probe: dict) -> str:
    """The classes that ``net`` predicts for the images of a card's ``probe``, see :func:`predicted_classes`."""
    from .logits_check import predicted_classes, probe_images, probe_logits
    return predicted_classes(probe_logits(net, probe_images(probe["image_size"], probe["mean"], probe["std"])))


def make_card(content: bytes, net: "BinaryNet", run: dict, result: dict, **more: object) -> dict:
    """The card of the file ``content``, which holds ``net`` and was trained by ``run`` (a run's run.json).

    What the run was, n (runs behind the figure: 1), its ``result``, then ``more``, then command, started, earlier (the
    machines before, where a run was resumed elsewhere), machine (hardware and versions), images
    (see ``preprocessing``), bytes and sha256 of the file, and probe: the classes that the network predicts for 500
    synthetic images. ``net`` knows which images it was trained on.
    """
    from .logits_check import PROBE_IMAGES
    from .preprocessing import preprocessing_of
    images = preprocessing_of(net).described()
    probe = {"images": PROBE_IMAGES, **{key: images[key] for key in ("image_size", "mean", "std")}}
    kept = ("network", "method", "recipe", "published", "dataset", "data", "epochs", "seed")
    return {**{key: run[key] for key in kept}, "n": 1, **result, **more,
            **{key: run[key] for key in ("command", "started", "earlier", "machine") if key in run}, "images": images,
            "bytes": len(content), "sha256": digest(content),
            "probe": {**probe, "argmax": probe_classes(net, probe)}}  # fmt: skip


def read_card(weights: Path) -> dict | None:
    """The card beside the file ``weights``; None where there is no JSON, or one that is about something else.

    Raises UsageError, naming it, for one that can't be read.
    """
    path = card_path(weights)
    if not path.is_file():
        return None
    try:
        card = read_json(path)
    except (OSError, ValueError) as error:
        why = error.__cause__ or error
        raise UsageError(f"{path}: the card of {Path(weights).name} is damaged ({why}); {_REMEDY}") from error
    if not isinstance(card, dict) or "sha256" not in card:
        return None
    check_fields(path, card, _SAID | (_ROUNDED if "run_accuracy" in card else {}))
    return card


def cards_in(folder: Path) -> dict[str, dict]:
    """The cards in a folder of networks, by name. Raises UsageError, naming it, for a JSON that isn't one."""
    found = {path.stem: read_card(path.with_suffix(".safetensors")) for path in sorted(folder.glob("*.json"))}
    if missing := [name for name, card in found.items() if card is None]:
        raise UsageError(f"{folder / missing[0]}.json: not a network's card; {_REMEDY}")
    return found


def verify(weights: Path, card: dict) -> None:
    """Raise UsageError, naming file, both digests and remedy, unless the file is the one that the card describes."""
    if (found := digest(Path(weights).read_bytes())) != card["sha256"]:
        raise UsageError(f"{weights}: damaged, nothing was loaded: SHA-256 is {found}, but {card_path(weights).name} "
                         f"beside it says {card['sha256']}; {_REMEDY}")  # fmt: skip


def check_agrees(weights: Path, card: dict, about: dict) -> None:
    """Raise UsageError, naming both, where the card says something else of the run and its result than the file."""
    said = {**about.get("identity", {}), **about.get("result", {}), "bytes": weights.stat().st_size}
    said |= {key: about[key] for key in ("network", "dataset", "data", "images") if key in about}
    if wrong := [f"{key} is {card[key]!r}, {value!r} in the file" for key, value in said.items()
                 if card.get(key, value) != value]:  # fmt: skip
        raise UsageError(f"{card_path(weights)}: isn't the card of {weights.name}: {'; '.join(wrong)}; {_REMEDY}")


def compare(card: dict, top1: float, images: int, label: str) -> str:
    """A line that says whether ``top1``, measured on so many ``images`` of the set called ``label``, is the card's.

    Raises RunError where both were measured on the same set and differ by more than ``TOLERANCE`` points.
    """
    on_card = f"{100 * card['test_accuracy']:.2f} %"
    if (label, images) != (card["data"], card["test_images"]):
        return f"card: {on_card} on {card['test_images']:,} test images of {card['data']}; not compared, other images"
    points = 100 * abs(top1 - card["test_accuracy"])
    if points > TOLERANCE + 1e-9:
        raise RunError(f"{card['network']}: {100 * top1:.2f} % here, {on_card} on its card, {points:.2f} points apart "
                       f"on the same {label}, {TOLERANCE} allowed; compare images, versions and hardware with the "
                       "card's")  # fmt: skip
    return f"card: {on_card}; {'equal' if points < 1e-9 else f'{points:.2f} points apart, within {TOLERANCE}'}"


def stored_in_words(name: str, card: dict) -> str:
    """Why the file's accuracy isn't its run's: what was rounded, else the two devices; "" where both are the same."""
    stored, before = card["test_accuracy"], card.get("run_accuracy", card["test_accuracy"])
    if stored == before:
        return ""
    said = f"{name}: {100 * stored:.2f} % is the accuracy of the zoo's file, {100 * before:.2f} % that of its run.\n"
    if card["rounded"] == "nothing":
        return said + f"It rounds nothing: it was scored {card['scored']}, its run on {card['machine']['device']}."
    return said + f"The file rounds what stays real ({card['rounded']})."

"""What there is, as rows for ``list`` and as names for the shell's completion, all of it without loading torch."""

import json
from collections.abc import Callable

from ..core.methods import METHODS, PAPERS
from ..system.paths import PACKAGE
from ..training.recipes import CHAINS, RECIPES

NETWORKS = {  # classes, channels, pixels a side, parameters with method sdbnn: what ``core.models.build`` makes
    "cifar10_resnet20": (10, 3, 32, 274_074),
    "cifar10_resnet18": (10, 3, 32, 11_320_650),
    "cifar10_vgg_small": (10, 3, 32, 4_715_018),
    "digits_convnet": (10, 1, 8, 59_242),
    "imagenet_resnet18": (1000, 3, 224, 11_980_840),
    "imagenet_resnet34": (1000, 3, 224, 22_377_000),
}
DATASETS = {  # pixels a side, channels, where it lies: what ``data.sets.SETS`` says
    "digits": (8, "1 or 3", "embedded"),
    "cifar10": (32, "3", "DIR/cifar10"),
    "imagenet": (224, "3", "DIR/imagenet"),
    "imagenette": (128, "3", "DIR/imagenette"),
}


def recipes() -> list[dict]:
    """A row per recipe and per chain of them."""
    rows = [{"recipe": r.name, "network": r.network, "dataset": r.dataset, "epochs": r.epochs,
             "published": r.published, "about": r.about} for r in RECIPES.values()]  # fmt: skip
    for name, parts in CHAINS.items():
        last, epochs = RECIPES[parts[-1]], sum(RECIPES[part].epochs for part in parts)
        rows.append({"recipe": name, "network": last.network, "dataset": last.dataset, "epochs": epochs,
                     "published": False, "about": f"one after the other: {', '.join(parts)}"})  # fmt: skip
    return rows


def networks() -> list[dict]:
    """A row per network that ``build`` makes."""
    return [dict(zip(("network", "classes", "channels", "pixels", "parameters"), (name, *facts)))
            for name, facts in NETWORKS.items()]  # fmt: skip


def methods() -> list[dict]:
    """A row per method, with the paper that it is from."""
    return [{"method": m.name, "title": m.title, "paper": f"arXiv:{PAPERS[m.name]}" if m.name in PAPERS else None}
            for m in METHODS.values()]  # fmt: skip


def zoo() -> list[dict]:
    """A row per trained network that comes with the package, as its card has it."""
    cards = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.glob("zoo/*.json"))}
    kept = ("network", "method", "data", "epochs", "test_accuracy", "bytes")
    return [{"name": name, **{key: card[key] for key in kept}} for name, card in cards.items()]


def datasets() -> list[dict]:
    """A row per image set that ``data.load`` opens."""
    return [dict(zip(("dataset", "pixels", "channels", "where"), (name, *facts))) for name, facts in DATASETS.items()]


TABLES = {"recipes": recipes, "networks": networks, "methods": methods, "zoo": zoo, "datasets": datasets}

_ROWS = {"recipe": recipes, "network": networks, "method": methods, "dataset": datasets}
_ROWS |= dict.fromkeys(("weights", "init", "teacher"), zoo)


def completer(argument: str) -> Callable[..., list[str]] | None:
    """For argcomplete: what gives the names that may stand for ``argument``; None where there are none.

    Where no name begins with what was typed, the shell completes files.
    """
    rows = _ROWS.get(argument)
    return rows and (lambda **_: [next(iter(row.values())) for row in rows()])

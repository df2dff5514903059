"""The training recipes by name, as ``recipes.toml`` beside this file has them, and the chains of them."""

from pathlib import Path

from ..errors import unknown
from ..system.files import read_toml
from .recipe import Recipe


def _read(path: Path) -> dict[str, Recipe]:
    recipes = {}
    for name, settings in read_toml(path).items():
        base = vars(recipes[settings.pop("from")]) if "from" in settings else {}
        if "ede" in settings:
            settings["ede"] = tuple(settings["ede"])
        recipes[name] = Recipe(**{**base, "published": False, **settings, "name": name})
    return recipes


RECIPES = _read(Path(__file__).with_suffix(".toml"))

CHAINS = {  # consecutive runs that `sdbnn-lite train` does under one name
    "imagenet-resnet18": ("imagenet-resnet18-stage1", "imagenet-resnet18-stage2"),
    "imagenet-resnet34": ("imagenet-resnet34-stage1", "imagenet-resnet34-stage2"),
    "imagenette-resnet18": ("imagenette-teacher", "imagenette-resnet18-stage1", "imagenette-resnet18-stage2"),
}


def default_method(name: str) -> str:
    """The method that a recipe is meant for: real-valued for a teacher, SD-BNN for all others."""
    return "float" if name.endswith("-teacher") else "sdbnn"


def get_recipe(name: str) -> Recipe:
    """The recipe called ``name``; raises UsageError with the choices for another."""
    if name not in RECIPES:
        raise unknown("recipe", name, RECIPES)
    return RECIPES[name]

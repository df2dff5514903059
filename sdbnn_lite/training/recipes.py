"""The training recipes by name, as ``recipes.toml`` beside this file has them, the chains of them, and a user's own.

A file of one's own, for ``sdbnn-lite train --config`` and ``sd.train``, holds one recipe, as ``recipe_toml`` writes it:

    from = "digits"            optional: what has the fields that the file doesn't name
    dataset = "mine"           any field of ``Recipe`` but ``published``; ``name`` is the file's unless it says so
"""

import dataclasses
import inspect
import json
import re
import warnings
from pathlib import Path
from typing import Any

from ..errors import UsageError, unknown
from ..system.files import read_toml
from .recipe import KINDS, Recipe


def _read(path: Path) -> dict[str, Recipe]:
    recipes: dict[str, Recipe] = {}
    for name, settings in read_toml(path).items():
        base = vars(recipes[settings.pop("from")]) if "from" in settings else {}
        recipes[name] = Recipe(**{**base, "published": False, **settings, "name": name})
    return recipes


RECIPES = _read(Path(__file__).with_suffix(".toml"))

CHAINS = {  # consecutive runs that `sdbnn-lite train` does under one name
    **{name: (f"{name}-stage1", f"{name}-stage2") for name in ("imagenet-resnet18", "imagenet-resnet34")},
    "imagenette-resnet18": ("imagenette-teacher", "imagenette-resnet18-stage1", "imagenette-resnet18-stage2"),
}
RENAMED = {f"{name}-short": f"{name}-evening" for name in ("cifar10-resnet20", "cifar10-resnet18", "cifar10-vgg-small")}
RENAMED["cifar10-resnet20-best"] = "cifar10-resnet20-evening"
OWN = [field for field in KINDS if field != "published"]  # what a file of one's own may say


def recipes() -> dict[str, Recipe]:
    """The training recipes of this package by name.

    >>> sd.recipes()["digits"].changed(name="mine", lr=0.05).lr  # any field; sd.train takes it
    0.05
    """
    return dict(RECIPES)


def default_method(name: str) -> str:
    """The method that a recipe is meant for: real-valued for a teacher, SD-BNN for all others."""
    return "float" if name.endswith("-teacher") else "sdbnn"


def get_recipe(name: str) -> Recipe:
    """The recipe called ``name``; raises UsageError with the choices for another.

    A name that a recipe had before still finds it in this release, with a FutureWarning.
    """
    if isinstance(name, str) and name in RENAMED:
        warnings.warn(f"{name} is now {RENAMED[name]}, with other settings", FutureWarning, stacklevel=2)
        name = RENAMED[name]
    if not isinstance(name, str) or name not in RECIPES:
        raise unknown("recipe", name, RECIPES)
    return RECIPES[name]


def choose(recipe: str | Path | Recipe, **changes: Any) -> Recipe:
    """The recipe of that name, in that TOML file, or itself, with ``changes`` of its fields (None: as it is).

    Raises UsageError as :func:`get_recipe`, :func:`read_recipe` and ``Recipe``.
    """
    if isinstance(recipe, Path) or (isinstance(recipe, str) and recipe.endswith(".toml")):
        recipe = read_recipe(recipe)
    elif not isinstance(recipe, Recipe):
        recipe = get_recipe(recipe)
    return recipe.changed(**changes)


def read_recipe(path: str | Path, base: Recipe | None = None) -> Recipe:
    """The recipe in the TOML file ``path``; what it doesn't name is ``base``'s, or that of the recipe it is ``from``.

    It is ``published`` where a published recipe has the same settings. Raises UsageError, naming file and field, for a
    file that can't be read, unknown or missing fields, other types, and impossible values.
    """
    try:
        settings = read_toml(path)
        start = settings.pop("from", None)
        if base is None and start is not None:
            base = get_recipe(start)
        for name in settings:
            if name not in OWN:
                raise unknown("field", name, ["from", *OWN])
        given = {**(vars(base) if base else {"about": ""}), "name": Path(path).stem, "published": False, **settings}
        required = [f.name for f in dataclasses.fields(Recipe) if f.default is dataclasses.MISSING]
        if missing := [name for name in required if name not in given]:
            raise UsageError(f'{", ".join(missing)} missing: say them, or start from a recipe (from = "digits")')
        recipe = Recipe(**given)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: can't be read as TOML ({error})") from error
    known = (dataclasses.replace(r, name=recipe.name, about=recipe.about) for r in RECIPES.values() if r.published)
    return dataclasses.replace(recipe, published=dataclasses.replace(recipe, published=True) in known)


def recipe_toml(recipe: Recipe) -> str:
    """``recipe`` as a file that :func:`read_recipe` reads: every field with its meaning, as ``Recipe`` says it."""
    source = inspect.getsource(Recipe).replace("``", "`")
    meanings = dict(re.findall(r"^    (\w+): .*?  # (.*)$", source, re.MULTILINE))
    lines = []
    for name in OWN:
        value = getattr(recipe, name)
        text = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")  # then JSON's values are TOML's too
        lines.append(f"{'# ' if value is None else ''}{name} = {'32' if value is None else text}  # {meanings[name]}")
    return "\n".join(lines) + "\n"

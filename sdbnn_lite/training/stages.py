"""ImageNet's two stages under one command, and before them, where there is none to fetch, their teacher.

    OUT/teacher   Imagenette only, unless ``--teacher`` is given: a real-valued ResNet-34
    OUT/stage1    binary activations, real weights; learns from the teacher's softmax
    OUT/stage2    both binary; begins with stage 1's weights, learns from the same teacher

Each is a run of its own (see ``runs``), of the recipe of that name, which can also be trained alone. ``resume`` goes on
in whichever was stopped; those that are finished are only scored again.
"""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

from ..errors import UsageError
from ..weights.files import CHECKPOINT
from . import run_folder
from .recipe import Recipe
from .recipes import CHAINS, default_method, get_recipe
from .steps import processes
from .train import Result, train

Change = Callable[[Recipe], Recipe]


def part_of(recipe_name: str) -> str:
    """teacher, stage1 or stage2: the folder of a recipe of a chain."""
    return recipe_name.rpartition("-")[2]


def check_folders(out: Path, parts: list[str], resume: bool) -> None:
    """Raise UsageError where a part was begun already and ``resume`` isn't asked for, or nothing was and it is."""
    begun = [out / part for part in parts if run_folder.is_begun(out / part)]
    if begun and not resume:
        raise UsageError(f"{out}: holds a run already ({begun[-1].name}); add --resume to go on with it, or choose "
                         f"another --out")  # fmt: skip
    if resume and not begun:
        raise UsageError(f"{out}: nothing to resume, neither {' nor '.join(parts)} was begun; start without --resume")


def train_stages(
    name: str,
    out: str | Path,
    *,
    method: str = "sdbnn",
    teacher: str | Path | None = None,
    init: str | None = None,
    resume: bool = False,
    change: Change = lambda recipe: recipe,
    say: Callable[[str], None] = lambda line: None,
    **options: object,
) -> list[Result]:
    """Train the chain ``name`` (one of ``CHAINS``) into ``out``; return the results, the last unfinished if stopped.

    ``change`` is applied to every recipe (epochs, batch size, …). ``init`` is where stage 1 begins. ``say`` gets a line
    before each part. The other ``options`` are :func:`train`'s. Raises what it raises, and UsageError for a folder that
    holds a run already (no ``resume``), or none (``resume``).
    """
    recipes = [change(get_recipe(part)) for part in CHAINS[name]]
    asked = recipes[-1].distill > 0 and teacher is None  # is a teacher of its own needed?
    recipes = [recipe for recipe in recipes if asked or part_of(recipe.name) != "teacher"]
    out, parts = Path(out), [part_of(recipe.name) for recipe in recipes]
    place = processes.join(str(options.get("device", "auto")))
    again = any(processes.restarted(out / part / run_folder.RUN) for part in parts)
    place.agree(lambda: None if again else check_folders(out, parts, resume))
    results, before = [], init
    for number, (recipe, part) in enumerate(zip(recipes, parts), start=1):
        folder = out / part
        say(f"{number} of {len(recipes)}: {recipe.name}, {recipe.epochs} epochs, into {os.fspath(folder)}")
        is_teacher = part == "teacher"
        recipe = dataclasses.replace(recipe, distill=0.0) if is_teacher else recipe
        result = train(
            recipe,
            folder,
            method=default_method(recipe.name) if is_teacher else method,
            resume=(resume or again) and (folder / CHECKPOINT).exists(),
            init=None if is_teacher else before,
            teacher=None if is_teacher or recipe.distill == 0 else teacher,
            **options,
        )
        results.append(result)
        if not result.finished:
            break
        if is_teacher:
            teacher = folder
        else:
            before = str(folder)
    return results

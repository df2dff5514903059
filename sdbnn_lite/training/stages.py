"""ImageNet's two stages under one command, and before them, where there is none to fetch, their teacher.

    OUT/teacher   Imagenette only, unless ``--teacher`` is given: a real-valued ResNet-34
    OUT/stage1    binary activations, real weights; learns from the teacher's softmax
    OUT/stage2    both binary; starts from stage 1's weights, learns from the same teacher

Each is a run of its own (see ``run_folder``), of the recipe of that name, which can also be trained alone. ``resume``
continues whichever was stopped; those that are finished are only scored again.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..errors import UsageError
from ..weights.files import CHECKPOINT
from . import run_folder
from .options import DEFAULTS, RunOptions, Said
from .recipe import Recipe
from .recipes import default_method
from .steps.processes import is_main, join, restarted
from .train import Result, train


def check_folders(out: Path, parts: list[str], resume: bool) -> None:
    """Raise UsageError where a part was started already and ``resume`` isn't asked for, or nothing was and it is."""
    begun = [out / part for part in parts if run_folder.is_begun(out / part)]
    if begun and not resume:
        raise UsageError(f"{out}: holds a run already ({begun[-1].name}); add --resume to go on with it, or choose "
                         f"another --out")  # fmt: skip
    if resume and not begun:
        raise UsageError(f"{out}: nothing to resume, neither {' nor '.join(parts)} was begun; start without --resume")


def train_stages(recipes: Sequence[Recipe], out: str | Path, *, method: str = "sdbnn", seed: int = 0,
                 resume: bool = False, options: RunOptions = DEFAULTS) -> list[Result]:  # fmt: skip
    """Train a chain's ``recipes`` into ``out``; return the results, the last unfinished if stopped. A line before each.

    ``options.init`` is where stage 1 starts from; with ``options.teacher`` no teacher is trained. Raises what
    :func:`train` raises, and UsageError for a folder that holds a run already (no ``resume``), or none (``resume``).
    """
    out, chain = Path(out), {recipe.name.rpartition("-")[2]: recipe for recipe in recipes}
    if recipes[-1].distill == 0 or options.teacher is not None:
        chain.pop("teacher", None)
    again = any(restarted(out / part / run_folder.RUN) for part in chain)
    join(options.device).agree(lambda: None if again else check_folders(out, list(chain), resume))
    results, teacher, init = [], options.teacher, options.init
    for number, (part, recipe) in enumerate(chain.items(), start=1):
        folder = out / part
        if is_main():
            print(f"{number} of {len(chain)}: {recipe.name}, {recipe.epochs} epochs, into {folder}", flush=True)
        how: Said = {"seed": seed, "resume": (resume or again) and (folder / CHECKPOINT).exists()}
        if part == "teacher":
            recipe, given = replace(recipe, distill=0.0), replace(options, init=None, teacher=None)
            results.append(train(recipe, folder, method=default_method(recipe.name), options=given, **how))
            teacher = folder
        else:
            given = replace(options, init=init, teacher=teacher if recipe.distill > 0 else None)
            results.append(train(recipe, folder, method=method, options=given, **how))
            init = folder
        if results[-1].stopped and number < len(chain):  # a stage that ended just then isn't the chain's end
            return [*results[:-1], replace(results[-1], score=None)]
    return results

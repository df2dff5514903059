"""Training in one call, for Python and for the command line."""

from dataclasses import fields
from os import PathLike
from pathlib import Path
from types import NoneType
from typing import Any

from ..core.methods import Method
from ..errors import UsageError, unknown
from ..system.devices import set_threads
from .initial import fitting
from .options import RunOptions
from .recipe import KINDS, Recipe
from .recipes import RECIPES, choose, default_method
from .train import Result
from .train import train as train_recipe

RUN = {"data": "data_dir"} | {f.name: f.name for f in fields(RunOptions) if f.name != "data_dir"}  # argument: option
PLACES = ("out", "data", "init", "teacher")


def train(recipe: str | Path | Recipe, out: str | Path | None = None, *, method: str | None = None, seed: int = 0,
          resume: bool = False, **settings: Any) -> Result:  # fmt: skip
    """Train a network, and return it with its score and its log.

    >>> sd.train("digits", epochs=5)                                           # under a minute
    >>> sd.train("cifar10-resnet20", dataset="mine", data="DIR", epochs=20)    # DIR/mine/{train,val}/<class>/*
    >>> sd.train("mine.toml", init="cifar10_resnet20").net                     # a recipe of your own, fine-tuned

    recipe    a name of ``sd.recipes()``, a TOML file (``recipes.read_recipe``) or a ``Recipe``
    out       the run's folder (see ``run_folder``), by default runs/RECIPE-METHOD-seedS
    method    one of ``METHODS``, by default "sdbnn", for a teacher's recipe "float"
    seed      of initial weights and the order of images
    resume    continue the run in that folder (Ctrl-C stops one: the result isn't ``finished``)
    settings  any field of ``Recipe`` (``epochs`` takes the schedules along, ``batch_size`` alone lr); any field of
              ``RunOptions``: data (the image sets' folder), init (see ``fine_tune``), teacher, device, after_epoch (a
              function that is told each epoch's row of log.csv and rows of signs.csv), …; threads

    Whatever the recipe's network, it is built for the classes, channels and size of the images; the augmentation stays
    the recipe's (``flip=False`` where left and right matter). Raises UsageError before anything is written, and
    RunError where the run can't continue.
    """
    for name, value in {**settings, "out": out}.items():
        if name not in (*KINDS, *RUN, "threads", "out"):
            raise unknown("argument", name, [*KINDS, *RUN, "threads"])
        if name in PLACES and not isinstance(value, (str, PathLike, NoneType)):
            raise UsageError(f"{name}={value!r}: a path is needed")
    if not callable(settings.get("after_epoch") or print):
        raise UsageError(f"after_epoch={settings['after_epoch']!r}: a function is needed")
    if settings.get("threads") is not None:
        set_threads(settings["threads"])
    if isinstance(method, Method):
        raise UsageError(f"method={method.name!r}: a name is needed; a run's files hold no Method of your own")
    chosen = fitting(choose(recipe, **{name: value for name, value in settings.items() if name in KINDS}))
    method = default_method(chosen.name) if method is None else method
    options = RunOptions(**{RUN[name]: value for name, value in settings.items() if name in RUN})
    out = default_folder(chosen, method, seed) if out is None else out
    return train_recipe(chosen, out, method=method, seed=seed, resume=resume, options=options)


def default_folder(recipe: Recipe, method: str, seed: int, name: str | None = None) -> Path:
    """runs/RECIPE-METHOD-seedS; ``name``: instead of the recipe's. Another data set than the recipe's is named too."""
    own = recipe.dataset == RECIPES.get(recipe.name, recipe).dataset
    return Path("runs") / f"{name or recipe.name}{'' if own else f'-{recipe.dataset}'}-{method}-seed{seed}"

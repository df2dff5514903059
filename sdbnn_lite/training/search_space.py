"""A search's space: which settings of a recipe are tried, and between which limits. A TOML file says so:

    lr = {low = 0.001, high = 0.03, log = true}      a number between two limits, evenly in its logarithm
    warmup_epochs = {low = 0, high = 2}              the same of whole numbers, where the setting is one
    optimizer = ["sgd", "adam"]                      one of several values
    ema = 0.99                                       this value

Names are those of ``Recipe``'s fields; the two ends of ``ede`` are ``ede_t_min`` and ``ede_t_max``.
"""

import dataclasses
import math
from pathlib import Path
from typing import Any

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from ..errors import UsageError, unknown
from ..system.files import read_toml
from .recipe import Recipe

ENDS = ("ede_t_min", "ede_t_max")
FIXED = ("name", "network", "dataset", "about", "epochs", "ede", "stage", "published", "image_size")
KINDS: dict[str, Any] = {f.name: f.type for f in dataclasses.fields(Recipe) if f.name not in FIXED}
KINDS |= dict.fromkeys(ENDS, float)
Distribution = CategoricalDistribution | FloatDistribution | IntDistribution
Space = dict[str, Distribution]


def read_space(path: str | Path, recipe: Recipe) -> Space:
    """The distribution of every setting that the file ``path`` names, for trials of ``recipe``.

    Raises UsageError, naming the file and the entry, where it can't be read, for unknown names, for values of another
    type, for impossible limits, and for values that ``recipe`` can't have.
    """
    where = f"--space {path}"
    try:
        entries = read_toml(path)
    except (OSError, ValueError) as error:
        raise UsageError(f"{where}: can't be read as TOML ({error})") from error
    if not entries:
        raise UsageError(f"{where}: names no setting; allowed are {', '.join(KINDS)}")
    space = {name: _distribution(name, entry, where) for name, entry in entries.items()}
    lowest, highest = (_ends(recipe, space, place) for place in (0, -1))
    if lowest[1] < highest[0]:
        raise UsageError(f"{where}: ede_t_min reaches {highest[0]}, ede_t_max starts at {lowest[1]}: it must lie above")
    widest = dict(zip(ENDS, (lowest[0], highest[1])))
    for name in space:
        for value in values(space[name]):
            try:
                with_settings(recipe, {**(widest if name in ENDS else {}), name: value})
            except UsageError as error:
                raise UsageError(f"{where}: {name} = {as_written(space[name])}: {error}") from error
    return space


def _distribution(name: str, entry: object, where: str) -> Distribution:
    if name not in KINDS:
        raise unknown(f"{where}: setting", name, KINDS)
    kind = KINDS[name]
    allowed = (int, float) if kind is float else (kind,)
    given, needed = f"{where}: {name} = {entry}", "number" if kind is float else kind.__name__
    if not isinstance(entry, dict):
        choices = entry if isinstance(entry, list) else [entry]
        if not choices or any(type(value) not in allowed for value in choices):
            raise UsageError(f"{given}: one {needed} or a list of several is needed")
        return CategoricalDistribution([kind(value) for value in choices])
    limits: dict[str, Any] = {"low": None, "high": None, "log": False, **entry}
    low, high, log = limits["low"], limits["high"], limits["log"]
    if kind not in (int, float) or set(entry) - {"low", "high", "log"} or type(log) is not bool:
        raise UsageError(f"{given}: only numbers have limits, {{low = …, high = …, log = true or false}}")
    if type(low) not in allowed or type(high) not in allowed or not -math.inf < low <= high < math.inf:
        raise UsageError(f"{given}: low <= high, one finite {needed} each, is needed")
    if log and low <= 0:
        raise UsageError(f"{given}: with log, low must be above 0")
    return (IntDistribution if kind is int else FloatDistribution)(low, high, log=log)


def values(distribution: Distribution) -> tuple[Any, ...]:
    """All choices, or the two limits."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices
    return distribution.low, distribution.high


def as_written(distribution: Distribution) -> list[Any] | dict[str, Any]:
    """What the file says of it."""
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    return {"low": distribution.low, "high": distribution.high, "log": distribution.log}


def _ends(recipe: Recipe, space: Space, place: int) -> list[float]:
    """Lowest (place 0) or highest (-1) t_min and t_max that the space or the recipe has."""
    return [sorted(values(space[end]))[place] if end in space else now for end, now in zip(ENDS, recipe.ede)]


def with_settings(recipe: Recipe, settings: dict[str, Any]) -> Recipe:
    """``recipe`` with the settings of one trial; UsageError where they don't go together."""
    rest = {name: value for name, value in settings.items() if name not in ENDS}
    ends = tuple(settings.get(end, now) for end, now in zip(ENDS, recipe.ede))
    return dataclasses.replace(recipe, **rest, ede=ends, published=False)

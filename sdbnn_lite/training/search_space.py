"""A search's space: which settings of a recipe are tried, and between which limits. A TOML file says so:

    lr = {low = 0.001, high = 0.03, log = true}      a number between two limits, evenly in its logarithm
    warmup_epochs = {low = 0, high = 2}              a whole number, where both limits are
    optimizer = ["sgd", "adam"]                      one of several values
    ema = 0.99                                       this value

Names are those of ``Recipe``'s fields; the two ends of ``ede`` are ``ede_t_min`` and ``ede_t_max``.
"""

import dataclasses
from pathlib import Path

import optuna
import tomllib

from ..errors import UsageError, unknown
from .recipe import Recipe

ENDS = ("ede_t_min", "ede_t_max")
FIXED = ("name", "network", "dataset", "about", "epochs", "ede", "stage", "published", "image_size")
NAMES = (*(f.name for f in dataclasses.fields(Recipe) if f.name not in FIXED), *ENDS)
Space = dict[str, optuna.distributions.BaseDistribution]


def read_space(path: str | Path) -> Space:
    """The distribution of every setting that the file ``path`` names.

    Raises UsageError, naming the file and the entry, where it can't be read, and for unknown names and impossible
    limits.
    """
    try:
        entries = tomllib.loads(Path(path).read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"--space {path}: can't be read as TOML ({error})") from error
    if not entries:
        raise UsageError(f"--space {path}: names no setting; allowed are {', '.join(NAMES)}")
    return {name: _distribution(name, entry, path) for name, entry in entries.items()}


def _distribution(name: str, entry: object, path: str | Path) -> optuna.distributions.BaseDistribution:
    if name not in NAMES:
        raise unknown(f"--space {path}: setting", name, NAMES)
    given = f"--space {path}: {name} = {entry!r}"
    if not isinstance(entry, dict):
        choices = entry if isinstance(entry, list) else [entry]
        if not choices or not all(isinstance(value, (bool, int, float, str)) for value in choices):
            raise UsageError(f"{given}: a value, a list of values, or {{low, high, log}} is needed")
        return optuna.distributions.CategoricalDistribution(choices)
    limits = [entry.get("low"), entry.get("high")]
    numbers = all(type(limit) in (int, float) for limit in limits)
    log = entry.get("log", False)
    if not numbers or set(entry) - {"low", "high", "log"} or type(log) is not bool:
        raise UsageError(f"{given}: {{low = NUMBER, high = NUMBER, log = true or false}} is needed")
    if limits[0] > limits[1] or (log and limits[0] <= 0):
        raise UsageError(f"{given}: low <= high is needed, and with log 0 < low")
    whole = all(type(limit) is int for limit in limits)
    kind = optuna.distributions.IntDistribution if whole else optuna.distributions.FloatDistribution
    return kind(*limits, log=log)


def with_settings(recipe: Recipe, settings: dict) -> Recipe:
    """``recipe`` with the settings of one trial; UsageError where they don't go together."""
    rest = {name: value for name, value in settings.items() if name not in ENDS}
    ends = tuple(settings.get(end, now) for end, now in zip(ENDS, recipe.ede))
    return dataclasses.replace(recipe, **rest, ede=ends, published=False)

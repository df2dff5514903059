"""The two exceptions: for wrong use, and for a run that can't go on."""

import difflib
import math
from collections.abc import Iterable, Mapping
from numbers import Integral, Real


class UsageError(ValueError):
    """Wrong use by the caller: names the argument, what was given, what is allowed. The command line exits with 2."""


class RunError(RuntimeError):
    """A run that can't go on (disk full, loss not finite): says what was kept. The command line exits with 1."""


def unknown(kind: str, given: object, choices: Iterable[str]) -> UsageError:
    """The error for a name that isn't one of ``choices``: lists them and guesses what was meant."""
    choices = list(choices)
    close = difflib.get_close_matches(str(given), choices, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    return UsageError(f"unknown {kind} {given!r}: choose one of {', '.join(choices)}{hint}")


def check_whole(least: int = 1, most: float = math.inf, **arguments: object) -> None:
    """Raise UsageError unless each argument (of a tuple: each value) is a whole number from ``least`` to ``most``."""
    upper = "up" if most == math.inf else f"to {most}"
    for name, given in arguments.items():
        for value in given if isinstance(given, tuple) else (given,):
            if isinstance(value, bool) or not isinstance(value, Integral) or not least <= value <= most:
                raise UsageError(f"{name}={given!r}: a whole number from {least} {upper} is needed")


def check_fields(source: object, given: object, kinds: Mapping[str, object], optional: bool = False) -> None:
    """Raise UsageError, naming ``source`` and the field, unless each field of ``kinds`` is of its type in ``given``.

    ``int`` and ``float`` mean finite numbers from 0 up, and True is none; a mapping of kinds means such a dict.
    ``optional``: fields may be missing.
    """
    if not isinstance(given, dict):
        raise UsageError(f"{source}: names and values are needed, {type(given).__name__} given")
    for name in (name for name in kinds if name in given or not optional):
        kind, value = kinds[name], given.get(name)
        if isinstance(kind, Mapping):
            check_fields(f"{source}: {name}", value, kind, optional)
            continue
        right, needed = _FIELDS[kind]
        good = isinstance(value, right) and not isinstance(value, bool)
        if not good or (kind in (int, float) and not 0 <= value < math.inf):
            raise UsageError(f"{source}: {name}={value!r:.60}: {needed} is needed")


_FIELDS = {int: (Integral, "a whole number from 0 up"), float: (Real, "a finite number from 0 up"), str: (str, "text"),
           dict: (dict, "a table"), list: (list, "a list")}  # fmt: skip

"""The two exceptions: for wrong use, and for a run that can't go on."""

import difflib
import math
from collections.abc import Iterable
from numbers import Integral


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

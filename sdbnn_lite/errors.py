"""The one exception for wrong use: its message names the argument, what was given and what is allowed."""

import difflib
from collections.abc import Iterable


class UsageError(ValueError):
    """Wrong use by the caller; the command line prints the message and exits with code 2."""


def unknown(kind: str, given: object, choices: Iterable[str]) -> UsageError:
    """The error for a name that isn't one of ``choices``: lists them and guesses what was meant."""
    choices = list(choices)
    close = difflib.get_close_matches(str(given), choices, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    return UsageError(f"unknown {kind} {given!r}: choose one of {', '.join(choices)}{hint}")

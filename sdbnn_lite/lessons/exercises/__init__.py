"""The exercises' hidden checks and their solutions: ``notebook_NN`` holds those of notebook NN.

    exercise("01/ste_backward", ste_backward)     last line of the cell in which a learner writes the answer

``make notebooks`` also writes ``notebooks/solutions/``, where each such cell holds its solution.
"""

import dis
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from ...errors import UsageError, unknown


@dataclass(frozen=True)
class Exercise:
    """One task.

    test      takes what the learner gives to :func:`exercise`; true where it is right. It may raise AssertionError with
              words that say what is wrong; any other error counts as a wrong answer and is shown
    right     what a right answer teaches
    hint      where to look, without the answer
    solution  the code that stands in the cell's place above its last line
    """

    test: Callable[..., Any]
    right: str
    hint: str
    solution: str


def find(name: str) -> Exercise:
    """The exercise called "NN/name"; UsageError where there is none."""
    number, _, short = name.partition("/")
    try:
        module = importlib.import_module(f"{__name__}.notebook_{number}")
    except ModuleNotFoundError as error:
        raise UsageError(f"exercise {name!r}: notebook {number!r} has none") from error
    if short not in module.EXERCISES:
        raise unknown("exercise", name, [f"{number}/{known}" for known in module.EXERCISES])
    return module.EXERCISES[short]


def exercise(name: str, *answers: Any) -> None:
    """Print one line on the learner's ``answers``: "not answered yet", "right: ...", or "not yet: ...".

    An answer left at None or ``...`` isn't given yet, nor is a function that does nothing but return one of them.
    """
    task = find(name)
    if any(map(_missing, answers)):
        print("not answered yet")
        return
    hint = task.hint
    try:
        right = bool(task.test(*answers))
    except AssertionError as error:
        right, hint = False, f"{error}. {hint}" if str(error) else hint
    except Exception as error:  # whatever the learner's code does, the notebook continues
        right, hint = False, f"{type(error).__name__}: {error}. {hint}"
    print(f"right: {task.right}" if right else f"not yet: {hint}")


def _missing(answer: Any) -> bool:
    if isinstance(answer, type):
        return any(map(_missing, (getattr(member, "__func__", member) for member in vars(answer).values()
                                  if isinstance(member, (FunctionType, staticmethod, classmethod)))))  # fmt: skip
    if isinstance(answer, FunctionType):
        steps = [step for step in dis.get_instructions(answer) if step.opname not in ("RESUME", "NOP")]
        constants = [step.argval for step in steps if "CONST" in step.opname]
        return constants in ([None], [...]) and len(steps) <= 2  # it loads one of them and returns
    return answer is None or answer is ...

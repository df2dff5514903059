"""Predictions in a notebook: a cell ``guess("name", "Question?", ["choice", …])`` and, later, ``outcome("name", …)``.

On the site the guess is a form, and the outputs after it stay folded until it is answered. The right choice's index
comes from the committed output of ``outcome``: ``<div class="reveal" data-guess="name" data-answer="2">``.
"""

import ast
import html
import re
from typing import Any

from ..errors import UsageError
from .equations import inline
from .hygiene import GUESS, tags

ANSWER = re.compile(r'data-guess="([^"]*)"\s+data-answer="(\d+)"')


def read_guesses(nb: Any) -> dict[int, tuple[str, str]]:
    """The guesses of a notebook, by the position of their cell from 0: the name, and the form for the page.

    Raises UsageError for a cell that isn't one call of ``guess`` with a name of its own, a question and at least two
    choices, and for a guess that no later output answers with one of its choices.
    """
    outputs = [(at, str(data)) for at, cell in enumerate(nb.cells) for output in cell.get("outputs", [])
               for data in output.get("data", {}).values()]  # fmt: skip
    answers = {name: (at, int(index)) for at, data in outputs for name, index in ANSWER.findall(data)}
    guesses: dict[int, tuple[str, str]] = {}
    for at, cell in enumerate(nb.cells):
        if GUESS not in tags(cell):
            continue
        name, question, choices = _arguments(cell.source)
        revealed, answer = answers.get(name, (-1, -1))
        if name in {earlier for earlier, _ in guesses.values()}:
            raise UsageError(f"two guesses are called {name!r}")
        if revealed < at or answer >= len(choices):
            raise UsageError(f"guess {name!r}: no later reveal's output names one of its {len(choices)} choices")
        guesses[at] = name, _form(html.escape(name), question, choices, answer)
    return guesses


def _form(name: str, question: str, choices: list[str], answer: int) -> str:
    labels = "".join(f'<label><input type="radio" name="{name}" value="{i}"> <span>{inline(choice)}</span></label>'
                     for i, choice in enumerate(choices))  # fmt: skip
    return (f'<form class="guess" data-guess="{name}" data-answer="{answer}"><fieldset><legend>Your prediction: '
            f'{inline(question)}</legend>{labels}</fieldset><p role="status"></p></form>')  # fmt: skip


def _arguments(source: str) -> tuple[str, str, list[str]]:
    try:
        call = ast.parse(source.strip(), mode="eval").body
        name, question, choices = (ast.literal_eval(argument) for argument in call.args)
        texts = all(isinstance(text, str) for text in (name, question, *choices))
        if call.func.id == "guess" and not call.keywords and texts and isinstance(choices, list) and choices[1:]:
            return name, question, choices
    except (SyntaxError, ValueError, AttributeError, TypeError):
        pass
    raise UsageError(f'a cell tagged {GUESS!r} holds guess("name", "Question?", ["choice", …]) alone, not {source!r}')

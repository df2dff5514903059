"""Predictions in a notebook: a cell ``guess("name", "Question?", ["choice", …])`` and, later, ``reveal("name", …)``.

On the site the guess is a form, and the outputs after it stay folded until it is answered. The right choice's index
comes from the committed output of ``reveal``: ``<div class="reveal" data-guess="name" data-answer="2">``.
"""

import ast
import html
import re
from dataclasses import dataclass
from typing import Any

from ..errors import UsageError
from .equations import inline
from .hygiene import tags

TAG = "guess"
ANSWER = re.compile(r'data-guess="([^"]*)"\s+data-answer="(\d+)"')


@dataclass(frozen=True)
class Guess:
    """A question, its choices, and the index of the right one."""

    name: str
    question: str
    choices: list[str]
    answer: int

    def as_html(self) -> str:
        """A form; ``site.js`` says whether a choice is right, and keeps it."""
        name = html.escape(self.name)
        choices = "".join(f'<label><input type="radio" name="{name}" value="{i}"> <span>{inline(choice)}</span></label>'
                          for i, choice in enumerate(self.choices))  # fmt: skip
        return (f'<form class="guess" data-guess="{name}" data-answer="{self.answer}"><fieldset>'
                f"<legend>Your prediction: {inline(self.question)}</legend>{choices}</fieldset>"
                '<p role="status"></p></form>')  # fmt: skip


def read_guesses(nb: Any) -> dict[int, Guess]:
    """The guesses of a notebook by the position of their cell, from 0.

    Raises UsageError for a cell that isn't one call of ``guess`` with a name of its own, a question and at least two
    choices, and for a guess that no later output answers with one of its choices.
    """
    outputs = [(at, text) for at, cell in enumerate(nb.cells) for output in cell.get("outputs", [])
               for text in map(str, output.get("data", {}).values())]  # fmt: skip
    answers = {found[0]: (at, int(found[1])) for at, text in outputs for found in ANSWER.findall(text)}
    guesses: dict[int, Guess] = {}
    for at, cell in enumerate(nb.cells):
        if TAG in tags(cell):
            name, question, choices = _arguments(cell.source)
            revealed, answer = answers.get(name, (-1, -1))
            if name in {guess.name for guess in guesses.values()}:
                raise UsageError(f"two guesses are called {name!r}")
            if revealed < at or not 0 <= answer < len(choices):
                raise UsageError(f"guess {name!r}: no later reveal's output names one of its {len(choices)} choices")
            guesses[at] = Guess(name, question, choices, answer)
    return guesses


def _arguments(source: str) -> tuple[str, str, list[str]]:
    try:
        call = ast.parse(source.strip(), mode="eval").body
        name, question, choices = (ast.literal_eval(argument) for argument in call.args)
        texts = isinstance(choices, list) and len(choices) > 1 and {type(t) for t in (name, question, *choices)} == {str}
        if call.func.id == "guess" and not call.keywords and texts:
            return name, question, choices
    except (SyntaxError, ValueError, AttributeError):
        pass
    raise UsageError(f'a cell tagged {TAG!r} holds guess("name", "Question?", ["choice", …]) alone, not {source!r}')

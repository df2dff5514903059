"""Predictions: asked before an experiment, compared with what happened, and counted at the notebook's end.

    guess("silent", "How many of the 64 channels say nothing?", ["none", "about ten", "most"])
    ...                                                 the experiment
    outcome("silent", 0 if dead == 0 else 1 if dead < 30 else 2, f"{dead} of 64 have the same sign everywhere.")
    score()

The right choice is computed from what was measured, so that no cell gives it away before.
"""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import UsageError, unknown
from . import widgets

LETTERS = "ABCDEFGH"


@dataclass
class _Guess:
    choices: list[str]
    pick: int | None = None
    answer: int | None = None


_asked: dict[str, _Guess] = {}  # of this kernel, and so of one notebook


def guess(name: str, question: str, choices: Sequence[str]):
    """Ask for a prediction: buttons to choose with, none chosen at first; running the cell again keeps the choice.

    Raises UsageError unless there are 2 to 8 different choices.
    """
    if not 2 <= len(choices) <= len(LETTERS) or len(set(choices)) < len(choices):
        raise UsageError(f"choices: {list(choices)}; give 2 to {len(LETTERS)} different ones")
    before = _asked.get(name)
    pick = before.pick if before and before.choices == list(choices) else None
    asked = _asked[name] = _Guess(list(choices), pick)
    labels = [f"{letter}. {choice}" for letter, choice in zip(LETTERS, choices)]

    def on_pick(number: int) -> None:
        asked.pick = number

    return widgets.choice(question, labels, asked.pick, on_pick)


def outcome(name: str, answer: int, text: str) -> None:
    """Show which choice was right, what was picked, and ``text``: what was measured, in words. Call it last in a cell.

    ``answer`` is the right choice's index. In ``text`` an empty line begins a paragraph, `code` and **bold** are shown
    as such. Raises UsageError for a name that wasn't asked for, or an index that no choice has.
    """
    from IPython.display import display
    if name not in _asked:
        raise unknown("guess", name, _asked)
    asked = _asked[name]
    if answer not in range(len(asked.choices)):
        raise UsageError(f"answer={answer!r}: guess {name!r} has the choices 0 to {len(asked.choices) - 1}")
    asked.answer = int(answer)
    said = f"**{_named(asked, asked.answer)}.**"
    if asked.pick is not None:
        said += " You predicted it." if asked.pick == answer else f" You predicted {_named(asked, asked.pick)}."
    paragraphs = f"{said} {text}".strip().split("\n\n")
    inner = "".join(f"<p>{_marked(paragraph)}</p>" for paragraph in paragraphs)
    shown = f'<div class="reveal" data-guess="{html.escape(name)}" data-answer="{asked.answer}">{inner}</div>'
    display({"text/html": shown, "text/plain": "\n\n".join(paragraphs)}, raw=True)


def score() -> None:
    """Print how many of the predictions were right, and which weren't."""
    made = {name: asked for name, asked in _asked.items() if asked.pick is not None and asked.answer is not None}
    right = [name for name, asked in made.items() if asked.pick == asked.answer]
    if not made:
        print(f"{len(_asked)} predictions were asked for; you made none.")
        return
    print(f"You predicted {len(right)} of {len(_asked)}.")
    for name, asked in made.items():
        if name not in right:
            print(f"  {name}: you said {_named(asked, asked.pick)}; it was {_named(asked, asked.answer)}")


def _named(asked: _Guess, number: int) -> str:
    return f"{LETTERS[number]}, {asked.choices[number]}"


def _marked(text: str) -> str:
    text = html.escape(text, quote=False)
    return re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", re.sub(r"`(.+?)`", r"<code>\1</code>", text))

"""Predictions: asked, picked, answered, counted."""

import pytest

from sdbnn_lite.errors import UsageError
from sdbnn_lite.lessons import guesses
from sdbnn_lite.lessons.guesses import guess, outcome, score

pytest.importorskip("ipywidgets")


@pytest.fixture(autouse=True)
def nothing_asked(monkeypatch):
    monkeypatch.setattr(guesses, "_asked", {})


@pytest.fixture
def shown(monkeypatch):
    """What ``outcome`` displays."""
    found = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw: found.append(data))
    return found


def pick(box, number):
    box.children[1].index = number


def test_a_picked_choice_is_compared_and_counted(shown, capsys):
    box = guess("silent", "How many?", ["none", "ten", "all"])
    assert box.children[1].index is None  # nothing is chosen for the reader
    pick(box, 1)
    pick(guess("more", "More?", ["yes", "no"]), 0)
    guess("third", "Which?", ["this", "that"])
    outcome("silent", 2, "all `64` of **them**, a < b.\n\nNext.")
    outcome("more", 0, "")
    assert shown[0]["text/plain"] == "**C, all.** You predicted B, ten. all `64` of **them**, a < b.\n\nNext."
    assert '<div class="reveal" data-guess="silent" data-answer="2"><p><b>C, all.</b>' in shown[0]["text/html"]
    assert "<code>64</code> of <b>them</b>, a &lt; b.</p><p>Next.</p>" in shown[0]["text/html"]
    assert "You predicted it." in shown[1]["text/plain"]
    score()
    assert capsys.readouterr().out == "You predicted 1 of 3.\n  silent: you said B, ten; it was C, all\n"


def test_without_a_pick_nothing_is_said_about_it(shown, capsys):
    guess("a", "A?", ["x", "y"])
    outcome("a", 1, "So it is.")
    assert shown[0]["text/plain"] == "**B, y.** So it is."
    score()
    assert capsys.readouterr().out == "1 predictions were asked for; you made none.\n"


def test_running_a_cell_again_keeps_the_pick_unless_the_choices_changed():
    pick(guess("a", "A?", ["x", "y"]), 1)
    assert guess("a", "A?", ["x", "y"]).children[1].index == 1
    assert guess("a", "A?", ["x", "z"]).children[1].index is None


@pytest.mark.parametrize("choices", [[], ["one"], ["a", "a"], list("abcdefghi")])
def test_impossible_choices_are_refused(choices):
    with pytest.raises(UsageError, match="choices: .*give 2 to 8 different ones"):
        guess("a", "A?", choices)


def test_an_outcome_nobody_asked_for_is_refused():
    guess("silent", "A?", ["x", "y"])
    with pytest.raises(UsageError, match="silet.*silent"):
        outcome("silet", 0, "")
    with pytest.raises(UsageError, match="answer=2: .*choices 0 to 1"):
        outcome("silent", 2, "")

"""The exercises: what counts as not answered, right and wrong; each solution passes its own check."""

import importlib
import pkgutil

import pytest

from sdbnn_lite.errors import UsageError
from sdbnn_lite.lessons import exercises
from sdbnn_lite.lessons.exercises import Exercise, exercise


@pytest.fixture
def task(monkeypatch):
    """An exercise that asks for a function that doubles."""

    def test(double):
        if double(0) != 0:
            raise AssertionError("0 doubled is 0")
        return double(3) == 6

    made = Exercise(test, right="well done.", hint="add it to itself.", solution="def double(x):\n    return x + x")
    monkeypatch.setattr(exercises, "find", lambda name: made)
    return made


def raises(x):
    return x / 0


def documented(x):
    """Only words."""


def unfinished(x): ...


class Layer:
    def forward(self, x):
        """To be written."""
        ...


@pytest.mark.parametrize("answer", [None, ..., lambda x: None, unfinished, documented, Layer])
def test_an_empty_answer_is_not_answered(task, answer, capsys):
    exercise("00/double", answer)
    assert capsys.readouterr().out == "not answered yet\n"


@pytest.mark.parametrize(
    "answer, said",
    [
        (lambda x: 2 * x, "right: well done."),
        (lambda x: x, "not yet: add it to itself."),
        (lambda x: 1, "not yet: 0 doubled is 0. add it to itself."),
        (raises, "not yet: ZeroDivisionError: division by zero. add it to itself."),
        (7, "not yet: TypeError: 'int' object is not callable. add it to itself."),
    ],
)
def test_an_answer_is_judged(task, answer, said, capsys):
    exercise("00/double", answer)
    assert capsys.readouterr().out == said + "\n"


def test_unknown_exercises_are_refused():
    with pytest.raises(UsageError, match="notebook '99' has none"):
        exercise("99/x", 1)


def all_exercises():
    modules = [m.name for m in pkgutil.iter_modules(exercises.__path__)]
    return [f"{module[-2:]}/{name}" for module in modules
            for name in importlib.import_module(f"{exercises.__name__}.{module}").EXERCISES]  # fmt: skip


@pytest.mark.parametrize("name", all_exercises())
def test_every_exercise_is_complete(name):
    task = exercises.find(name)
    assert task.right and task.hint and task.solution.strip()
    compile(task.solution, name, "exec")

"""Solutions are made from a notebook and the package's exercises; a wrong one is told."""

import pytest

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("nbclient")

from made_notebooks import code, markdown, notebook, parameters, stream  # noqa: E402

from sdbnn_lite.lessons.exercises import Exercise  # noqa: E402
from sdbnn_lite.pages import chain, solutions  # noqa: E402
from sdbnn_lite.pages.solutions import SOLUTIONS, solutions_of, wrong_answers  # noqa: E402


@pytest.fixture(autouse=True)
def one_exercise(monkeypatch):
    made = Exercise(lambda x: x == 4, right="it is.", hint="count.", solution="four = 2 + 2")
    monkeypatch.setattr(solutions, "find", lambda name: made)


def lesson():
    setup, used = code("from x import notebook_setup\nnotebook_setup()"), code("two = 2")
    used.metadata["tags"] = ["exercises-need-this"]
    task = code('four = ...\n\nexercise("09/four", four)')
    return notebook(markdown("# 09 · Sums"), parameters(), setup, used, code("print(1)"),
                    markdown("Words.\n\n### Exercise 1\n\nTwo and two?"), task)  # fmt: skip


def test_a_solution_keeps_the_set_up_and_fills_in_the_answer():
    made = solutions_of(lesson(), "09_sums.ipynb")
    sources = [cell.source for cell in made.cells]
    assert sources[0].startswith("# Solutions: 09 · Sums")
    assert sources[2:] == [
        "from x import notebook_setup\nnotebook_setup()",
        "two = 2",
        "### Exercise 1\n\nTwo and two?",
        'four = 2 + 2\n\nexercise("09/four", four)',
    ]
    assert made == solutions_of(lesson(), "09_sums.ipynb")


def test_a_notebook_without_exercises_has_no_solutions():
    assert solutions_of(notebook(markdown("# 09 · Sums"), parameters()), "09.ipynb") is None


def test_a_wrong_solution_is_told():
    made = solutions_of(lesson(), "09_sums.ipynb")
    made.cells[-1].outputs = [stream("not yet: count.\n")]
    assert wrong_answers(made) == ["not yet: count."]
    made.cells[-1].outputs = [stream("right: it is.\n")]
    assert wrong_answers(made) == []


@pytest.mark.parametrize("path", sorted(SOLUTIONS.glob("*.ipynb")), ids=lambda path: path.name)
def test_the_committed_solutions_are_those_of_the_notebooks(path, monkeypatch):
    monkeypatch.undo()
    nb, original = chain.read(path), path.name.replace("_solutions", "")
    assert wrong_answers(nb) == []
    made = solutions_of(chain.read(chain.NOTEBOOKS / original), original)
    assert [cell.source for cell in nb.cells] == [cell.source for cell in made.cells]

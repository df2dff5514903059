"""Notebook 02 as committed: predictions before answers, computed sentences, an exercise that is checked for real."""

import re

import pytest
import torch

pytest.importorskip("nbformat")

from sdbnn_lite.analysis import final_signs, shift_words  # noqa: E402
from sdbnn_lite.core.binarize import sign  # noqa: E402
from sdbnn_lite.lessons.exercises import exercise, find  # noqa: E402
from sdbnn_lite.lessons.exercises.notebook_02 import EXERCISES  # noqa: E402
from sdbnn_lite.pages import chain  # noqa: E402

NAME = "02_activation_self_distribution.ipynb"


@pytest.fixture(scope="module")
def nb():
    return chain.read(chain.NOTEBOOKS / NAME)


@pytest.fixture(scope="module")
def prose(nb):
    return "\n\n".join(cell.source for cell in nb.cells if cell.cell_type == "markdown")


def outputs(nb, start):
    """The text outputs of the one code cell that has a line beginning with ``start``."""
    (cell,) = [c for c in nb.cells if c.cell_type == "code" and re.search(f"^{re.escape(start)}", c.source, re.M)]
    return "\n".join(o.get("text") or o.get("data", {}).get("text/plain", "") for o in cell.outputs)


def test_every_answer_comes_out_of_a_cell_behind_its_question(nb, prose):
    code = [cell.source for cell in nb.cells if cell.cell_type == "code"]
    asked = [n for n, source in enumerate(code) if source.startswith("guess(")]
    assert len(asked) >= 9 and "score()" in code[-1]
    for n in asked:
        name = re.match(r'guess\("(\w+)"', code[n])[1]
        assert any(f'outcome("{name}"' in source for source in code[n + 1 : n + 4])
    assert "<details>" not in prose and "**Predict" not in prose


def test_the_sentences_are_those_computed_now(nb):
    """B9: σ or tanh; B8: not everywhere are most inputs +1, and 05 draws it."""
    last, _ = final_signs.last_signs("digits")
    assert outputs(nb, 'outcome("tanh"').endswith(shift_words.tanh_in_words(last))
    assert outputs(nb, 'outcome("entropy"').endswith(shift_words.outputs_in_words(last))
    assert outputs(nb, "print(shift_words.before_and_after").strip() == shift_words.before_and_after_in_words()


def test_the_network_trained_live_leaves_one_picture_without_a_measured_number(nb):
    (cell,) = [c for c in nb.cells if c.cell_type == "code" and "train_live(" in c.source]
    (output,) = cell.outputs
    assert "image/png" in output.data and re.findall(r"\d+", output.data["text/plain"]) == ["15", "1"]  # epochs, +1
    assert "in your network is nearest to that of: no shift (ede)" in outputs(nb, "ours = ")


def test_words(prose):
    assert "05_cifar10_reproduction.ipynb" in prose and "#glossary" in prose and "**control**" in prose
    for word in ("turned", "pencil", "stand-in", "% correct", "the paper's figure"):
        assert word not in prose
    assert not re.search(r"\b(better|worse|best|worst|outperforms?|beats?) than\b", prose)
    assert prose.count("$$") >= 10 and not re.search(r"^    [^ -].*[=·σ]", prose, re.M)  # no formula as plain text


def test_no_cell_holds_an_exercises_answer(nb):
    source = "\n".join(cell.source for cell in nb.cells if cell.cell_type == "code")
    assert {*re.findall(r'^exercise\("02/(\w+)"', source, re.M)} == {*EXERCISES}
    for task in EXERCISES.values():
        lines = [line.strip() for line in task.solution.splitlines() if not line.startswith(("def ", "import "))]
        assert not [line for line in lines if line and line in source]


def asd_forward(a, W1, W2, *, mean=(2, 3), relu=torch.relu, sigma=torch.sigmoid, signs=sign, detach=False):
    means = a.mean(dim=mean).expand(a.shape[:2])
    shift = sigma(relu(means @ W1.T) @ W2.T)
    return shift.detach().requires_grad_() if detach else shift, signs(a + shift[:, :, None, None])


@pytest.mark.parametrize(
    "fault, said",
    [
        ({}, "right: "),
        ({"mean": (0, 2, 3)}, "not yet: the shift isn't the one of the equation."),
        ({"relu": lambda x: x}, "not yet: the shift isn't"),
        ({"sigma": torch.tanh}, "not yet: the shift isn't"),
        ({"signs": torch.sign}, "not yet: a + shift is 0 there"),
        ({"signs": lambda x: x}, "not yet: the signs differ"),
        ({"detach": True}, "not yet: the shift's gradient doesn't reach a."),
    ],
)
def test_asds_forward_pass_is_checked_for_real(fault, said, capsys):
    exercise("02/asd_forward", lambda a, W1, W2: asd_forward(a, W1, W2, **fault))
    assert capsys.readouterr().out.startswith(said)


def test_shapes_are_named(capsys):
    exercise("02/asd_forward", lambda a, W1, W2: (asd_forward(a, W1, W2)[0][:, :, None, None], 0))
    assert "the shift has the shape (3, 4, 1, 1), needed is (N, C), here (3, 4)" in capsys.readouterr().out


def test_the_other_answers(capsys):
    for name, answer, said in (("distance", 0.18, "right"), ("distance", 0.05, "not yet"), ("constant", 1, "not yet")):
        exercise(f"02/{name}", answer)
        assert capsys.readouterr().out.startswith(said)
    assert find("02/constant").hint

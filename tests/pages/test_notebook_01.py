"""Notebook 01 asks before it tells, states no result that isn't computed, and finds silent channels where they are."""

import re

import pytest
from committed_notebook import cells_of, prose
from measured import claims_once

from sdbnn_lite.analysis.silent_channels import silent_channels

CELLS = cells_of("01")
TEXT = prose(CELLS, "\n\n")
GUESSES = [re.match(r'guess\("(\w+)"', cell.source)[1] for cell in CELLS if cell.source.startswith("guess(")]


def place(text):
    """Which cell holds ``text``; exactly one does."""
    (found,) = [number for number, cell in enumerate(CELLS) if text in cell.source]
    return found


def output(name):
    """What the outcome of the guess ``name`` said."""
    cell = CELLS[place(f'outcome("{name}"')]
    return next(o.data["text/plain"] for o in cell.outputs if "data-guess" in o.get("data", {}).get("text/html", ""))


@pytest.mark.parametrize(
    "name, told",
    [
        ("sum", "2k - n"),
        ("ste", r"\frac{\partial L}{\partial x}"),
        ("scale", r"\frac{1}{n} \sum_{i=1}^{n} |w_i|"),
        ("flips", r"$\operatorname{sign}(s y) = \operatorname{sign}(y)$"),
        ("folded", r"\operatorname{BN}(s y)"),
        ("training", "Two arguments"),
        ("sixty", r"n (2p - 1)(2q - 1)"),
        ("dead", "the mean of the sum is near 0"),
        ("push", "the weights take over"),
    ],
)
def test_the_explanation_comes_after_its_own_question(name, told):
    first = next(n for n, cell in enumerate(CELLS) if cell.cell_type == "markdown" and told in cell.source)
    assert place(f'guess("{name}"') < place(f'outcome("{name}"') < first


def test_a_fold_ends_where_its_answer_is_given():
    """The output behind a guess stays hidden up to the next heading: nothing else may lie in between."""
    for name in GUESSES:
        begin, end = place(f'guess("{name}"'), place(f'outcome("{name}"')
        assert CELLS[end + 1].cell_type == "markdown" and CELLS[end + 1].source.startswith("#"), name
        assert all(cell.cell_type == "code" for cell in CELLS[begin:end])
    shown = [cell.source for cell in CELLS if "exercise(" in cell.source or "explorer()" in cell.source]
    assert len(shown) >= 5
    assert not any(cell.metadata.get("jupyter", {}).get("outputs_hidden") for cell in CELLS
                   if cell.source in shown)  # fmt: skip


def test_silent_channels_are_said_to_be_where_they_are():
    counts = silent_channels().counts
    said = output("photographs")
    assert f"{counts['dead']} of {counts['channels']:,} channels are dead" in said and "P = 0.99" in said
    claim = claims_once()[1]
    assert claim.measured in CELLS[place("claims.measure()")].outputs[0].data["text/markdown"]
    for untrue in ("rare", "did not find", "no dead"):
        assert untrue not in TEXT and untrue not in claim.measured


def test_scaling_factors_are_for_something_and_are_attacked_twice():
    assert place(r"\min_s \lVert w - s \operatorname{sign}(w) \rVert^2") < place('guess("scale"')
    assert output("scale").startswith("**B, mean |w|.**")
    assert place("In a finished network") < place("While training") < place("Two arguments")
    assert "XNOR-Net" in output("training") and "plain BNN" in output("training") and "CIFAR-10" in output("training")


def test_results_are_computed_not_typed():
    """No measured number in prose; no word that ranks."""
    prose = re.sub(r"\$\$.*?\$\$", "", TEXT, flags=re.DOTALL)
    prose = re.sub(r"\$.*?\$|`.*?`|\(http\S+\)|^\|.*", "", prose, flags=re.MULTILINE)
    numbers = re.findall(r"\d+(?:\.\d+)? %", prose.partition("## References")[0])
    assert numbers == ["2 %"], "the threshold of nearly dead alone"
    assert not re.search(r"\b(better|worse|higher|lower) than\b", prose)


def test_equations_are_latex_tied_to_the_code():
    assert TEXT.count("$$") % 2 == 0 and TEXT.count("$$") >= 14
    for code in ("`dot`", "`analytic_scale(w)`", "`fold_scale`", "`random_signs(p, q, n)`", "`predicted_share`"):
        assert code in TEXT
    assert not re.search(r"^    \S", TEXT, re.MULTILINE), "a formula as an indented block"


def test_equations_can_be_rendered():
    converter = pytest.importorskip("latex2mathml.converter")
    for formula in re.findall(r"\$\$(.+?)\$\$|\$(.+?)\$", TEXT, re.DOTALL):
        made = converter.convert(next(filter(None, formula)))
        assert "\\" not in made and "<merror" not in made, formula

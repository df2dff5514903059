"""No sentence that somebody typed states which method or network does better: such sentences are computed.

A sentence of a Markdown cell that compares ("better than", "beats", …) and names a method or a network has to be a
question, a condition, or say what the paper says.
"""

import re

import pytest

pytest.importorskip("nbformat")

from sdbnn_lite.core.methods import METHODS  # noqa: E402
from sdbnn_lite.pages import chain  # noqa: E402

COMPARES = re.compile(
    r"\b(?:(?:better|worse|higher|lower|larger|smaller|greater|stronger|weaker|faster|slower|cheaper|fewer|less|"
    r"more)\b(?! \+1 than)[^.;]*\bthan\b|(?:more|less|most|least) accurate|beats?\b|wins?\b|outperforms?\b|"
    r"surpass(?:es)?\b|exceeds?\b|(?:is|are|does|do|was|were) (?:clearly )?(?:better|worse|best|worst)\b)"
)
NAMES = sorted({*METHODS, *(m.short for m in METHODS.values()), "ReActNet", "Bi-Real", "BNN"} - {"float"}, key=len)
NAMED = re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, NAMES[::-1]))}|ResNet-\d+|VGG-Small)(?![\w])")
OPEN = re.compile(r"\?|\b(?:if|whether|would|could|might|may|can|should|suppose)\b", re.IGNORECASE)
PAPER = re.compile(r"\b(?:paper|authors?|they|claims?)\b[^.;]*\b(?:says?|claims?|reports?|argues?|quotes?|expects?)\b|"
                   r"\baccording to\b|^claim \d:", re.IGNORECASE)  # fmt: skip


def sentences(markdown):
    """The sentences of a cell: no code, no formulas, no headings, addresses of links or references."""
    text = markdown.partition("## References")[0]
    text = re.sub(r"^```.*?^```|^ {4}.*?$|\$\$.*?\$\$|^#+ .*?$", "\n\n", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"\]\([^)]*\)|[*_`\[\]]", "", text)
    parts = re.split(r"\n\s*\n|\n\s*(?:[-*]|\d+\.) |\||(?<=[.!?])[\")”]?\s+(?=[A-Z“\"])", text)
    return [" ".join(part.split()) for part in parts if part.strip()]


def stated(markdown):
    """The sentences of a Markdown cell that state how methods or networks compare."""
    return [s for s in sentences(markdown) if COMPARES.search(s) and NAMED.search(s)
            and not OPEN.search(s) and not PAPER.search(s)]  # fmt: skip


@pytest.mark.parametrize("sentence", [
    "A colleague says: “SD-BNN is better than the plain BNN, so ASD and WSD earn points.”",
    "`sdbnn` reaches a higher accuracy than `bnn`.",
    "So ASD-networks are\nmore accurate.",
    "IR-Net beats all others.",
    "| ResNet-18 | its accuracy is lower than the ResNet-20's |",
    "- ASD's outputs differ less in all layers than those without.",
])  # fmt: skip
def test_it_finds_statements(sentence):
    assert stated(f"# Title\n\nWords before. {sentence} Words after.") if "|" not in sentence else stated(sentence)


@pytest.mark.parametrize("sentence", [
    "Is SD-BNN better than the plain BNN?",
    "The paper claims that SD-BNN is more accurate than the BNNs of its time.",
    "If ASD were better than RSign, it would show here.",
    "Ask whether `asd` does better than `ede`.",
    "More than one seed is needed.",
    "Claim 5: SD-BNN is more accurate than the BNNs of its time.",
    "A filter with a positive mean tends to have more +1 than −1, and WSD adds to it.",
    "```\nasd is better than ede\n```",
])  # fmt: skip
def test_it_lets_questions_conditions_and_quotations_be(sentence):
    assert stated(f"Words.\n\n{sentence}") == []


@pytest.mark.parametrize("path", chain.find_notebooks(), ids=lambda path: path.name[:2])
def test_no_markdown_cell_states_which_method_does_better(path):
    found = [(number, sentence) for number, cell in enumerate(chain.read(path).cells, 1)
             if cell.cell_type == "markdown" for sentence in stated(cell.source)]  # fmt: skip
    assert found == []

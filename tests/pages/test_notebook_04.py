"""Notebook 04 asks before it tells, and states no result that isn't computed; its claims are five cards."""

import re
from functools import partial

from committed_notebook import cells_of, place_in, prose, said
from measured import claims_once
from places import ROOT

from sdbnn_lite.analysis import claims, input_shares

CELLS = cells_of("04")
PROSE = prose(CELLS)
CODE = [cell for cell in CELLS if cell.cell_type == "code"]
SAID = "\n".join(map(said, CODE))
place = partial(place_in, CELLS)


def test_every_question_stands_before_its_answer():
    names = re.findall(r'^guess\("([^"]+)"', "\n".join(cell.source for cell in CODE), re.MULTILINE)
    assert len(names) == 13
    for name in names:
        assert place(f'guess("{name}"') < place(f'outcome("{name}"')
    assert "<details>" not in PROSE and place('exercise("04/channel_signs"') < place('outcome("gap"')


def test_the_claims_are_cards_and_no_table():
    assert not re.search(r"^\|.{400,}", PROSE + SAID, re.MULTILINE)
    for claim in claims_once():
        name = f"claim {claim.number}"
        asked, shown = place(f'guess("{name}"'), place(f'outcome("{name}"')
        assert str([*claims.VERDICTS]).replace("'", '"') in CELLS[asked].source
        above = CELLS[asked - 1].source
        assert f"**Claim {claim.number}:** {claim.claim}" in above and claim.paper in above
        assert shown == asked + 1 and claim.headline in said(CELLS[shown])
        assert f"{claim.holds}.** **" in said(CELLS[shown]) and "image/png" in str(CELLS[shown].outputs)
        assert claim.headline not in "".join(said(cell) for cell in CELLS[:asked] if cell.cell_type == "code")


def test_the_page_of_the_claims_has_no_table_either():
    text = (ROOT / "docs/claims.md").read_text(encoding="utf-8")
    assert "|---" not in text and text.count("\n## Claim ") == 5


def test_batch_norm_against_asd_is_shown():
    assert 'show_result("cifar10_inputs")' in "".join(cell.source for cell in CODE)
    assert input_shares.in_words(input_shares.ends()) in SAID


def test_the_methods_counted_in_questions_are_those_of_the_study():
    assert len(claims.BINARY) - 1 == 10  # "Ten other methods"


def test_no_result_is_typed():
    for words in ("70 %", "0.1 bit", "over a third", "can't be told from", "Most of the gap", "four images"):
        assert words not in PROSE, words
    assert not re.search(r"\b0\.\d\d\d? bit|[−+]?0\.\d\d points|ρ is (?:next|close) to", PROSE)
    assert "raise" not in PROSE and "assert" not in "".join(cell.source for cell in CODE)


def test_words():
    for word in ("pencil", "stand-in", "% right", "figure for", "no figure"):
        assert word not in PROSE + SAID, word
    for term in ("control", "surrogate gradient", "accuracy", "Kruskal-Wallis test"):
        assert f"[{term}](00_start_here.ipynb#glossary)" in PROSE
    assert PROSE.count("$$") == 2

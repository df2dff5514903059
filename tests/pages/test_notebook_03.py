"""Notebook 03 asks before it tells, and says of photographs what the committed runs measured."""

import re
from functools import partial

from committed_notebook import cells_of, place_in, prose, said

from sdbnn_lite.analysis import weight_flips

CELLS = cells_of("03")
PROSE = prose(CELLS)
CODE = [cell for cell in CELLS if cell.cell_type == "code"]
SAID = "\n".join(map(said, CODE))
place = partial(place_in, CELLS)


def test_flips_on_photographs_are_shown():
    assert "hasn't been measured" not in PROSE
    runs = weight_flips.by_run(weight_flips.committed())
    long = runs[(runs["network"] == "ResNet-20") & (runs["epochs"] == 100)].iloc[0]
    assert weight_flips.run_in_words(long) in SAID
    for run in runs.itertuples():
        shown = rf"{run.data} +{run.network} +{run.epochs} +{run.method} +{run.n} +{run.fresh:.3f} +{run.flips:.3f}"
        assert re.search(shown, SAID)


def test_questions_stand_before_their_answers():
    for name, answer in {"fresh": r"\pi \sqrt n", "alpha": "**lever**", "balancing": "200 times as far"}.items():
        assert place(f'guess("{name}"') < place(answer)
    for name in re.findall(r'^guess\("(\w+)"', "\n".join(cell.source for cell in CODE), re.MULTILINE):
        assert place(f'guess("{name}"') < place(f'outcome("{name}"')
    assert place('exercise("03/alpha_gradient"') < place("**lever**")
    assert "<details>" not in PROSE


def test_the_pace_of_alpha_is_computed():
    assert re.search(r"At this rate the fastest α of the two .* would need [\d,]+ such runs to get to 1\.", SAID)
    assert not re.search(r"\d\d,\d{3} such", PROSE + "".join(cell.source for cell in CODE))


def test_one_network_is_trained_live():
    (cell,) = [cell for cell in CODE if 'train_live("wsd"' in cell.source]
    assert "WSD on the digits, 10 epochs" in said(cell)


def test_words():
    for word in ("pencil", "turn", "stand-in", "% right", "figure for"):
        assert word not in PROSE + SAID, word
    for term in ("fan-in", "latent weight", "control"):
        assert f"[{term}](00_start_here.ipynb#glossary)" in PROSE


def test_equations_are_latex():
    assert not re.search(r"^    \S.*=", PROSE, re.MULTILINE)  # an indented formula
    assert PROSE.count("$$") >= 6

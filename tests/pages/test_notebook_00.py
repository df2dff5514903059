"""Notebook 00: a glossary that the others can link to, a map that says what the notebooks say, how exercises work."""

import re

import pytest
from places import NOTEBOOKS

nbformat = pytest.importorskip("nbformat")
NOTEBOOK = NOTEBOOKS / "00_start_here.ipynb"
if not NOTEBOOK.exists():
    pytest.skip("no notebooks here: an installed package", allow_module_level=True)


def text_of(path):
    return "\n\n".join(c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "markdown")


TEXT = text_of(NOTEBOOK)
GLOSSARY = TEXT.partition("## Glossary")[2].partition("## Summary")[0]
ANCHORS = re.findall(r'<a id="([\w-]+)"></a>', TEXT)


def test_every_term_has_an_anchor_of_its_own():
    rows = re.findall(r"^\| (?!Word|---)(.*?) \|", GLOSSARY, re.MULTILINE)
    assert len(rows) >= 25 and all(row.startswith('<a id="') for row in rows)
    assert len(ANCHORS) == len(set(ANCHORS)) and set(ANCHORS) == {"glossary", *re.findall(r'<a id="([\w-]+)', GLOSSARY)}
    assert [*map(str.lower, (r.split("</a>")[1] for r in rows))] == sorted(r.split("</a>")[1].lower() for r in rows)


@pytest.mark.parametrize(
    "term", ["fan-in", "latent weight", "control", "Kruskal-Wallis", "accuracy", "surrogate gradient"]
)
def test_terms_that_the_chain_needs_are_defined(term):
    assert re.search(rf"</a>{term}", GLOSSARY)


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("0*.ipynb")), ids=lambda path: path.name[:2])
def test_links_to_the_glossary_lead_to_a_term(path):
    for anchor in re.findall(r"00_start_here\.ipynb#([\w-]+)", text_of(path)):
        assert anchor in ANCHORS, anchor


def test_the_map_says_what_the_notebooks_say():
    minutes = {name: int(found) for name, found in re.findall(r"^\| [*\[]+(0\d).*?\| (\d+) \|$", TEXT, re.MULTILINE)}
    for path in sorted(NOTEBOOKS.glob("0*.ipynb")):
        assert minutes[path.name[:2]] == int(re.search(r"\*\*Time\*\* *\| (\d+) minutes", text_of(path))[1]), path.name


def test_links_lead_to_solutions_and_the_teachers_notes():
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", TEXT):
        assert (NOTEBOOKS / link).exists(), link
    assert "(../docs/teaching.md)" in TEXT and "(solutions/00_start_here_solutions.ipynb)" in TEXT


def test_it_shows_a_prediction_an_exercise_and_the_score():
    sources = [c.source for c in nbformat.read(NOTEBOOK, as_version=4).cells if c.cell_type == "code"]
    first = {kind: next(n for n, s in enumerate(sources) if s.startswith(kind) or f"\n{kind}" in s)
             for kind in ("guess(", "outcome(", "exercise(", "score(")}  # fmt: skip
    assert first["guess("] < first["outcome("] < first["exercise("] < first["score("]
    assert "check(" not in "".join(sources).replace("check_setup", "")

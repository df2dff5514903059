"""Every figure that stands in README, docs/, notebooks or cards follows from what is committed, and is recomputed here.

    tables of README and docs/    filled again from results/ (``make readme``), equal to the letter
    their prose, Markdown cells   each figure lies in one of PHRASES, written again from data, recipes and code, or of
                                  SAID: what others measured, or a number that is itself the definition
    outputs of notebooks          every cell runs again and is compared (nbval, in ``make test``), but for UNLIKE
    cards of the zoo              from the tables of their runs; tests/weights/test_zoo.py scores the networks again
    results/                      totals from their own rows

A figure is a number above 9, one with decimals, a small one with a unit, or a counted word ("twelve methods"). Where
others check: the README's example (test_readme), minutes (test_teaching, test_notebook_00), exercises (tests/lessons).
"""

import json
import re
from functools import cache

import pytest
from measured import claims_once
from phrases import EPOCHS, PHRASES, RUNS, SAID, WORDS, cells, tolerances
from places import ROOT, SANITIZE

from sdbnn_lite.analysis import claims, speed, tables
from sdbnn_lite.pages import chain, readme
from sdbnn_lite.weights.zoo import ZOO

# --- the prose of a page ----------------------------------------------------------------------------------------------

UNIT = r"\ of\ \d|[ -]?(?:%|percent|points?\b|bits?\b|bytes\b|words\b|times\b|[KMG]i?B\b)"
COUNTED = r"\ (?:(?:binary|other|published)\ )?(?:methods|networks|seeds|binarisations)"
FIGURE = re.compile(rf"""
    (?<![\w.,·]) (?: \d[\d,]*\.\d+ | \d{{1,3}}(?:,\d{{3}})+ | \d\d+ | \d(?={UNIT}) ) (?!\w)
    | \b\de-\d+ | \b(?:{"|".join(WORDS[3:])})\b(?={COUNTED})""", re.VERBOSE | re.IGNORECASE)  # fmt: skip
ELSEWHERE = [re.compile(pattern, re.MULTILINE | re.DOTALL) for pattern in (
    r"<!-- table: (.*?) -->.*?<!-- end: \1 -->", r"^## References.*", r"^```.*?^```", r"\$\$.*?\$\$",
    r"^### Exercise.*?(?=^##|\Z)", r"^ {4,}(?![-*] )[^#\n]*",  # of a command, its comment stays
    r"^\| (?:\*\*Time|\*\*\d|\[\d)[^\n]*\| (?:\d+ minutes[^\n]*|\d+) \|$",
)]  # fmt: skip
INLINE = re.compile(r"\$[^$]*\$|`[^`]*`|\]\([^)]*\)|https?://\S+|<[^>]+>|\b(?:19|20)\d\d\b|\d+@\d+|\d+×\d+|"
                    r"(?<![\d.])0\d\b|(?:section |issue |arXiv[: ]|ResNet-|CIFAR-|AVX-|RTX |Python )[\d.]+",
                    re.IGNORECASE)  # fmt: skip


def prose(text):
    """The sentences alone, on one line: without tables that are filled, code, formulas, exercises and references."""
    for place in ELSEWHERE:
        text = place.sub("\n", text)
    return " ".join(text.split())


def figures(text):
    """The figures of sentences, each with the words around it."""
    text = INLINE.sub("~", text)
    return [text[max(0, m.start() - 30) : m.end() + 20] for m in FIGURE.finditer(text)]


SOURCES = {"README": ROOT / "README.md", **{path.stem: path for path in sorted((ROOT / "docs").glob("*.md"))},
           **{path.name[:2]: path for path in chain.find_notebooks()}}  # fmt: skip
del SOURCES["teaching"]  # minutes that test_teaching adds up, and what students say


@cache
def text_of(page):
    if SOURCES[page].suffix == ".md":
        return prose(SOURCES[page].read_text("utf-8"))
    return " ".join(prose(cell.source) for cell in cells(page) if cell.cell_type == "markdown")


def unexplained(page, text):
    """The phrases that ``text`` should have and hasn't, and its figures that lie in none."""
    missing = [phrase for phrase in PHRASES.get(page, []) if phrase not in text]
    for phrase in sorted([*PHRASES.get(page, []), *SAID], key=len, reverse=True):
        text = text.replace(phrase, "~")
    return missing, figures(text)


@pytest.mark.parametrize("page", SOURCES)
def test_every_figure_in_a_sentence_is_computed_or_has_its_source(page):
    assert unexplained(page, text_of(page)) == ([], [])


def test_another_number_is_noticed():
    wrongs = [("results", "0.28 points", "0.38 points"), ("README", "twelve methods", "eleven methods"),
              ("05", "9,984 of", "9,983 of"), ("cluster", "46 MB", "45 MB")]  # fmt: skip
    for page, right, wrong in wrongs:
        missing, left = unexplained(page, text_of(page).replace(right, wrong))
        assert missing and wrong.split()[0] in " ".join(left)


def test_every_phrase_is_used():
    assert set(PHRASES) <= set(SOURCES)
    assert [phrase for phrase in SAID if not any(phrase in text_of(page) for page in SOURCES)] == []


def test_what_tests_allow_is_what_is_said():
    said = {"core/test_golden.py": {"1e-9", "1e-7"}, "fast/test_fast.py": {"1e-1", "1e-2", "3e-2"}}
    assert all(allowed <= tolerances(f"tests/{test}") for test, allowed in said.items())


@pytest.mark.parametrize("sentence, found", [
    ("It reaches 77.41 % here, 0 of 18.", 3), ("A gain of 3 points.", 1), ("Of 1,408 channels 290 are dead.", 2),
    ("All twelve methods.", 1), ("0.05 to 0.5 bits, or 15 epochs", 3), ("It takes 3 GB and 7 times as long.", 2),
    ("From 1 to 2, +1 and −1, `bits[64]`, $n = 64$, ResNet-20, notebook 05, 3×3, arXiv 2103.02394, one, two.", 0),
])  # fmt: skip
def test_figures_are_found(sentence, found):
    assert len(figures(sentence)) == found


# --- tables, outputs, cards, results ----------------------------------------------------------------------------------


def test_the_tables_are_the_committed_and_measured_ones(monkeypatch):
    monkeypatch.setattr(claims, "measure", claims_once)
    pages = {path: path.read_text(encoding="utf-8") for path in readme.PAGES}
    assert readme.filled(pages) == pages


UNLIKE = {  # notebook, the beginning of a cell: why its output is another one elsewhere
    ("07", "by_width = roofline.by_target"): "milliseconds, one row for each target that this machine can run",
    ("08", 'twins = {"by hand"'): "shares of random networks, which another version of torch draws otherwise",
    ("08", "runs = train_own_shift"): "three epochs of training, which another processor rounds otherwise",
}


def test_every_output_of_a_notebook_is_compared_when_its_cell_runs_again():
    """All that is said of it but a duration, a rate, an address."""
    free = [(number, cell.source) for number in map("{:02}".format, range(9)) for cell in cells(number)
            if "nbval-ignore-output" in cell.metadata.get("tags", []) and cell.outputs]  # fmt: skip
    assert len(free) == len(UNLIKE) and all(any(n == m and s.startswith(b) for m, b in UNLIKE) for n, s in free), free
    assert not any("NBVAL_IGNORE" in cell.source for number in map("{:02}".format, range(9)) for cell in cells(number))
    masked = re.findall(r"^replace: (.*)", SANITIZE.read_text("utf-8"), re.MULTILINE)
    assert masked == ["CELL-FILE", "ADDRESS", "DURATION", "RATE"]
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert "tests $(NOTEBOOKS) $(NBVAL)" in makefile and "nbval-lax" not in makefile


RESULT = ["test_accuracy", "test_top5", "test_loss"]


@pytest.mark.parametrize("path", sorted(ZOO.glob("*.json")), ids=lambda path: path.stem)
def test_a_card_says_what_the_tables_of_its_run_say(path):
    card = json.loads(path.read_text("utf-8"))
    if card["dataset"] == "digits":
        run = tables.read_study("digits").set_index(["method", "seed"]).loc[card["method"], card["seed"]]
        assert {key: card[key] for key in RESULT} == {key: run[key] for key in RESULT} and card["epochs"] == EPOCHS
        return
    run, answers = RUNS[path.stem], tables.read_table(tables.results_of(path.stem) / tables.PREDICTIONS)
    assert len(answers) == card["test_images"]
    assert (answers["true"] == answers["predicted"]).mean() == card["test_accuracy"]
    assert card.get("run_accuracy", card["test_accuracy"]) == run["result"]["test_accuracy"]
    assert all(card[key] == run[key] for key in ("network", "method", "epochs", "seed", "data", "machine", "command"))


@pytest.mark.parametrize("name", RUNS)
def test_a_run_s_result_is_the_last_row_of_its_log_and_what_its_answers_add_up_to(name):
    run, log = RUNS[name], tables.run_log(name)
    last = log.iloc[-1]
    if not run["result"]:  # a curve so far
        assert list(log["epoch"]) == [*range(1, len(log) + 1)] and len(log) < run["epochs"]
        return
    assert list(log["epoch"]) == [*range(1, run["epochs"] + 1)]
    assert {key: last[key] for key in RESULT}.items() <= run["result"].items()
    if (path := tables.results_of(name) / tables.PREDICTIONS).is_file():  # else published without its images
        answers = tables.read_table(path)
        assert (answers["true"] == answers["predicted"]).mean() == pytest.approx(last["test_accuracy"], abs=0.002)


@pytest.mark.parametrize("study", tables.STUDIES)
def test_a_study_s_runs_are_the_last_rows_of_its_epochs(study):
    runs, epochs = tables.read_study(study), tables.read_study(study, "epochs.csv")
    last = epochs[epochs["epoch"] == tables.study_facts(study)["epochs"]]
    keys = ["method", "seed", *RESULT]
    assert runs[keys].to_dict("records") == last[keys].to_dict("records")


@pytest.mark.parametrize("what, ratio, parts", [("train", "published/fast", ("published_ms", "fast_ms")),
                                                ("packed", "float32/packed", ("float32_ms", "packed_ms"))])  # fmt: skip
def test_a_measured_ratio_fits_the_times_beside_it(what, ratio, parts):
    """The median of the rounds' ratios lies near the ratio of the medians, and that within the rounds'."""
    files = sorted((tables.RESULTS / "bench").glob(f"{what}*.json"))
    for row in (row for path in files for row in speed.read(path.stem)[what]):
        middle, low, high = map(float, re.match(r"([\d.]+) \(([\d.]+)-([\d.]+)\)", row[ratio]).groups())
        assert low <= middle <= high and low * 0.95 <= row[parts[0]] / row[parts[1]] <= high * 1.05, row

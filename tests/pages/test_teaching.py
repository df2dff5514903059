"""The teacher's notes: their minutes follow from the notebooks, their exercises exist, each way fits its time."""

import re

import pytest
from places import NOTEBOOKS, ROOT

from sdbnn_lite.errors import UsageError
from sdbnn_lite.lessons.exercises import find

nbformat = pytest.importorskip("nbformat")
if not NOTEBOOKS.exists():
    pytest.skip("no notebooks here: an installed package", allow_module_level=True)
TEXT = (ROOT / "docs/teaching.md").read_text(encoding="utf-8")
WORDS, LINES, PREDICTION, EXERCISE = 150, 12, 1, 5  # a minute; minutes each
ROW = re.compile(r"^\| (\d+) \| \[0\d\]\(\.\./notebooks/(\S+?)\) \| (.*?) \| (.*?) \|$", re.MULTILINE)
WAYS = [(int(minutes), ROW.findall(text))
        for minutes, text in re.findall(r"^### (\d+) minutes(.*?)(?=^##)", TEXT, re.MULTILINE | re.DOTALL)]  # fmt: skip


def minutes_by_part(name):
    """Heading of each part -> minutes without its exercises; and how many predictions the notebook asks for."""
    parts, title, asked = {}, "", 0
    for cell in nbformat.read(NOTEBOOKS / name, as_version=4).cells:
        if cell.cell_type == "code":
            prediction = cell.source.startswith("guess(")
            asked += prediction
            parts[title] += len(cell.source.splitlines()) / LINES + PREDICTION * prediction
            continue
        for piece in re.split(r"(?m)^(?=## )", cell.source):
            heading = re.match(r"## (.*)", piece)
            title = heading[1] if heading else title
            parts[title] = parts.get(title, 0) + len(piece.split()) / WORDS
    return parts, asked


def chosen(parts, wanted):
    """Minutes of "all", of parts by number ("3, 5"), or by words of their headings."""
    if wanted == "all":
        return sum(parts.values())
    found = [[title for title in parts if title.startswith(f"{w}.") or w in title.lower()] for w in wanted.split(", ")]
    assert all(len(titles) == 1 for titles in found), (wanted, found)
    return sum(parts[title] for (title,) in found)


def test_there_are_three_ways_and_each_fits_its_time():
    assert [minutes for minutes, _ in WAYS] == [45, 90, 180]
    for minutes, rows in WAYS:
        assert 0.75 * minutes < sum(int(row[0]) for row in rows) <= minutes


@pytest.mark.parametrize("row", [row for _, rows in WAYS for row in rows], ids=lambda row: "-".join(row[1:3])[:30])
def test_the_minutes_are_those_of_the_notebooks(row):
    minutes, name, wanted, exercises = row
    parts, asked = minutes_by_part(name)
    if not asked:
        pytest.skip(f"{name} doesn't ask for predictions yet")
    estimate = chosen(parts, wanted) + EXERCISE * len(re.findall("`", exercises)) / 2
    assert int(minutes) == pytest.approx(estimate, abs=5)


def test_the_page_says_how_it_estimates():
    said = " ".join(TEXT.split())
    assert f"{WORDS} words of prose a minute, {LINES} lines of code a minute, one minute for a prediction" in said
    assert "no reader was timed" in said


def test_every_exercise_that_is_named_exists():
    names = set(re.findall(r"`(0\d/\w+)`", TEXT))
    assert {"01/ste_backward", "01/threshold", "01/decay"} <= names
    for name in names:
        try:
            find(name)
        except UsageError as error:
            assert "has none" in str(error), error  # a notebook whose exercises aren't written yet


def test_it_is_two_pages():
    assert 500 < len(TEXT.split()) < 1200

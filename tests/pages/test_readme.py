"""The README keeps its word: its example prints what it says, its commands exist, its links lead somewhere."""

import contextlib
import io
import re
import shlex

import pytest
from places import ROOT

from sdbnn_lite import cli
from sdbnn_lite.pages import readme
from sdbnn_lite.training.recipes import CHAINS, RECIPES

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_example_prints_what_it_says():
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)[1]
    said = re.search(r"```python\n.*?```\n\n((?:    [^\n]*\n)+)", README, re.DOTALL)[1]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "README.md", "exec"), {})
    assert printed.getvalue().splitlines() == [line.strip() for line in said.splitlines()]
    assert len(code.strip().splitlines()) <= 10


COMMANDS = re.findall(r"^    (sdbnn-lite .*?)(?:  +#.*)?$", README, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_one(command):
    args = cli.make_parser().parse_args(shlex.split(command)[1:])
    if hasattr(args, "recipe"):
        assert args.recipe in RECIPES or args.recipe in CHAINS


def test_there_are_commands_to_check():
    assert len(COMMANDS) >= 8


def test_make_targets_and_links_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"\bmake ([a-z]+)", README):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if not link.startswith("http")]
    assert len(links) > 8
    for path in links + re.findall(r"`((?:sdbnn_lite|tests)/\S+?\.py)`", README):
        assert (ROOT / path).exists(), path


def test_the_tables_are_the_committed_and_measured_ones():
    assert readme.filled(README) == README


def test_a_table_that_says_something_else_is_filled_again(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(readme, "TABLES", {"one": lambda: "| 1 \\1 |", "two": lambda: "| 2 |"})
    path = tmp_path / "README.md"
    path.write_text("# A\n<!-- table: two -->\nold\n<!-- end: two -->\nB\n<!-- table: one -->\n<!-- end: one -->\n")
    assert readme.main([str(path)]) == 0
    wanted = "# A\n<!-- table: two -->\n\n| 2 |\n\n<!-- end: two -->\nB\n"
    wanted += "<!-- table: one -->\n\n| 1 \\1 |\n\n<!-- end: one -->\n"
    assert path.read_text() == wanted
    assert readme.main([str(path)]) == 0 and path.read_text() == wanted
    assert "nothing has changed" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "<!-- table: one -->", "<!-- table: one -->\n<!-- end: one -->\n" * 2])
def test_a_table_without_its_place_is_named_and_nothing_is_written(text, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(readme, "TABLES", {"one": lambda: "| 1 |"})
    (tmp_path / "README.md").write_text(text)
    assert readme.main([str(tmp_path / "README.md")]) == 2
    assert "the table of one needs one place, between the lines <!-- table: one --> and" in capsys.readouterr().err
    assert (tmp_path / "README.md").read_text() == text
    assert readme.main([str(tmp_path / "none.md")]) == 2


def test_every_notebook_is_in_the_index():
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        assert f"(notebooks/{notebook.name})" in README

"""README and docs/ keep their word: the example prints what it says, commands exist, links lead somewhere."""

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
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_example_prints_what_it_says():
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)[1]
    said = re.search(r"```python\n.*?```\n\n((?:    [^\n]*\n)+)", README, re.DOTALL)[1]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "README.md", "exec"), {})
    assert printed.getvalue().splitlines() == [line.strip() for line in said.splitlines()]
    assert len(code.strip().splitlines()) <= 10


def test_the_readme_is_short_and_links_the_other_pages():
    assert len(README.splitlines()) <= 150
    assert all(f"(docs/{path.name})" in README for path in PAGES[1:])


WORDS = "".join(path.read_text(encoding="utf-8") for path in PAGES).replace("\\\n", "")  # a command on one line
COMMANDS = re.findall(r"^    (?:sdbnn-lite|torchrun .*?-m sdbnn_lite) (.*?)(?:  +#.*)?$", WORDS, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_one(command):
    args = cli.make_parser().parse_args(shlex.split(command))
    if getattr(args, "recipe", None):
        assert args.recipe in RECIPES or args.recipe in CHAINS


def test_there_are_commands_to_check():
    assert len(COMMANDS) >= 8


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_make_targets_and_links_exist(page):
    text, makefile = page.read_text(encoding="utf-8"), (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"`make ([a-z]+)|^    make ([a-z]+)", text, re.MULTILINE):
        assert re.search(rf"^{''.join(target)}:", makefile, re.MULTILINE), target
    for link in re.findall(r"\]\(([^)]+)\)", text):
        assert link.startswith("http") or (page.parent / link.partition("#")[0]).exists(), link
    for path in re.findall(r"`((?:sdbnn_lite|tests)/\S+?\.py)`", text):
        assert (ROOT / path).exists(), path


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


def test_tables_may_stand_on_several_pages_but_only_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(readme, "TABLES", {"one": lambda: "| 1 |", "two": lambda: "| 2 |"})
    paths = [tmp_path / "a.md", tmp_path / "b.md"]
    for path, name in zip(paths, ("one", "two")):
        path.write_text(f"<!-- table: {name} -->\n<!-- end: {name} -->\n")
    assert readme.main([str(path) for path in paths]) == 0
    assert [path.read_text().splitlines()[2] for path in paths] == ["| 1 |", "| 2 |"]
    paths[0].write_text(paths[1].read_text() + paths[0].read_text())
    assert readme.main([str(path) for path in paths]) == 2
    assert "the table of two needs one place" in capsys.readouterr().err


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

"""The README keeps its word: its example prints what it says, its commands exist, its links lead somewhere."""

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest

from sdbnn_lite import bench_results, claims, cli, reproduction
from sdbnn_lite.recipes import CHAINS, RECIPES

ROOT = Path(__file__).parent.parent
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


def test_the_claims_table_is_the_measured_one():
    assert claims.markdown(claims.measure()) in README


def test_the_cifar_table_is_the_committed_results():
    assert reproduction.markdown() in README


def test_the_speeds_are_the_committed_ones():
    assert bench_results.markdown() in README


def test_every_notebook_is_in_the_index():
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        assert f"(notebooks/{notebook.name})" in README

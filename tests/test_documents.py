"""CONTRIBUTING, CHANGELOG, SECURITY and the files around them: what they show runs, what they name is there."""

import importlib.util
import re

import pytest
import yaml
from places import ROOT

import sdbnn_lite
from sdbnn_lite.pages.first_cell import REPOSITORY

GUIDE = (ROOT / "CONTRIBUTING.md").read_text("utf-8")


def test_the_method_of_ten_minutes_works_as_printed(capsys):
    """All blocks one after the other: the equation holds, the network learns, its signs are about half +1."""
    names = {}
    exec("\n".join(re.findall(r"^```python\n(.*?)^```", GUIDE, re.M | re.S)), names)
    losses = names["losses"]
    assert len(losses) > 20 and sum(losses[-5:]) < sum(losses[:5])
    shares = [int(share) for share in re.findall(r"(\d+)% are \+1", capsys.readouterr().out)]
    assert len(shares) == 2 and all(30 < share < 70 for share in shares)


def test_the_guide_names_what_is_there():
    """A row is files, and what to add: each name of code stands in one of the row's files."""
    rows = re.findall(r"^\| (`[^|]+) \| (.+) \|$", GUIDE, re.M)
    assert len(rows) >= 14
    for files, what in rows:
        paths = [ROOT / name for name in re.findall(r"`([\w/]+\.\w+)`", files + what)]
        text = "".join(path.read_text("utf-8") for path in paths)
        for name in re.findall(r"`(\w+)`", what):
            assert name in text, f"{name} isn't in {files}"
    for path in re.findall(r"`([\w/]+/[\w.]+\.\w+)`", GUIDE):
        assert (ROOT / path).is_file(), path


def test_the_guide_s_make_targets_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    assert set(re.findall(r"make ([a-z-]+)", GUIDE)) <= targets


def test_the_changelog_s_last_version_is_ours():
    versions = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)
    assert versions[:2] == ["Unreleased", sdbnn_lite.__version__]


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "SECURITY.md"])
def test_an_address_that_nobody_knows_yet_has_the_one_placeholder(name):
    text = (ROOT / name).read_text("utf-8")
    assert REPOSITORY in text
    assert all(found == REPOSITORY for found in re.findall(r"github\.com/([\w.-]+/[\w.-]+)", text))


def test_the_templates_say_what_they_are_for():
    for name in ("bug", "question", "result"):
        _, head, body = (ROOT / ".github" / "ISSUE_TEMPLATE" / f"{name}.md").read_text("utf-8").split("---", 2)
        assert set(yaml.safe_load(head)) == {"name", "about", "labels"} and "**" in body
    assert len((ROOT / ".github" / "pull_request_template.md").read_text("utf-8").splitlines()) < 10


def test_before_a_commit_nothing_takes_outputs_out_of_notebooks():
    repos = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert {hook["id"] for repo in repos for hook in repo["hooks"]} == {"ruff", "hygiene"}


def test_the_release_check_sees_what_is_missing_and_what_is_too_much():
    spec = importlib.util.spec_from_file_location("release_check", ROOT / "tests" / "release" / "check.py")
    check = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(check)
    wanted = {"sdbnn_lite/py.typed", "sdbnn_lite/zoo/digits_sdbnn.safetensors"}
    assert check.complaints({*wanted, "PKG-INFO", "sdbnn_lite/results/runs/a/run.json"}, 10**6, wanted) == []
    assert len(check.complaints({"sdbnn_lite/py.typed"}, 10**6, wanted)) == 1
    for name in ("notebooks/00.ipynb", "tests/test_setup.py", "sdbnn_lite/a.pyc"):
        assert check.complaints({*wanted, name}, 10**6, wanted) == [f"{name} doesn't belong there"]
    assert "MiB" in check.complaints(wanted, 10**9, wanted)[0]

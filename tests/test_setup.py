"""The set-up files agree with each other: pyproject.toml, environment.yml, Makefile, CITATION.cff, .ci/run.

And what a reader imports is there: the package's names, and every import of README, docs and notebooks.
"""

import ast
import importlib
import json
import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml
from packaging.requirements import Requirement
from places import ROOT

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10, where pytest brings tomli
    import tomli as tomllib

import sdbnn_lite

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
CONDA_TO_PIP = {"pytorch": "torch", "matplotlib-base": "matplotlib", "playwright-python": "playwright",
                "python-build": "build"}  # fmt: skip
TARGETS = [
    "help",
    "venv",
    "walkthrough",
    "lab",
    "test",
    "notebooks",
    "figures",
    "readme",
    "site",
    "mutants",
    "fuzz",
    "kills",
    "stranger",
    "lint",
    "release-check",
    "clean",
]
# Folders that exist on one machine only.
MACHINE_PATH = re.compile(r"(?<![\w.~)\]+-])/(?:home|Users|root|tmp|work|mnt)/\w|\b[A-Z]:\\+Users")

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make isn't installed")


def requirements(lines):
    """{name: bounds} of a list of requirements."""
    parsed = [Requirement(line) for line in lines]
    return {requirement.name: str(requirement.specifier) for requirement in parsed}


def pip_requirements():
    return requirements(sum(PROJECT["optional-dependencies"].values(), PROJECT["dependencies"]))


def conda_dependencies():
    return yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]


def conda_requirements():
    return requirements(line for line in conda_dependencies() if isinstance(line, str))


def make(*arguments):
    # Without the variables by which an outer `make test` would steer this one.
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "VENV", "OUT"))}
    command = ["make", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=600)


def text_files():
    """What git tracks or would track; without git, every file outside hidden and generated folders."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
        paths = [ROOT / name for name in names if name]
    except (OSError, subprocess.CalledProcessError):
        folders = ["sdbnn_lite", "tests", "notebooks", "figures", ".ci"]
        paths = [*ROOT.glob("*"), *(path for folder in folders for path in (ROOT / folder).rglob("*"))]
    for path in paths:
        if path.is_file() and "__pycache__" not in path.parts:
            try:
                yield path, path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue  # a picture or an archive


def test_environment_yml_has_the_dependencies_of_pyproject():
    conda = conda_requirements()
    assert conda.pop("python") == PROJECT["requires-python"]
    conda.pop("pip")
    assert {CONDA_TO_PIP.get(name, name): bounds for name, bounds in conda.items()} == pip_requirements()


def test_environment_yml_uses_conda_names_and_installs_the_package():
    assert not set(conda_requirements()) & set(CONDA_TO_PIP.values())
    assert {"pip": ["-e ."]} in conda_dependencies()
    assert yaml.safe_load((ROOT / "environment.yml").read_text())["channels"] == ["conda-forge"]


def test_the_version_is_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert sdbnn_lite.__version__ == PROJECT["version"] == str(citation["version"])


PUBLIC = {
    "BinaryConv2d": "core.layers",
    "BinaryLinear": "core.layers",
    "Method": "core.methods",
    "binary_layers": "core.layers",
    "build": "core.models",
    "convert": "own.convert",
    "from_original": "weights.published",
    "load": "weights.zoo",
    "load_packed": "packed.file",
    "pack": "packed.modules",
    "predict": "own.predict",
    "recipes": "training.recipes",
    "record_signs": "core.record",
    "save_packed": "packed.file",
    "set_ede": "core.layers",
    "train": "training.api",
}


def test_the_package_hands_on_its_names():
    """By attribute, by star, and by ``dir``; each is the function of the module that defines it."""
    assert sdbnn_lite.__all__ == list(PUBLIC) and set(PUBLIC) < set(dir(sdbnn_lite))
    star = {}
    exec("from sdbnn_lite import *", star)
    for name, module in PUBLIC.items():
        home = importlib.import_module(f"sdbnn_lite.{module}")
        assert getattr(sdbnn_lite, name) is star[name] is getattr(home, name)
        assert star[name].__module__ == home.__name__


def test_the_names_that_editors_see_are_those_that_are_loaded():
    """The imports under TYPE_CHECKING, the table and ``__all__`` are one list."""
    tree = ast.parse((ROOT / "sdbnn_lite" / "__init__.py").read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {alias.name: f".{line.module}" for line in block.body for alias in line.names}
    assert seen == sdbnn_lite._DEFINED_IN and set(seen) == set(PUBLIC)


def test_a_name_that_the_package_lacks_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'sdbnn_lite' has no attribute 'bild'"):
        _ = sdbnn_lite.bild
    with pytest.raises(ImportError, match="bild"):
        exec("from sdbnn_lite import bild")


def code_for_readers():
    """The Python of README, docs and notebooks: (file's name, source)."""
    for path in (ROOT / "README.md", *ROOT.glob("docs/*.md")):
        for block in re.findall(r"^```python\n(.*?)^```", path.read_text(encoding="utf-8"), re.M | re.S):
            yield path.name, block
    for path in ROOT.glob("notebooks/*.ipynb"):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "code":
                yield path.name, re.sub(r"^( *)[%!].*", r"\1pass", "".join(cell["source"]), flags=re.M)


def test_everything_that_readers_import_from_the_package_is_there():
    wanted = set()
    for file, source in code_for_readers():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "sdbnn_lite":
                wanted |= {(file, node.module, alias.name) for alias in node.names}
    assert {"README.md", "00_start_here.ipynb"} <= {file for file, *_ in wanted}
    for file, module, name in sorted(wanted):
        try:
            exec(f"from {module} import {name}")
        except ImportError as error:
            pytest.fail(f"{file}: from {module} import {name}: {error}")


def test_the_command_exists():
    module, function = PROJECT["scripts"]["sdbnn-lite"].split(":")
    __import__(module)
    assert callable(getattr(sys.modules[module], function))


def test_citation_names_the_software_and_the_paper():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    for field in ("message", "title", "authors", "license"):
        assert citation[field]
    (paper,) = citation["references"]
    assert paper["type"] == "article" and paper["year"] == 2021
    assert paper["title"] == "Self-Distribution Binary Neural Networks"
    assert [author["family-names"] for author in paper["authors"]] == ["Xue", "Lu", "Chang", "Wei", "Wei"]
    assert paper["identifiers"][0]["value"] == "arXiv:2103.02394"


@needs_make
def test_make_alone_lists_every_target():
    listed = [line.split()[1] for line in make().stdout.splitlines() if line.startswith("  make ")]
    assert listed == TARGETS


@needs_make
@pytest.mark.parametrize("target", TARGETS)
def test_every_target_can_be_planned(target):
    planned = make("--dry-run", target)
    assert planned.returncode == 0, planned.stderr


@needs_make
def test_make_test_runs_tests_and_notebooks_at_once():
    planned = make("--dry-run", "test").stdout.replace("\\\n", "")
    (command,) = [line for line in planned.splitlines() if " -m pytest " in line]
    assert "-p sdbnn_lite.pages.chain --nbval --nbval-current-env --nbval-cell-timeout=600" in " ".join(command.split())
    for notebook in ROOT.glob("notebooks/[0-9][0-9]_*.ipynb"):
        assert f"notebooks/{notebook.name}" in command


@needs_make
@pytest.mark.parametrize("target", TARGETS)
def test_every_target_leaves_the_package_editable(target):
    """A plain install would put a copy over it: edits would no longer count, and nothing would say so."""
    installs = [line for line in make("--dry-run", target).stdout.splitlines() if "-m pip install" in line]
    assert all(" -e " in line for line in installs) and (installs or target != "release-check")


@needs_make
@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("sys.version_info", "older than 3.10"),
        ("ensurepip", "python3-venv"),
    ],
)
def test_make_says_what_is_wrong_with_the_python(tmp_path, broken, said):
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\ncase "$*" in *{broken}*) exit 1;; esac\n')
    python.chmod(0o755)
    result = make("venv", f"PYTHON={python}", f"VENV={tmp_path / 'venv'}")
    assert result.returncode != 0 and said in result.stderr
    assert not (tmp_path / "venv").exists()


@needs_make
def test_make_says_that_the_python_is_missing(tmp_path):
    result = make("venv", "PYTHON=python-that-is-not-there", f"VENV={tmp_path / 'venv'}")
    assert result.returncode != 0 and "python-that-is-not-there was not found" in result.stderr


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash isn't installed")
def test_ci_run_can_be_started():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", script], capture_output=True).returncode == 0


def test_no_file_names_a_folder_of_one_machine():
    found = [
        f"{path.relative_to(ROOT)}: {text[hit.start() : hit.end() + 20]!r}"
        for path, text in text_files()
        for hit in [MACHINE_PATH.search(text)]
        if hit
    ]
    assert found == []


def test_the_search_for_machine_paths_finds_one():
    assert MACHINE_PATH.search("open('" + "/".join(["", "home", "ada", "x.csv"]) + "')")
    assert not MACHINE_PATH.search("see docs/home/x, ~/home/x and #!/usr/bin/env")

"""The installation in the first cell: valid, the same everywhere, and a notebook needs nothing but the wheel."""

import os
import shutil
import subprocess
import sys

import pytest
from places import NOTEBOOKS, ROOT

from sdbnn_lite.errors import UsageError
from sdbnn_lite.pages import chain, first_cell
from sdbnn_lite.pages.hygiene import check_hygiene, code_cells

new_code_cell = pytest.importorskip("nbformat").v4.new_code_cell
if not NOTEBOOKS.exists():
    pytest.skip("no notebooks here: an installed package", allow_module_level=True)
SHORT, OWN = "00_start_here.ipynb", "08_your_own_network.ipynb"


def ran(source, there):
    """What the cell installs where the package is there, or isn't."""
    from IPython.core.inputtransformer2 import TransformerManager
    code, asked = TransformerManager().transform_cell(source), []

    class Shell:
        def run_line_magic(self, *line):
            asked.append(line)

    code = code.replace("from importlib.util import find_spec", f"find_spec = lambda name: {there}")
    exec(code, {"get_ipython": Shell})
    return asked


def test_it_installs_only_where_the_package_is_missing():
    cell = first_cell.with_installation("FAST = True\nDATA = None  # none", "ada/nets")
    assert cell.startswith("FAST = True\nDATA = None  # none\n\nfrom importlib")
    assert ran(cell, there=True) == []
    ((magic, line),) = ran(cell, there=False)
    assert magic == "pip" and line == 'install -q "sdbnn-lite[notebooks] @ git+https://github.com/ada/nets"'


def test_writing_it_twice_is_writing_it_once_and_the_last_address_counts():
    once = first_cell.with_installation("FAST = True", "ada/nets")
    assert first_cell.with_installation(once, "ada/nets") == once
    assert first_cell.with_installation(once, "eve/nets") == once.replace("ada", "eve")


@pytest.mark.parametrize("repository", ["", "ada", "ada/", "a/b/c", 'a/b"; rm'])
def test_other_addresses_are_refused(repository):
    with pytest.raises(UsageError, match="OWNER/NAME on GitHub is needed"):
        first_cell.with_installation("FAST = True", repository)


def test_it_is_put_into_every_notebook_and_changes_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setattr(chain, "NOTEBOOKS", shutil.copytree(NOTEBOOKS, tmp_path / "notebooks"))
    before = {path.name: chain.read(path) for path in chain.find_notebooks()}
    first_cell.write_all("ada/nets")
    for path in chain.find_notebooks():
        nb, was = chain.read(path), before[path.name]
        assert nb.cells[1].source.count("github.com/ada/nets") == 1
        assert nb.cells[1].source.startswith(was.cells[1].source.partition("\nfrom importlib")[0].rstrip())
        assert check_hygiene(nb) == check_hygiene(was)
        nb.cells[1].source = was.cells[1].source
        assert nb == was


def test_08_has_it():
    """As all have, once ``python -m sdbnn_lite.pages.first_cell`` has been over them."""
    _, cell = next(code_cells(chain.read(NOTEBOOKS / OWN)))
    assert cell.source == first_cell.with_installation(cell.source)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the built wheel's files, and nothing of the repository."""
    source, wheels, target = (tmp_path_factory.mktemp(name) for name in ("source", "wheels", "target"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "sdbnn_lite", source / "sdbnn_lite", ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    wheel = [*pip, "wheel", source, "--no-deps", "--no-build-isolation", "--no-index", "-w", wheels]
    done = subprocess.run(wheel, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no wheel can be built here: {done.stderr[-300:]}")
    (built,) = wheels.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--target", target, built], check=True)
    return target


def run_alone(notebook, installed, folder):
    """Execute a copy of the notebook in the empty ``folder``; its package is the installed one."""
    copy = folder / notebook.name
    nb = chain.read(notebook)
    nb.cells.append(new_code_cell("import sdbnn_lite\nprint(sdbnn_lite.__file__)"))
    chain.write(nb, copy)
    program = "import sys; from sdbnn_lite.pages.chain import execute; execute(sys.argv[1], sys.argv[2])"
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-c", program, copy, copy]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    said = "\n".join(o.get("text", "") for c in chain.read(copy).cells if c.cell_type == "code" for o in c.outputs)
    assert str(installed / "sdbnn_lite") in said and str(ROOT / "sdbnn_lite") not in said


@pytest.mark.slow
def test_a_notebook_runs_in_an_empty_folder_with_only_the_wheel(installed, tmp_path):
    run_alone(NOTEBOOKS / SHORT, installed, tmp_path)


@pytest.mark.slow
@pytest.mark.skipif("SDBNN_ALL_ALONE" not in os.environ, reason="the whole chain once more: minutes; SDBNN_ALL_ALONE=1")
@pytest.mark.parametrize("path", chain.find_notebooks(), ids=lambda path: path.name[:2])
def test_every_notebook_does(path, installed, tmp_path):
    run_alone(path, installed, tmp_path)

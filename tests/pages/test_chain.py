"""The notebook chain's machinery, tried on small notebooks."""

import copy
import os
import re
import subprocess
import sys

import pytest
from places import SANITIZE

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("nbclient")

from made_notebooks import PICTURE, WIDGET, code, good, markdown, notebook, parameters, stream  # noqa: E402

from sdbnn_lite.errors import UsageError  # noqa: E402
from sdbnn_lite.pages import chain  # noqa: E402


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty notebooks/ that the chain takes for its own; returns a function that fills it."""
    monkeypatch.setattr(chain, "NOTEBOOKS", tmp_path)

    def fill(**notebooks):
        for name, nb in notebooks.items():
            nbformat.write(nb, tmp_path / f"{name}.ipynb")
        monkeypatch.setattr(chain, "CHAIN", tuple(sorted(path.name for path in tmp_path.glob("*.ipynb"))))
        return tmp_path

    monkeypatch.setattr(chain, "CHAIN", ())
    return fill


# --- execute ---------------------------------------------------------------------------------------------------------


def test_execute_runs_in_the_notebooks_folder(tmp_path):
    (tmp_path / "note.txt").write_text("beside the notebook")
    nb = notebook(parameters(), code("print(FAST, DATA)\nprint(open('note.txt').read())"))
    nbformat.write(nb, tmp_path / "a.ipynb")
    before = (tmp_path / "a.ipynb").read_bytes()

    out = tmp_path / "new" / "b.ipynb"
    seconds = chain.execute(tmp_path / "a.ipynb", out)

    assert 0 < seconds < 60
    assert (tmp_path / "a.ipynb").read_bytes() == before
    done = nbformat.read(out, 4)
    assert done.cells[1].outputs[0].text == "True None\nbeside the notebook\n"
    assert [cell.execution_count for cell in done.cells] == [1, 2]


def test_a_failing_cell_is_named_and_the_copy_shows_how_far_it_got(tmp_path):
    path, out = tmp_path / "01_a.ipynb", tmp_path / "out.ipynb"
    nbformat.write(notebook(markdown("# T"), code("print('here')"), code("{}['key']"), code("print('not here')")), path)
    before = path.read_bytes()
    with pytest.raises(chain.NotebookFailed, match=r"01_a\.ipynb stopped at cell 3: KeyError: 'key'.*out\.ipynb"):
        chain.execute(path, out)
    assert nbformat.read(out, 4).cells[1].outputs[0].text == "here\n"
    with pytest.raises(chain.NotebookFailed):
        chain.refresh(path)
    assert path.read_bytes() == before


def test_wrong_use_inside_a_notebook_stays_wrong_use(tmp_path):
    path = tmp_path / "a.ipynb"
    nbformat.write(notebook(code("class UsageError(ValueError): pass\nraise UsageError('no such folder')")), path)
    with pytest.raises(UsageError, match=r"^a\.ipynb: no such folder$"):
        chain.execute(path, path)


def test_a_cell_that_takes_too_long_is_stopped(tmp_path):
    path = tmp_path / "a.ipynb"
    nbformat.write(notebook(code("1"), code("import time; time.sleep(60)")), path)
    with pytest.raises(chain.NotebookFailed, match="cell 2: it took longer than 1 s"):
        chain.execute(path, path, timeout=1)


def test_a_dead_kernel_is_named(tmp_path):
    path = tmp_path / "a.ipynb"
    nbformat.write(notebook(code("import os; os._exit(1)")), path)
    with pytest.raises(chain.NotebookFailed, match="cell 1: the kernel died"):
        chain.execute(path, path)


def test_what_is_no_notebook_is_refused(tmp_path):
    with pytest.raises(UsageError, match="can't read the notebook"):
        chain.read(tmp_path / "absent.ipynb")
    for content in (b"not json", b'{"cells": 3}', b"[]", b"{}", b"", b"\xff\xfe"):
        (tmp_path / "bad.ipynb").write_bytes(content)
        with pytest.raises(UsageError, match="isn't a notebook"):
            chain.read(tmp_path / "bad.ipynb")


@pytest.mark.parametrize("module", ["nbclient", "nbformat", "ipykernel"])
def test_a_missing_package_is_named_with_its_remedy(tmp_path, monkeypatch, module):
    nbformat.write(notebook(), tmp_path / "a.ipynb")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError, match=rf"{module}: pip install 'sdbnn-lite\[notebooks\]'"):
        chain.execute(tmp_path / "a.ipynb", tmp_path / "b.ipynb")


# --- clean -----------------------------------------------------------------------------------------------------------


def test_two_refreshes_are_the_same_bytes_and_hold_no_widget(tmp_path):
    pytest.importorskip("ipywidgets")
    path = tmp_path / "a.ipynb"
    slider = "import ipywidgets\nipywidgets.VBox([ipywidgets.IntSlider(), ipywidgets.HTML('x')])"
    chatty = "import sys\nfor i in range(200): print(i, flush=True)"
    nbformat.write(notebook(markdown("# T"), parameters(), code(slider), code(chatty)), path)
    chain.refresh(path)
    first = path.read_bytes()
    chain.refresh(path)
    assert path.read_bytes() == first

    nb = chain.read(path)
    assert "widgets" not in nb.metadata
    assert nb.cells[2].outputs == [] and nb.cells[2].metadata.tags == ["explorer", "nbval-ignore-output"]
    assert len(nb.cells[3].outputs) == 1


def test_clean_drops_what_differs_and_nothing_else():
    nb = notebook(code("x", stream("text"), WIDGET, PICTURE, tags=["mine"], count=1))
    nb.metadata.update(widgets={"state": {}}, kernelspec={"name": "my-env"}, language_info={"version": "3.11.7"})
    nb.cells[0].metadata["execution"] = {"iopub.status.busy": "2026-01-01"}
    chain.clean(nb)
    assert [output.output_type for output in nb.cells[0].outputs] == ["stream", "display_data"]
    assert nb.cells[0].metadata == {"tags": ["mine", "explorer", "nbval-ignore-output"]}
    assert nb.metadata == {"kernelspec": chain.KERNEL, "language_info": {"name": "python"}}
    assert chain.clean(copy.deepcopy(nb)) == nb
    nbformat.validate(nb)


# --- the command, the plugin -----------------------------------------------------------------------------------------


def test_without_a_clone_the_message_says_so(folder):
    with pytest.raises(UsageError, match="run this from a clone"):
        chain.find_notebooks()


def test_the_command_executes_checks_and_reports(folder, capsys):
    path = folder(**{"00_a": good(), "01_b": notebook(code("1"))})
    assert [found.name for found in chain.find_notebooks()] == ["00_a.ipynb", "01_b.ipynb"]
    assert chain.main(["--check", "00_a.ipynb"]) == 0
    assert chain.main(["--check"]) == 1
    assert "01_b.ipynb: checked\n  the first code cell isn't" in capsys.readouterr().out

    assert chain.main(["01_b.ipynb"]) == 1  # executed, but still without parameters and heading
    assert chain.read(path / "01_b.ipynb").cells[0].outputs[0].data["text/plain"] == "1"

    assert chain.main(["02_c.ipynb"]) == 2
    assert "unknown notebook '02_c.ipynb': choose one of 00_a.ipynb, 01_b.ipynb" in capsys.readouterr().err
    folder(**{"01_b": notebook(code("1 / 0"))})
    assert chain.main(["01_b.ipynb"]) == 1
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_nbval_compares_all_notebooks_and_lets_05_and_06_say_more_with_images(tmp_path):
    pytest.importorskip("nbval")
    wrong = notebook(code("print('new')", stream("old\n"), count=1))
    asked = notebook(code("# NBVAL_CHECK_OUTPUT\nprint('new')", stream("old\n"), count=1))
    other_run = stream("took 9 s, <object object at 0x7f00aa00>\n")
    masked = notebook(code("print('took 1.25 s, ' + repr(object()))", other_run, count=1))
    for name, nb in {"01_wrong": wrong, "02_masked": masked, "05_wrong": wrong, "06_asked": asked}.items():
        nbformat.write(nb, tmp_path / f"{name}.ipynb")
    options = ["-p", "sdbnn_lite.pages.chain", "--nbval", "--nbval-current-env", "--nbval-sanitize-with", str(SANITIZE)]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, str(tmp_path)]
    without, given = {"01_wrong", "05_wrong", "06_asked"}, {"SDBNN_DATA": "there"}
    for images, wrong in ({}, without), (given, without - {"05_wrong"}):
        environment = {key: value for key, value in os.environ.items() if key != "SDBNN_DATA"} | images
        done = subprocess.run(command, cwd=SANITIZE.parent.parent, env=environment, capture_output=True, text=True,
                              timeout=600)  # fmt: skip
        assert set(re.findall(r"^FAILED .*?(\d\d_\w+)\.ipynb", done.stdout, flags=re.MULTILINE)) == wrong, done.stdout
        assert f"{len(wrong)} failed, {4 - len(wrong)} passed" in done.stdout, done.stdout


def test_nbval_understands_every_pair_of_the_sanitize_file():
    plugin = pytest.importorskip("nbval.plugin")
    text = SANITIZE.read_text()
    pairs = plugin.get_sanitize_patterns(text)
    assert len(pairs) == len(re.findall(r"^regex:", text, flags=re.MULTILINE)) == text.count("\nreplace:")
    for pattern, _ in pairs:
        re.compile(pattern)

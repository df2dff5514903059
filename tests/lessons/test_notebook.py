"""What the notebooks share: set-up and its sentences, figures with alt text, tables, checked answers, and the map."""

import re

import numpy as np
import pytest
import torch
from places import NOTEBOOKS
from standin import write_ablation

from sdbnn_lite.analysis import tables
from sdbnn_lite.errors import UsageError
from sdbnn_lite.lessons import notebook
from sdbnn_lite.plots.theme import new_figure, save, theme


@pytest.fixture(autouse=True)
def threads():
    """The tests' own number of threads comes back."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


# --- set-up ----------------------------------------------------------------------------------------------------------


def test_setup_fixes_the_threads_and_says_what_is_used(capsys, tmp_path):
    torch.set_num_threads(1)
    notebook.notebook_setup(fast=True, data=None, needs=["digits_bnn"], study="digits")
    assert torch.get_num_threads() == notebook.THREADS == 2
    assert capsys.readouterr().out == "Ready: the embedded digits, FAST = True, 2 threads.\n"
    notebook.notebook_setup(threads=1)
    assert torch.get_num_threads() == 1 and capsys.readouterr().out.endswith(", 1 thread.\n")
    notebook.notebook_setup(uses="the committed results")
    assert capsys.readouterr().out == "Ready: the committed results, FAST = True, 2 threads.\n"
    notebook.notebook_setup(fast=False, data=tmp_path)
    assert capsys.readouterr().out == "Ready: the embedded digits and the images in DATA, FAST = False, 2 threads.\n"


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"data": "no-such-folder"}, r"^DATA = 'no-such-folder' is no folder: give the one .* or None for .*\.$"),
        ({"needs": ["digits_bnn", "digits_x"]}, r"^Trained networks are missing \(digits_x\): `git checkout -- .*\.$"),
        ({"study": "mnist"}, r"^The tables of the study 'mnist' are missing: .*`sdbnn-lite study .*\.$"),
    ],
)
def test_what_is_missing_is_one_sentence_with_a_remedy(wrong, sentence, capsys):
    with pytest.raises(UsageError, match=sentence) as caught:
        notebook.notebook_setup(**wrong)
    assert "\n" not in str(caught.value)
    assert caught.value._render_traceback_() == [str(caught.value)]
    assert capsys.readouterr().out == ""


def test_an_old_torch_is_named(monkeypatch):
    monkeypatch.setattr(notebook, "OLDEST_TORCH", "99.1")
    with pytest.raises(UsageError, match=r"too old: pip install 'torch>=99\.1'"):
        notebook.notebook_setup()


@pytest.mark.slow
def test_a_notebook_works_in_any_folder_and_shows_the_sentence_without_a_traceback(tmp_path):
    chain = pytest.importorskip("sdbnn_lite.pages.chain")
    v4 = pytest.importorskip("nbformat.v4")
    pytest.importorskip("nbclient")
    good = "from sdbnn_lite.lessons.notebook import *\nnotebook_setup(needs=['digits_bnn'], study='digits')"
    cells = [v4.new_code_cell(source) for source in (good, "notebook_setup(data='nowhere')")]
    chain.write(v4.new_notebook(cells=cells), tmp_path / "a.ipynb")
    with pytest.raises(UsageError, match="a.ipynb: DATA = 'nowhere' is no folder"):
        chain.execute(tmp_path / "a.ipynb", tmp_path / "b.ipynb")
    first, second = chain.read(tmp_path / "b.ipynb").cells
    assert first.outputs[0].text.startswith("Ready: the embedded digits")
    (error,) = second.outputs
    assert error.output_type == "error" and error.traceback == [error.evalue]


def test_check_setup_has_a_line_for_each_need(capsys, monkeypatch):
    assert notebook.check_setup()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6 and all(line.endswith("  ok") for line in lines)
    assert any("1,437 + 360 digits" in line for line in lines) and any("12 of 12" in line for line in lines)

    monkeypatch.setattr(notebook, "zoo_names", lambda: ["digits_bnn"])
    monkeypatch.setattr(notebook.importlib.util, "find_spec", lambda name: None)
    assert not notebook.check_setup()
    out = capsys.readouterr().out
    assert re.search(r"trained networks: 1 of 12 +missing: `git checkout", out)
    assert re.search(r"ipywidgets\) +missing: pip install 'sdbnn-lite\[notebooks\]'", out)


# --- show ------------------------------------------------------------------------------------------------------------


def test_show_displays_a_png_with_alt_text(monkeypatch):
    display = pytest.importorskip("IPython.display")
    shown = []
    monkeypatch.setattr(display, "display", lambda data, **options: shown.append((data, options)))
    with theme():
        figure = new_figure(3, 2)
        figure.subplots().plot([0, 1])
    notebook.show(figure, "a rising line")
    ((content, options),) = shown
    assert content["image/png"].startswith(b"\x89PNG") and content["text/plain"] == "[picture] a rising line"
    assert options == {"raw": True, "metadata": {"image/png": {"alt": "a rising line", "width": 300}}}
    with pytest.raises(UsageError, match="alt: empty"):
        notebook.show(figure, " ")


@pytest.fixture
def shown(monkeypatch):
    """What is displayed: [(content, options)]."""
    display, found = pytest.importorskip("IPython.display"), []
    monkeypatch.setattr(display, "display", lambda content, **options: found.append((content, options)))
    return found


def test_a_file_is_displayed_as_large_as_the_figure_it_was(shown, tmp_path):
    with theme():
        figure = new_figure(3, 2)
        figure.subplots().plot([0, 1])
    png, _ = save(figure, tmp_path, "line")
    notebook.show_png(png, "a rising line")
    ((content, options),) = shown
    assert content == {"image/png": png.read_bytes(), "text/plain": "[picture] a rising line"}
    assert options["metadata"] == {"image/png": {"alt": "a rising line", "width": 300}}
    (tmp_path / "no.png").write_text("text")
    with pytest.raises(UsageError, match="no.png: not a PNG"):
        notebook.show_png(tmp_path / "no.png", "nothing")


def test_a_result_is_shown_or_what_is_missing_is_said(shown, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    for name, remedy in (("cifar10_ablation", "sdbnn-lite study"), ("cifar10_runs", "sdbnn-lite publish RUN"),
                         ("cifar10_signs", "sdbnn-lite study"), ("cifar10_confusion", "--data DIR")):  # fmt: skip
        notebook.show_result(name)
        assert not shown and remedy in capsys.readouterr().out
    write_ablation(tmp_path, ("ede", "sdbnn"), seeds=1)
    notebook.show_result("cifar10_layers")
    ((content, _),) = shown
    assert "Sign difference of the outputs" in content["text/plain"] and "SD-BNN 0.4" in content["text/plain"]
    with pytest.raises(UsageError, match="unknown figure 'cifar10_run'.*did you mean 'cifar10_runs'"):
        notebook.show_result("cifar10_run")


def test_words_that_were_computed_are_a_list(shown):
    notebook.listing(["one", "two"])
    assert [content.data for content, _ in shown] == ["- one\n- two"]


def test_a_table_is_aligned(capsys):
    rows = [("conv2", 0.123, np.int64(1474560), "-"), ("a long name", np.float32(-1), 7, "98"), ("x", 10.0, 0, "100")]
    notebook.table(rows, ["layer", "share", "of", "%"])
    assert capsys.readouterr().out == (
        "layer        share         of    %\n"
        "-----------  -----  ---------  ---\n"
        "conv2         0.12  1,474,560    -\n"
        "a long name  -1.00          7   98\n"
        "x            10.00          0  100\n"
    )
    notebook.table(iter([("a", True)]))
    assert capsys.readouterr().out == "a  True\n"
    notebook.table([], ["a", "b"])
    assert capsys.readouterr().out == "a  b\n-  -\n"


@pytest.mark.parametrize("rows", [[], [(1, 2), (3,)]])
def test_a_ragged_or_empty_table_is_refused(rows):
    with pytest.raises(UsageError, match="table"):
        notebook.table(rows)


# --- exercises -------------------------------------------------------------------------------------------------------


def test_the_map_links_every_notebook_that_exists_and_no_other():
    chain = pytest.importorskip("sdbnn_lite.pages.chain")
    pytest.importorskip("nbformat")
    if not chain.CHAIN:
        pytest.skip("no notebooks here: an installed package")
    cells = chain.read(NOTEBOOKS / "00_start_here.ipynb").cells
    (table,) = [cell.source for cell in cells if "| Notebook |" in cell.source]
    assert set(re.findall(r"\(([^()]*\.ipynb)\)", table)) == set(chain.CHAIN) - {"00_start_here.ipynb"}
    for number in range(9):
        assert len(re.findall(rf"^\| [*\[]*0{number} ", table, flags=re.MULTILINE)) == 1

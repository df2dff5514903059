"""The explorers as a learner meets them: JupyterLab in a real browser, every control moved by keyboard.

One notebook is run whole; of the others one is made that holds what their explorers need: nbval runs all cells of all.
A failure leaves a screenshot in browser-failures/.
"""

import importlib
import re
import shutil

import browser
import pytest
from lab_server import ROOT, Lab

pytest.importorskip("nbformat")

from sdbnn_lite.pages import chain  # noqa: E402
from sdbnn_lite.pages.hygiene import code_cells  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(browser.why_not()), reason=browser.why_not())]

CALL = re.compile(r"\b(\w+)\.explorer\(")
WHOLE = "02_activation_self_distribution.ipynb"  # all its cells are fast
OTHERS = "explorers.ipynb"

DEAD = """
from sdbnn_lite.lessons import widgets
from sdbnn_lite.plots.theme import new_figure
controls = [
    widgets.Control("live", "live", 0, unit="steps", min=0, max=9, step=1),
    widgets.Control("mode", "mode", "off", choices=["off", "on"], buttons=True),
    widgets.Control("sometimes", "sometimes", 1.0, unit="V", min=0.1, max=10.0, step=0.1, log=True),
    widgets.Control("dead", "dead", 0, unit="A", min=0, max=9, step=1),
]
def compute(live, mode, sometimes, dead):
    return live, mode, sometimes if mode == "on" else 0
def draw(stats):
    figure = new_figure(3, 1)
    figure.text(0, 0, str(stats))
    return figure
widgets.explorer(compute, draw, str, controls)
"""


def calls(name):
    """The explorer modules that a notebook calls, in order."""
    if name == OTHERS:
        return [module for other in chain.CHAIN if other != WHOLE for module in calls(other)]
    source = "\n".join(cell.source for _, cell in code_cells(chain.read(chain.NOTEBOOKS / name)))
    return CALL.findall(source)


def write_notebook(sources, path):
    from nbformat import v4

    cells = [v4.new_code_cell(source) for source in sources]
    chain.write(v4.new_notebook(cells=cells, metadata={"kernelspec": chain.KERNEL}), path)


def write_others(path):
    """One notebook with every explorer but ``WHOLE``'s: of each notebook also what imports and sets up, two cells."""
    sources = []
    for name in chain.CHAIN:
        if name != WHOLE and calls(name):
            code = [cell.source for _, cell in code_cells(chain.read(chain.NOTEBOOKS / name))]
            sources += [source for i, source in enumerate(code) if i < 2 or CALL.search(source)]
    write_notebook(sources, path)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """JupyterLab on copies of the notebooks: it saves what it opens."""
    with Lab(tmp_path_factory.mktemp("lab")) as lab:
        for folder in ("notebooks", "figures"):
            if (ROOT / folder).is_dir():
                shutil.copytree(ROOT / folder, lab.root / folder, ignore=shutil.ignore_patterns(".*"))
        write_others(lab.root / "notebooks" / OTHERS)
        yield lab


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    with browser.chromium(tmp_path_factory.mktemp("chromium")) as program:
        yield program


@pytest.fixture
def open_notebook(lab, chromium):
    opened = []

    def open_one(path):
        opened.append(browser.Notebook(chromium, lab, path))
        return opened[-1]

    yield open_one
    for notebook in opened:
        notebook.close()


def check_shown(shown, label):
    """There is one picture, it can be seen, and the words for it are those under it."""
    assert shown.pictures == 1 and shown.width > 0, label
    assert shown.src.startswith("data:image/png;base64,"), label
    alt, sentence = " ".join(shown.alt.split()), " ".join(shown.sentence.split())
    assert alt and sentence.endswith(alt), f"{label}: the picture's alt text isn't the sentence: {alt!r}, {sentence!r}"


def check_control(explorer, control):
    """Each of value, picture and sentence follows the keyboard, in the mode that the explorer is in or in another."""
    missing = {"value", "picture", "sentence"}
    for mode, most in modes(explorer, control):
        if explorer.controls()[control.row].disabled:  # it takes no part in this mode, and shows so
            continue
        before, old = explorer.shown(), explorer.controls()[control.row].value
        for moved in explorer.moves(control, most):
            shown = explorer.shown()
            check_shown(shown, control.label)
            assert moved.readout.strip(), f"{control.label}: no readout"
            missing -= {"value"} if moved.value != old else set()
            missing -= {"picture"} if shown.src != before.src else set()
            missing -= {"sentence"} if shown.sentence != before.sentence else set()
            if not missing:
                return mode
            before, old = shown, moved.value
    raise AssertionError(f"{control.label!r} moved by keyboard, and these stayed as they were: {sorted(missing)}")


def modes(explorer, control):
    """Bring the explorer into one mode after another by keyboard, and how many values to try there.

    First as it is, then every choice of its other lists, the short ones (a switch) before the presets.
    """
    yield "as it is", None
    others = [other for other in explorer.controls() if other.kind != "slider" and other.row != control.row]
    for other in sorted(others, key=lambda other: other.count):
        for moved in explorer.moves(other):
            yield f"{other.label}: {moved.readout}", 2


@pytest.mark.parametrize("name", [WHOLE, OTHERS])
def test_every_control_of_every_explorer_moves_by_keyboard(open_notebook, name):
    notebook = open_notebook(f"notebooks/{name}")
    with browser.keep_screenshot(notebook.page, name.removesuffix(".ipynb")):
        assert notebook.run_all() is True
        explorers = notebook.explorers()
        assert len(explorers) == len(calls(name)) > 0
        for explorer, module in zip(explorers, calls(name)):
            expected = importlib.import_module(f"sdbnn_lite.lessons.explorers.{module}").CONTROLS
            labels = [control.label for control in explorer.controls()]
            assert [c.label + (f" [{c.unit}]" if c.unit else "") for c in expected] == labels[-len(expected) :]
            check_shown(explorer.shown(), module)
            for control in explorer.controls():
                mode = check_control(explorer, control)
                print(f"{module}: {control.label}: {mode}")
        assert notebook.errors == []


PLACES = """() => {
    const explorer = document.querySelector(".sdbnn-explorer");
    const place = node => { const r = node.getBoundingClientRect(); return [r.left, r.top, r.width, r.height]; };
    return [explorer, ...explorer.children].map(place);
}"""


def test_an_explorer_fits_a_laptop_and_a_phone(open_notebook, lab):
    """Where there is room, controls and picture stand side by side, all to be seen at once; else below each other."""
    source = "from sdbnn_lite.lessons.explorers import weight_shift\nweight_shift.explorer()"
    write_notebook([source], lab.root / "narrow.ipynb")
    notebook = open_notebook("narrow.ipynb")
    assert notebook.run_all() is True
    notebook.page.set_viewport_size({"width": 1366, "height": 768})
    notebook.settle()
    whole, controls, picture = notebook.page.evaluate(PLACES)
    assert controls[1] == picture[1] and controls[0] + controls[2] <= picture[0] and whole[3] < 620
    notebook.page.evaluate("jupyterapp.shell.collapseLeft()")
    notebook.page.set_viewport_size({"width": 390, "height": 844})
    notebook.settle()
    whole, controls, picture = notebook.page.evaluate(PLACES)
    assert controls[1] + controls[3] <= picture[1]
    assert all(left + width <= 390 for left, _, width, _ in (whole, controls, picture))


def test_a_control_that_changes_nothing_is_found_and_a_picture_kept(open_notebook, lab, monkeypatch, tmp_path):
    write_notebook([DEAD], lab.root / "dead.ipynb")
    monkeypatch.setattr(browser, "FAILURES", tmp_path / "kept")
    notebook = open_notebook("dead.ipynb")
    assert notebook.run_all() is True
    (explorer,) = notebook.explorers()
    live, mode, sometimes, dead = explorer.controls()
    assert check_control(explorer, live) == check_control(explorer, mode) == "as it is"
    explorer.focus(mode.row, 0)
    notebook.page.keyboard.press("Space")  # off
    notebook.settle()
    assert check_control(explorer, sometimes) == "mode: on"
    with pytest.raises(AssertionError, match=r"'dead \[A\]' moved.*\['picture', 'sentence'\]"):
        with browser.keep_screenshot(notebook.page, "dead"):
            check_control(explorer, dead)
    assert (tmp_path / "kept" / "dead.png").read_bytes().startswith(b"\x89PNG")


def test_a_cell_that_fails_is_told(open_notebook, lab):
    write_notebook(["1 / 0"], lab.root / "failing.ipynb")
    assert "ZeroDivisionError" in str(open_notebook("failing.ipynb").run_all())

"""The walkthrough from end to end, with a recipe of two epochs and a notebook of two cells."""

import dataclasses
import shutil
import signal
import sys

import pytest
from made_results import made_layer

from sdbnn_lite import cli
from sdbnn_lite.core.record import record_signs
from sdbnn_lite.data.in_memory import ImageSet
from sdbnn_lite.data.sets import digit_images
from sdbnn_lite.pages import chain, walkthrough
from sdbnn_lite.pages.first_cell import REPOSITORY
from sdbnn_lite.plots import gallery, gallery_cifar10, gallery_imagenet
from sdbnn_lite.training.recipes import RECIPES
from sdbnn_lite.weights.files import CHECKPOINT, WEIGHTS, read_tensors
from sdbnn_lite.weights.zoo import load

RUN = "digits-sdbnn-seed0"
SHORT = dataclasses.replace(RECIPES["digits"], epochs=2, batch_size=256)
DRAWN = ["digits_curves.png", "digits_methods.csv", "output_signs.svg", "signs_after_training.png"]


@pytest.fixture(autouse=True)
def short(monkeypatch, one_thread):
    """Two epochs of six steps, and no notebook but those that a test writes: one that isn't there is left out."""
    monkeypatch.setitem(RECIPES, "digits", SHORT)
    monkeypatch.setattr(chain, "CHAIN", ("none.ipynb",))


@pytest.fixture
def notebooks(tmp_path, monkeypatch):
    """notebooks(name=[sources]): writes notebooks that the chain takes for its own."""
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")

    def fill(**cells):
        folder = tmp_path / "chain"
        folder.mkdir()
        for name, sources in cells.items():
            nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
            nbformat.write(nb, folder / f"{name}.ipynb")
        monkeypatch.setattr(chain, "NOTEBOOKS", folder)
        monkeypatch.setattr(chain, "CHAIN", tuple(sorted(f"{name}.ipynb" for name in cells)))

    return fill


@pytest.fixture
def drawn_quickly(monkeypatch):
    """For what isn't about the committed figures: an empty file in their place."""

    def draw_all(out):
        (out / "drawn.png").touch()
        return [out / "drawn.png"]

    monkeypatch.setattr(gallery, "draw_all", draw_all)


def walk(out, capsys):
    """Exit code, what was printed, and what was complained about."""
    code = cli.main(["walkthrough", "--out", str(out)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture(scope="module")
def finished(tmp_path_factory, one_thread):
    """The run of a finished walkthrough, made once; to be copied."""
    out = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(RECIPES, "digits", SHORT)
        walkthrough.train_or_reuse(out / RUN)
    return out / RUN


@pytest.fixture
def trained(finished, tmp_path):
    """A folder for a walkthrough in which the training is finished already."""
    shutil.copytree(finished, tmp_path / "out" / RUN)
    return tmp_path / "out"


@pytest.mark.slow
def test_from_end_to_end(tmp_path, notebooks, capsys, monkeypatch):
    """With the digits' figures; test_gallery draws all."""
    for module in (gallery_cifar10, gallery_imagenet):
        monkeypatch.setattr(module, "FIGURES", {})
    notebooks(a_first=["x = 6", "print(x * 7)"], b_second=["print('done')"])
    out = tmp_path / "out"
    code, printed, complaints = walk(out, capsys)
    assert code == 0 and "sdbnn-lite" not in complaints  # only the progress bar's
    steps = ["Training sdbnn on digits", "test accuracy", "signs on all test images", "Running the notebooks",
             "a_first", "b_second", "Drawing the figures", "Where to look"]  # fmt: skip
    places = [printed.index(step) for step in steps]
    assert places == sorted(places)
    assert "42" in (out / "notebooks" / "a_first.ipynb").read_text() and (out / "notebooks" / "b_second.ipynb").exists()
    for name in DRAWN:
        assert (out / "figures" / name).stat().st_size > 0
    assert load(out / RUN).about["identity"]["method"] == "sdbnn"


def test_the_table_says_what_was_recorded(trained, capsys, drawn_quickly):
    _, printed, _ = walk(trained, capsys)
    recorded = record_signs(load(trained / RUN), digit_images())
    rows = {line.split()[0]: line for line in printed.splitlines() if line.strip().startswith("conv")}
    assert list(rows) == list(recorded) == ["conv2", "conv3"]
    for name, s in recorded.items():
        weights = load(trained / RUN).get_submodule(name).weight.numel()
        wanted = (f"{100 * s.input_before.mean():.1f} %", f"{100 * s.input_after.mean():.1f} %",
                  f"{round(s.weight_flips * weights):,} of {weights:,}", f"{100 * s.output.mean():.1f} %",
                  f"{s.entropy.mean():.3f} bit")  # fmt: skip
        assert rows[name].split(maxsplit=1)[1].replace("  ", " ").split() == " ".join(wanted).split()
    head = next(line for line in printed.splitlines() if "after ASD" in line)
    assert len(head) == len(rows["conv2"])


def test_a_second_walk_reuses_the_finished_run(trained, capsys, drawn_quickly):
    weights = (trained / RUN / WEIGHTS).read_bytes()
    _, printed, complaints = walk(trained, capsys)
    assert "finished before, reused from" in printed and " steps, " not in complaints  # no bar of nothing
    assert (trained / RUN / WEIGHTS).read_bytes() == weights


def test_a_begun_run_is_resumed_and_ends_the_same(finished, tmp_path, capsys, drawn_quickly, monkeypatch):
    epoch, left = ImageSet.epoch, [8]

    def interrupted(self, *args, **kwargs):  # Ctrl-C while the eighth batch, of the second epoch, is prepared
        for batch in epoch(self, *args, **kwargs):
            left[0] -= 1
            if left[0] == 0:
                signal.raise_signal(signal.SIGINT)
            yield batch

    with monkeypatch.context() as patch:
        patch.setattr(ImageSet, "epoch", interrupted)
        code, printed, complaints = walk(tmp_path / "cut", capsys)
    assert code == 130 and "the same command" in complaints and "signs on all" not in printed
    assert read_tensors(tmp_path / "cut" / RUN / CHECKPOINT)[1]["progress"]["epoch"] == 1

    _, printed, _ = walk(tmp_path / "cut", capsys)
    assert "resumed after epoch 1" in printed
    assert (tmp_path / "cut" / RUN / WEIGHTS).read_bytes() == (finished / WEIGHTS).read_bytes()


def test_without_the_notebooks_packages_the_rest_is_done(trained, notebooks, capsys, drawn_quickly, monkeypatch):
    notebooks(a_first=["print(1)"])
    monkeypatch.setitem(sys.modules, "nbclient", None)  # importing it raises ModuleNotFoundError
    code, printed, complaints = walk(trained, capsys)
    assert code == 2 and "Where to look" in printed and "executed notebooks" not in printed
    last = complaints.splitlines()[-1]
    assert "the notebooks were left out" in last and "pip install 'sdbnn-lite[notebooks]'" in last
    assert {p.name for p in (trained / "figures").iterdir()} >= {"drawn.png", "signs_after_training.png"}


def test_an_installed_package_has_no_notebooks_and_says_where_they_are(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(chain, "CHAIN", ())
    code, printed, complaints = walk(tmp_path / "out", capsys)
    assert code == 2 and printed == "" and not (tmp_path / "out").exists()
    assert complaints.endswith(f"run this from a clone of https://github.com/{REPOSITORY}\n")


def test_a_failing_notebook_is_named_with_its_cell(trained, notebooks, capsys, drawn_quickly):
    notebooks(a_good=["print(1)"], b_bad=["x = 1", "1 / 0"])
    code, printed, complaints = walk(trained, capsys)
    last = complaints.splitlines()[-1]
    assert code == 1 and "b_bad.ipynb stopped at cell 2: ZeroDivisionError" in last
    assert "Traceback" not in complaints
    assert (trained / "notebooks" / "a_good.ipynb").exists() and (trained / RUN / WEIGHTS).exists()


def test_a_notebook_that_lacks_something_is_named_and_the_rest_is_done(trained, notebooks, capsys, drawn_quickly):
    refuse = "class UsageError(ValueError): pass\nraise UsageError('no such file')"  # as the package's own
    notebooks(a_good=["print(1)"], b_lacking=[refuse])
    code, _, complaints = walk(trained, capsys)
    assert code == 2
    assert "left out from b_lacking.ipynb on: b_lacking.ipynb: no such file" in complaints.splitlines()[-1]
    assert (trained / "figures" / "drawn.png").exists()


def test_another_run_in_the_folder_stays_as_it_is(trained, capsys, drawn_quickly, monkeypatch):
    files = {p: p.read_bytes() for p in (trained / RUN).iterdir()}
    monkeypatch.setitem(RECIPES, "digits", dataclasses.replace(RECIPES["digits"], epochs=3))
    code, _, complaints = walk(trained, capsys)
    assert code == 2 and "epochs is 2 there, 3 here" in complaints
    assert {p: p.read_bytes() for p in (trained / RUN).iterdir()} == files


def test_a_folder_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    code, printed, complaints = walk(tmp_path / "file", capsys)
    assert code == 2 and printed == "" and complaints.count("\n") == 1


def test_a_damaged_checkpoint_is_named(tmp_path, capsys):
    (tmp_path / RUN).mkdir()
    (tmp_path / RUN / CHECKPOINT).write_bytes(b"nothing")
    code, _, complaints = walk(tmp_path, capsys)
    assert code == 2 and CHECKPOINT in complaints


def test_the_table_needs_no_training():
    text = walkthrough.sign_table({"conv2": made_layer(output=[0.5, 0.5], before=[0.25], after=[0.75])})
    assert text.splitlines()[1].split() == "conv2 25.0 % 75.0 % 0 of 576 50.0 % 1.000 bit".split()

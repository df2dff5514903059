"""A run that was stopped goes on to the same result, to the last bit, and loses no finished epoch."""

import dataclasses
import json
import shutil
import signal
import time

import children
import pytest
from interrupts import train_until
from tiny_runs import QUIET, TINY, quiet, same_run, train_tiny

from sdbnn_lite import data
from sdbnn_lite.analysis.captions import hardware
from sdbnn_lite.analysis.publish import read_run
from sdbnn_lite.errors import UsageError
from sdbnn_lite.system.interrupt import ended_politely, stop_code
from sdbnn_lite.training import run_folder
from sdbnn_lite.training.train import train
from sdbnn_lite.weights.files import CHECKPOINT, WEIGHTS, read_tensors, write_tensors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_what_ends_a_process_saves_too(number, tiny_run, tmp_path, interrupt_after, monkeypatch):
    """In a command; it comes twice, as it does when a terminal is lost."""
    interrupt_after(9, number)
    with ended_politely():
        stopped = train(TINY, tmp_path / "run", options=QUIET)
        assert stopped.stopped and not stopped.finished and stop_code() == 128 + number
    monkeypatch.undo()
    assert read_tensors(tmp_path / "run" / CHECKPOINT)[1]["progress"]["step"] == 3
    assert not train(TINY, tmp_path / "run", resume=True, options=QUIET).stopped
    same_run(tiny_run, tmp_path / "run")


def test_a_script_that_trains_is_ended_after_the_save(tiny_run, tmp_path):
    """Nobody handles SIGTERM there: the process dies of it, as ever, but its state is on the disk."""
    process = children.start(train_until, tmp_path / "run", 9, signal.SIGTERM)
    process.join()
    assert process.exitcode == -signal.SIGTERM
    train_tiny(tmp_path / "run")
    same_run(tiny_run, tmp_path / "run")


@pytest.mark.parametrize("batches", [1, 6, 9])  # 6 an epoch: in the first, at a seam, in the second
def test_ctrl_c_saves_and_resume_is_exact(batches, tiny_run, tmp_path, interrupt_after, monkeypatch):
    out = tmp_path / "run"
    interrupt_after(batches)
    stopped = train(TINY, out, options=QUIET)
    assert not stopped.finished and stopped.score is None
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    at = read_tensors(out / CHECKPOINT)[1]["progress"]
    steps = 6
    finished_epochs = at["epoch"] * steps + at["step"]
    assert finished_epochs == batches
    monkeypatch.undo()
    assert train(TINY, out, resume=True, options=QUIET).finished
    same_run(tiny_run, out)


def test_stopped_twice_is_exact_too(tiny_run, tmp_path, interrupt_after, monkeypatch):
    out = tmp_path / "run"
    interrupt_after(2)
    train(TINY, out, options=QUIET)
    interrupt_after(3)
    train(TINY, out, resume=True, options=QUIET)
    monkeypatch.undo()
    train(TINY, out, resume=True, options=QUIET)
    same_run(tiny_run, out)


def test_sigkill_at_any_moment_loses_nothing(tiny_run, tmp_path):
    """A real process, killed for good three times at different moments, then resumed to the end."""
    out, ends = tmp_path / "run", []
    for delay in (0.0, 0.15, 0.4):
        process = children.start(train_tiny, out)
        deadline = time.monotonic() + 600
        while not (out / CHECKPOINT).exists() and time.monotonic() < deadline and process.is_alive():
            time.sleep(0.01)
        time.sleep(delay)
        process.kill()
        process.join()
        ends.append(process.exitcode)
    assert ends[0] == -signal.SIGKILL
    train_tiny(out)
    same_run(tiny_run, out)
    assert not list(out.glob(".*.tmp"))


def test_rows_of_an_unfinished_epoch_are_cut_off(tmp_path, tiny_run, interrupt_after, monkeypatch):
    """Killed after the log was written, before the checkpoint was: the epoch is run again, its row isn't doubled."""
    out = tmp_path / "run"
    interrupt_after(8)  # in the second epoch
    train(TINY, out, options=QUIET)
    monkeypatch.undo()
    log = out / run_folder.LOG
    log.write_text(log.read_text() + log.read_text().splitlines()[-1].replace("1,", "2,", 1) + "\n")
    train(TINY, out, resume=True, options=QUIET)
    same_run(tiny_run, out)


def test_a_finished_run_resumed_says_its_result_again(tiny_run):
    weights = (tiny_run / WEIGHTS).read_bytes()
    before = (tiny_run / run_folder.RUN).read_bytes()
    result = train(TINY, tiny_run, resume=True, options=quiet(command="another"))
    assert result.finished and result.score.images == 360
    assert (tiny_run / WEIGHTS).read_bytes() == weights and (tiny_run / run_folder.RUN).read_bytes() == before


def test_killed_between_the_last_checkpoint_and_the_result(tmp_path, tiny_run):
    """Every epoch is done but nothing says how it ended: resuming finishes it, as if there had been no kill."""
    out = tmp_path / "run"
    shutil.copytree(tiny_run, out)
    run = json.loads((out / run_folder.RUN).read_text())
    (out / run_folder.RUN).write_text(json.dumps({**run, "result": None}))
    (out / WEIGHTS).unlink()
    assert train(TINY, out, resume=True, options=QUIET).finished
    same_run(tiny_run, out)
    assert json.loads((out / run_folder.RUN).read_text())["result"] == run["result"]


def test_weights_that_are_gone_are_written_again(tmp_path, tiny_run):
    out = shutil.copytree(tiny_run, tmp_path / "run")
    (out / WEIGHTS).unlink()
    assert run_folder.result_of(out) is None and train(TINY, out, resume=True, options=QUIET).finished
    same_run(tiny_run, out)


def test_killed_before_the_first_checkpoint_it_simply_begins(tmp_path, tiny_run):
    out = tmp_path / "run"
    out.mkdir()
    (out / run_folder.RUN).write_bytes((tiny_run / run_folder.RUN).read_bytes())
    train(TINY, out, options=QUIET)
    same_run(tiny_run, out)


def test_what_another_process_did_meanwhile_is_not_undone(tmp_path, interrupt_after, monkeypatch, tiny_run):
    """Images may take minutes to load. Until they are there the same run goes on, or begins, and ends elsewhere."""
    out, load_data = tmp_path / "run", data.load

    def meanwhile(**how):
        def slow(*args, **kwargs):
            monkeypatch.undo()
            train(TINY, out, options=QUIET, **how)
            return load_data(*args, **kwargs)

        monkeypatch.setattr(data, "load", slow)

    interrupt_after(3)
    train(TINY, out, options=QUIET)
    monkeypatch.undo()
    meanwhile(resume=True)
    assert train(TINY, out, resume=True, options=QUIET).finished
    same_run(tiny_run, out)
    out = tmp_path / "other"
    meanwhile()
    with pytest.raises(UsageError, match="holds a run already"):
        train(TINY, out, options=QUIET)
    same_run(tiny_run, out)


def test_adam_resumes_exactly(tmp_path, interrupt_after, monkeypatch):
    recipe = dataclasses.replace(TINY, optimizer="adam", lr=1e-3, epochs=1)
    train(recipe, tmp_path / "whole", options=QUIET)
    interrupt_after(3)
    train(recipe, tmp_path / "run", options=QUIET)
    monkeypatch.undo()
    train(recipe, tmp_path / "run", resume=True, options=QUIET)
    same_run(tmp_path / "whole", tmp_path / "run")


RICH = dataclasses.replace(
    TINY, epochs=2, warmup_epochs=1, label_smoothing=0.1, decay_all=False, ema=0.8, reflect=True, cutout=2,
    alternate_flip=True, flip=True, distill=0.5,
)  # fmt: skip


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    out = tmp_path_factory.mktemp("teacher") / "run"
    train(dataclasses.replace(TINY, epochs=1), out, method="float", options=QUIET)
    return str(out)


@pytest.fixture(scope="module")
def rich_run(teacher, tmp_path_factory):
    """An uninterrupted run of RICH; to be read only."""
    out = tmp_path_factory.mktemp("rich") / "run"
    train(RICH, out, options=quiet(teacher=teacher))
    return out


@pytest.mark.parametrize("batches", [3, 6, 8])  # in an epoch, at its very end, in the second
def test_with_all_that_best_adds_it_resumes_to_the_last_bit(
    batches, teacher, rich_run, tmp_path, interrupt_after, monkeypatch
):
    """Averaged weights, warm-up, two decay groups, a teacher and every augmentation; batch norm estimated anew."""
    interrupt_after(batches)
    out = tmp_path / "run"
    assert not train(RICH, out, options=quiet(teacher=teacher)).finished
    monkeypatch.undo()
    assert train(RICH, out, resume=True, options=quiet(teacher=teacher)).finished
    same_run(rich_run, out)
    before = (out / WEIGHTS).read_bytes()
    assert train(RICH, out, resume=True, options=quiet(teacher=teacher)).score.images == 360  # said again
    assert (out / WEIGHTS).read_bytes() == before


def test_another_teacher_is_another_run(teacher, tmp_path):
    recipe = RICH.with_epochs(1)
    train(recipe, tmp_path / "run", options=quiet(teacher=teacher))
    run = json.loads((tmp_path / "run" / run_folder.RUN).read_text())
    assert run["distill"] == 0.5 and len(run["teacher"]) == 16 and run["path"]
    other = train(dataclasses.replace(TINY, epochs=1), tmp_path / "other", method="float", seed=1, options=QUIET)
    with pytest.raises(UsageError, match="teacher is '[0-9a-f]{16}' there, '[0-9a-f]{16}' here"):
        train(recipe, tmp_path / "run", resume=True, options=quiet(teacher=other.out))


def test_the_new_settings_are_part_of_a_runs_identity(tiny_run):
    for change in ({"ema": 0.9}, {"label_smoothing": 0.1}, {"warmup_epochs": 1}, {"decay_all": False}, {"cutout": 2}):
        (field,) = change
        with pytest.raises(UsageError, match=f"{field} is .* there, {change[field]!r} here"):
            train(dataclasses.replace(TINY, **change), tiny_run, resume=True, options=QUIET)


def test_a_run_that_goes_on_elsewhere_names_each_machine_that_finished_an_epoch(tmp_path, interrupt_after, monkeypatch):
    out = tmp_path / "run"
    for name, batches in (("A", 8), ("B", 2), ("C", 6), ("C", 1), ("D", None)):  # 6 an epoch
        machine = {"cpu": name, "gpu": None, "threads": 1}
        monkeypatch.setattr("sdbnn_lite.training.train.describe_machine", lambda device, machine=machine: machine)
        if batches:
            interrupt_after(batches)
        train(TINY, out, resume=name != "A", options=QUIET)
        monkeypatch.undo()
    named = "A, 1 thread up to epoch 1, then C, 1 thread up to epoch 2, then D, 1 thread"
    assert hardware(read_run(out)) == named


def test_a_run_of_an_earlier_version_is_resumed(tmp_path, tiny_run, interrupt_after, monkeypatch):
    """Its checkpoint doesn't name the settings that came later: they were as published."""
    out = tmp_path / "run"
    interrupt_after(8)
    train(TINY, out, options=QUIET)
    monkeypatch.undo()
    tensors, about = read_tensors(out / CHECKPOINT)
    later = ("warmup_epochs", "label_smoothing", "distill", "decay_all", "ema", "reflect", "cutout", "alternate_flip")
    for field in (*later, "teacher"):
        del about["identity"][field]
    write_tensors(out / CHECKPOINT, tensors, about)
    train(TINY, out, resume=True, options=QUIET)
    same_run(tiny_run, out)

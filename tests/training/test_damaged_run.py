"""A run's folder with something wrong in it: resumed or read as it was, or refused in one sentence."""

import json
import shutil

import pytest
import torch
from tiny_runs import QUIET, TINY, log_of, same_run

from sdbnn_lite import cli
from sdbnn_lite.errors import UsageError
from sdbnn_lite.system.files import read_csv
from sdbnn_lite.training import run_folder
from sdbnn_lite.training.run_folder import read_run, read_table
from sdbnn_lite.training.train import train
from sdbnn_lite.weights.files import CHECKPOINT, WEIGHTS, read_tensors, write_tensors


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A folder whose run was stopped within its second epoch."""
    out = tmp_path_factory.mktemp("stopped") / "run"
    with pytest.MonkeyPatch.context() as patch:
        from interrupts import epoch_with_ctrl_c

        from sdbnn_lite.data.in_memory import ImageSet

        torch.set_num_threads(1)
        patch.setattr(ImageSet, "epoch", epoch_with_ctrl_c(8))  # 6 an epoch
        assert not train(TINY, out, options=QUIET).finished
    return out


@pytest.fixture
def out(stopped, tmp_path):
    return shutil.copytree(stopped, tmp_path / "run")


def rewrite(out, change):
    """The checkpoint after ``change(tensors, about)``, whole and with a digest: somebody meant it."""
    tensors, about = read_tensors(out / CHECKPOINT)
    change(tensors, about)
    write_tensors(out / CHECKPOINT, tensors, about)


def refused(out, *words):
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(UsageError) as caught:
        train(TINY, out, resume=True, options=QUIET)
    assert all(word in str(caught.value) for word in words) and "\n" not in str(caught.value)
    assert {p.name: p.read_bytes() for p in out.iterdir() if p.name != run_folder.LOCK} == before


@pytest.mark.parametrize("wrong", [
    {"epoch": float("nan")}, {"epoch": float("inf")}, {"epoch": "1"}, {"epoch": 4}, {"epoch": 3}, {"epoch": -1},
    {"step": 1}, {"step": 0}, {"step": 7}, {"step": True}, {"seen": 0}, {"correct": 10_000}, {"seconds": 0},
    {"loss_sum": float("nan")}, {"loss_sum": None}, {"seconds": float("inf")},
])  # fmt: skip
def test_where_a_run_stands_has_to_be_possible(out, wrong):
    rewrite(out, lambda _, about: about["progress"].update(wrong))
    refused(out, CHECKPOINT, next(iter(wrong)))


@pytest.mark.parametrize("key", ["progress", "random/epoch"])
def test_nothing_may_be_missing(out, key):
    rewrite(out, lambda tensors, about: (tensors.pop(key, None), about.pop(key, None)))
    refused(out, CHECKPOINT, key)


@pytest.mark.parametrize("key", ["optimizer/x/y/z", "optimizer/99/momentum_buffer", "optimizer/0/exp", "optimizer/0"])
def test_the_optimizers_state_belongs_to_this_network(out, key):
    rewrite(out, lambda tensors, _: tensors.update({key: tensors["optimizer/0/momentum_buffer"].clone()}))
    refused(out, CHECKPOINT, key)


@pytest.mark.parametrize("tensor", [torch.zeros(3, dtype=torch.uint8), torch.zeros(5056), torch.zeros(())])
def test_random_numbers_come_from_a_generator(out, tensor):
    rewrite(out, lambda tensors, _: tensors.update({"random/epoch": tensor}))
    refused(out, CHECKPOINT, "random/epoch")


def test_momentum_is_finite(out):
    rewrite(out, lambda tensors, _: tensors["optimizer/2/momentum_buffer"].fill_(float("nan")))
    refused(out, CHECKPOINT, "optimizer/2/momentum_buffer", "finite")


@pytest.mark.parametrize(
    "damage", [lambda text: text[:-20], lambda text: "\xff\xfe" + text, lambda text: "epoch\nno\n"]
)
def test_logs_come_from_the_checkpoint(out, tiny_run, damage, capsys):
    """So a damaged one doesn't matter: whoever reads it is told, and resuming writes it anew."""
    before = read_csv(out / run_folder.LOG)
    (out / run_folder.LOG).write_text(damage((out / run_folder.LOG).read_text()), encoding="latin-1")
    assert read_run(out)[1] == before
    assert "log.csv: damaged" in capsys.readouterr().err
    assert train(TINY, out, resume=True, options=QUIET).finished
    same_run(out, tiny_run)


def test_without_rows_in_the_checkpoint_the_file_counts(out, tiny_run):
    """That of an earlier version, which resumes to the same bits."""
    rewrite(out, lambda tensors, _: [tensors.pop(f"table/{name}") for name in (run_folder.LOG, run_folder.SIGNS)])
    text = (out / run_folder.LOG).read_text()
    for damaged in (text[:-20], text.replace("0.", "x.")):
        (out / run_folder.LOG).write_text(damaged)
        with pytest.raises(UsageError, match="log.csv: damaged"):
            read_table(out, run_folder.LOG)
    (out / run_folder.LOG).write_text(text[:-20])
    refused(out, "log.csv: damaged")
    (out / run_folder.LOG).write_text(text)
    assert train(TINY, out, resume=True, options=QUIET).finished
    same_run(out, tiny_run)


def test_another_number_in_a_log_is_noticed(tiny_run, tmp_path, capsys):
    out = shutil.copytree(tiny_run, tmp_path / "run")
    loss = read_csv(out / run_folder.LOG)[0]["train_loss"]
    (out / run_folder.LOG).write_text((out / run_folder.LOG).read_text().replace(loss, "0.5", 1))
    assert read_table(out, run_folder.LOG) == read_csv(tiny_run / run_folder.LOG)
    assert "log.csv: damaged" in capsys.readouterr().err and log_of(tiny_run)


@pytest.mark.parametrize("wrong", [
    {"epochs": "x"}, {"epochs": 2.5}, {"epochs": 0}, {"command": None}, {"network": "x"}, {"data": None}, {"lr": "low"},
    {"machine": []}, {"result": 3}, {"result": {"test_accuracy": "0.9"}}, {"earlier": [1]},
])  # fmt: skip
def test_what_the_run_was_has_to_be_known(tiny_run, tmp_path, wrong):
    out = shutil.copytree(tiny_run, tmp_path / "run")
    run = json.loads((out / run_folder.RUN).read_text())
    for changed in ({**run, **wrong}, {k: v for k, v in {**run, **wrong}.items() if k != "digest"}):
        (out / run_folder.RUN).write_text(json.dumps(changed))
        with pytest.raises(UsageError, match=r"run\.json: "):
            read_run(out)
        assert cli.main(["publish", str(out), "--out", str(tmp_path / "to")]) == 2 and not (tmp_path / "to").exists()


def test_another_command_in_run_json_is_noticed(tiny_run, tmp_path):
    out = shutil.copytree(tiny_run, tmp_path / "run")
    run = json.loads((out / run_folder.RUN).read_text())
    (out / run_folder.RUN).write_text(json.dumps({**run, "command": "another"}))
    with pytest.raises(UsageError, match=r"run\.json: was changed since it was written"):
        read_run(out)


def test_evaluate_says_that_a_run_is_unfinished(out, tiny_run, capsys):
    assert cli.main(["evaluate", str(out)]) == 0
    assert "; epoch 1 of 3, unfinished): test accuracy" in capsys.readouterr().out
    assert cli.main(["evaluate", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["unfinished"] == "epoch 1 of 3, unfinished"
    assert cli.main(["evaluate", str(tiny_run / WEIGHTS)]) == 0 and "unfinished" not in capsys.readouterr().out

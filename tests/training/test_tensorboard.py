"""``--tensorboard``: what its files say, read back by TensorBoard's own reader; and the run is what it is without."""

import dataclasses
import shutil
import signal
import sys

import pytest
import torch
from tiny_runs import QUIET, TINY, quiet, same_run

from sdbnn_lite import cli
from sdbnn_lite.core.layers import binary_layers
from sdbnn_lite.errors import RunError, UsageError
from sdbnn_lite.system.files import read_csv
from sdbnn_lite.training import run_folder
from sdbnn_lite.training.train import train
from sdbnn_lite.training.trainer import Trainer
from sdbnn_lite.weights.files import CHECKPOINT, WEIGHTS
from sdbnn_lite.weights.zoo import load

reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
BOARD = quiet(tensorboard="")
LAYERS = ("conv2", "conv3")


def read(folder):
    found = reading.EventAccumulator(str(folder), {"histograms": 0})  # 0: keep all of them
    found.Reload()
    return found


def scalars(board, tag):
    """{epoch: value}; an epoch that is there twice is an error."""
    events = board.Scalars(tag)
    assert len({event.step for event in events}) == len(events), tag
    return {event.step: event.value for event in events}


def weight_signs(folder):
    """ŵ of every layer of the network in a run's folder."""
    return {name: layer.binary_weight().detach() for name, layer in binary_layers(load(folder)).items()}


def stop_after(epoch, out):
    """Train TINY in ``out``, with Ctrl-C while the test images are scored after ``epoch``: it stops between epochs."""

    def end_epoch(trainer, original=Trainer.end_epoch):
        if trainer.progress.epoch + 1 == epoch:
            signal.raise_signal(signal.SIGINT)
        return original(trainer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "end_epoch", end_epoch)
        assert not train(TINY, out, options=BOARD).finished


@pytest.fixture(scope="module")
def stopped_once(tmp_path_factory):
    """A run that was stopped after its second epoch, then resumed to the end; and its weights' signs at both."""
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("board") / "run"
    stop_after(2, out)
    before = weight_signs(out)
    assert train(TINY, out, resume=True, options=BOARD).finished
    return out, before, weight_signs(out)


def test_the_run_is_the_same_to_the_last_bit(stopped_once, tiny_run):
    out, *_ = stopped_once
    same_run(tiny_run, out)
    assert {p.name for p in out.iterdir()} == {p.name for p in tiny_run.iterdir()} | {"tensorboard"}


def test_curves_are_those_of_the_log_and_of_the_signs(stopped_once):
    out, *_ = stopped_once
    board, log = read(out / "tensorboard"), read_csv(out / run_folder.LOG)
    for name in set(log[0]) - {"epoch", "seconds"}:
        assert scalars(board, name) == pytest.approx({int(row["epoch"]): float(row[name]) for row in log}), name
    signs = read_csv(out / run_folder.SIGNS)
    for layer in LAYERS:
        for name in ("output", "entropy"):
            wanted = {int(row["epoch"]): float(row[name]) for row in signs if row["layer"] == layer}
            assert scalars(board, f"{name}/{layer}") == pytest.approx(wanted)


def test_histograms_of_output_signs_are_those_of_the_table(stopped_once):
    """Every channel at the middle of its bin: counts and mean, from signs.csv read anew."""
    out, *_ = stopped_once
    board = read(out / "tensorboard")
    for row in read_csv(out / "signs.csv"):
        counts = [int(count) for count in row["share_histogram"].split()]
        each = board.Histograms(f"output_signs/{row['layer']}")[int(row["epoch"]) - 1]
        assert each.step == int(row["epoch"]) and each.histogram_value.num == sum(counts) == 64
        mean = sum(count * (place + 0.5) / 20 for place, count in enumerate(counts)) / sum(counts)
        assert each.histogram_value.sum / sum(counts) == pytest.approx(mean)


def test_flips_and_latent_weights(stopped_once):
    out, before, after = stopped_once
    board, net = read(out / "tensorboard"), load(out)
    for layer in LAYERS:
        flips = scalars(board, f"weight_flips/{layer}")
        assert set(flips) == {1, 2, 3} and 0 < flips[3] < 0.5
        assert flips[3] == pytest.approx((before[layer] != after[layer]).double().mean())
        histograms = board.Histograms(f"latent_weights/{layer}")
        weight = dict(net.named_modules())[layer].weight.detach()
        assert [each.step for each in histograms] == [1, 2, 3]
        last, ends = histograms[-1].histogram_value, weight.aminmax()
        assert last.num == weight.numel() and (last.min, last.max) == pytest.approx(tuple(map(float, ends)))


def test_what_a_kill_left_of_an_epoch_is_hidden(tmp_path):
    """The process dies after the second epoch was shown, before its checkpoint; its flips are known again."""
    out = tmp_path / "run"
    stop_after(1, out)
    first = tmp_path / CHECKPOINT
    shutil.copy(out / CHECKPOINT, first)
    train(TINY, out, resume=True, options=BOARD)
    whole = read(out / "tensorboard")
    shutil.copy(first, out / CHECKPOINT)
    (out / WEIGHTS).unlink()
    train(TINY, out, resume=True, options=BOARD)
    again = read(out / "tensorboard")
    for tag in ("train_loss", "entropy/conv2", "weight_flips/conv3"):
        assert set(scalars(again, tag)) == {1, 2, 3} and scalars(again, tag) == scalars(whole, tag)


def test_flips_since_an_unknown_start_are_left_out(tmp_path, interrupt_after, monkeypatch):
    out = tmp_path / "run"
    interrupt_after(9)  # in the middle of the second epoch
    train(TINY, out, options=BOARD)
    monkeypatch.undo()
    train(TINY, out, resume=True, options=BOARD)
    board = read(out / "tensorboard")
    assert set(scalars(board, "weight_flips/conv2")) == {1, 3} and set(scalars(board, "test_loss")) == {1, 2, 3}


ONE = dataclasses.replace(TINY, epochs=1)


def test_a_folder_of_its_own_for_each_run(tmp_path):
    place = tmp_path / "boards"
    for seed in (0, 1):
        train(ONE, tmp_path / f"seed{seed}", seed=seed, options=quiet(tensorboard=place))
    assert {p.name for p in place.iterdir()} == {"seed0", "seed1"}
    assert not (tmp_path / "seed0" / "tensorboard").exists()
    for seed in (0, 1):
        (row,) = read_csv(tmp_path / f"seed{seed}" / run_folder.LOG)
        assert scalars(read(place / f"seed{seed}"), "train_loss") == pytest.approx({1: float(row["train_loss"])})


@pytest.mark.parametrize(
    ("method", "stage", "flips"), [("float", 2, set()), ("sdbnn", 1, set()), ("irnet", 2, {"conv2", "conv3"})]
)
def test_what_has_no_binary_weights_has_no_flips(method, stage, flips, tmp_path):
    train(dataclasses.replace(ONE, stage=stage), tmp_path / "run", method=method, options=BOARD)
    tags = read(tmp_path / "run" / "tensorboard").Tags()
    assert {tag.partition("/")[2] for tag in tags["scalars"] if tag.startswith("weight_flips/")} == flips
    assert len(tags["histograms"]) == (0 if method == "float" else 4)


def test_a_missing_package_or_folder_is_said_before_anything_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="file: not a folder that can be written"):
        train(ONE, "run", options=quiet(tensorboard="file"))
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    assert cli.main(["train", "digits", "--out", "run", "--quiet", "--tensorboard"]) == 2
    err = capsys.readouterr().err
    assert "--tensorboard needs a package: pip install tensorboard" in err and len(err.splitlines()) == 1
    assert {p.name for p in tmp_path.iterdir()} == {"file"}
    assert train(ONE, "run", options=QUIET).finished  # without it, the package isn't asked for


def test_a_full_disk_ends_the_run_with_a_line(tmp_path, monkeypatch):
    from torch.utils.tensorboard import SummaryWriter

    def full(self):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(SummaryWriter, "flush", full)
    with pytest.raises(RunError, match="tensorboard: can't be written .*No space left.*checkpoint of epoch 0 is kept"):
        train(ONE, tmp_path / "run", options=BOARD)


def test_the_option_reaches_the_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train_digits = ["train", "digits", "--epochs", "1", "--batch-size", "512", "--quiet"]
    assert cli.main([*train_digits, "--out", "a", "--tensorboard"]) == 0
    assert cli.main([*train_digits, "--out", "b", "--tensorboard", "boards"]) == 0
    study = ["study", *train_digits[1:], "--methods", "bnn", "--seeds", "1"]
    assert cli.main([*study, "--out", "s", "--tensorboard"]) == 0
    for folder in ("a/tensorboard", "boards/b", "s/bnn-seed0/tensorboard"):
        assert set(scalars(read(folder), "test_accuracy")) == {1}

"""Several processes (gloo, CPU) compute what one does, restart, resume on another number, score every image once."""

import dataclasses
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import children
import distributed_worker as worker
import pytest
import torch
from interrupts import epoch_with_ctrl_c
from places import ROOT
from safetensors.torch import load_file

from sdbnn_lite.data.base import shard
from sdbnn_lite.data.in_memory import ImageSet
from sdbnn_lite.errors import RunError, UsageError
from sdbnn_lite.system.files import read_csv
from sdbnn_lite.training import run_folder
from sdbnn_lite.training.evaluate import evaluate
from sdbnn_lite.training.steps import processes
from sdbnn_lite.training.steps.processes import SINGLE, Processes, check_batch, check_images, join
from sdbnn_lite.training.steps.readable import Step
from sdbnn_lite.training.train import train
from sdbnn_lite.weights.files import CHECKPOINT, WEIGHTS, read_tensors

WORKER = Path(worker.__file__)
PATH = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
CLEAN = {k: v for k, v in os.environ.items() if not k.startswith(("TORCHELASTIC", "RANK", "WORLD", "LOCAL_"))}


def together(processes, out, *tasks):
    """Run the worker's tasks in so many processes, to their good end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(probe.getsockname()[1])}
    where |= {"WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes)}
    ranks = map(str, range(processes))
    running = [children.start(worker.work, out, *tasks, **where, RANK=rank, LOCAL_RANK=rank) for rank in ranks]
    for process in running:
        process.join(600)
    assert [process.exitcode for process in running] == [0] * processes


def stop_one_process(recipe, out, step):
    """A run of this process alone, stopped by Ctrl-C after ``step`` steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ImageSet, "epoch", epoch_with_ctrl_c(step))
        assert not train(recipe, out, **worker.SMOOTH).finished


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """What two processes leave, beside the same from one."""
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("two")
    train(worker.FIVE, out / "one_five", **worker.SMOOTH)
    train(worker.TINY, out / "one", **worker.SMOOTH)
    stop_one_process(worker.TINY, out / "from_one", 8)  # in the second epoch
    together(2, out, "refused", "steps", "runs", "stopped", "resumed", "score")
    return out


def difference(a, b):
    """‖a - b‖/‖a‖ over all floating-point tensors together."""
    keys = [k for k in a if a[k].is_floating_point()]
    flat = [torch.cat([state[k].double().reshape(-1) for k in keys]) for state in (a, b)]
    return float((flat[0] - flat[1]).norm() / flat[0].norm())


def same_run(a, b, tolerance=1e-6):
    """The same weights up to the order of sums, and rows that say the same."""
    assert difference(load_file(a / WEIGHTS), load_file(b / WEIGHTS)) < tolerance
    rows = [read_csv(folder / run_folder.LOG) for folder in (a, b)]
    assert len(rows[0]) == len(rows[1])
    for mine, theirs in zip(*rows):
        for key in ("epoch", "lr", "ede_t"):
            assert mine[key] == theirs[key]
        for key in ("train_loss", "test_loss"):
            assert float(mine[key]) == pytest.approx(float(theirs[key]), rel=1e-4)
        for key in ("train_accuracy", "test_accuracy"):
            assert float(mine[key]) == pytest.approx(float(theirs[key]), abs=2 / 360)


@pytest.mark.slow
@pytest.mark.parametrize("stage", [1, 2])
def test_two_steps_of_the_imagenet_network(two, stage):
    """Both binary or activations alone, synchronised batch norm, Adam, a teacher, parts of 3 and 4 images, float64."""
    expected, sums = worker.two_steps(stage, lambda net, o, l: Step(net.classify, o, l))
    start = worker.stage_net(stage).state_dict()
    assert difference(expected, start) > 1e-3
    parts = [load_file(two / f"steps{stage}-{rank}.safetensors") for rank in (0, 1)]
    totals = [part.pop("sums") for part in parts]
    for part, total in zip(parts, totals):
        assert difference(expected, part) < 1e-7
        assert total.tolist() == pytest.approx(sums, rel=1e-9)
        assert all(torch.equal(part[k], parts[0][k]) for k in part)


@pytest.mark.slow
def test_five_steps_of_the_trainer_in_float32(two):
    """The whole of `train`: 1e-6 relative, batch norm synchronised; the last batch has 79 and 78 images."""
    one, shared = (load_file(two / name / WEIGHTS) for name in ("one_five", "five"))
    assert difference(one, shared) < 1e-6
    same_run(two / "one_five", two / "five")
    assert len(list((two / "five" / "tensorboard").iterdir())) == 1  # only the main process writes
    about = json.loads((two / "five" / run_folder.RUN).read_text())
    assert about["machine"]["processes"] == 2 and about["path"] == "readable, 2 processes"


@pytest.mark.slow
def test_synchronised_batch_norm_is_torchs_on_the_whole_batch(two):
    x, grad = worker.batch_norm_case()
    norm = torch.nn.BatchNorm2d(5).double()
    y = norm(x.requires_grad_())
    y.backward(grad)
    parts = [load_file(two / f"norm-{rank}.safetensors") for rank in (0, 1)]
    for key, whole in {"y": y, "x": x.grad}.items():
        assert torch.allclose(torch.cat([p[key] for p in parts]), whole, atol=1e-12), key
    for part in parts:
        assert torch.allclose(part["mean"], norm.running_mean) and torch.allclose(part["var"], norm.running_var)
    assert torch.allclose(parts[0]["weight"] + parts[1]["weight"], norm.weight.grad)


@pytest.mark.slow
def test_two_epochs_with_averaged_weights(two):
    same_run(two / "one", two / "two", tolerance=1e-4)


@pytest.mark.slow
def test_stopped_on_two_processes_resumed_on_one(two):
    """Ctrl-C had reached one of them; the checkpoint holds whole batches' sums."""
    at = read_tensors(two / "stopped" / CHECKPOINT)[1]["progress"]
    assert (at["epoch"], at["step"], at["seen"]) == (0, 3, 3 * 256)
    assert train(worker.TINY, two / "stopped", resume=True, **worker.SMOOTH).finished
    same_run(two / "one", two / "stopped", tolerance=1e-4)


@pytest.mark.slow
def test_stopped_on_one_process_resumed_on_two(two):
    same_run(two / "one", two / "from_one", tolerance=1e-4)


@pytest.mark.slow
def test_wrong_use_is_everyones(two):
    """What one process finds wrong, all raise; nothing is written."""
    for rank in (0, 1):
        assert "--batch-size 254 or 256" in (two / f"refused-{rank}.txt").read_text()
        assert (two / f"agreed-{rank}.txt").read_text() == "only here"


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 3, 4])
def test_every_image_is_scored_once(processes, two):
    if processes > 2:
        together(processes, two, "score")
    torch.manual_seed(0)
    expected = evaluate(worker.sd.build("digits_convnet"), worker.random_images(), 100)
    found = [json.loads((two / f"score-{processes}-{rank}.json").read_text()) for rank in range(processes)]
    assert sum(f["mine"] for f in found) == 3925 and min(f["mine"] for f in found) >= 3925 // processes - 10
    for f in found:
        assert (f["images"], f["top1"], f["top5"]) == (3925, expected.top1, expected.top5)
        assert f["loss"] == pytest.approx(expected.loss, rel=1e-6)


@pytest.mark.slow
def test_kill_9_in_mid_epoch_restarts_from_the_checkpoint_and_finishes(tmp_path):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*torchrun, "--max-restarts", "1", str(WORKER), str(tmp_path), "killed"]
    environment = {**CLEAN, "PYTHONPATH": PATH, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert "another of the 2 processes is gone" in done.stderr and "checkpoint of epoch 1 is kept" in done.stderr
    assert done.stdout.count("on all 360 test images") == 1  # one process talks
    about = json.loads((tmp_path / "killed" / run_folder.RUN).read_text())
    assert about["result"]["test_images"] == 360 and about["launch"]
    train(worker.RECIPES["digits"].changed(2, 256, 1e-3), tmp_path / "one", **worker.SMOOTH)
    same_run(tmp_path / "one", tmp_path / "killed", tolerance=1e-4)


# What needs no second process


@pytest.mark.parametrize("processes", [1, 2, 3, 4, 7])
def test_the_shards_of_a_set_are_the_set(processes):
    images = worker.random_images(101)
    sets = [dataclasses.replace(images, shard=(rank, processes)) for rank in range(processes)]
    for batch_size, last in ((28, 17), (84, 17), (99, 2)):
        slices = [s.train_slices(batch_size) for s in sets]
        dropped = last if last < processes else 0  # a last batch that isn't enough for all
        assert {len(s) for s in slices} == {images.num_batches(batch_size) - (dropped > 0)}
        covered = sorted(i for s in slices for part in s for i in range(part.start, part.stop))
        assert covered == list(range(101 - dropped))
    covered = sorted(i for s in sets for part in s.test_slices(9) for i in range(part.start, part.stop))
    assert covered == list(range(101))
    assert shard([slice(0, 2)], (1, 3)) == [slice(0, 1)] and shard([slice(0, 2)], (0, 3)) == []


def test_batches_and_world_sizes():
    check_batch(512, 8)
    with pytest.raises(UsageError, match="batch size 100 .* by 8 processes: give --batch-size 96 or 104"):
        check_batch(100, 8)
    with pytest.raises(UsageError, match="by 8 processes: give --batch-size 8$"):
        check_batch(4, 8)
    check_images("digits", 1437, 360, 360)
    with pytest.raises(UsageError, match="400 processes: digits has 1,437 training and 360 test images; .* most 360"):
        check_images("digits", 1437, 360, 400)


def test_one_process_is_alone():
    assert join("cpu") == SINGLE and SINGLE.is_main and processes.is_main()
    assert SINGLE.total(0.1, 3) == (0.1, 3)
    error = UsageError("x")
    with pytest.raises(UsageError) as raised:
        SINGLE.agree(lambda: (_ for _ in ()).throw(error))
    assert raised.value is error and not hasattr(error, "everywhere")
    with pytest.raises(RuntimeError, match="^Connection closed by peer$"), SINGLE.watch_peers(lambda: ""):
        raise RuntimeError("Connection closed by peer")


def test_a_process_that_is_gone():
    peers = Processes(1, 2)
    with pytest.raises(RunError, match="another of the 2 processes is gone .*; all is kept; .*--max-restarts 3"):
        with peers.watch_peers(lambda: "all is kept"):
            raise RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:4242")
    for other in (RuntimeError("shape mismatch"), RunError("the loss became nan")):
        with pytest.raises(type(other), match=re.escape(str(other))), peers.watch_peers(lambda: ""):
            raise other


def test_more_processes_than_gpus(monkeypatch):
    monkeypatch.setattr(processes, "pick_device", lambda name: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for name, value in {"RANK": "0", "WORLD_SIZE": "4", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "4"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match="--nproc-per-node 4: this machine has 2 GPUs"):
        join("cuda")


def test_a_restart_is_known_by_its_launch(tmp_path, monkeypatch):
    """Only the run that this launch of torchrun began goes on without --resume."""
    file = tmp_path / run_folder.RUN
    assert processes.launch() is None and not processes.restarted(file)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "job7")
    file.write_text(json.dumps({"launch": "job7"}))
    assert not processes.restarted(file)  # the first start
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert processes.restarted(file) and not processes.restarted(tmp_path / "other.json")
    file.write_text(json.dumps({"launch": "job6"}))
    assert not processes.restarted(file)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")  # torchrun's word where nothing names the launch
    assert processes.launch() == f"{socket.gethostname()}:{os.getppid()}"


def test_restarted_before_there_was_a_checkpoint(tmp_path):
    (tmp_path / run_folder.RUN).write_text("{}")
    assert run_folder.look_into(tmp_path, {}, False, restarted=True) is None
    (tmp_path / WEIGHTS).write_bytes(b"")
    with pytest.raises(UsageError, match="holds a run already"):
        run_folder.look_into(tmp_path, {}, False)

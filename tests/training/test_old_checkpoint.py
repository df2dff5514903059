"""A checkpoint that was written before the package had rooms resumes today, bit for bit.

``before_rooms`` holds ``tiny_runs.TINY`` (digits, SD-BNN, seed 0, one thread), stopped in its second epoch. A plain
loop, which knows no checkpoint code of ours, continues from the same file.
"""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import load_file
from tiny_runs import TINY

import sdbnn_lite as sd
from sdbnn_lite import data
from sdbnn_lite.core.binarize import ede_schedule
from sdbnn_lite.system.machine import describe_machine
from sdbnn_lite.training.initial import augmentation_of
from sdbnn_lite.training.options import RunOptions
from sdbnn_lite.training.train import train

OLD = Path(__file__).parents[1] / "checkpoints" / "before_rooms"
ENDED_IN = "c8c177553c27c738f20dc1e659a08fe67f93e5ae1732b0bf4d6577494ac16f8c"  # the old code's own weights


@pytest.fixture(scope="module")
def resumed(tmp_path_factory):
    """The old run's folder, resumed by today's trainer and finished."""
    folder = shutil.copytree(OLD, tmp_path_factory.mktemp("old") / "run")
    assert train(TINY, folder, resume=True, options=RunOptions(progress=False)).finished
    return folder


def plain_loop():
    """The state dict that the run has to end in."""
    with safe_open(OLD / "checkpoint.safetensors", framework="pt") as file:
        about, kept = json.loads(file.metadata()["sdbnn_lite"]), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    net = sd.build(about["network"], **about["options"])
    net.load_state_dict({key[6:]: value for key, value in kept.items() if key.startswith("model/")})
    optimizer = torch.optim.SGD(net.parameters(), TINY.lr, TINY.momentum, weight_decay=TINY.weight_decay)
    for index, parameter in enumerate(net.parameters()):
        optimizer.state[parameter]["momentum_buffer"] = kept[f"optimizer/{index}/momentum_buffer"]
    generator = torch.Generator().set_state(kept["random/epoch"])
    images, start = data.load("digits"), about["progress"]["step"]
    assert about["progress"]["epoch"] == 1 and 0 < start < images.num_batches(TINY.batch_size)
    for epoch in (1, 2):
        sd.set_ede(net.train(), ede_schedule(epoch, TINY.epochs, *TINY.ede))
        optimizer.param_groups[0]["lr"] = TINY.lr_at(epoch)
        for x, y in images.epoch(TINY.batch_size, generator, augmentation_of(TINY, epoch), start=start):
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
        start = 0
    return net.state_dict()


def digest_of(state):
    """SHA-256 over names, types and bytes."""
    found = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode() + tensor.numpy().tobytes())
    return found.hexdigest()


def test_it_ends_where_a_plain_loop_ends(resumed):
    ours, expected = load_file(resumed / "weights.safetensors"), plain_loop()
    assert ours.keys() == expected.keys()
    for key in expected:
        assert ours[key].dtype == expected[key].dtype and torch.equal(ours[key], expected[key]), key


def test_it_ends_where_the_old_code_ended(resumed):
    then, now = json.loads((OLD / "run.json").read_text())["machine"], describe_machine(torch.device("cpu"))
    then, now = ((machine["cpu"], machine["versions"]["torch"]) for machine in (then, now))
    if then != now:
        pytest.skip(f"sums may be rounded differently: CPU and torch were {then}, here they are {now}")
    if (kernels := torch.backends.cpu.get_cpu_capability()) != "AVX512":
        pytest.skip(f"sums may be rounded differently: that CPU had AVX512, this one has {kernels}")
    assert digest_of(load_file(resumed / "weights.safetensors")) == ENDED_IN


def test_rows_of_the_finished_epoch_are_kept(resumed):
    for table in ("log.csv", "signs.csv"):
        kept, whole = (OLD / table).read_text().splitlines(), (resumed / table).read_text().splitlines()
        assert whole[: len(kept)] == kept and len(whole) - 1 == TINY.epochs * (len(kept) - 1), table
    run = json.loads((resumed / "run.json").read_text())
    assert run["started"] and run["result"]["test_images"] == 360

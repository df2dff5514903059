"""Teacher, stage 1 and stage 2 under one command: in order, from each other's weights, and resumable in each."""

import dataclasses
import json

import pytest
import torch
from safetensors.torch import load_file
from tiny_runs import QUIET, quiet

from sdbnn_lite.errors import UsageError
from sdbnn_lite.training import run_folder, stages
from sdbnn_lite.training.initial import fingerprint
from sdbnn_lite.training.recipes import RECIPES
from sdbnn_lite.training.steps.readable import Step
from sdbnn_lite.training.train import train
from sdbnn_lite.weights.files import WEIGHTS
from sdbnn_lite.weights.zoo import load

TINY = dataclasses.replace(RECIPES["digits"], epochs=1, batch_size=512)
STAGES = {
    "tiny-teacher": TINY,
    "tiny-stage1": dataclasses.replace(TINY, stage=1, distill=1.0),
    "tiny-stage2": dataclasses.replace(TINY, distill=1.0),
}


def tiny_chain(**changes):
    """A chain of digits: as Imagenette's, but for network and size."""
    return [dataclasses.replace(recipe, name=name).changed(**changes) for name, recipe in STAGES.items()]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A chain trained part by part, each by itself."""
    out = tmp_path_factory.mktemp("parts")
    one, two, three = tiny_chain()
    train(one, out / "teacher", method="float", options=QUIET)
    train(two, out / "stage1", options=quiet(teacher=out / "teacher"))
    train(three, out / "stage2", options=quiet(teacher=out / "teacher", init=str(out / "stage1")))
    return out


def same(a, b):
    for part in ("teacher", "stage1", "stage2"):
        assert (a / part / WEIGHTS).read_bytes() == (b / part / WEIGHTS).read_bytes(), part


def test_the_chain_is_each_part_by_itself(whole, tmp_path, capsys):
    results = stages.train_stages(tiny_chain(), tmp_path / "run", options=QUIET)
    said = capsys.readouterr().out.splitlines()
    assert [r.out.name for r in results] == ["teacher", "stage1", "stage2"] and all(r.finished for r in results)
    assert [line.split(",")[0] for line in said] == [f"{i + 1} of 3: {name}" for i, name in enumerate(STAGES)]
    same(whole, tmp_path / "run")
    about = [
        json.loads((tmp_path / "run" / part / run_folder.RUN).read_text()) for part in ("teacher", "stage1", "stage2")
    ]
    assert [a["method"] for a in about] == ["float", "sdbnn", "sdbnn"] and [a["stage"] for a in about] == [2, 1, 2]
    taught = fingerprint(load(tmp_path / "run" / "teacher"))
    assert [a["teacher"] for a in about] == [None, taught, taught]


@pytest.mark.parametrize("step, part", [(2, "teacher"), (5, "stage1"), (8, "stage2")])  # 3 steps in each
def test_stopped_anywhere_and_resumed(step, part, whole, tmp_path, monkeypatch):
    import signal

    call, left = Step.__call__, [step]

    def counted(self, images, labels):
        left[0] -= 1
        if left[0] == 0:
            signal.raise_signal(signal.SIGINT)
        call(self, images, labels)

    monkeypatch.setattr(Step, "__call__", counted)
    results = stages.train_stages(tiny_chain(), tmp_path / "run", options=QUIET)
    assert not results[-1].finished and results[-1].out.name == part
    monkeypatch.setattr(Step, "__call__", call)
    with pytest.raises(UsageError, match=rf"holds a run already \({part}\); add --resume"):
        stages.train_stages(tiny_chain(), tmp_path / "run", options=QUIET)
    assert stages.train_stages(tiny_chain(), tmp_path / "run", resume=True, options=QUIET)[-1].finished
    same(whole, tmp_path / "run")


def test_a_given_teacher_or_none(whole, tmp_path):
    given = stages.train_stages(tiny_chain(), tmp_path / "given", options=quiet(teacher=whole / "teacher"))
    assert [r.out.name for r in given] == ["stage1", "stage2"]
    assert (given[-1].out / WEIGHTS).read_bytes() == (whole / "stage2" / WEIGHTS).read_bytes()
    without = stages.train_stages(tiny_chain(distill=0.0), tmp_path / "without", options=QUIET)
    assert [r.out.name for r in without] == ["stage1", "stage2"]
    mixed = stages.train_stages(tiny_chain(distill=0.5), tmp_path / "mixed", options=QUIET)
    assert [json.loads((r.out / run_folder.RUN).read_text())["distill"] for r in mixed] == [0.0, 0.5, 0.5]


def test_nothing_to_resume(tmp_path):
    with pytest.raises(UsageError, match="neither teacher nor stage1 nor stage2 was begun"):
        stages.train_stages(tiny_chain(), tmp_path / "run", resume=True, options=QUIET)
    assert not (tmp_path / "run").exists()


def test_stage_1_has_real_weights(whole):
    assert not load(whole / "stage1").conv2.binary_weights and load(whole / "stage2").conv2.binary_weights
    first, second = (load_file(whole / part / WEIGHTS)["conv2.weight"] for part in ("stage1", "stage2"))
    assert not torch.equal(first, second)

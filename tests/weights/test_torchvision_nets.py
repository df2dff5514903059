"""torchvision's networks as teachers: read strictly and safely, refused in words."""

import dataclasses
import hashlib
import pickle

import pytest
import torch
import torchvision

from sdbnn_lite.data import load
from sdbnn_lite.errors import UsageError
from sdbnn_lite.training.initial import check_fits, fingerprint, has_published_teacher, load_teacher
from sdbnn_lite.training.recipes import RECIPES
from sdbnn_lite.weights import torchvision_nets
from sdbnn_lite.weights.torchvision_nets import check_hash, published_teacher, read_teacher

STAGE = RECIPES["imagenet-resnet18-stage2"]


@pytest.fixture(scope="module")
def theirs():
    torch.manual_seed(0)
    return torchvision.models.resnet18(num_classes=10).eval()


FORMS = {
    "plain": lambda state: state,
    "torchvision's trainer": lambda state: {"model": state, "epoch": 3},
    "many trainers": lambda state: {"state_dict": {f"module.{k}": v for k, v in state.items()}},
}


@pytest.mark.parametrize("wrap", FORMS.values(), ids=FORMS)
def test_a_state_dict_answers_as_torchvisions_own(theirs, wrap, tmp_path):
    torch.save(wrap(theirs.state_dict()), tmp_path / "t.pth")
    teacher = load_teacher(tmp_path / "t.pth", STAGE)
    images = torch.randn(2, 3, 64, 64)
    assert torch.equal(teacher.classify(images), theirs(images)) and not teacher.training
    assert not any(p.requires_grad for p in teacher.parameters())
    assert teacher.name == "torchvision's resnet18" and teacher.takes(64, 64) and not teacher.takes(31, 64)
    assert len(fingerprint(teacher)) == 16


def test_a_file_without_the_counters_of_batch_norm(theirs, tmp_path):
    """As torchvision's oldest files are."""
    state = {k: v for k, v in theirs.state_dict().items() if not k.endswith("num_batches_tracked")}
    torch.save(state, tmp_path / "t.pth")
    assert torch.equal(read_teacher(tmp_path / "t.pth").net.fc.weight, theirs.fc.weight)


class Harmful:
    def __reduce__(self):
        return open, ("harm.txt", "w")


def test_what_is_no_teacher(theirs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    state = theirs.state_dict()
    cases = {
        "truncated": (b"PK\x03\x04", "not a checkpoint that can be read safely"),
        "harmful": (pickle.dumps(Harmful()), "not a checkpoint that can be read safely"),
        "list": ([1, 2], "holds no state dict"),
        "text": ({"fc.weight": "x"}, "holds no state dict"),
        "less": ({k: v for k, v in state.items() if k != "conv1.weight"}, "tensors aren't those of resnet18, resnet34"),
        "other": ({"fc.weight": torch.zeros(10, 4)}, "its 1 tensors aren't those"),
    }
    for name, (content, message) in cases.items():
        path = tmp_path / f"{name}.pt"
        path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
        with pytest.raises(UsageError, match=f"--teacher .*{name}.pt: .*{message}"):
            read_teacher(path)
    assert not (tmp_path / "harm.txt").exists()
    with pytest.raises(UsageError, match="missing.pth: no such file"):
        read_teacher(tmp_path / "missing.pth")


def test_another_class_count_and_other_images(theirs, tmp_path):
    torch.save(theirs.state_dict(), tmp_path / "t.pth")
    teacher, digits = read_teacher(tmp_path / "t.pth"), load("digits", image_size=32, channels=3)
    check_fits(teacher, digits, "teacher t.pth")
    with pytest.raises(UsageError, match="teacher t.pth has 10 classes, .* has 9"):
        check_fits(teacher, dataclasses.replace(digits, classes=digits.classes[:9]), "teacher t.pth")
    with pytest.raises(UsageError, match="teacher t.pth needs images of 32 pixels a side or more; .* are 8×8"):
        check_fits(teacher, load("digits", channels=3), "teacher t.pth")


def test_imagenets_own_teacher_is_fetched_and_its_hash_checked(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    assert has_published_teacher(STAGE) and not has_published_teacher(RECIPES["imagenette-resnet18-stage1"])
    with pytest.raises(UsageError, match=r"add --download to fetch it once \(83 MB, https://.*resnet34-b627a593.pth"):
        load_teacher(None, STAGE)

    def offline(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    with pytest.raises(UsageError, match=r"can't be had \(no network\): .*--teacher FILE"):
        published_teacher(download=True)

    def wrong(url, path, **kwargs):
        with open(path, "wb") as file:
            file.write(b"something else")

    monkeypatch.setattr(torch.hub, "download_url_to_file", wrong)
    with pytest.raises(UsageError, match="SHA-256 begins with [0-9a-f]{8}, not b627a593: a damaged or changed file"):
        published_teacher(download=True)
    good = tmp_path / f"net-{hashlib.sha256(b'x').hexdigest()[:8]}.pth"
    good.write_bytes(b"x")
    check_hash(good)


def test_imagenettes_teacher_is_trained_here():
    with pytest.raises(UsageError, match="train one with `sdbnn-lite train imagenette-teacher`"):
        load_teacher(None, RECIPES["imagenette-resnet18-stage1"])


def test_every_architecture_is_told_apart(tmp_path):
    """By names and shapes alone, on the meta device; the two larger ones take too much memory for a test."""
    for name in torchvision_nets.ARCHITECTURES[:2]:
        net = getattr(torchvision.models, name)(num_classes=3).half()
        torch.save(net.state_dict(), tmp_path / "t.pth")
        assert read_teacher(tmp_path / "t.pth").name == f"torchvision's {name}"

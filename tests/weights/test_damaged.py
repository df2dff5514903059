"""Damaged and hostile files: each is refused in one sentence, before anything is allocated; none passes as good."""

import json

import pytest
import torch
from safetensors.torch import save, save_file

import sdbnn_lite as sd
from sdbnn_lite.errors import UsageError
from sdbnn_lite.weights import files
from sdbnn_lite.weights.files import read_tensors, save_weights, write_tensors
from sdbnn_lite.weights.torch_files import read_state_dict
from sdbnn_lite.weights.zoo import ZOO, load


@pytest.fixture(scope="module")
def net():
    return sd.build("digits_convnet", "bnn")


@pytest.fixture
def path(net, tmp_path):
    save_weights(tmp_path / "w.safetensors", net, identity={"epochs": 3, "seed": 0})
    return tmp_path / "w.safetensors"


def written(path, net, **about):
    """A whole file, digest and all, that says ``about`` of itself."""
    said = {"network": "digits_convnet", "options": net.options} | about
    write_tensors(path, net.state_dict(), said)
    return path


def test_a_flip_of_any_bit_is_noticed(path):
    whole = path.read_bytes()
    start = 8 + int.from_bytes(whole[:8], "little")
    for place in (start, start + 1001, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(UsageError, match="w.safetensors: damaged, what it holds isn't what was written"):
            load(path)


@pytest.mark.parametrize(
    ("before", "after"),
    [(r"\"epochs\": 3", r"\"epochs\": 9"), ("F32", "I32"), ("bn2.weight", "bn9.weight"), ("sha256", "sha216")],
)
def test_so_is_another_word_in_its_header(path, before, after):
    content = path.read_bytes()
    assert before.encode() in content
    path.write_bytes(content.replace(before.encode(), after.encode(), 1))
    with pytest.raises(UsageError, match="damaged, what it holds"):
        load(path)


def test_a_file_without_a_digest_says_so_once(net, path, capsys):
    tensors, about = read_tensors(path)
    old = path.with_name("old.safetensors")
    old.write_bytes(save(tensors, {"sdbnn_lite": json.dumps(about)}))
    for _ in range(2):
        assert torch.equal(load(old).conv2.weight, net.conv2.weight)
    assert capsys.readouterr().err.count("of an earlier version, without a digest") == 1
    load(path)
    load("digits_bnn")  # its card's SHA-256 was compared
    assert capsys.readouterr().err == ""


def test_what_is_said_has_its_type(net, tmp_path):
    for wrong in ({"network": 3}, {"options": []}, {"identity": "x"}, {"progress": {"epoch": float("nan"), "step": 0}}):
        (name,) = wrong
        with pytest.raises(UsageError, match=f"x: .*{name if name != 'progress' else 'epoch'}=.* is needed"):
            load(written(tmp_path / "x", net, **wrong))
    for text in ("[1, 2]", "3", "null"):
        save_file(net.state_dict(), tmp_path / "y", {"sdbnn_lite": text})
        with pytest.raises(UsageError, match="y: names and values are needed"):
            load(tmp_path / "y")
    save_file(net.state_dict(), tmp_path / "z", {"sdbnn_lite": "[" * 100_000})
    with pytest.raises(UsageError, match="not a safetensors file, or a damaged one .*recursion"):
        load(tmp_path / "z")


@pytest.mark.parametrize("wrong", [{"num_classes": 10**10}, {"in_channels": 10**12}, {"image_size": 40_000}])
def test_a_header_allocates_nothing(net, tmp_path, wrong, monkeypatch):
    monkeypatch.setattr(files, "build", lambda *_, **__: pytest.fail("built"))
    (name,) = wrong
    with pytest.raises(UsageError, match=f"x: weights of another network: {name} is {wrong[name]}, linear and conv1"):
        load(written(tmp_path / "x", net, options={**net.options, **wrong}))


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_what_isnt_finite_is_refused(net, tmp_path, value):
    state = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    state["bn2.bias"][3] = value
    write_tensors(tmp_path / "x", state, {"network": "digits_convnet", "options": net.options})
    with pytest.raises(UsageError, match="x: bn2.bias holds values that aren't finite"):
        load(tmp_path / "x")
    torch.save({"state_dict": state}, tmp_path / "x.pth")
    with pytest.raises(UsageError, match="x.pth: bn2.bias holds values that aren't finite"):
        read_state_dict(tmp_path / "x.pth")


def test_whole_numbers_are_no_weights(net, tmp_path):
    state = {**net.state_dict(), "bn2.bias": torch.ones(64, dtype=torch.int32)}
    write_tensors(tmp_path / "x", state, {"network": "digits_convnet", "options": net.options})
    with pytest.raises(UsageError, match=r"bn2.bias holds torch.int32, torch.float32 is needed"):
        load(tmp_path / "x")


def test_a_torch_file_holds_what_it_says(tmp_path):
    torch.save({"a": torch.zeros(1).expand(10**6, 10**6)}, tmp_path / "x.pth")
    with pytest.raises(UsageError, match="a isn't a plain tensor"):
        read_state_dict(tmp_path / "x.pth")
    torch.save({"a": torch.ones(100)}, tmp_path / "y.pth")
    content = bytearray((tmp_path / "y.pth").read_bytes())
    place = content.index(torch.ones(100).numpy().tobytes())
    content[place + 2] ^= 1
    (tmp_path / "y.pth").write_bytes(content)
    with pytest.raises(UsageError, match="y.pth: not a checkpoint that can be read safely .*damaged"):
        read_state_dict(tmp_path / "y.pth")


def test_a_card_that_says_something_else_is_refused(tmp_path):
    for ending in (".safetensors", ".json"):
        (tmp_path / f"a{ending}").write_bytes((ZOO / f"digits_bnn{ending}").read_bytes())
    card = json.loads((tmp_path / "a.json").read_text())
    for name, value in (("test_accuracy", 0.999), ("epochs", 31), ("method", "float")):
        (tmp_path / "a.json").write_text(json.dumps({**card, name: value}))
        with pytest.raises(UsageError, match=f"a.json: isn't the card of a.safetensors: {name} is {value!r}"):
            load(tmp_path / "a.safetensors")
    (tmp_path / "a.json").write_text(json.dumps({**card, "test_accuracy": "high"}))
    with pytest.raises(UsageError, match="a.json: test_accuracy='high': a finite number from 0 up is needed"):
        load(tmp_path / "a.safetensors")


def test_a_packed_file_is_checked_too(path, tmp_path):
    sd.save_packed(tmp_path / "p", load(path))
    content = bytearray((tmp_path / "p").read_bytes())
    content[-1] ^= 1
    (tmp_path / "p").write_bytes(content)
    with pytest.raises(UsageError, match="p: damaged"):
        sd.load_packed(tmp_path / "p")

"""Files of packed networks: the same logits back, small, and every kind of damage said in a sentence."""

import numpy as np
import pytest
import torch
from samples import trained

import sdbnn_lite as sd
from sdbnn_lite.errors import UsageError
from sdbnn_lite.weights.files import describe, save_weights, write_tensors


@pytest.mark.parametrize("method", ["sdbnn", "xnor", "irnet", "xnor_pp", "rsign"])
def test_what_is_saved_comes_back(tmp_path, method):
    net, images = trained("digits_convnet", method)
    packed = sd.pack(net)
    sd.save_packed(tmp_path / "net.safetensors", packed)
    again = sd.load_packed(tmp_path / "net.safetensors")
    assert again.net.name == "digits_convnet" and again.engine.name == packed.engine.name
    assert torch.equal(again(images), packed(images))
    assert sd.load_packed(tmp_path / "net.safetensors", "numpy").engine.name == "numpy"


def test_size_of_resnet18(tmp_path):
    """44.7 MB of floats; rounding the real matrices to 16 bits brings the file below 2.4 MB and moves few logits."""
    net, images = trained("cifar10_resnet18", "sdbnn")
    save_weights(tmp_path / "float.safetensors", net)
    sd.save_packed(tmp_path / "exact.safetensors", net)
    sd.save_packed(tmp_path / "rounded.safetensors", net, rounded=True)
    size = {path.stem: path.stat().st_size for path in tmp_path.iterdir()}
    assert 44e6 < size["float"] < 46e6 and size["exact"] < 2.8e6 and size["rounded"] <= 2.4e6
    assert torch.equal(sd.load_packed(tmp_path / "exact.safetensors")(images), sd.pack(net)(images))
    assert sd.load_packed(tmp_path / "rounded.safetensors")(images).shape == (len(images), 10)


def test_other_files_are_told_apart(tmp_path):
    net = sd.build("digits_convnet")
    save_weights(tmp_path / "plain.safetensors", net)
    with pytest.raises(UsageError, match="not a packed network"):
        sd.load_packed(tmp_path / "plain.safetensors")
    with pytest.raises(UsageError, match="no such file"):
        sd.load_packed(tmp_path / "none.safetensors")
    write_tensors(tmp_path / "later.safetensors", {}, {**describe(net), "packed": 2})
    with pytest.raises(UsageError, match="packed form 2, this version of sdbnn_lite reads 1"):
        sd.load_packed(tmp_path / "later.safetensors")
    with pytest.raises(UsageError, match="real weights"):
        sd.save_packed(tmp_path / "float.safetensors", sd.build("digits_convnet", method="float"))


def test_a_thousand_damaged_files(tmp_path):
    """Bytes changed, cut off, doubled or put in between, anywhere: each is refused in words, none is read as whole."""
    net, _ = trained("digits_convnet", "sdbnn")
    path = tmp_path / "net.safetensors"
    sd.save_packed(path, net)
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    header = int.from_bytes(whole[:8], "little") + 8
    for trial in range(1000):
        data, kind = bytearray(whole), trial % 5
        end = header if trial % 2 else len(data)  # half of them within the header
        at = int(rng.integers(0, end))
        if kind in (0, 1):
            for place in rng.integers(0, end, 1 + kind * 7):
                data[place] ^= int(rng.integers(1, 256))
        elif kind == 2:
            del data[at:]
        elif kind == 3:
            data[at:at] = rng.integers(0, 256, 8, dtype=np.uint8).tobytes()
        else:
            del data[at : at + int(rng.integers(1, 64))]
        path.write_bytes(data)
        try:
            sd.load_packed(path)
        except UsageError as error:
            assert "net.safetensors" in str(error)
        else:
            assert same_meaning(bytes(data), whole), f"trial {trial}"


def same_meaning(data, whole):
    """Whether only text outside the tensors and what they are called was changed: blanks that pad the header, say."""
    import json

    try:
        sizes = [int.from_bytes(b[:8], "little") + 8 for b in (data, whole)]
        headers = [json.loads(b[8:size]) for b, size in zip((data, whole), sizes)]
    except ValueError:
        return False
    for header in headers:
        header["__metadata__"] = json.loads(header["__metadata__"]["sdbnn_lite"])
    return headers[0] == headers[1] and data[sizes[0] :] == whole[sizes[1] :]

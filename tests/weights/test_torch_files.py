"""Files in torch's own format: read in both its forms; damaged, hostile and other ones are refused by name."""

import pickle

import numpy as np
import pytest
import torch

from sdbnn_lite.errors import UsageError
from sdbnn_lite.weights.torch_files import read_state_dict

SMALL = {"module.conv1.weight": torch.arange(12.0).reshape(3, 4), "module.bn1.bias": torch.tensor([0.5])}
FORMATS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])


def save(content, path, zipped=True):
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


@FORMATS
@pytest.mark.parametrize("extra", [{}, {"epoch": 499}, {"epoch": 3, "arch": "resnet20", "note": None}])
def test_reads_what_the_published_trainer_wrote(tmp_path, extra, zipped):
    """{"state_dict", "best_prec1"} with or without an epoch, in both of torch's file formats; the keys unchanged."""
    path = save({"state_dict": SMALL, "best_prec1": 86.9, **extra}, tmp_path / "model.th", zipped)
    state = read_state_dict(path)
    assert set(state) == set(SMALL) and all(torch.equal(state[key], SMALL[key]) for key in SMALL)
    assert set(read_state_dict(str(path))) == set(SMALL)


def test_reads_a_bare_state_dict(tmp_path):
    assert set(read_state_dict(save(SMALL, tmp_path / "bare.pt"))) == set(SMALL)


@FORMATS
def test_a_truncated_file_is_refused_wherever_it_ends(tmp_path, zipped):
    """Every 5th byte, and all of the last 40: one UsageError with the file's name, nothing else, never a state dict."""
    content = save({"state_dict": SMALL, "best_prec1": 1.0}, tmp_path / "whole.th", zipped).read_bytes()
    path = tmp_path / "cut.th"
    for end in sorted({*range(0, len(content), 5), *range(len(content) - 40, len(content))}):
        path.write_bytes(content[:end])
        with pytest.raises(UsageError, match="cut.th") as error:
            read_state_dict(path)
        assert "\n" not in str(error.value), end


class Payload:
    """Unpickling this object runs code: it creates a file."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return exec, (f"open({str(self.marker)!r}, 'w').close()",)


@pytest.mark.parametrize("how", ["zip", "legacy", "pickle", "beside the state dict"])
def test_a_file_with_code_is_refused_and_the_code_does_not_run(tmp_path, how):
    """The same file does create the marker when it is unpickled without care, so the test can fail."""
    marker, path = tmp_path / "marker", tmp_path / "evil.th"
    if how == "pickle":
        path.write_bytes(pickle.dumps({"state_dict": Payload(marker)}, protocol=2))
    elif how == "beside the state dict":
        save({"state_dict": SMALL, "best_prec1": Payload(marker)}, path)
    else:
        save({"state_dict": {"w": Payload(marker)}}, path, zipped=how == "zip")
    with pytest.raises(UsageError, match="evil.th: not a checkpoint that can be read safely"):
        read_state_dict(path)
    assert not marker.exists()

    if how == "pickle":
        pickle.loads(path.read_bytes())
    else:
        torch.load(path, weights_only=False)
    assert marker.exists()


@pytest.mark.parametrize(
    "content",
    [
        [1, 2, 3],
        torch.zeros(3),
        {},
        {"state_dict": {}},
        {"state_dict": [torch.zeros(1)]},
        {"state_dict": {"conv1.weight": "text"}},
        {"best_prec1": 3.0},
        {"conv1.weight": torch.zeros(1), "epoch": 3},
        None,
    ],
)
def test_a_file_without_a_state_dict_is_refused(tmp_path, content):
    with pytest.raises(UsageError, match="other.th: holds no state dict"):
        read_state_dict(save(content, tmp_path / "other.th"))


def test_what_is_no_checkpoint_at_all_is_refused_by_name(tmp_path):
    """A missing file, a folder, text, an empty file, a NumPy archive."""
    for name, make in {
        "missing.th": lambda p: None,
        "folder.th": lambda p: p.mkdir(),
        "text.th": lambda p: p.write_text("not a checkpoint\n"),
        "empty.th": lambda p: p.touch(),
        "numpy.npz": lambda p: np.savez(p, a=np.zeros(3)),
    }.items():
        make(tmp_path / name)
        with pytest.raises(UsageError, match=name):
            read_state_dict(tmp_path / name)

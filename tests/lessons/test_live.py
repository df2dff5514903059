"""Training in a notebook: the weights of the command, one picture that grows, the same text from first to last."""

import re

import pytest
import torch

IPython = pytest.importorskip("IPython")

from sdbnn_lite import cli  # noqa: E402
from sdbnn_lite.errors import UsageError  # noqa: E402
from sdbnn_lite.lessons.live import train_live  # noqa: E402
from sdbnn_lite.weights.files import WEIGHTS  # noqa: E402
from sdbnn_lite.weights.zoo import load  # noqa: E402


@pytest.fixture(scope="module")
def live():
    """(result, what was displayed, what replaced it): two epochs of ASD with tanh, with two threads around it."""
    shown, updates = [], []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("IPython.display.DisplayHandle.display", lambda self, obj, **how: shown.append((obj, how)))
        patch.setattr("IPython.display.DisplayHandle.update", lambda self, obj, **how: updates.append((obj, how)))
        torch.set_num_threads(2)
        result = train_live("asd_tanh", epochs=2, seed=1)
        assert torch.get_num_threads() == 2
    return result, shown, updates


def test_the_weights_are_the_commands(live, tmp_path):
    options = "--method asd_tanh --epochs 2 --seed 1 --threads 1 --quiet".split()
    assert cli.main(["train", "digits", *options, "--out", str(tmp_path / "run")]) == 0
    ours, theirs = live[0].net.state_dict(), load(tmp_path / "run" / WEIGHTS).state_dict()
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert live[0].finished and live[0].score.images == 360 and not live[0].out.exists()


def test_one_picture_is_replaced_after_every_epoch_and_its_text_stays(live):
    _, shown, updates = live
    assert len(shown) == 1 and len(updates) == 2
    pictures = [obj["image/png"] for obj, _ in (*shown, *updates)]
    assert len(set(pictures)) == 3 and all(content[:8] == b"\x89PNG\r\n\x1a\n" for content in pictures)
    texts = {obj["text/plain"] for obj, _ in (*shown, *updates)}
    assert len(texts) == 1 and re.findall(r"\d+", *texts) == ["2", "1"]  # epochs, +1; nothing measured
    assert all(how["raw"] and how["metadata"]["image/png"]["alt"] in obj["text/plain"] for obj, how in updates)


def test_an_unknown_method_draws_nothing(capsys):
    with pytest.raises(UsageError, match="unknown method 'asdtanh'.*did you mean 'asd_tanh'"):
        train_live("asdtanh")
    assert capsys.readouterr().out == ""

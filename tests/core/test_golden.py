"""Ours equal the published networks: logits, loss and every gradient, in float64, all five golden files."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from filler import filled
from places import GOLDEN as GOLDEN_FOLDER

import sdbnn_lite as sd
from sdbnn_lite.weights.published import rename

GOLDEN = sorted(GOLDEN_FOLDER.glob("*.npz"))


def close(ours, golden, tolerance):
    """max |ours - golden| relative to the largest golden value."""
    ours, golden = np.asarray(ours), np.asarray(golden)
    assert ours.shape == golden.shape
    assert np.abs(ours - golden).max() <= tolerance * np.abs(golden).max()


def rebuild(meta):
    """The golden file's network with the golden file's weights, and its images and labels."""
    name, _, stage = meta["network"].partition("_stage")
    net = sd.build(name, num_classes=meta["classes"], stage=int(stage or 2)).double()
    net.load_state_dict(sd.from_original(filled(meta["shapes"], meta["seed"]), name))
    sd.set_ede(net, t=meta["ede_t"])
    rng = np.random.default_rng(meta["seed"])
    x = torch.from_numpy(rng.standard_normal((meta["batch"], 3, meta["size"], meta["size"])))
    y = torch.from_numpy(rng.integers(0, meta["classes"], meta["batch"]))
    return name, net, x, y


def test_five_golden_files_are_here():
    assert len(GOLDEN) == 5


@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: p.stem)
def test_equals_the_published_network(path):
    golden = np.load(path, allow_pickle=False)
    meta = json.loads(str(golden["meta"]))
    name, net, x, y = rebuild(meta)

    assert float(next(iter(sd.binary_layers(net).values())).ede_k) == meta["ede_k"]
    with torch.no_grad():
        close(net.eval()(x), golden["eval_logits"], 1e-9)
    logits = net.train()(x)
    close(logits.detach(), golden["train_logits"], 1e-9)
    loss = F.cross_entropy(logits, y)
    close(loss.detach(), golden["loss"], 1e-9)

    loss.backward()
    parameters = dict(net.named_parameters())
    assert set(parameters) == {rename(k, name) for k in golden["grad_keys"]}
    for key, norm, head in zip(golden["grad_keys"], golden["grad_norm"], golden["grad_head"], strict=True):
        grad = parameters[rename(key, name)].grad
        if grad is None:  # α of a real-valued weight (stage 1)
            assert norm == 0, key
            continue
        assert abs(float(grad.norm()) - norm) <= 1e-7 * norm, key
        assert abs(float(grad.flatten()[:8].sum()) - head) <= 1e-7 * max(abs(head), norm), key

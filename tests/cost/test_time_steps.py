"""``sdbnn-lite bench train``: that it times what it says; how fast that is depends on the machine and isn't tested."""

import torch

from sdbnn_lite.core.binarize import binarize
from sdbnn_lite.cost import time_steps


def test_rows_hold_every_way():
    (row,) = time_steps.bench_train(rounds=2, batch=32, networks=("cifar10_resnet20",))
    assert row["network"] == "cifar10_resnet20" and row["batch"] == 32
    for way in ("published", "readable", "float"):
        assert row[f"{way}_ms"] > 0
    if row["fast_ms"] is not None:
        assert 0 < row["fast8_ms"] and float(row["published/fast"].split()[0]) > 0
        middle = float(row["published/fast8"].split()[0])
        assert middle > 0 and (row["met"] == (middle >= row["goal"]) or abs(middle - row["goal"]) < 0.01)
        assert 0 < row["fast_saved_mb"] < row["readable_saved_mb"]


def test_the_published_sign_has_the_same_gradient():
    x = torch.linspace(-3, 3, 101, dtype=torch.float64)  # 0 itself is the published code's third value
    x = x[x != 0]
    k, t = torch.tensor(2.0, dtype=torch.float64), torch.tensor(0.5, dtype=torch.float64)
    gradients = []
    for function in (binarize, time_steps.published_binarize):
        leaf = x.clone().requires_grad_()
        y = function(leaf, "ede", k, t)
        (y * torch.arange(len(x))).sum().backward()
        gradients.append((y.detach(), leaf.grad))
    assert torch.equal(gradients[0][0], gradients[1][0])
    assert torch.allclose(gradients[0][1], gradients[1][1], rtol=1e-12)


def test_kept_bytes_counts_each_tensor_once():
    weight = torch.ones(10, 10, requires_grad=True)
    x = torch.ones(5, 10)
    kept = time_steps.kept_bytes(lambda images: (images @ weight).exp(), x)
    assert kept == 4 * (50 + 50)  # x and the exponential itself; the weight's gradient needs x alone

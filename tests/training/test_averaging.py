"""The moving average against plain loops, and batch norm's statistics against the batches' own."""

import pytest
import torch
from torch import nn

import sdbnn_lite as sd
from sdbnn_lite.data import load
from sdbnn_lite.training.averaging import Average, estimate_batch_norm


def walk(average, net, steps):
    """Random weights at every step, taken into the average; returns them, one row per step."""
    generator, rows = torch.Generator().manual_seed(3), []
    for _ in range(steps):
        with torch.no_grad():
            for p in net.parameters():
                p.copy_(torch.randn(p.shape, generator=generator, dtype=p.dtype))
        average.update()
        rows.append(torch.cat([p.detach().flatten() for p in net.parameters()]))
    return torch.stack(rows)


def averaged(average):
    return torch.cat([p.flatten() for p in average.net.parameters()])


def test_first_the_plain_mean():
    net = nn.Linear(4, 3).double()
    average = Average(net, decay=0.9)
    rows = walk(average, net, 10)  # 10 = 1/(1-d)
    assert torch.allclose(averaged(average), rows.mean(0), atol=1e-14)


def test_then_the_moving_average():
    net = nn.Linear(4, 3).double()
    average = Average(net, decay=0.9)
    rows = walk(average, net, 25)
    weights = torch.full((25,), 0.0, dtype=torch.float64)
    weights[:10] = 0.1 * 0.9**15
    weights[10:] = 0.1 * 0.9 ** torch.arange(14, -1, -1, dtype=torch.float64)
    assert weights.sum() == pytest.approx(1)
    assert torch.allclose(averaged(average), weights @ rows, atol=1e-14)


def test_stopped_and_restored_it_goes_on_the_same():
    whole_net, part_net = nn.Linear(4, 3), nn.Linear(4, 3)
    whole, part = Average(whole_net, 0.8), Average(part_net, 0.8)
    walk(whole, whole_net, 7)
    walk(part, part_net, 7)
    later = Average(part_net, 0.8)
    later.restore(part.tensors())
    for average, net in ((whole, whole_net), (later, part_net)):
        walk(average, net, 4)
    assert later.steps == 11 and torch.equal(averaged(whole), averaged(later))


def test_batch_norm_gets_the_mean_of_the_batches_statistics():
    x = torch.randn(5, 8, 3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    net = nn.Sequential(nn.BatchNorm2d(3)).double()
    net[0].running_mean.fill_(9)
    net.eval()
    batches = [(batch, None) for batch in x] + [(x[0, :2], None)]  # a smaller last one
    estimate_batch_norm(net, batches)
    assert not net.training and net[0].momentum == 0.1
    assert torch.allclose(net[0].running_mean, torch.stack([b.mean((0, 2, 3)) for b in x]).mean(0), atol=1e-12)
    assert torch.allclose(net[0].running_var, torch.stack([b.var((0, 2, 3)) for b in x]).mean(0), atol=1e-12)
    estimate_batch_norm(net, batches, most=2)
    assert torch.allclose(net[0].running_mean, x[:2].mean((0, 1, 3, 4)), atol=1e-12)


def test_refresh_leaves_the_network_alone_and_takes_over_ede():
    images = load("digits")
    net = sd.build("digits_convnet").train()
    average = Average(net, 0.9)
    sd.set_ede(net, 0.25)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    average.refresh(images.test_batches(60))
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items()) and net.training
    assert average.net.conv2.ede_t == 0.25 and average.net.conv2.ede_k == 4
    assert average.net.bn1.num_batches_tracked == 6 and not torch.equal(
        average.net.bn1.running_mean, net.bn1.running_mean
    )
    assert not any(p.requires_grad for p in average.net.parameters())

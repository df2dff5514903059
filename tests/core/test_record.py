"""record_signs against a naive recomputation: what the layers saw, caught with hooks, and counted in loops."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from reference import asd, conv_loops, signs_by_loop, wsd

import sdbnn_lite as sd
from sdbnn_lite.core.record import LayerSigns
from sdbnn_lite.errors import UsageError
from sdbnn_lite.training.sign_rows import SHARE_BINS, summary_row


def network(method="sdbnn", name="digits_convnet", **options):
    """float64, in training mode; α, β, scales of both signs and fitting batch-norm statistics, so that signs move."""
    torch.manual_seed(0)
    net = sd.build(name, method, **options).double()
    for layer in sd.binary_layers(net).values():
        for parameter in layer.parameters():
            if parameter.ndim == 1:
                torch.nn.init.normal_(parameter)
        layer.weight.data += 0.3 * torch.randn(layer.out_channels, 1, 1, 1, dtype=torch.float64) * layer.weight.std()
    norms = [m for m in net.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        net(images(5, 8, net.options["in_channels"], seed=2))
    return net


def images(n=7, size=8, channels=1, seed=1):
    return torch.randn(n, channels, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def share(values):
    """Share of numbers >= 0, counted one by one."""
    values = values.flatten().tolist()
    return sum(v >= 0 for v in values) / len(values)


def differing(x, y):
    return sum((u >= 0) != (v >= 0) for u, v in zip(x.flatten().tolist(), y.flatten().tolist(), strict=True))


@torch.no_grad()
def naive_records(net, x, method, stage=2):
    """{layer: {field: value}}: inputs and outputs caught with hooks; signs, sums and counts by loops."""
    seen = {}
    handles = [
        layer.register_forward_hook(lambda _, i, o, name=name: seen.update({name: (i[0].clone(), o.clone())}))
        for name, layer in sd.binary_layers(net).items()
    ]
    net.eval()(x)
    net.train()
    for handle in handles:
        handle.remove()

    records = {}
    for name, (a, output) in seen.items():
        p = {key: value for key, value in net.get_submodule(name).named_parameters()}
        w = latent = p["weight"]
        after = a
        if method in ("asd", "asd_tanh", "sdbnn"):
            after = asd(a, p["asd.squeeze.weight"], p["asd.expand.weight"], tanh=method == "asd_tanh")
        if method == "rsign":
            after = a + p["rsign.beta"].reshape(1, -1, 1, 1)
        if method in ("wsd", "sdbnn") and stage == 2:
            latent = wsd(w, p["wsd.alpha"])
        if method == "irnet":
            latent = torch.stack([(f - f.mean()) / f.std() for f in w])
        y = conv_loops(signs_by_loop(after), signs_by_loop(latent) if stage == 2 else w)
        channels, filters = range(a.shape[1]), range(y.shape[1])
        values = [y[:, o].flatten().tolist() for o in filters]
        means = [math.fsum(v) / len(v) for v in values]
        variances = [math.fsum((u - m) ** 2 for u in v) / len(v) for v, m in zip(values, means, strict=True)]
        records[name] = {
            "fan_in": w.shape[1] * 9,
            "input_before": [share(a[:, c]) for c in channels],
            "input_after": [share(after[:, c]) for c in channels],
            "input_flips": differing(a, after) / a.numel(),
            "weight_before": [share(w[o]) for o in filters],
            "weight_after": [share(latent[o]) for o in filters],
            "weight_flips": differing(w, latent) / w.numel(),
            "output": [share(y[:, o]) for o in filters],
            "output_zeros": [sum(u == 0 for u in v) / len(v) for v in values],
            "output_mean": means,
            "output_std": [math.sqrt(v) for v in variances],
            "scale_flips": differing(y, output),
            "outputs": y.numel(),
        }
    return records


def assert_same(ours, theirs):
    """Every field of every layer; equal names in the same order."""
    assert list(ours) == list(theirs)
    for name, record in ours.items():
        expected = theirs[name] if isinstance(theirs[name], dict) else vars(theirs[name])
        assert set(vars(record)) == set(expected)
        for field, value in vars(record).items():
            np.testing.assert_allclose(value, expected[field], rtol=1e-9, atol=1e-9, err_msg=f"{name}.{field}")


@pytest.mark.parametrize("method", ["bnn", "xnor", "xnor_pp", "irnet", "rsign", "asd", "asd_tanh", "wsd", "sdbnn"])
def test_every_number_equals_the_loops(method):
    """All fields of all layers, over three batches (3 + 3 + 1 images); the parts of the method do move signs."""
    net = network(method)
    ours = sd.record_signs(net, images(), batch_size=3)
    assert list(ours) == ["conv2", "conv3"]
    assert_same(ours, naive_records(net, images(), method))
    for record in ours.values():
        assert (record.input_flips > 0) == (method in ("asd", "asd_tanh", "rsign", "sdbnn"))
        assert (record.weight_flips > 0) == (method in ("wsd", "sdbnn", "irnet"))
        assert record.scale_flips == 0


def test_real_weights_of_stage_1():
    """Latent weights are looked at as they are, without WSD; outputs are no integers."""
    net = network(stage=1)
    ours = sd.record_signs(net, images(), batch_size=3)
    assert_same(ours, naive_records(net, images(), "sdbnn", stage=1))
    assert all(r.weight_flips == 0 and (r.weight_before == r.weight_after).all() for r in ours.values())


def test_a_residual_network():
    """Nested layers by their dotted names, strides and shortcuts included; shapes (C,) and (O,)."""
    net = network(name="cifar10_resnet20", method="bnn")
    ours = sd.record_signs(net, images(2, 8, 3))
    assert list(ours) == [f"layers.{s}.{b}.conv{i}" for s in range(3) for b in range(3) for i in (1, 2)]
    seen = {}
    handle = net.get_submodule("layers.1.0.conv1").register_forward_hook(lambda _, i, o: seen.update(a=i[0], y=o))
    with torch.no_grad():
        net.eval()(images(2, 8, 3))
    handle.remove()
    record = ours["layers.1.0.conv1"]
    assert record.input_before.shape == (16,) and record.output.shape == (32,)
    assert record.output.tolist() == pytest.approx([share(seen["y"][:, o].detach()) for o in range(32)])
    assert record.input_before.tolist() == pytest.approx([share(seen["a"][:, c].detach()) for c in range(16)])
    assert record.outputs == 2 * 32 * 4 * 4


@pytest.mark.parametrize("batch_size", [1, 2, 5, 256])
def test_batch_size_changes_nothing(batch_size):
    assert_same(sd.record_signs(network(), images(), batch_size), sd.record_signs(network(), images(), 7))


def test_other_dtypes_count_the_same_way():
    """float32 images and weights: the same shares up to the few signs that rounding moves; sums in float64."""
    ours = sd.record_signs(network().float(), images().float())
    for name, record in sd.record_signs(network(), images()).items():
        np.testing.assert_allclose(ours[name].output, record.output, atol=0.01)
        np.testing.assert_allclose(ours[name].output_mean, record.output_mean, atol=0.5)


def state_of(net):
    return {key: value.clone() for key, value in net.state_dict().items()}


def hooks_of(net):
    return [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in net.modules()]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("fails", [False, True])
def test_the_network_stays_as_it_was(training, fails):
    """Mode, batch-norm statistics, weights, gradients and hooks, also after an exception in the second batch."""
    net, x = network().train(training), images()
    calls = []
    net.conv2.register_forward_hook(lambda *_: calls.append(1))  # the user's own: it has to survive
    before, hooks = state_of(net), hooks_of(net)
    if fails:
        x[4, 0, 0, 0] = math.nan
        with pytest.raises(UsageError, match="images: NaN"):
            sd.record_signs(net, x, batch_size=3)
    else:
        sd.record_signs(net, x, batch_size=3)
    assert net.training is training and all(m.training is training for m in net.modules())
    assert hooks_of(net) == hooks and calls == [1] * (1 if fails else 3)
    assert all(torch.equal(value, before[key]) for key, value in state_of(net).items())
    assert all(p.grad is None for p in net.parameters())


def test_a_frozen_part_stays_frozen():
    """A batch norm that the user put into evaluation mode inside a training network is still there afterwards."""
    net = network()
    net.bn1.eval()
    sd.record_signs(net, images())
    assert net.training and not net.bn1.training


def test_batch_norm_runs_in_evaluation_mode():
    """One image alone gives the same record as within a batch: no batch statistics are used."""
    net, x = network(), images()
    alone = [sd.record_signs(net, image[None]) for image in x]
    together = sd.record_signs(net, x)
    for name, record in together.items():
        np.testing.assert_allclose(np.mean([r[name].output for r in alone], axis=0), record.output, atol=1e-12)


@pytest.mark.parametrize(
    "net, x, batch_size, message",
    [
        (network("float"), images(), 4, "net: it has no binary layer"),
        (torch.nn.Linear(2, 2), images(), 4, "net: it has no binary layer"),
        (network(), images(0), 4, "images: 0 given"),
        (network(), images(), 0, "batch_size=0"),
        (network(), images(channels=3), 4, "images: shape"),
        (network(), images()[0], 4, "images: shape"),
        (network(), images().float(), 4, "images: torch.float32 given"),
    ],
)
def test_what_it_cannot_look_at_is_refused(net, x, batch_size, message):
    with pytest.raises(UsageError, match=message):
        sd.record_signs(net, x, batch_size)


def hand_made(**fields):
    record = next(iter(sd.record_signs(network(), images(1)).values()))
    return replace(record, **fields)


def test_what_follows_from_the_outputs():
    """Entropy, sign difference and dead channels of known shares."""
    record = hand_made(output=np.array([0.0, 0.25, 0.5, 1.0]))
    np.testing.assert_allclose(record.entropy, [0, 2 - 0.75 * math.log2(3), 1, 0])
    np.testing.assert_allclose(record.sign_difference, [0, 0.375, 0.5, 0])
    assert record.dead.tolist() == [True, False, False, True]
    assert isinstance(record, LayerSigns)


def test_a_dead_channel_is_seen():
    """Positive filter, positive inputs: each output of the channel is positive, and says nothing."""
    net = network("bnn")
    net.conv2.weight.data[3] = 1.0
    net.bn1.bias.data.fill_(100.0)
    record = sd.record_signs(net, images())["conv2"]
    assert (record.input_before == 1).all() and record.weight_before[3] == 1
    assert record.output[3] == 1 and record.dead[3] and record.entropy[3] == 0


def test_summary_row():
    """Means over channels, dead channels counted, and 20 bins of equal width with both ends in."""
    record = hand_made(
        input_before=np.array([0.2, 0.4]),
        input_after=np.array([0.5, 1.0]),
        weight_before=np.array([0.5, 0.1, 0.0, 1.0]),
        weight_after=np.array([0.25, 0.25, 0.25, 0.75]),
        output=np.array([0.0, 0.26, 0.5, 1.0]),
    )
    row = summary_row(record)
    expected = {"input_before": 0.3, "input_after": 0.75, "weight_before": 0.4, "weight_after": 0.375, "output": 0.44}
    assert {key: row[key] for key in expected} == pytest.approx(expected)
    assert row["sign_difference"] == pytest.approx((2 * 0.26 * 0.74 + 0.5) / 4, abs=1e-6)
    assert row["entropy"] == pytest.approx((-0.26 * math.log2(0.26) - 0.74 * math.log2(0.74) + 1) / 4, abs=1e-6)
    assert row["input_flips"] == round(record.input_flips, 6) and row["weight_flips"] == round(record.weight_flips, 6)
    assert row["dead_channels"] == 2
    counts = [int(n) for n in row["share_histogram"].split()]
    assert len(counts) == SHARE_BINS == 20 and {i for i, n in enumerate(counts) if n} == {0, 5, 10, 19}
    narrow = summary_row(hand_made(output=np.array([0.41, 0.42, 0.58])))
    assert [int(n) for n in narrow["share_histogram"].split()] == [0] * 8 + [2, 0, 0, 1] + [0] * 8

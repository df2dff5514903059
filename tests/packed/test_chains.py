"""Layers that follow each other in one call: the bits that the readable engine gives for one after the other."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from sdbnn_lite.core.layers import BinaryConv2d
from sdbnn_lite.core.models import PadShortcut
from sdbnn_lite.packed import engines
from sdbnn_lite.packed.network import PackedLayer, RealConv
from sdbnn_lite.packed.whole import Chain
from sdbnn_lite.system.target import target

READABLE = engines.engine("numpy")


@pytest.fixture(scope="module", params=["vpshufb", "cnt"])
def fast(request):
    """Popcounts looked up, and counted: any x86 can do either."""
    if not target().compiled:
        pytest.skip("there are no kernels for this target")
    engine = engines.engine("numba")
    if engine.counts == "cnt" != request.param:
        pytest.skip("only x86 has the instruction that looks up")
    engine.counts = request.param
    return engine


def layer(c, o, kernel=3, stride=1, padding=1, prelu=False, method="rsign"):
    """With a batch norm of both signs; "rsign" shifts by β."""
    conv = BinaryConv2d(c, o, kernel, stride=stride, padding=padding, method=method)
    bn, slope = nn.BatchNorm2d(o).eval(), nn.PReLU(o) if prelu else None
    with torch.no_grad():
        for values in (bn.weight, bn.bias, bn.running_mean, conv.weight, *([slope.weight] if prelu else [])):
            values.normal_(0, 1)
        if conv.rsign is not None:
            conv.rsign.beta.normal_(0, 0.2)
    return PackedLayer(conv, bn, slope)


def one_by_one(layers, x, given):
    """The equations, layer by layer, by the engine that has one line for each."""
    before = None
    for part, added, pooled in layers:
        y = READABLE.convolve(READABLE.sign_words(x, part.shift(x, READABLE.means), part.padding), part)
        around = {"same": x, "before": before, "given": given}.get(added)
        if added == "widened":
            around = PadShortcut(x.shape[3], part.outputs)(torch.from_numpy(x).permute(0, 3, 1, 2))
            around = around.permute(0, 2, 3, 1).numpy()
        before, x = x, READABLE.finish(y, part, pooled, around)
    return x


@settings(max_examples=150)
@given(images=st.integers(1, 2), c=st.sampled_from([16, 32, 48, 64, 80, 128]), o=st.sampled_from([16, 32, 48, 64, 96]),
       h=st.integers(1, 10), w=st.integers(1, 10), kernel=st.sampled_from([1, 3, 5]), stride=st.sampled_from([1, 2]),
       padding=st.integers(0, 2), kind=st.sampled_from(["hardtanh", "prelu", "pooled"]), given_too=st.booleans(),
       seed=st.integers(0, 2**31))  # fmt: skip
def test_one_layer_of_any_shape(fast, images, c, o, h, w, kernel, stride, padding, kind, given_too, seed):
    """Border classes, blocks of 16 and of more filters, parts of a byte, sums over several rounds of 63 steps."""
    assume(min(h, w) + 2 * padding >= kernel + stride * (kind == "pooled"))
    torch.manual_seed(seed)
    part = layer(c, o, kernel, stride, padding, kind == "prelu")
    x = torch.randint(-4, 5, (images, h, w, c)).float().div(4).numpy()
    made = Chain(fast, [(part, "nothing", kind == "pooled")], h, w)
    around = torch.randn(images, *made.shape).numpy() if given_too else None
    chain = Chain(fast, [(part, "given" if given_too else "nothing", kind == "pooled")], h, w)
    expected = one_by_one([(part, "given" if given_too else "nothing", kind == "pooled")], x, around)
    assert np.array_equal(chain.run(x, around), expected)


STEPS = {
    "ResNet-20": [(16, 32, 2, "widened"), (32, 32, 1, "same"), (32, 32, 1, "same")],
    "ResNet-18": [(32, 64, 2, "nothing"), (64, 64, 1, "given"), (64, 64, 1, "nothing"), (64, 64, 1, "before")],
    "begins with before": [(32, 32, 1, "nothing"), (32, 32, 1, "before"), (32, 32, 1, "same"), (32, 32, 1, "same")],
}


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("threads", [1, 3])
def test_what_is_added_comes_from_the_right_layer(fast, name, threads, monkeypatch):
    """Several images, one after the other in the same maps; with threads that share the parts of every layer, too."""
    monkeypatch.setattr(engines, "PRODUCTS_A_THREAD", 1)
    torch.manual_seed(1)
    layers = [(layer(c, o, stride=stride), added, False) for c, o, stride, added in STEPS[name]]
    x = torch.randn(3, 20, 18, STEPS[name][0][0]).numpy()
    given = torch.randn(3, 10, 9, 64).numpy()
    expected, before = one_by_one(layers, x, given), torch.get_num_threads()
    chain = Chain(fast, layers, 20, 18)
    try:
        torch.set_num_threads(threads)
        for _ in range(10):
            assert np.array_equal(chain.run(x, given), expected)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("method", ["sdbnn", "asd_tanh"])
def test_shifts_of_the_mean_over_the_pixels(fast, method):
    """ASD's, by σ and tanh, of the input and of what a layer made; of float64 sums, so within a rounding of NumPy's."""
    torch.manual_seed(2)
    layers = [(layer(64, 64, method=method), added, False) for added in ("nothing", "before", "same")]
    x = torch.rand(2, 13, 11, 64).numpy() - 0.7
    found, expected = Chain(fast, layers, 13, 11).run(x), one_by_one(layers, x, None)
    assert np.isclose(found, expected, atol=1e-5).mean() > 0.99  # a sign within a rounding of its threshold may tip


@settings(max_examples=60)
@given(side=st.integers(1, 20), c=st.sampled_from([1, 3, 64]), o=st.sampled_from([16, 64]), padding=st.integers(0, 3),
       kernel=st.sampled_from([1, 3, 7]), stride=st.sampled_from([1, 2]), pooled=st.booleans(),
       seed=st.integers(0, 2**31))  # fmt: skip
def test_real_convolutions(fast, side, c, o, kernel, stride, padding, pooled, seed):
    """As torch's convolution, batch norm and 3×3 maximum."""
    assume(side + 2 * padding >= kernel)
    torch.manual_seed(seed)
    conv, bn = nn.Conv2d(c, o, kernel, stride, padding, bias=False), nn.BatchNorm2d(o).eval()
    x = torch.randn(2, c, side, side + 3)
    with torch.no_grad():
        bn.running_mean.normal_()
        expected = bn(conv(x))
        expected = nn.functional.max_pool2d(expected, 3, 2, 1) if pooled else expected
        found = fast.real(x.permute(0, 2, 3, 1).contiguous().numpy(), RealConv(conv, bn), pooled)
    assert np.allclose(found.transpose(0, 3, 1, 2), expected.numpy(), atol=1e-4)


def test_numpy_takes_over_where_numba_does_not_compile():
    """And packing loads neither scikit-learn nor torchvision."""
    code = ("import sdbnn_lite as sd, sys, torch; net = sd.pack(sd.build('digits_convnet'))\n"
            "print(net.engine.name, net(torch.zeros(1, 1, 8, 8)).shape, *{'sklearn', 'torchvision'} & {*sys.modules})\n"
            "sd.pack(net.net, 'numba')")  # fmt: skip
    env = {**os.environ, "NUMBA_DISABLE_JIT": "1", "SDBNN_TARGET": ""}
    command = [sys.executable, "-W", "ignore", "-c", code]
    ran = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert ran.stdout == "numpy torch.Size([1, 10])\n"
    assert "UsageError: engine 'numba': numba isn't installed or doesn't compile here" in ran.stderr

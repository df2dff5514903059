"""The packed kernels of this machine against the NumPy engine, on COUNT random layers: what the scripts beside it run.

    python check.py COUNT

Of each layer the signs, the sums and, where a chain takes it, its outputs. Then three whole networks against their own
floats, and what the kernels' machine code counts with. Last, a training step's gradients.
"""

import re
import sys
from collections import Counter
from importlib.machinery import ModuleSpec
from unittest.mock import MagicMock


class Absent:
    """Stands for what is imported and not used here: images and their packages, for which an emulator takes minutes."""

    names = ("sdbnn_lite.data", "sdbnn_lite.weights.preprocessing", "PIL", "torchvision", "tqdm")

    def find_spec(self, name, path=None, target=None):
        absent = any(f"{name}.".startswith(f"{other}.") for other in self.names)
        return ModuleSpec(name, self, is_package=True) if absent else None

    def create_module(self, spec):
        return MagicMock()

    def exec_module(self, module):
        pass


sys.meta_path.insert(0, Absent())

import numpy as np  # noqa: E402
import torch  # noqa: E402
from numba import njit  # noqa: E402
from samples import trained  # noqa: E402
from torch import nn  # noqa: E402

import sdbnn_lite as sd  # noqa: E402
from sdbnn_lite.core.layers import BinaryConv2d, set_ede  # noqa: E402
from sdbnn_lite.fast import fast_forward  # noqa: E402
from sdbnn_lite.packed import chains, engines, kernels  # noqa: E402
from sdbnn_lite.packed.network import PackedLayer  # noqa: E402
from sdbnn_lite.packed.whole import Chain  # noqa: E402
from sdbnn_lite.system.target import target  # noqa: E402

NETWORKS = {"digits_convnet": "sdbnn", "cifar10_resnet20": "rsign", "cifar10_vgg_small": "bnn"}
READABLE, FAST = engines.engine("numpy"), engines.engine("numba")
COUNTS = r"\b(cnt|addlv|uaddlv|uaddlp|uadalp|udot|vpshufb|vpopcnt[bwdq])\b"


def draw(rng, wide):
    """(layer, x): a binary layer with a batch norm of both signs, and images with zeros among their shifted values."""
    channels = 3700 if wide else int(rng.choice([1, 3, 16, 63, 64, 65, 100, 128, 130]))
    outputs, kernel = int(rng.choice([1, 5, 16, 17, 32, 40, 64])), int(rng.choice([1, 3, 5]))
    stride, padding = int(rng.integers(1, 3)), int(rng.integers(0, 3))
    least = max(1, kernel + stride - 2 * padding)  # at least 2×2 outputs, for the maximum of them
    images, (height, width) = rng.integers(1, 4), rng.integers(least, least + 8, 2)
    conv = BinaryConv2d(channels, outputs, kernel, stride=stride, padding=padding, method="rsign")
    parts = [conv, nn.BatchNorm2d(outputs).eval(), *[nn.PReLU(outputs)] * (rng.random() < 0.3)]
    with torch.no_grad():
        for values in (part for module in parts for part in (*module.parameters(), *module.buffers())):
            if values.shape and values is not parts[1].running_var:
                values.copy_(torch.from_numpy(rng.normal(size=values.shape)))
        conv.rsign.beta.copy_(torch.from_numpy(rng.integers(-1, 2, channels) / 4))
    x = rng.integers(-4, 5, (images, height, width, channels)) / 4
    return PackedLayer(*parts), x.astype(np.float32)


def computed(engine, layer, x, rng):
    """All that an engine says of one layer: words and sums, and of a chain what NumPy says step by step."""
    words = engine.sign_words(x, layer.shift(x, None), layer.padding)
    y = engine.convolve(words, layer)
    shortcut = rng.normal(size=y.shape).astype(x.dtype)
    found, steps = [words, y], [("nothing", False, None), ("given", False, shortcut), ("nothing", True, None)]
    for added, pooled, given in steps:
        if not FAST.chains([layer], x) or (pooled and layer.slope is not None):  # no network has that
            continue
        if engine is FAST:
            found.append(Chain(engine, [(layer, added, pooled)], *x.shape[1:3]).run(x, given))
        else:
            found.append(engine.finish(y, layer, pooled, given))
    return found


def equal_shapes(count):
    """How many of them give the same bits; the others are named."""
    equal = 0
    for seed in range(count):
        layer, x = draw(np.random.default_rng(seed), wide=seed % 50 == 49)  # sums beyond 16 bits
        expected, found = (computed(e, layer, x, np.random.default_rng(seed)) for e in (READABLE, FAST))
        same = [a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(expected, found, strict=True)]
        equal += all(same)
        if not all(same):
            print(f"seed {seed}: {x.shape} {x.dtype}, {layer.words.shape}, equal: {same}", file=sys.stderr)
        if seed % 50 == 0:
            print(f"{seed + 1} shapes, {equal} equal", file=sys.stderr, flush=True)
    return equal


def equal_networks():
    """How many give, packed, what they give in floats: float64, so that no activation is near its threshold."""
    equal = 0
    for name, method in NETWORKS.items():
        net, images = trained(name, method)
        with torch.no_grad():
            found, expected = sd.pack(net.double(), "numba")(images.double()), net(images.double())
        equal += torch.allclose(found, expected, rtol=1e-9, atol=1e-9)
    return equal


def gradient_errors():
    """|fast - readable| / |readable| of a training step, all gradients together, rounded to 16 and to 8 bits."""
    net, images = trained("digits_convnet", "sdbnn")
    set_ede(net.train(), 0.5)
    found = []
    for forward in (net, fast_forward(net, 16), fast_forward(net, 8)):
        net.zero_grad()
        nn.functional.cross_entropy(forward(images), torch.arange(len(images))).backward()
        found.append(torch.cat([p.grad.flatten() for p in net.parameters()]))
    return [((other - found[0]).norm() / found[0].norm()).item() for other in found[1:]]


def instructions():
    """How often each counting instruction stands in the kernels, compiled once more: cached ones have no text."""
    found = Counter()
    for kernel in (kernels.convolve, chains.chain):
        again = njit(error_model="numpy")(kernel.py_func)
        again.compile(kernel.signatures[0])
        found.update(re.findall(COUNTS, "\n".join(again.inspect_asm().values())))
    return found


if __name__ == "__main__":
    count = int(sys.argv[1])
    shapes, networks, found = equal_shapes(count), equal_networks(), instructions()
    listed = ", ".join(f"{n} {name}" for name, n in sorted(found.items()))
    print(f"{target().name}: {shapes} of {count} shapes and {networks} of {len(NETWORKS)} networks equal; "
          f"in the code: {listed}", flush=True)
    errors = gradient_errors()
    print("a training step's gradients differ by {:.1e} of their norm, with 8 bits by {:.1e}".format(*errors))
    sys.exit(not (shapes == count and networks == len(NETWORKS) and errors[0] < 3e-2 and errors[1] < 0.2 and found))

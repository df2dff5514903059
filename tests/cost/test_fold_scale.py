"""What methods add, against the formulas; a folded scale keeps the logits."""

import pytest
import torch

from sdbnn_lite.analysis.claims import SCALED
from sdbnn_lite.core.layers import binary_layers
from sdbnn_lite.core.models import build
from sdbnn_lite.cost.fold_scale import extra_operations, fold_scale
from sdbnn_lite.data.sets import digit_images
from sdbnn_lite.errors import UsageError
from sdbnn_lite.weights import zoo

# By hand, layer by layer: (C, H, W in; C_out, H', W' out).
DIGITS = [(32, 8, 64, 8), (64, 4, 64, 4)]
RESNET18 = (
    [(64, 32, 64, 32)] * 4
    + [(64, 32, 128, 16)] + [(128, 16, 128, 16)] * 3
    + [(128, 16, 256, 8)] + [(256, 8, 256, 8)] * 3
    + [(256, 8, 512, 4)] + [(512, 4, 512, 4)] * 3
)  # fmt: skip


@pytest.mark.parametrize(
    ("network", "size", "layers"), [("digits_convnet", 8, DIGITS), ("cifar10_resnet18", 32, RESNET18)]
)
def test_operations_against_the_formulas(network, size, layers):
    extra = extra_operations(network, size)
    assert extra.asd_macs == sum(2 * c * (c // 16) for c, _, _, _ in layers)
    assert extra.asd_mean == sum(c * h * h for c, h, _, _ in layers)
    assert extra.scale == sum(o * k * k for _, _, o, k in layers)
    assert extra.two_sided_scale == sum(c * h * h + 9 * k * k + 2 * o * k * k for c, h, o, k in layers)
    assert extra.asd_bytes == 4 * extra.asd_macs
    assert extra.packed_bytes == sum(9 * c * o // 8 for c, _, o, _ in layers)
    assert extra.asd == extra.asd_macs + extra.asd_mean and extra.folded_scale == 0


@pytest.mark.parametrize("method", SCALED)
def test_folding_a_scale_keeps_the_logits(method):
    net = zoo.load(f"digits_{method}").double()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    folded, x = fold_scale(net), digit_images()[:50].double()
    assert all(layer.scale() is None for layer in binary_layers(folded).values())
    with torch.no_grad():
        torch.testing.assert_close(folded(x), net(x), rtol=1e-9, atol=1e-9)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert net.conv2.scale() is not None


def test_folding_needs_a_scale_with_a_batch_norm_behind_it():
    for net in (zoo.load("digits_bnn"), build("cifar10_resnet20", "xnor")):
        with pytest.raises(UsageError, match="no scaling factor with a batch norm"):
            fold_scale(net)

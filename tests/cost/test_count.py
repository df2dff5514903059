"""The cost breakdown against counts by hand, naive sums over output pixels, and published totals."""

import json

import pytest

from sdbnn_lite import cli
from sdbnn_lite.core.methods import METHODS
from sdbnn_lite.core.models import build
from sdbnn_lite.cost.count import SUMS, cost
from sdbnn_lite.errors import UsageError


def test_the_digits_network_by_hand():
    """conv1 1→32 at 8×8; conv2 32→64 at 8×8; conv3 64→64 at 4×4; linear 256→10; three batch norms."""
    result = cost("digits_convnet", "sdbnn")
    rows = {row.name: row for row in result.layers}
    assert rows["conv1"].flops == 9 * 32 * 64 and rows["conv1"].real_params == 288 and rows["conv1"].bops == 0
    assert rows["conv2"].bops == 32 * 9 * 64 * 64 and rows["conv2"].binary_params == 32 * 9 * 64
    assert rows["conv3"].bops == 64 * 9 * 64 * 16
    assert rows["conv2"].stays == 32 * 64 + 2 * 32 * 2 and rows["conv2"].folds == 32 * 64  # mean, matrices; the add
    assert rows["conv3"].stays == 64 * 16 + 2 * 64 * 4
    assert rows["linear"].flops == 2560 and rows["linear"].real_params == 2570
    assert rows["norms"].real_params == 4 * (32 + 64 + 64)  # γ, β, μ, σ²
    assert result.total("ops") == (32 * 64 + 64 * 16) * 9 + 9 * 32 * 64 + 2560 + 2176 + 1536
    assert rows["conv2"].bytes == 32 * 9 * 64 // 8 + 4 * 128


@pytest.mark.parametrize("method", ["bireal", "bnn"])
def test_published_totals_of_resnet18(method):
    """Bi-Real Net's paper, table 4: 1.63e8 OPs for its ResNet-18. Ours is 1.6399e8: they cut digits off."""
    result = cost("imagenet_resnet18", method)
    assert result.total("bops") == 1_676_279_808
    assert result.total("flops") == 118_013_952 + 3 * 6_422_528 + 512_000
    assert int(result.total("ops") / 1e6) == 163
    assert result.total("stays") == result.total("folds") == 0


def test_what_methods_add():
    """ASD 2.2 % of the OPs, of which the additions fold away; XNOR-Net's two-sided scale 4.8e6."""
    plain, sdbnn = cost("imagenet_resnet18", "bnn"), cost("imagenet_resnet18", "sdbnn")
    asd = sdbnn.total("stays") + sdbnn.total("folds")
    assert asd == pytest.approx(3.65e6, rel=0.01) and asd / plain.total("ops") == pytest.approx(0.022, abs=5e-4)
    assert sdbnn.total("input_scale") == pytest.approx(4.84e6, rel=1e-3)
    xnor = cost("imagenet_resnet18", "xnor")
    assert xnor.total("stays") == 0 and xnor.total("folds") == pytest.approx(1.5e6, rel=0.03)
    assert cost("imagenet_resnet18", "wsd").total("ops") == plain.total("ops")
    rsign = cost("imagenet_resnet18", "rsign")
    assert rsign.total("stays") == 0 and rsign.total("folds") == sdbnn.total("folds")


@pytest.mark.parametrize("method", METHODS)
def test_every_parameter_is_counted_once(method):
    net = build("cifar10_resnet20", method)
    result = cost("cifar10_resnet20", method)
    left_out = sum(p.numel() for n, p in net.named_parameters() if n.endswith(("wsd.alpha", "learned_scale.factor")))
    statistics = sum(b.numel() for n, b in net.named_buffers() if "running" in n)
    counted = result.total("binary_params") + result.total("real_params")
    assert counted == sum(p.numel() for p in net.parameters()) - left_out + statistics


def test_the_float_twin_has_no_binary_operation():
    result = cost("cifar10_resnet18", "float")
    assert result.total("bops") == result.total("binary_params") == 0
    assert result.total("bytes") == pytest.approx(44.7e6, rel=2e-3)
    assert result.total("ops") == result.total("flops") == 555_422_720


def test_the_command_prints_a_table_or_json(capsys):
    assert cli.main(["cost", "digits_convnet"]) == 0
    text = capsys.readouterr().out
    assert "8×8 pixels" in text and "conv2" in text and "OPs = BOPs/64 + FLOPs" in text
    assert cli.main(["cost", "digits_convnet", "--method", "rsign", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["method"] == "rsign" and set(said["total"]) == set(SUMS)
    assert sum(row["bops"] for row in said["layers"]) == said["total"]["bops"]


def test_bad_input(capsys):
    with pytest.raises(UsageError, match="image_size=0"):
        cost("cifar10_resnet20", image_size=0)
    with pytest.raises(UsageError, match="unknown network"):
        cost("resnet20")
    with pytest.raises(UsageError, match="40×40 pixels given"):
        cost("imagenet_resnet18", image_size=40)
    assert cli.main(["cost", "cifar10_resnet20", "--method", "nonsense"]) == 2

"""What stops a run says where, with which learning rate, what was kept and what to try."""

import pytest
import torch

import sdbnn_lite as sd
from sdbnn_lite.errors import RunError
from sdbnn_lite.training.guards import OutOfMemory, check_loss, check_weights, enough_memory, smaller_batch

SAID = r"in epoch 3, step 17 \(lr 0.11\); all is kept; start again with a smaller --lr"


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), float("-inf")])
def test_a_loss_that_is_not_finite(loss):
    check_loss(2.5, "epoch 3, step 17", 0.11, "all is kept")
    with pytest.raises(RunError, match=f"the loss became {loss} {SAID}"):
        check_loss(loss, "epoch 3, step 17", 0.11, "all is kept")


@pytest.mark.parametrize("name", ["conv2.weight", "bn1.running_var", "linear.bias"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_weight_that_is_not_finite(name, value):
    """A binary layer hides it: the sign of NaN is -1, and all logits are finite."""
    net = sd.build("digits_convnet").eval()
    check_weights(net, "epoch 3, step 17", 0.11, "all is kept")
    net.state_dict()[name].view(-1)[1] = value
    if name == "conv2.weight":
        net.conv2.wsd = None
        assert net(torch.zeros(1, 1, 8, 8)).isfinite().all()
    with pytest.raises(RunError, match=f"{name} is no longer finite {SAID}"):
        check_weights(net, "epoch 3, step 17", 0.11, "all is kept")


def test_out_of_memory():
    with pytest.raises(RunError, match=r"memory ran out in epoch 1; try this; all is kept \(CUDA out of memory. Tried"):
        with enough_memory("in epoch 1", "try this", "all is kept"):
            raise OutOfMemory("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore lines")
    with pytest.raises(ValueError), enough_memory("a", "b", "c"):
        raise ValueError
    assert "--batch-size 64" in smaller_batch(128) and "--batch-size 2 " in smaller_batch(5)
    assert "--device cpu" in smaller_batch(3)

"""One training step of several processes: each computes on its shard of the batch, all get the same result.

    loss of the whole batch   L = Σ_p (n_p/N)·L_p          L_p: mean over the n_p images of process p, N = Σ_p n_p

torch's DistributedDataParallel gives every process the *mean* of all P gradients, so each p minimises (P·n_p/N)·L_p:
L_p itself but for an epoch's last batch, whose shards may differ by one image. Then all take the same optimizer step.

Batch norm is synchronised. On a GPU the ±1 convolutions are those of ``half_precision``, and TF32 is used as in
``cuda_graph``; there is neither a CUDA graph nor torch.compile, which communication would break up.
"""

import inspect
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from ...core.models import BinaryNet
from ...system.devices import convolutions
from ..averaging import Average
from ..losses import TrainingLoss
from .half_precision import twin_of
from .processes import Processes
from .readable import Step

_TAKEN = inspect.signature(DistributedDataParallel).parameters
_NAME = "forward_sync_buffers" if "forward_sync_buffers" in _TAKEN else "broadcast_buffers"  # before torch 2.14
_BUFFERS: dict[str, Any] = {_NAME: False}  # the same everywhere: batch norm is synchronised, EDE's follow the epoch


class _Total(Function):
    """Σ over the processes; so is its gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x = x.clone()
        dist.all_reduce(x)
        return x

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return _Total.apply(grad)


class SynchronisedBatchNorm(_BatchNorm):
    """As ``nn.BatchNorm1d`` and ``2d``, of x (N, C, …); while training, over the batch of all processes:

        N = Σ_p n_p      m = Σ_p Σ x / N      v = Σ_p Σ (x - m)² / N      y = γ·(x - m)/√(v + ε) + β

    n_p: values per channel in process p's shard. v is computed after m, as a sum of squares that can't cancel. Running
    mean and variance (times N/(N-1)) move by torch's momentum. The sums' gradients are summed too, as every process's
    loss depends on every other's images through m and v. For GPUs torch's own SyncBatchNorm does the same, faster.
    """

    num_batches_tracked: Tensor  # never None here, as the other three
    running_mean: Tensor
    running_var: Tensor
    momentum: float

    def _check_input_dim(self, x: Tensor) -> None:
        """Any shape from (N, C) on will do."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        dims, shape = [0, *range(2, x.ndim)], (1, -1, *[1] * (x.ndim - 2))
        count = x.new_tensor([x.numel() // x.shape[1]])
        total, n = _Total.apply(torch.cat([x.sum(dims), count])).split([self.num_features, 1])
        n = n.detach()
        mean = total / n
        centred = x - mean.view(shape)
        variance = _Total.apply((centred * centred).sum(dims)) / n
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (n / (n - 1)), self.momentum)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return centred * scale.view(shape) + self.bias.view(shape)


def synchronise(net: BinaryNet) -> BinaryNet:
    """``net`` with every batch norm synchronised, the tensors staying the same objects."""
    if dist.get_backend() == "nccl":
        return nn.SyncBatchNorm.convert_sync_batchnorm(net)
    for module in net.modules():
        if isinstance(module, _BatchNorm):
            module.__class__ = SynchronisedBatchNorm
    return net


class Logits(nn.Module):
    """``twin`` as DistributedDataParallel wants it: images (B, C, H, W) -> logits (B, classes)."""

    def __init__(self, twin: BinaryNet, layout: torch.memory_format):
        super().__init__()
        self.twin, self.layout = twin, layout

    def forward(self, images: Tensor) -> Tensor:
        return self.twin.classify(images.contiguous(memory_format=self.layout))


class SharedStep(Step):
    """As :class:`Step`, with a forward pass that shares the tensors of ``net``; the sums are this process's own."""

    def __init__(self, net: BinaryNet, optimizer: Optimizer, loss: TrainingLoss, average: Average | None,
                 processes: Processes):  # fmt: skip
        gpu = processes.device.type == "cuda"
        half = gpu and torch.cuda.get_device_capability(processes.device) >= (8, 0)
        layout = torch.channels_last if gpu else torch.contiguous_format
        forward = DistributedDataParallel(
            Logits(synchronise(twin_of(net, half)).train(), layout),
            device_ids=[processes.device] if gpu else None,
            **_BUFFERS,
            find_unused_parameters=net.options["stage"] == 1,  # WSD's α takes no part in stage 1
        )
        super().__init__(forward, optimizer, loss, average)
        self.processes = processes
        self.look_every = 50 if gpu else 1  # a look is a message to all and, on a GPU, a wait
        self.tf32 = not net.method.binary or net.options["stage"] == 1
        how = f"{'float16 forward, bfloat16 backward' if half else 'readable'}, {processes.count} processes"
        forward.path = how  # type: ignore[assignment]  # torch expects only tensors and modules there

    def __call__(self, images: Tensor, labels: Tensor) -> None:
        with convolutions(self.tf32):
            super().__call__(images, labels)

    def weighed(self, loss: Tensor, labels: Tensor) -> Tensor:
        """(P·n_p/N)·L_p"""
        count = torch.tensor(len(labels), dtype=torch.float64, device=loss.device)
        whole = count.clone()
        dist.all_reduce(whole)
        return loss * (count * self.processes.count / whole).to(loss.dtype)

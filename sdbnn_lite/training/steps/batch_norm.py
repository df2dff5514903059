"""Batch norm over the batch of all processes, so that a run computes the same on any number of them.

    N = Σ_p n_p      m = Σ_p Σ x / N      v = Σ_p Σ (x - m)² / N      y = γ·(x - m)/√(v + ε) + β

p: processes, n_p: values per channel in p's shard of the batch. v is computed after m, as a sum of squares that can't
cancel. Running mean and variance (the latter times N/(N-1)) move by torch's momentum. The sums' gradients are summed
too, since every process's loss depends on every other's images through m and v.

On GPUs that NCCL connects torch's own SyncBatchNorm does the same, faster; it can't run on CPUs. Tested on the CPU,
against ``torch.nn.BatchNorm`` on the whole batch (tests/training/test_processes.py).
"""

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn.modules.batchnorm import _BatchNorm


class _Total(Function):
    """Σ over the processes; so is its gradient."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        x = x.clone()
        dist.all_reduce(x)
        return x

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        grad = grad.clone()
        dist.all_reduce(grad)
        return grad


class SynchronisedBatchNorm(_BatchNorm):
    """As ``nn.BatchNorm1d`` and ``2d``, of x (N, C, …); while training, the statistics are the whole batch's."""

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


def synchronise(net: nn.Module) -> nn.Module:
    """``net`` with every batch norm synchronised, the tensors staying the same objects."""
    if dist.get_backend() == "nccl":
        return nn.SyncBatchNorm.convert_sync_batchnorm(net)
    for module in net.modules():
        if isinstance(module, _BatchNorm):
            module.__class__ = SynchronisedBatchNorm
    return net

"""One training step of several processes: each computes on its shard of the batch, all get the same result.

    loss of the whole batch   L = Σ_p (n_p/N)·L_p          L_p: mean over the n_p images of process p, N = Σ_p n_p

torch's DistributedDataParallel gives every process the *mean* of all P gradients, so each p minimises (P·n_p/N)·L_p:
L_p itself but for an epoch's last batch, whose shards may differ by one image. Then all take the same optimizer step.

Batch norm is synchronised (``batch_norm``). On a GPU the ±1 convolutions are those of ``half_precision``, and TF32 is
used as in ``cuda_graph``; there is neither a CUDA graph nor torch.compile, which communication would break up.
Written without a GPU at hand: tested with gloo on the CPU, in two processes (tests/training/test_processes.py).
"""

import inspect

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ...core.models import BinaryNet
from ...system.devices import convolutions
from .batch_norm import synchronise
from .half_precision import twin_of
from .processes import Processes
from .readable import Step

_BUFFERS = "forward_sync_buffers"  # the name since torch 2.14
if _BUFFERS not in inspect.signature(DistributedDataParallel).parameters:
    _BUFFERS = "broadcast_buffers"


class Logits(nn.Module):
    """``twin`` as DistributedDataParallel wants it: images (B, C, H, W) -> logits (B, classes)."""

    def __init__(self, twin: BinaryNet, channels_last: bool):
        super().__init__()
        self.twin, self.channels_last = twin, channels_last

    def forward(self, images: Tensor) -> Tensor:
        if self.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        return self.twin.classify(images)


class SharedStep(Step):
    """As :class:`Step`, of the same parts but for ``forward``; the sums are this process's own.

    ``net``: what is trained, its tensors shared with the twin that computes.
    """

    def __init__(self, net: BinaryNet, optimizer, loss, average, processes: Processes):
        device = processes.device
        gpu = device.type == "cuda"
        half = gpu and torch.cuda.get_device_capability(device) >= (8, 0)
        logits = Logits(synchronise(twin_of(net, half)).train(), channels_last=gpu)
        forward = DistributedDataParallel(
            logits,
            device_ids=[device] if gpu else None,
            **{_BUFFERS: False},  # they are the same everywhere: batch norm is synchronised, EDE's follow the epoch
            find_unused_parameters=net.options["stage"] == 1,  # WSD's α takes no part in stage 1
        )
        super().__init__(forward, optimizer, loss, average)
        self.processes = processes
        self.look_every = 50 if gpu else 1  # a look is a message to all and, on a GPU, a wait
        self.tf32 = not net.method.binary or net.options["stage"] == 1
        forward.path = f"{'float16 forward, bfloat16 backward' if half else 'readable'}, {processes.count} processes"

    def __call__(self, images: Tensor, labels: Tensor) -> None:
        with convolutions(self.tf32):
            super().__call__(images, labels)

    def weighed(self, loss: Tensor, labels: Tensor) -> Tensor:
        """(P·n_p/N)·L_p"""
        count = torch.tensor(len(labels), dtype=torch.float64, device=loss.device)
        whole = count.clone()
        dist.all_reduce(whole)
        return loss * (count * self.processes.count / whole).to(loss.dtype)

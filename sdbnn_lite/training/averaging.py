"""A moving average of the weights, and batch-norm statistics that belong to it.

    avg ← avg + (w - avg)·(1 - d_n)          after step n = 1, 2, …, with d_n = min(d, (n-1)/n)

While n < 1/(1-d) this is the plain mean of all weights so far; then the exponential moving average with decay d, which
remembers about 1/(1-d) steps. *Every* parameter is averaged, latent weights too: a binary layer of the averaged network
has the sign of the mean. Its activations are other than any network's on the way, so batch norm's statistics are
estimated anew, from training images (as in Izmailov et al. 2018, whose mean runs over epochs, not steps).

A run with an average scores, records and saves *it*; training continues on the raw weights. The checkpoint holds both.

Not torch's ``AveragedModel``: after every step it copies every buffer, and it asks the GPU how many steps were made.
"""

import copy
from collections.abc import Iterable
from itertools import islice

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..core.models import BinaryNet
from ..errors import UsageError
from ..system.devices import convolutions
from ..weights.files import load_state

BATCHES = 50  # of training images, from which batch norm's statistics are estimated: 6,400 images in batches of 128


class Average:
    """The averaged twin ``net`` of a network; ``update`` after every step, ``refresh`` before it is scored or saved."""

    def __init__(self, net: BinaryNet, decay: float):
        self.source, self.decay, self.steps = net, decay, 0
        self.net = copy.deepcopy(net).requires_grad_(False)
        self._pairs: list[list[Tensor]] = [[*net.parameters()], [*self.net.parameters()]]

    @torch.no_grad()
    def update(self) -> None:
        """Take the weights as they are now into the average."""
        self.steps += 1
        weight = 1 - min(self.decay, (self.steps - 1) / self.steps)
        torch._foreach_lerp_(self._pairs[1], self._pairs[0], weight)

    def refresh(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Take over the buffers (EDE's k and t), and estimate batch norm's from ``batches`` of (images, labels)."""
        for mine, theirs in zip(self.net.buffers(), self.source.buffers(), strict=True):
            mine.copy_(theirs)
        estimate_batch_norm(self.net, batches)

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint keeps: the averaged network's state, and the number of steps."""
        return {**{f"average/{k}": v for k, v in self.net.state_dict().items()}, "average": torch.tensor(self.steps)}

    def restore(self, tensors: dict[str, Tensor], source: object = "weights") -> None:
        """Put back what :meth:`tensors` gave; UsageError, naming ``source``, where it doesn't fit."""
        state = {k.removeprefix("average/"): v for k, v in tensors.items() if k.startswith("average/")}
        load_state(self.net, state, source)
        count = tensors.get("average")
        if count is None or count.dtype != torch.int64 or count.shape != () or count < 0:
            raise UsageError(f"{source}: average, the number of steps, is missing or damaged")
        self.steps = int(count)


@torch.no_grad()
def estimate_batch_norm(net: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], most: int = BATCHES) -> None:
    """Set running mean and variance of every batch norm to the mean over the first ``most`` batches' own.

    (The variance of a batch is the unbiased one, as in torch's own running estimate.) A last batch that is smaller than
    the first is left out, since it would count as much as the others. Weights, mode and momentum stay as they were.
    """
    norms = [m for m in net.modules() if isinstance(m, _BatchNorm)]
    momenta, was_training = [m.momentum for m in norms], net.training
    try:
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # torch's word for the plain mean over batches
        net.train()
        size = 0
        for images, _ in islice(batches, most):
            size = size or len(images)
            if len(images) == size:
                with convolutions(tf32=False):
                    net(images)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        net.train(was_training)

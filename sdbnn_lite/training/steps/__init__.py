"""One training step: readable, as a CUDA graph, data-parallel on several processes; and which of them a run takes."""

from typing import Any

import torch

from ...core.models import BinaryNet
from ...fast import fast_forward
from ..evaluate import Forward
from .cuda_graph import CudaStep
from .data_parallel import SharedStep
from .half_precision import gpu_forward
from .processes import Processes
from .readable import Step


def pick_forward(net: BinaryNet, device: torch.device, bits: int = 16) -> Forward:
    """What computes the logits while ``net`` trains on ``device``, and scores it after every epoch but the last.

    ``bits``: see ``fast_forward``. The digits train in seconds either way: there the readable path keeps the committed
    tables what the command makes.
    """
    if device.type == "cuda":
        return gpu_forward(net, device)
    return net if net.name == "digits_convnet" else fast_forward(net, bits) or net


def choose(net: BinaryNet, parts: tuple[Any, Any, Any, Any], processes: Processes, *, batch_size: int,
           steps: int) -> Step:  # fmt: skip
    """The step that trains ``net`` here. ``parts``: forward, optimizer, loss, average; ``steps``: in the whole run."""
    if not processes.single:
        return SharedStep(net, *parts[1:], processes)
    if processes.device.type == "cuda":
        return CudaStep(*parts, batch_size=batch_size, steps=steps)
    return Step(*parts)

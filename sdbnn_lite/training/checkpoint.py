"""A run's state in one file, so that it resumes exactly where it stopped.

model/<name>                    the network's state dict: what ``zoo.load`` takes
optimizer/<parameter>/<entry>   momentum buffers and the like
random/epoch                    the data generator's state at the start of the epoch
average/<name>                  where the recipe averages weights
JSON                            how the network was built, the recipe, and where the run stands
"""

from pathlib import Path

import torch
from torch import Tensor

from ..core.models import BinaryNet
from ..weights.files import describe, load_state, write_tensors


def save_checkpoint(path: Path, net: BinaryNet, optimizer: torch.optim.Optimizer, random: Tensor, about: dict,
                    extra: dict | None = None) -> None:  # fmt: skip
    """Write all that a run needs to resume exactly; ``random`` is the data generator's state at the epoch's start.

    ``extra``: tensors that :func:`restore` leaves alone. Raises RunError where the file can't be written.
    """
    tensors = {f"model/{k}": v for k, v in net.state_dict().items()}
    for index, entries in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{k}": torch.as_tensor(v) for k, v in entries.items() if v is not None}
    write_tensors(path, tensors | (extra or {}) | {"random/epoch": random}, {**describe(net), **about})


def restore(tensors: dict[str, Tensor], net: BinaryNet, optimizer: torch.optim.Optimizer, source: object) -> Tensor:
    """Put what :func:`save_checkpoint` wrote back into ``net`` and ``optimizer``; return the generator's state.

    Raises UsageError, naming ``source``, where the weights don't fit.
    """
    load_state(net, {k.removeprefix("model/"): v for k, v in tensors.items() if k.startswith("model/")}, source)
    state: dict[int, dict] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer/"):
            _, index, entry = key.split("/")
            state.setdefault(int(index), {})[entry] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    return tensors["random/epoch"]

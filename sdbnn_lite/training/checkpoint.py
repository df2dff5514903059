"""A run's state in one file, so that it resumes exactly where it stopped.

model/<name>                    the network's state dict: what ``zoo.load`` takes
optimizer/<parameter>/<entry>   momentum buffers and the like
random/epoch                    the data generator's state at the start of the epoch
table/<name>                    the text of log.csv and signs.csv
average/<name>                  where the recipe averages weights
JSON                            how the network was built, the recipe, and where the run stands
"""

from pathlib import Path

import torch
from torch import Tensor

from ..core.models import BinaryNet
from ..errors import UsageError
from ..system.files import parse_csv
from ..weights.files import check_finite, describe, load_state, write_tensors
from .options import Row, Said

ENTRIES = ("momentum_buffer", "step", "exp_avg", "exp_avg_sq")  # of SGD and Adam


def save_checkpoint(path: Path, net: BinaryNet, optimizer: torch.optim.Optimizer, random: Tensor, about: Said,
                    extra: dict[str, Tensor] | None = None) -> None:  # fmt: skip
    """Write all that a run needs to resume exactly; ``random`` is the data generator's state at the epoch's start.

    ``extra``: tensors that :func:`restore` leaves alone. Raises RunError where the file can't be written.
    """
    tensors = {f"model/{k}": v for k, v in net.state_dict().items()}
    for index, entries in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{k}": torch.as_tensor(v) for k, v in entries.items() if v is not None}
    write_tensors(path, tensors | (extra or {}) | {"random/epoch": random}, {**describe(net), **about})


def restore(tensors: dict[str, Tensor], net: BinaryNet, optimizer: torch.optim.Optimizer, source: object) -> Tensor:
    """Put what :func:`save_checkpoint` wrote back into ``net`` and ``optimizer``; return the generator's state.

    Raises UsageError, naming ``source``, where the weights or any other tensor don't fit, or aren't finite.
    """
    check_finite(tensors, source)
    load_state(net, {k.removeprefix("model/"): v for k, v in tensors.items() if k.startswith("model/")}, source)
    params = [p for group in optimizer.param_groups for p in group["params"]]
    fits = {f"optimizer/{i}/{e}": (i, e, () if e == "step" else p.shape) for i, p in enumerate(params) for e in ENTRIES}
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer/"):
            index, entry, shape = fits.get(key, (0, "", None))
            if value.shape != shape or not value.is_floating_point():
                raise UsageError(f"{source}: {key}, {value.dtype} {tuple(value.shape)}, isn't of this run's optimizer")
            state.setdefault(index, {})[entry] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    try:
        torch.Generator().set_state(tensors["random/epoch"])
    except (KeyError, RuntimeError, TypeError) as error:
        raise UsageError(f"{source}: random/epoch, the data generator's state, is missing or damaged") from error
    return tensors["random/epoch"]


def table_tensors(texts: dict[str, str]) -> dict[str, Tensor]:
    """The text of each table, by file name, as a tensor of bytes."""
    return {f"table/{k}": torch.frombuffer(bytearray(v.encode()), dtype=torch.uint8) for k, v in texts.items() if v}


def table_rows(tensors: dict[str, Tensor], name: str) -> list[Row] | None:
    """The rows of a table that :func:`table_tensors` took; None in a checkpoint of an earlier version."""
    try:
        return parse_csv(tensors[f"table/{name}"].numpy().tobytes().decode())
    except (KeyError, ValueError):
        return None

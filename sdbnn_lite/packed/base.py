"""What both kinds of packed networks are: an ``nn.Module`` around a copy of the network that was packed."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import UsageError
from .engines import engine


class Packed(nn.Module):
    """A network for inference on the CPU, always in evaluation mode, without gradients; its state dict is ``net``'s.

    ``net``: its own copy of what was packed, see :func:`frozen`. Another state dict or type of numbers, given to it or
    to a module that holds it, is packed anew. Raises UsageError where it is to leave the CPU.
    """

    engine: Any  # with more methods where kernels are
    net: Any

    def __init__(self, net: nn.Module, engine_name: str | None = None):
        super().__init__()
        self.engine, self.net = engine(engine_name), frozen(net)
        self._pack()
        self.register_load_state_dict_post_hook(lambda module, _: module._pack())

    def _pack(self) -> None:
        """Make of ``net`` what computes."""
        raise NotImplementedError

    def train(self, mode: bool = True) -> "Packed":
        """It stays in evaluation mode: a network around it may be trained."""
        return super().train(False)

    def _apply(self, fn: Callable[..., Tensor], recurse: bool = True) -> "Packed":
        """What ``to``, ``double`` and the like do."""
        if fn(torch.zeros(0)).device.type != "cpu":
            raise UsageError(f"{type(self).__name__}: packed inference runs on the CPU")
        self.net = frozen(super()._apply(fn, recurse).net)  # type: ignore[no-untyped-call]
        self._pack()
        return self


def widened(x: Any) -> Any:
    """A float16 or bfloat16 tensor as float32, anything else as it is."""
    return x.float() if isinstance(x, Tensor) and x.dtype in (torch.float16, torch.bfloat16) else x


def frozen(net: nn.Module) -> Any:
    """A copy of ``net`` that shares nothing with it: in evaluation mode, without gradients, halves as float32.

    Raises UsageError where it can't be copied.
    """
    try:
        copy = deepcopy(net)
    except (RuntimeError, TypeError) as error:  # tensors with a history, locks, open files among its attributes
        raise UsageError(f"net: {type(net).__name__} can't be copied, as packing has to: {error}") from error
    copy.requires_grad_(False).zero_grad()
    return (copy.float() if any(widened(p) is not p for p in copy.parameters()) else copy).eval()

"""The bit form of a network: one bit per binary weight, for files that are to be read and run.

Training that starts from one makes latent weights of the signs: see ``training.fine_tune``.

    weight ŵ        -1  +1
    bit              0   1       first weight in the highest bit of the first byte; the last byte is filled with 0

Of the latent weights w, inference uses ŵ = sign(w + shift) alone. A binary layer's part of the state dict becomes

    <layer>.bits    uint8 (⌈O·C·k·k / 8⌉,)    ŵ in the order of the weight (O, C, k, k)
    <layer>.scale   (O,)                      only for methods with a scale: the factors themselves, > 0

in place of the latent weights, WSD's α, the scale's parameter and EDE's k and t. All other tensors (the float twin as a
whole) stay as they are, so that the logits are the same to the last bit.

Nearly half of ResNet-18's file would then be real matrices, ASD's two and the 1×1 convolutions of shortcuts. With
``rounded`` each of them is stored in 16-bit steps, and the logits are those of a network with these weights:

    <matrix>        int16 (O, …)     q = round(w / step_o), -32767 … 32767
    <matrix>.step   (O,)             step_o = max |w_o| / 32767; the weight is then q·step_o
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from ..core.layers import BinaryConv2d, BinaryLayer, binary_layers
from ..core.models import BinaryNet
from ..core.scaling import LearnedScale
from ..errors import UsageError

FORM = "bits"  # what a file in this form says of itself
_STEPS = 2**15 - 1  # on either side of 0
_TRAINING_ONLY = ("weight", "wsd.alpha", "learned_scale.factor", "ede_k", "ede_t")


def pack_signs(w: Tensor) -> Tensor:
    """Bits of a tensor of ±1, any shape and real dtype: uint8 (⌈numel / 8⌉,). Raises UsageError for other values."""
    positive = w == 1
    if not (positive | (w == -1)).all():
        raise UsageError("weights: only -1 and +1 can be packed into bits")
    return torch.from_numpy(np.packbits(positive.flatten().cpu().numpy()))


def unpack_signs(bits: Tensor, shape: Sequence[int], dtype: torch.dtype = torch.float32) -> Tensor:
    """The ±1 tensor of ``shape`` that :func:`pack_signs` packed, on the CPU.

    Raises UsageError unless ``bits`` is uint8 with exactly the bytes that ``shape`` needs, the last one filled with 0.
    """
    size = math.prod(shape)
    if bits.dtype != torch.uint8 or bits.shape != ((size + 7) // 8,):
        raise UsageError(f"bits: {bits.dtype} {tuple(bits.shape)} given, but {tuple(shape)} needs {(size + 7) // 8} "
                         f"bytes (uint8)")  # fmt: skip
    single = torch.from_numpy(np.unpackbits(bits.cpu().numpy()))
    if single[size:].any():
        raise UsageError(f"bits: more than the {size} of {tuple(shape)} are set")
    return (2 * single[:size].to(dtype) - 1).reshape(tuple(shape))


def packable_layers(net: nn.Module) -> dict[str, BinaryLayer]:
    """The layers of ``net`` whose weights are ±1, by name; none in the float twin and in stage 1."""
    return {name: layer for name, layer in binary_layers(net).items() if layer.binary_weights}


def matrix_names(net: BinaryNet) -> list[str]:
    """Names of the parameters that ``rounded`` rounds: ASD's two matrices, and the 1×1 convolutions of shortcuts."""
    names = []
    for name, module in net.named_modules():
        if isinstance(module, BinaryConv2d):
            names += [f"{name}.asd.{part}.weight" for part in ("squeeze", "expand") if module.asd is not None]
        elif isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1):
            names.append(f"{name}.weight")
    return names


def to_steps(w: Tensor) -> tuple[Tensor, Tensor]:
    """(q int16 of the shape of ``w``, step (O,)): w ≈ q·step, off by at most half a step.

    Raises UsageError for values that aren't finite.
    """
    if not torch.isfinite(w).all():
        raise UsageError("weights: NaN or infinite values can't be rounded to steps")
    step = w.abs().flatten(1).amax(1) / _STEPS
    column = torch.where(step > 0, step, 1).view(-1, *[1] * (w.ndim - 1))  # a row of zeros stays one
    return (w / column).round().clamp(-_STEPS, _STEPS).to(torch.int16), step


def from_steps(q: Tensor, step: Tensor) -> Tensor:
    """q·step, in the dtype of ``step``."""
    return q.to(step.dtype) * step.view(-1, *[1] * (q.ndim - 1))


@torch.no_grad()
def bit_state(net: BinaryNet, rounded: bool = False) -> dict[str, Tensor]:
    """The state dict of ``net`` in bit form; ``net`` stays as it is, and may itself come from one.

    ``rounded`` stores the matrices of :func:`matrix_names` in 16-bit steps; nothing else is ever rounded.
    """
    state = dict(net.state_dict())
    for name, layer in packable_layers(net).items():
        for key in _TRAINING_ONLY:
            state.pop(f"{name}.{key}", None)
        state[f"{name}.bits"] = pack_signs(layer.binary_weight())
        if (scale := layer.scale()) is not None:
            state[f"{name}.scale"] = scale
    for key in matrix_names(net) if rounded else ():
        state[key], state[f"{key}.step"] = to_steps(state[key])
    return state


@torch.no_grad()
def round_matrices(net: BinaryNet) -> None:
    """Round in ``net`` what ``bit_state(net, rounded=True)`` rounds, to the same values."""
    for name in matrix_names(net):
        weight = net.get_parameter(name)
        weight.copy_(from_steps(*to_steps(weight)))


@torch.no_grad()
def expand_bits(net: BinaryNet, state: dict[str, Tensor], source: object = "weights") -> dict[str, Tensor]:
    """Prepare a freshly built ``net`` for the bit form ``state``: returns the state dict that it can load.

    ŵ itself becomes ``layer.weight``, and ``layer.method`` loses its weight shift; a scale, whatever its kind, becomes
    a learned one that holds the stored factors; rounded matrices become real ones. Raises UsageError, naming
    ``source``, where bits, factors or steps are missing or don't fit, and where latent weights are among them.
    """
    state = dict(state)
    for key in (f"{name}.{key}" for name in packable_layers(net) for key in _TRAINING_ONLY):
        if key in state:
            raise UsageError(f"{source}: not in bit form, {key} has no place in it")
    for name, layer in packable_layers(net).items():
        scaled = layer.method.scale is not None
        try:
            weight = unpack_signs(state.pop(f"{name}.bits"), layer.weight.shape, layer.weight.dtype)
            scale = state.pop(f"{name}.scale") if scaled else None
        except KeyError as error:
            raise UsageError(f"{source}: weights of another network: {error} is missing") from error
        except UsageError as error:
            raise UsageError(f"{source}: {name}: {error}") from error
        layer.method = replace(layer.method, weight_shift=None, scale="learned" if scaled else None)
        layer.wsd = None
        layer.learned_scale = LearnedScale(layer.out_channels) if scaled else None
        state |= {f"{name}.weight": weight, f"{name}.ede_k": layer.ede_k, f"{name}.ede_t": layer.ede_t}
        if scaled:
            state[f"{name}.learned_scale.factor"] = scale
    for key in matrix_names(net):
        q, step = state.get(key), state.pop(f"{key}.step", None)
        if step is not None and q is not None and step.shape == q.shape[:1]:
            state[key] = from_steps(q, step)
        elif step is not None or (q is not None and not q.is_floating_point()):
            raise UsageError(f"{source}: {key} and its step don't fit each other")
    return state

"""Record the signs of a network while it classifies images: inputs, weights and outputs of every binary layer."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import UsageError, check_whole
from . import signs
from .binarize import sign
from .layers import BinaryLayer, binary_layers
from .wsd import per_filter


@dataclass(frozen=True)
class LayerSigns:
    """Statistics of one binary layer's signs. C inputs, O outputs (channels); every share is a share of +1.

    fan_in           C·k·k, products per output
    input_before     (C,) of sign(a), before the activation shift
    input_after      (C,) of â = sign(a + shift)
    input_flips      share of all activations whose sign the shift changed
    weight_before    (O,) of sign(w), the latent weights
    weight_after     (O,) of ŵ = sign(w + shift); with real weights (stage 1) the sign of w
    weight_flips     share of all weights whose sign the shift changed
    output           (O,) of sign(y), y = conv2d(â, ŵ); sign(0) = +1
    output_zeros     (O,) share of y that is exactly 0 (possible where the fan-in is even)
    output_mean, output_std   (O,) of y, before any scaling factor
    scale_flips      number of output signs that the scaling factor changed, out of the recorded ``outputs``
    """

    fan_in: int
    input_before: np.ndarray
    input_after: np.ndarray
    input_flips: float
    weight_before: np.ndarray
    weight_after: np.ndarray
    weight_flips: float
    output: np.ndarray
    output_zeros: np.ndarray
    output_mean: np.ndarray
    output_std: np.ndarray
    scale_flips: int
    outputs: int

    @property
    def entropy(self) -> np.ndarray:
        """(O,) bits per output sign: 0 for a dead channel, 1 where +1 and -1 are equally frequent."""
        return np.asarray(signs.entropy(self.output))

    @property
    def sign_difference(self) -> np.ndarray:
        """(O,) 2p(1-p): how often two outputs of the channel differ."""
        return np.asarray(signs.sign_difference(self.output))

    @property
    def dead(self) -> np.ndarray:
        """(O,) bool: every output of the channel had the same sign."""
        return (self.output == 0) | (self.output == 1)


class _Tally:
    """Sums over batches of one layer's activations and outputs, in float64."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor | int] = {}

    def add(self, **terms: Tensor | int) -> None:
        for name, term in terms.items():
            self.sums[name] = self.sums.get(name, 0) + term

    def watch(self, layer: BinaryLayer, inputs: tuple[Tensor], output: Tensor) -> None:
        """The forward hook: sees what the layer saw, and recomputes its sign and its unscaled output."""
        (a,) = inputs
        shift = layer.activation_shift(a)
        before = a >= 0
        after = before if shift is None else a + shift >= 0
        y = layer.unscaled(a)
        channel = a.ndim - 1 - layer.pixel_dims
        per_channel = [dim for dim in range(a.ndim) if dim != channel]
        self.add(inputs=a.numel() // a.shape[channel], input_before=before.sum(per_channel),
                 input_after=after.sum(per_channel), input_flips=(before != after).sum(),
                 outputs=y.numel() // y.shape[channel], output=(y >= 0).sum(per_channel),
                 output_zeros=(y == 0).sum(per_channel), output_sum=y.double().sum(per_channel),
                 output_square=y.double().square().sum(per_channel),
                 scale_flips=(sign(y) != sign(output)).sum())  # fmt: skip

    def result(self, layer: BinaryLayer) -> LayerSigns:
        total = {k: np.asarray(v.cpu() if isinstance(v, Tensor) else v) for k, v in self.sums.items()}
        n_in, n_out = int(total["inputs"]), int(total["outputs"])
        mean = total["output_sum"] / n_out
        variance = np.maximum(total["output_square"] / n_out - mean**2, 0)
        w, dims = layer.weight >= 0, per_filter(layer.weight)
        w_hat = layer.shifted_weight() >= 0 if layer.binary_weights else w
        return LayerSigns(fan_in=layer.weight[0].numel(), input_before=total["input_before"] / n_in,
                          input_after=total["input_after"] / n_in,
                          input_flips=float(total["input_flips"]) / (n_in * layer.channels[1]),
                          weight_before=w.double().mean(dims).cpu().numpy(),
                          weight_after=w_hat.double().mean(dims).cpu().numpy(),
                          weight_flips=float((w != w_hat).double().mean()), output=total["output"] / n_out,
                          output_zeros=total["output_zeros"] / n_out, output_mean=mean, output_std=np.sqrt(variance),
                          scale_flips=int(total["scale_flips"]), outputs=n_out * layer.channels[0])  # fmt: skip


@contextmanager
def evaluation_mode(net: nn.Module) -> Iterator[None]:
    """``net`` in evaluation mode; afterwards each of its modules is in its own mode again."""
    modes = {module: module.training for module in net.modules()}
    try:
        net.eval()
        yield
    finally:
        for module, training in modes.items():
            module.training = training


@torch.no_grad()
def record_signs(net: nn.Module, images: Tensor, batch_size: int = 256) -> dict[str, LayerSigns]:
    """Run ``images`` (N, C, H, W) through ``net`` in evaluation mode; per binary layer, by name, its signs.

    The network's mode and its batch-norm statistics stay as they were. Raises UsageError where the network has no
    binary layer (the float twin), for an empty batch, and for what the network itself refuses.
    """
    layers = binary_layers(net)
    if not layers:
        raise UsageError("net: it has no binary layer whose signs could be recorded (the float twin has none)")
    check_whole(batch_size=batch_size)
    if not isinstance(images, Tensor) or len(images) == 0:
        what = 0 if isinstance(images, Tensor) else type(images).__name__
        raise UsageError(f"images: {what} given, a tensor (N, C, H, W) of at least 1 is needed")
    tallies = {name: _Tally() for name in layers}
    hooks = [layer.register_forward_hook(tallies[name].watch) for name, layer in layers.items()]
    try:
        with evaluation_mode(net):
            for batch in images.split(batch_size):
                net(batch)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: tallies[name].result(layer) for name, layer in layers.items()}

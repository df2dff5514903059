"""A fast training step for the CPU: the same network and algorithm, selected automatically where available.

The readable path is its oracle: every ±1 convolution gives the same integers, gradients agree to 1e-2 in a layer, to
3e-2 in a whole network, rounded to 8 bits to 1e-1 in a layer (see :mod:`.layer` for what is rounded).
"""

from torch import nn

from ..system.target import target


def fast_forward(net: nn.Module, bits: int = 16):
    """A callable that computes ``net``'s logits by fused layers, or None where there is no such path.

    ``bits``, 8 or 16: of the integers that gradients are rounded to.

    It needs a float32 network on the CPU with binary weights and activations (``cifar10_*``, ``digits_convnet``),
    and kernels for the processor: see :mod:`..system.target`.
    """
    if not target().compiled:
        return None
    from .network import FastForward, supports
    return FastForward(net, bits) if supports(net) else None

"""What ``method=`` means: eleven binarisations and the float twin, each a composition of the same few parts.

Each takes one idea of its paper (``PAPERS``), on the same networks; the papers' networks differ in more than that.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..errors import unknown

if TYPE_CHECKING:
    from torch import nn

_CHOICES = {
    **dict.fromkeys(("activation_gradient", "weight_gradient"), ("ste", "polynomial", "ede")),
    "activation_shift": (None, "static", "asd", "asd_tanh"),
    "weight_shift": (None, "wsd", "balance"),
    "scale": (None, "analytic", "learned", "power_of_two"),
}


@dataclass(frozen=True)
class Method:
    """One row of the study: which surrogate gradients, which shifts, which scale.

    activation_gradient, weight_gradient   one of ``binarize.GRADIENTS``
    activation_shift                       None, "static" (RSign), "asd", "asd_tanh" (ASD with tanh in σ's place), or
                                           a class of yours: ``Shift(channels)`` is an nn.Module that makes of a
                                           (N, C, H, W) the shift, (N or 1, C) or (N or 1, C, 1, 1)
    weight_shift                           None, "wsd" or "balance" (IR-Net)
    scale                                  None, "analytic" (XNOR-Net), "learned" (XNOR-Net++), "power_of_two" (IR-Net)
    binary                                 False: real weights and activations, the float twin
    >>> Method("mine", "mine (RSign, Bi-Real's gradient)", "polynomial", activation_shift="static").short
    'mine'
    """

    name: str
    title: str
    activation_gradient: str = "ste"
    weight_gradient: str = "ste"
    activation_shift: "str | Callable[[int], nn.Module] | None" = None
    weight_shift: str | None = None
    scale: str | None = None
    binary: bool = True

    def __post_init__(self) -> None:
        for field, choices in _CHOICES.items():
            value = getattr(self, field)
            if value not in choices and not (field == "activation_shift" and callable(value)):
                raise unknown(field, value, map(str, choices))

    @property
    def short(self) -> str:
        """The title without the part in brackets."""
        return self.title.partition(" (")[0]


_EDE = "ede", "ede"  # both gradients

METHODS = {m.name: m for m in (
    Method("float", "float twin", binary=False),
    Method("bnn", "plain BNN (sign, clipped STE)"),
    Method("xnor", "XNOR-Net (analytic scale)", scale="analytic"),
    Method("xnor_pp", "XNOR-Net++ (learned scale)", scale="learned"),
    Method("bireal", "Bi-Real Net (polynomial gradient)", activation_gradient="polynomial"),
    Method("irnet", "IR-Net (balanced weights, EDE)", *_EDE, weight_shift="balance", scale="power_of_two"),
    # The common ground of the five below, so that what a shift earns isn't mixed up with what EDE earns.
    Method("ede", "EDE alone (no shift)", *_EDE),
    Method("rsign", "RSign (learned static shift)", *_EDE, activation_shift="static"),
    Method("asd", "ASD", *_EDE, activation_shift="asd"),
    Method("asd_tanh", "ASD-tanh (tanh instead of σ)", *_EDE, activation_shift="asd_tanh"),
    Method("wsd", "WSD", *_EDE, weight_shift="wsd"),
    Method("sdbnn", "SD-BNN (ASD + WSD)", *_EDE, activation_shift="asd", weight_shift="wsd"),
)}  # fmt: skip

PAPERS = {  # on arXiv
    "bnn": "1602.02830", "xnor": "1603.05279", "xnor_pp": "1909.13863", "bireal": "1808.00278",
    "irnet": "1909.10788", "ede": "1909.10788",  # ede: IR-Net's gradient alone
    "rsign": "2003.03488",  # ReActNet's shift
    "asd": "2103.02394", "asd_tanh": "2103.02394", "wsd": "2103.02394", "sdbnn": "2103.02394",
}  # fmt: skip


def get_method(name: str | Method, *, imagenet: bool = False) -> Method:
    """The method called ``name``, or one of your own itself; raises UsageError with the choices for another.

    On ImageNet the paper (arXiv:2103.02394) trains with Bi-Real Net's polynomial for activations and the clipped
    identity for weights, so EDE gives way to them in every method that adds a *shift* to it (and in their common
    ground, ``ede``). IR-Net keeps EDE, which is its own.
    """
    if isinstance(name, Method):
        return name
    if not isinstance(name, str) or name not in METHODS:
        raise unknown("method", name, METHODS)
    method = METHODS[name]
    if imagenet and method.activation_gradient == "ede" and name != "irnet":
        method = replace(method, activation_gradient="polynomial", weight_gradient="ste")
    return method

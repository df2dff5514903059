"""Self-Distribution Binary Neural Networks (SD-BNN): learn, test and reproduce them.

Importing the package alone loads nothing more: each public name loads the module it is defined in on first use. So
:mod:`sdbnn_lite.core`, the library to read, can be imported without everything that is built on it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from .version import __version__ as __version__

if TYPE_CHECKING:  # the same names for editors, which don't run __getattr__
    from .core.layers import BinaryConv2d, BinaryLinear, binary_layers, set_ede
    from .core.methods import Method
    from .core.models import build
    from .core.record import record_signs
    from .own.convert import convert
    from .own.predict import predict
    from .packed import load_packed, pack, save_packed
    from .training.api import train
    from .training.recipes import recipes
    from .weights.published import from_original
    from .weights.zoo import load

__all__ = [
    "BinaryConv2d", "BinaryLinear", "Method", "binary_layers", "build", "convert", "from_original", "load",
    "load_packed", "pack", "predict", "recipes", "record_signs", "save_packed", "set_ede", "train",
]  # fmt: skip
_DEFINED_IN = {  # public name: its module
    **dict.fromkeys(("BinaryConv2d", "BinaryLinear", "binary_layers", "set_ede"), ".core.layers"),
    "Method": ".core.methods",
    "build": ".core.models",
    "record_signs": ".core.record",
    "convert": ".own.convert",
    "predict": ".own.predict",
    **dict.fromkeys(("load_packed", "pack", "save_packed"), ".packed"),
    "train": ".training.api",
    "recipes": ".training.recipes",
    "from_original": ".weights.published",
    "load": ".weights.zoo",
}


def __getattr__(name: str) -> object:
    """A public name that is used for the first time (PEP 562)."""
    if name not in _DEFINED_IN:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_DEFINED_IN[name], __name__), name)
    globals()[name] = value  # found without this function from now on
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]

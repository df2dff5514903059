"""Self-Distribution Binary Neural Networks (SD-BNN): learn, test and reproduce them."""

from .core.layers import binary_layers, set_ede
from .core.models import build
from .core.record import record_signs
from .packed import load_packed, pack, save_packed
from .version import __version__ as __version__
from .weights.published import from_original
from .weights.zoo import load

__all__ = [
    "binary_layers",
    "build",
    "from_original",
    "load",
    "load_packed",
    "pack",
    "record_signs",
    "save_packed",
    "set_ede",
]

"""Self-Distribution Binary Neural Networks (SD-BNN): learn, test and reproduce them."""

__version__ = "0.1.0"  # before the imports: the JSON beside every result quotes it

from .checkpoints import load
from .layers import binary_layers, set_ede
from .models import build
from .original import from_original
from .packed import load_packed, pack, save_packed
from .record import record_signs

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

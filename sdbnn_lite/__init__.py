"""Self-Distribution Binary Neural Networks (SD-BNN): learn, test and reproduce them."""

__version__ = "0.1.0"

from .layers import binary_layers, set_ede
from .models import build
from .original import from_original
from .record import record_signs

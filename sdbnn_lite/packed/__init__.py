"""Packed inference: XNOR and popcount, exact zero padding, the same logits as the float network."""

from .file import load_packed, save_packed
from .network import PackedNet, pack

__all__ = ["PackedNet", "load_packed", "pack", "save_packed"]

"""Packed inference: XNOR and popcount, exact zero padding, the same logits as the float network."""

from .file import load_packed, save_packed
from .modules import PackedModule, pack
from .network import PackedNet

__all__ = ["PackedModule", "PackedNet", "load_packed", "pack", "save_packed"]

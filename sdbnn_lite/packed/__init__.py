"""Inference on bits: XNOR and popcount, exact zero padding, the same logits as the float network."""

from .network import PackedNet, pack

__all__ = ["PackedNet", "pack"]

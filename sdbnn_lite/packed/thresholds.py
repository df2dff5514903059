"""Batch norm, activation and the next layer's sign as one comparison of integers, where nothing else needs the value.

    sign(act(factor·y + offset) + β) = +1  where y >= point    (factor > 0)
                                       +1  where y < point     (factor < 0: ``falling``)

y is an integer, and every step from it to the sign is monotone, also when it is rounded. So there is one integer at
which the sign switches, found by asking the very arithmetic that it replaces.
"""

from dataclasses import dataclass

import numpy as np

from .words import sum_type


@dataclass(frozen=True)
class Switch:
    """Per filter: the smallest y with the sign of large y (``point``), and whether that sign is -1 (``falling``)."""

    point: np.ndarray  # (O,) of the type of y, see ``words.sum_type``
    falling: np.ndarray  # (O,) bool


def switch_of(factor: np.ndarray, offset: np.ndarray, beta: np.ndarray | None, most: int) -> Switch:
    """Where the sign switches, for |y| <= ``most``; factor, offset (O,) and β (O,) or None in the network's dtype.

    act is the Hardtanh. A filter whose sign never switches gets the point ``-most`` or ``most + 1``.
    """
    shift = np.zeros_like(factor) if beta is None else beta
    falling = ~(factor >= 0)

    def is_large(y: np.ndarray) -> np.ndarray:
        value = np.clip(factor * y.astype(factor.dtype) + offset, -1, 1)
        return (value + shift >= 0) ^ falling

    low, high = np.full(len(factor), -most, np.int64), np.full(len(factor), most + 1, np.int64)
    while (low < high).any():
        middle = (low + high) // 2
        large = is_large(middle)
        low, high = np.where(large, low, np.minimum(middle + 1, high)), np.where(large, middle, high)
    return Switch(low.astype(sum_type(most)), falling)

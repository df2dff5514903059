"""At the border of 16 bits: sums up to 32,767 would fit, but not the threshold that lies above all of them."""

import numpy as np
import pytest

from sdbnn_lite.packed.thresholds import switch_of
from sdbnn_lite.packed.words import sum_type

LARGEST = 2**15 - 1


@pytest.mark.parametrize("most, wanted", [(LARGEST - 1, np.int16), (LARGEST, np.int32), (LARGEST + 1, np.int32)])
def test_a_threshold_above_every_sum_fits_too(most, wanted):
    """A filter whose output is -1 whatever its sum: only a threshold of most + 1 says so."""
    never = switch_of(np.array([1.0]), np.array([-1e9]), None, most)
    assert sum_type(most) == never.point.dtype == wanted
    assert never.point.tolist() == [most + 1] and not never.falling.any()

"""What the explorers' tests share."""

import pytest

from sdbnn_lite.cost import roofline
from sdbnn_lite.cost.roofline import Peaks, Timed

PEAKS = Peaks(words=1e10, fma=4e10, copied=((2**18, 8e10), (2**22, 4e10), (2**27, 1e10)))
SECONDS = {"float32": 0.004, "bits": 0.0003, "packed": 0.0004}


@pytest.fixture
def same_machine(monkeypatch):
    """Every machine is the same one here, and nothing is timed."""
    monkeypatch.setattr(roofline, "measure_peaks", lambda: PEAKS)
    monkeypatch.setattr(roofline, "measure", lambda shape, *_, **__: Timed(SECONDS, 0.5 if shape.batch > 8 else 1.0))

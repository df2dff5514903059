"""What tests share: property tests draw the same examples in every run, and have no deadline on a busy machine."""

import pytest
import torch
from hypothesis import settings

settings.register_profile("sdbnn_lite", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("sdbnn_lite")


@pytest.fixture(scope="module")
def one_thread():
    """Small tensors on a busy machine: threads that wait for each other cost twenty times what they earn."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)

"""What tests share: property tests draw the same examples in every run; one thread, whatever the machine does."""

import pytest
import torch
from hypothesis import settings

settings.register_profile("sdbnn_lite", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("sdbnn_lite")

THREADS = 1  # threads that wait for each other cost these small tensors up to twenty times what they earn


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Sums round differently with another number of threads: every module begins with the same one."""
    torch.set_num_threads(THREADS)


@pytest.fixture(autouse=True)
def one_thread_again():
    """So does every test, also after one that changed it."""
    yield
    torch.set_num_threads(THREADS)

"""What tests share: the same examples of property tests in every run; one thread; the pictures of a module."""

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


@pytest.fixture(scope="module")
def drawn(request):
    """The pictures that a module lists in ``DRAWN``, name -> function, each drawn once."""
    return {name: make() for name, make in request.module.DRAWN.items()}


@pytest.fixture(autouse=True)
def one_thread_again():
    """So does every test, also after one that changed it."""
    yield
    torch.set_num_threads(THREADS)

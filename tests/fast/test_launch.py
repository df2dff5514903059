"""How a kernel's units are shared among threads."""

import numpy as np
import pytest
import torch

from sdbnn_lite.system.target import target

pytestmark = pytest.mark.skipif(not target().compiled, reason="no kernels for this processor")


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_every_unit_is_done_once_by_as_many_threads_as_the_arrays_are_worth(threads):
    """10 units: the shares of 1 and of 3 threads are the same units; small arrays aren't worth a second thread."""
    from sdbnn_lite.fast.launch import PIECE, Kernel  # needs numba

    done = []
    kernel = Kernel(lambda begin, end, x: None, lambda x: 10)
    kernel.run = lambda begin, end, x: done.append((begin, end))
    for number, size, shares in ((1, 3 * PIECE, [(0, 10)]), (3, 3 * PIECE, [(0, 3), (3, 6), (6, 10)]),
                                 (3, 100, [(0, 10)])):  # fmt: skip
        threads(number), done.clear()
        kernel(np.zeros(size, np.uint8))
        assert sorted(done) == shares


def test_a_fault_in_another_thread_is_raised(threads):
    from sdbnn_lite.fast.launch import PIECE, Kernel  # needs numba

    def run(begin, end, x):
        if begin:
            raise ValueError("in the second share")

    kernel = Kernel(run, lambda x: 2)
    kernel.run = run
    threads(2)
    with pytest.raises(ValueError, match="in the second share"):
        kernel(np.zeros(2 * PIECE, np.uint8))

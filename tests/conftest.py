"""What tests share: their order; the same examples of property tests in every run; one thread; pictures; a run."""

import os
import signal

import pytest
import torch
from hypothesis import settings
from interrupts import epoch_with_ctrl_c
from tiny_runs import QUIET, TINY

from sdbnn_lite.data.in_memory import ImageSet
from sdbnn_lite.training.train import train

settings.register_profile("sdbnn_lite", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("sdbnn_lite")

# What takes long comes first, the longest before all: else one process has it left when the others are done.
LONG = (
    "test_browser test_resume test_gallery test_processes test_train test_cuda_graph test_imagenet test_search"
    " test_core test_walkthrough test_chain test_cli test_study test_equal_to_published 07_counting_the_cost"
    " test_notebook"
).split()
THREADS = 1  # threads that wait for each other cost these small tensors up to twenty times what they earn


def pytest_configure(config):
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # started in the background, where Ctrl-C is ignored
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP"):  # or by nohup
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # a notebook's second thread spins for nothing while it waits
    config.option.loadscopereorder = False  # by xdist, which would begin with the files of many tests


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: LONG.index(item.path.stem) if item.path.stem in LONG else len(LONG))


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


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory):
    """An uninterrupted run of the tiny recipe; to be read only."""
    torch.set_num_threads(THREADS)
    out = tmp_path_factory.mktemp("whole") / "run"
    assert train(TINY, out, options=QUIET).finished
    return out


@pytest.fixture
def interrupt_after(monkeypatch):
    """interrupt_after(n): Ctrl-C, or another signal, twice, while the n-th batch from now on is being prepared."""

    def arm(batches, *number):
        monkeypatch.setattr(ImageSet, "epoch", epoch_with_ctrl_c(batches, *number))

    yield arm

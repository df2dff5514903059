"""How a kernel's parts are shared among threads."""

import sys
import threading

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


def test_as_many_threads_as_the_arrays_are_worth(threads):
    """The call doesn't return before every part is done; small arrays aren't worth a second thread."""
    from sdbnn_lite.fast.launch import PIECE, Kernel  # needs numba

    for number, size, several in ((1, 3 * PIECE, False), (3, 3 * PIECE, True), (3, 100, False)):
        called, both = set(), threading.Event()

        def run(x, state, called=called, both=both, several=several):
            called.add(threading.get_ident())
            if len(called) == 2:
                both.set()
            assert both.wait(60 if several else 0) == several

        kernel = Kernel(lambda x, state: None)
        kernel.run = run
        threads(number)
        kernel(np.zeros(size, np.uint8))
        assert (len(called) > 1) == several


def test_every_part_is_done_once(threads):
    """By three threads that begin at once, and by one; whoever comes when all are taken does none."""
    from numba import njit

    from sdbnn_lite.system.llvm import shared
    from sdbnn_lite.system.threads import together

    @njit(nogil=True)
    def kernel(done, state):
        for part in shared(state.ctypes.data, len(done)):
            for _ in range(1000):
                done[part] += 1

    for number in (1, 3):
        threads(number)
        for _ in range(20):
            done, state = np.zeros(1000, np.int64), np.zeros(2, np.int64)
            together(number, kernel, done, state)
            assert (done == 1000).all() and state[1] == len(done)
            kernel(done, state)
            assert (done == 1000).all()


def test_no_call_of_a_kernel_keeps_memory():
    """112 bytes for each, once: they lay between the activations, whose places didn't fit again, 14 MB a step."""
    import sdbnn_lite as sd
    from sdbnn_lite.core.models import build
    from sdbnn_lite.fast import fast_forward

    net, images = build("cifar10_resnet20"), torch.randn(8, 3, 16, 16)
    forward, packed = fast_forward(net.train()), sd.pack(build("cifar10_resnet20").eval())

    def kept_by(call):
        for _ in range(5):
            call()
        before = sys.getallocatedblocks()
        for _ in range(40):
            call()
        return sys.getallocatedblocks() - before

    assert kept_by(lambda: packed(images)) < 20
    assert kept_by(lambda: forward(images).sum().backward()) < 2000  # autograd's own, to begin with; it was 5,200


def kernels():
    """The Python functions behind everything that numba compiles for the training step and for packed layers."""
    from sdbnn_lite.fast import convolutions, launch, stem
    from sdbnn_lite.fast import kernels as elementwise
    from sdbnn_lite.packed import chains
    from sdbnn_lite.packed import kernels as packed

    for module in (stem, convolutions, elementwise, packed, chains):
        for value in vars(module).values():
            found = getattr(value.run if isinstance(value, launch.Kernel) else value, "py_func", None)
            if found is not None:
                yield found


def freed_arrays(function):
    """Its own arrays that numba frees right after their address got a name."""
    from numba.core import compiler, ir

    given = function.__code__.co_varnames[: function.__code__.co_argcount]
    for block in compiler.run_frontend(function, emit_dels=True).blocks.values():
        for asked, freed, named in zip(block.body, block.body[1:], block.body[2:]):
            if isinstance(freed, ir.Del) and isinstance(asked, ir.Assign) and isinstance(named, ir.Assign):
                said = f"getattr(value={freed.value}, attr=ctypes)"
                if str(asked.value) == said and freed.value not in given and not named.target.name.startswith("$"):
                    yield freed.value


def test_no_kernel_keeps_the_address_of_an_array_that_numba_has_freed():
    def dangling(to):
        own = np.zeros(4)
        address = own.ctypes.data
        to[0] = address

    assert [*freed_arrays(dangling)] == ["own"]
    assert {function.__name__: [*freed_arrays(function)] for function in kernels() if any(freed_arrays(function))} == {}

"""One training step on a GPU: compiled where the run is long, and captured as one CUDA graph.

A small network's step is some thousand kernels of a few microseconds each, and launching one takes the CPU longer than
running it takes the GPU. A captured graph launches all of them at once; ``torch.compile`` merges the elementwise ones.

    steps 1 … 3       as anywhere (compiling on the way), on a side stream, as capturing wants it
    step 4            captured: forward, loss, backward, optimizer, sums; reads ``images`` and ``labels`` buffers
    from step 4 on    copy the batch into the buffers, replay
    smaller batches   (an epoch's last) step by step, uncompiled

Learning rate, EDE's k and t, and all sums are tensors that are filled in place, so one graph serves every epoch. If
compiling or capturing fails, one warning says so, and training continues without it. Images lie on the GPU and are
augmented there (``ImageSet.to``); ``channels_last`` throughout.

TF32 (float32 convolutions with 10-bit inputs) is off where weights are binary: only the few real layers would use it,
and a first layer so rounded would flip signs behind it. It is on where all weights are real (float twin, stage 1), and
never while test images are scored.
"""

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ...system.devices import convolutions
from ..guards import OutOfMemory
from .half_precision import GpuForward
from .readable import Step

WARM_UP = 3
COMPILE_FROM = 40_000  # steps in a run: compiling takes about a minute, and should save a millisecond or two each


def on_side_stream(work: Callable[[], None]) -> None:
    """Do ``work`` on another CUDA stream than the current one, which waits for it."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        work()
    torch.cuda.current_stream().wait_stream(stream)


def cuda_graph(work: Callable[[], None]) -> Callable[[], None]:
    """Capture the kernels of ``work``, which aren't run, and return what runs them."""
    graph, stream = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
    try:
        with torch.cuda.graph(graph):
            work()
    finally:
        torch.cuda.set_stream(stream)  # a capture that fails would leave its own behind
    return graph.replay


class CudaStep(Step):
    """As :class:`Step`, of the same ``parts``, for batches that nearly always have ``batch_size`` images.

    ``steps``: how many the whole run has. Without a GPU, a subclass gives other ways to do work ``aside`` and to
    ``capture`` it.
    """

    forward: GpuForward
    look_every = 50
    aside = staticmethod(on_side_stream)
    capture = staticmethod(cuda_graph)

    def __init__(self, forward: GpuForward, *parts: Any, batch_size: int, steps: int):
        super().__init__(forward, *parts)
        self.batch_size, self.warm, self.captures = batch_size, 0, True
        self.tf32 = not forward.net.method.binary or forward.net.options["stage"] == 1
        self.replay: Callable[[], None] | None = None
        self.fast = self.compiled() if steps >= COMPILE_FROM else None
        self.images = self.labels = torch.empty(0)  # no batch yet

    def compiled(self) -> Callable[[Tensor], Tensor]:
        """The forward pass, and with it the backward pass, through ``torch.compile``."""
        torch.compiler.reset()  # else several runs in one process would reach dynamo's limit of recompilations
        return torch.compile(self.forward.twin.classify, fullgraph=True, dynamic=False)

    def __call__(self, images: Tensor, labels: Tensor) -> None:
        if len(labels) != self.batch_size:
            with convolutions(self.tf32):
                self.compute(images, labels)
        else:
            self.load(images, labels)
            (self.replay or self.first_step)()
        if self.average is not None:
            self.average.update()

    def load(self, images: Tensor, labels: Tensor) -> None:
        """Put a batch into the buffers that the graph reads."""
        if not len(self.images):
            self.images, self.labels = images.clone(memory_format=torch.channels_last), labels.clone()
        self.images.copy_(images)
        self.labels.copy_(labels)

    def first_step(self) -> None:
        """A step before there is a graph; the one after the warm-up captures it, and is its first run."""
        with convolutions(self.tf32, benchmark=True):
            if self.warm >= WARM_UP and self.captures:
                self.replay = self.attempt("captured as a CUDA graph", lambda: self.capture(self.full))
                self.captures = self.replay is not None
            if self.replay is not None:
                return self.replay()
            done = self.fast is not None and self.attempt("compiled", lambda: self.aside(self.full) or True)
            if not done:
                self.fast = None
                self.aside(self.full)
            self.warm += 1

    def full(self) -> None:
        """The step on the batch in the buffers."""
        self.forward.follow()
        self.compute(self.images, self.labels, self.fast)

    def attempt(self, what: str, work: Callable[[], Any]) -> Any:
        """``work()``, or None after a warning where it fails for another reason than memory."""
        try:
            return work()
        except OutOfMemory:
            raise
        except Exception as error:  # torch raises many kinds here
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            said = f"the training step can't be {what}; it goes on without, slower ({reason[:200]})"
            warnings.warn(said, stacklevel=2)
            return None

    @property
    def path(self) -> str:
        """How the steps are computed, for run.json."""
        extras = [", compiled"] * (self.fast is not None) + [", CUDA graph"] * (self.replay is not None)
        return self.forward.path + "".join(extras)

"""The GPU's training step without a GPU: order, buffers and ways out, with a capture that only remembers."""

import copy
import dataclasses
import warnings

import pytest
import torch

import sdbnn_lite as sd
from sdbnn_lite.data import load
from sdbnn_lite.training.averaging import Average
from sdbnn_lite.training.guards import OutOfMemory
from sdbnn_lite.training.losses import TrainingLoss
from sdbnn_lite.training.optimizers import TensorSGD, make_optimizer, parameter_groups, set_lr
from sdbnn_lite.training.recipes import RECIPES
from sdbnn_lite.training.steps import cuda_graph
from sdbnn_lite.training.steps.cuda_graph import COMPILE_FROM, WARM_UP, CudaStep
from sdbnn_lite.training.steps.half_precision import GpuForward
from sdbnn_lite.training.steps.readable import Step

RECIPE = dataclasses.replace(RECIPES["digits"], batch_size=16)


def network(half):
    torch.manual_seed(0)
    net = sd.build("digits_convnet").train()
    sd.set_ede(net, 0.1)
    return net, GpuForward(net, half)


def graph_step(half=True, average=None, capture=lambda work: work, steps=0, aside=lambda work: work()):
    net, forward = network(half)
    optimizer = TensorSGD(parameter_groups(net, RECIPE), torch.tensor(0.1), 0.9)
    average = Average(net, average) if average else None
    kind = type("OnTheCpu", (CudaStep,), {"aside": staticmethod(aside), "capture": staticmethod(capture)})
    step = kind(forward, optimizer, TrainingLoss(), average, batch_size=16, steps=steps)
    return net, step


def batches(number, size=16):
    generator = torch.Generator().manual_seed(1)
    return [(torch.randn(size, 1, 8, 8, generator=generator), torch.randint(10, (size,), generator=generator))
            for _ in range(number)]  # fmt: skip


def test_the_first_steps_then_the_graph():
    """Warm-up aside, one capture, then only replays; and a smaller batch in between goes its own way."""
    said = []

    def aside(work):
        said.append("aside")
        work()

    def capture(work):
        said.append("capture")

        def replay():
            said.append("replay")
            work()

        return replay

    net, step = graph_step(capture=capture, aside=aside)
    for x, y in batches(WARM_UP + 1):
        step(x, y)
    step(*batches(1, size=5)[0])
    step(*batches(1)[0])
    assert said == ["aside"] * WARM_UP + ["capture", "replay", "replay"]
    assert step.path == "float16 forward, bfloat16 backward, CUDA graph"


@pytest.mark.parametrize("half, tolerance", [(False, 1e-5), (True, 1e-2)])
def test_it_trains_as_the_readable_step_does(half, tolerance):
    """Eight steps (one of them smaller) with a changing rate: sums, weights, batch norm and average agree."""
    net, step = graph_step(half, average=0.9)
    readable = copy.deepcopy(net)
    average = Average(readable, 0.9)
    plain = Step(readable, make_optimizer(readable, RECIPE), TrainingLoss(), average)
    work = batches(8)
    work[5] = tuple(t[:7] for t in work[5])
    for i, (x, y) in enumerate(work):
        for one in (step, plain):
            set_lr(one.optimizer, 1e-3 / (i + 1))  # small: a sign that flips would take both apart
            one(x, y)
    assert step.sums()[0] == pytest.approx(plain.sums()[0], rel=tolerance)
    for (name, mine), theirs in zip(net.state_dict().items(), readable.state_dict().values()):
        assert torch.allclose(mine.double(), theirs.double(), rtol=tolerance, atol=tolerance), name
    assert step.average.steps == average.steps == 8
    for mine, theirs in zip(step.average.net.parameters(), average.net.parameters()):
        assert torch.allclose(mine, theirs, rtol=tolerance, atol=tolerance)


def test_a_hundred_steps_lose_as_much():
    """Digits, half precision with a "graph" against the readable path: the same learning, not the same bits."""
    images, losses = load("digits"), []
    from sdbnn_lite.data.augment import Augmentation

    for which in ("graph", "readable"):
        net, step = graph_step()
        if which == "readable":
            step = Step(net, make_optimizer(net, RECIPE), TrainingLoss())
        for x, y in list(images.epoch(16, torch.Generator().manual_seed(0), Augmentation(1, False)))[:89]:
            step(x, y)
        losses.append(step.sums()[0] / (89 * 16))
    assert losses[0] == pytest.approx(losses[1], rel=0.1) and losses[0] < 2.3


def test_without_a_graph_it_goes_on_and_says_so_once():
    def capture(work):
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    net, step = graph_step(capture=capture)
    with pytest.warns(
        UserWarning, match="can't be captured as a CUDA graph; it goes on without.*not permitted"
    ) as said:
        for x, y in batches(WARM_UP + 3):
            step(x, y)
    assert len(said) == 1 and step.replay is None and "graph" not in step.path
    assert step.sums()[0] > 0


def test_memory_that_runs_out_is_not_taken_for_a_failed_capture():
    def capture(work):
        raise OutOfMemory("CUDA out of memory")

    net, step = graph_step(capture=capture)
    with pytest.raises(OutOfMemory):
        for x, y in batches(WARM_UP + 1):
            step(x, y)


def test_what_cannot_be_compiled_is_not(monkeypatch):
    def compiled(self):
        def fails(images):
            raise RuntimeError("no compiler here")

        return fails

    monkeypatch.setattr(CudaStep, "compiled", compiled)
    net, step = graph_step(steps=COMPILE_FROM)
    same_net, same = graph_step()
    with pytest.warns(UserWarning, match="can't be compiled; it goes on without, slower .no compiler here") as said:
        for x, y in batches(WARM_UP + 2):
            step(x, y)
            same(x, y)
    assert len(said) == 1 and step.path.endswith("CUDA graph") and "compiled" not in step.path
    for a, b in zip(net.parameters(), same_net.parameters()):
        assert torch.equal(a, b)  # the failed attempt left nothing behind


@pytest.mark.slow
@pytest.mark.parametrize(
    "network, backend",
    [("cifar10_resnet20", "aot_eager"), ("cifar10_resnet18", "eager"), ("cifar10_vgg_small", "eager")],
)
def test_torch_compile_can_follow_the_whole_network(network, backend):
    """No graph break, with backends that need no compiler; a block of each kind, "aot_eager" backward too."""
    torch.manual_seed(0)
    net = sd.build(network).train()
    for i, stage in enumerate(getattr(net, "layers", ())):
        net.layers[i] = stage[:1]  # each kind is a graph of its own; more of a kind only take longer
    forward = GpuForward(net, half=True)
    forward.follow()
    compiled = torch.compile(forward.twin.classify, fullgraph=True, dynamic=False, backend=backend)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loss = compiled(torch.randn(2, 3, 32, 32)).square().sum()
        loss.backward()
    assert loss.isfinite() and all(p.grad.isfinite().all() for p in forward.net.parameters())
    torch.compiler.reset()


def test_the_compiled_network_has_the_same_gradients():
    x, grads = batches(1)[0][0], []
    for compiled in (False, True):
        net, forward = network(half=True)
        forward.follow()
        f = torch.compile(forward.twin.classify, fullgraph=True, backend="aot_eager") if compiled else forward
        f(x).square().sum().backward()
        grads.append([p.grad for p in net.parameters()])
    torch.compiler.reset()
    for a, b in zip(*grads):
        assert (a - b).abs().max() <= 1e-2 * b.abs().max()


def test_tf32_only_where_all_weights_are_real():
    for method, stage, wanted in (("sdbnn", 2, False), ("sdbnn", 1, True), ("float", 2, True)):
        net = sd.build("digits_convnet", method, stage=stage)
        optimizer = TensorSGD(parameter_groups(net, RECIPE), torch.tensor(0.1), 0.9)
        step = CudaStep(GpuForward(net, True), optimizer, TrainingLoss(), batch_size=4, steps=1)
        assert step.tf32 is wanted
    assert cuda_graph.CudaStep.look_every == 50

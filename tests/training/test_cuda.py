"""What only a GPU can show: exact half-precision sums, a captured step that trains as the readable one, resuming.

Skipped where torch finds no CUDA device.
"""

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from tiny_runs import quiet

import sdbnn_lite as sd
from sdbnn_lite.system.devices import convolutions
from sdbnn_lite.training.losses import TrainingLoss
from sdbnn_lite.training.optimizers import make_optimizer, set_lr
from sdbnn_lite.training.recipes import RECIPES
from sdbnn_lite.training.steps.cuda_graph import CudaStep
from sdbnn_lite.training.steps.half_precision import gpu_forward, half_conv, on_device
from sdbnn_lite.training.steps.readable import Step
from sdbnn_lite.training.train import train
from sdbnn_lite.training.trainer import Trainer
from sdbnn_lite.weights.files import CHECKPOINT, read_tensors

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
GPU = torch.device("cuda")
TINY = dataclasses.replace(RECIPES["digits"], epochs=3, batch_size=128)


@pytest.mark.parametrize("channels, size", [(16, 32), (64, 8), (128, 16), (256, 8), (512, 4)])
@pytest.mark.parametrize("stride", [1, 2])
def test_half_precision_sums_are_exact(channels, size, stride):
    """Random signs, and signs of which 80 % agree, so that sums are large; against float64 on the CPU."""
    generator = torch.Generator().manual_seed(channels)
    for agreeing in (0.5, 0.9):
        a, w = (torch.where(torch.rand(s, generator=generator) < agreeing, 1.0, -1.0)
                for s in ((32, channels, size, size), (channels, channels, 3, 3)))  # fmt: skip
        on_gpu = (x.to(GPU, memory_format=torch.channels_last) for x in (a, w))
        with convolutions(tf32=False, benchmark=True):
            ours = half_conv(*on_gpu, (stride, stride), (1, 1)).cpu()
        assert torch.equal(ours.double(), F.conv2d(a.double(), w.double(), stride=stride, padding=1))


def test_gradients_of_the_convolution():
    generator = torch.Generator().manual_seed(0)
    a, w, grad = (torch.randn(s, generator=generator) for s in ((32, 64, 16, 16), (64, 64, 3, 3), (32, 64, 16, 16)))
    a, w = a.sign().requires_grad_(), w.sign().requires_grad_()
    theirs = torch.autograd.grad(F.conv2d(a, w, padding=1), (a, w), grad)
    ours = torch.autograd.grad(half_conv(a.to(GPU), w.to(GPU), (1, 1), (1, 1)), (a, w), grad.to(GPU))
    for mine, other in zip(ours, theirs):
        assert (mine - other).abs().max() < 1e-2 * other.abs().max()


@pytest.mark.parametrize("name", ["cifar10_resnet20", "cifar10_resnet18", "cifar10_vgg_small"])
@pytest.mark.parametrize("compiled", [False, True])
def test_the_captured_step_is_captured_and_trains_as_the_readable_one(name, compiled, recwarn):
    recipe = dataclasses.replace(RECIPES["cifar10-resnet20"], batch_size=32)
    generator = torch.Generator().manual_seed(1)
    batches = [(torch.randn(32, 3, 32, 32, generator=generator).to(GPU), torch.randint(10, (32,)).to(GPU))
               for _ in range(12)]  # fmt: skip
    losses = []
    for fast in (True, False):
        torch.manual_seed(0)
        net = on_device(sd.build(name), GPU).train()
        sd.set_ede(net, 0.1)
        optimizer = make_optimizer(net, recipe)
        set_lr(optimizer, 1e-3)
        if fast:
            steps = 10**6 if compiled else 1
            step = CudaStep(gpu_forward(net, GPU), optimizer, TrainingLoss(), batch_size=32, steps=steps)
        else:
            step = Step(net, optimizer, TrainingLoss())
        for x, y in [*batches, (batches[0][0][:7], batches[0][1][:7])]:
            step(x, y)
        losses.append(step.sums()[0])
        if fast:
            assert step.path.endswith("CUDA graph") and ("compiled" in step.path) == compiled
    assert losses[0] == pytest.approx(losses[1], rel=0.1)  # a rounding may flip a sign, which flips others behind it


@pytest.mark.parametrize("compiled", [False, True])
def test_the_captured_step_has_the_gradients_of_the_readable_one(compiled):
    """In a shallow network, where few signs differ. With a learning rate of 0, every step has the same ones."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(32, 3, 32, 32, generator=generator).to(GPU)
    y = torch.randint(10, (32,), generator=generator).to(GPU)
    gradients = []
    for fast in (True, False):
        torch.manual_seed(0)
        net = sd.build("cifar10_resnet20")
        for stage in net.layers:
            del stage[1:]
        net = on_device(net, GPU).train()
        sd.set_ede(net, 0.5)
        optimizer = make_optimizer(net, RECIPES["cifar10-resnet20"])
        set_lr(optimizer, 0.0)
        if fast:
            steps = 10**6 if compiled else 1
            step = CudaStep(gpu_forward(net, GPU), optimizer, TrainingLoss(), batch_size=32, steps=steps)
        else:
            step = Step(net, optimizer, TrainingLoss())
        for _ in range(6):
            step(x, y)
        gradients.append({name: p.grad for name, p in net.named_parameters()})
    assert all((gradients[0][name] - g).norm() <= 0.1 * g.norm() for name, g in gradients[1].items())


def test_a_run_can_move_between_devices(tmp_path, monkeypatch):
    """Begun on the GPU, stopped after its first epoch, ended on the CPU; and the other way round."""
    save = Trainer.save
    for first, second in (("cuda", "cpu"), ("cpu", "cuda")):
        out = tmp_path / first

        def stop(self, folder):
            save(self, folder)
            if self.progress.epoch == 1:
                raise KeyboardInterrupt

        monkeypatch.setattr(Trainer, "save", stop)
        with pytest.raises(KeyboardInterrupt):
            train(dataclasses.replace(TINY, ema=0.9), out, options=quiet(device=first))
        monkeypatch.setattr(Trainer, "save", save)
        assert read_tensors(out / CHECKPOINT)[1]["progress"]["epoch"] == 1
        result = train(dataclasses.replace(TINY, ema=0.9), out, resume=True, options=quiet(device=second))
        assert result.finished and result.score.top1 > 0.5


def test_it_learns(tmp_path):
    result = train(dataclasses.replace(TINY, epochs=20), tmp_path / "run", options=quiet(device="cuda"))
    assert result.score.top1 > 0.9

"""What each process of test_processes.py does: ``python distributed_worker.py OUT TASK ...``, with a rank."""

import dataclasses
import json
import os
import signal
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from tiny_runs import QUIET, quiet

import sdbnn_lite as sd
from sdbnn_lite.data.in_memory import ImageSet
from sdbnn_lite.errors import UsageError
from sdbnn_lite.training.evaluate import evaluate
from sdbnn_lite.training.losses import TrainingLoss
from sdbnn_lite.training.optimizers import make_optimizer
from sdbnn_lite.training.recipes import RECIPES
from sdbnn_lite.training.steps import processes
from sdbnn_lite.training.steps.readable import Step
from sdbnn_lite.training.train import train

TINY = dataclasses.replace(RECIPES["digits"], epochs=2, batch_size=256, ema=0.8, label_smoothing=0.1, lr=1e-3)
FIVE = dataclasses.replace(TINY, epochs=1, batch_size=320, ema=0.0)  # 1,437 images: four batches and one of 157
# In float32 a sum in another order may tip a sign of a binary network, and from there on the runs part; so the trainer
# is compared on the real-valued twin (and with a small rate: at 0.1 weights that differ by 1e-7 differ by 1e-4 after
# five steps, in one process too), and binary networks in float64 (`two_steps`).
SMOOTH = {"method": "float", "options": QUIET}
SEVEN = 7  # images a batch, which two processes share as 3 and 4


def random_images(number=3925):
    """As many images as Imagenette has for validation, of 8×8 pixels."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (number, 1, 8, 8), generator=generator, dtype=torch.uint8)
    labels = torch.randint(10, (number,), generator=generator)
    return ImageSet(name="r", label="random", classes=tuple("0123456789"), mean=(0.5,), std=(0.5,), train_images=pixels,
                    train_labels=labels, test_images=pixels, test_labels=labels)  # fmt: skip


def stage_net(stage):
    """ImageNet's ResNet-18 for ten classes, in float64.

    Its own first weights, all positive and tiny, make channels of variance near 0, whose batch norm turns the rounding
    of 1e-16 into 1e-8: not what is tested here.
    """
    torch.manual_seed(stage)
    net = sd.build("imagenet_resnet18", "sdbnn", 10, stage=stage).double()
    for layer in sd.binary_layers(net).values():
        torch.nn.init.kaiming_normal_(layer.weight)
    return net


def two_steps(stage, step_of, shard=(0, 1)):
    """Adam, learning from a teacher, on batches of seven 32×32 images; ``step_of(net, optimizer, loss)``."""
    net = stage_net(stage)
    recipe = RECIPES[f"imagenette-resnet18-stage{stage}"]
    teacher = stage_net(3 - stage).eval()
    step = step_of(net, make_optimizer(net, recipe), TrainingLoss(0.0, 0.75, teacher.classify))
    generator = torch.Generator().manual_seed(1)
    for _ in range(2):
        x = torch.randn(SEVEN, 3, 32, 32, generator=generator, dtype=torch.float64)
        y = torch.randint(10, (SEVEN,), generator=generator)
        first, last = (SEVEN * (shard[0] + i) // shard[1] for i in (0, 1))
        step(x[first:last], y[first:last])
    return net.state_dict(), step.sums()


def batch_norm_case():
    """Values of unequal mean and spread, and a gradient for them: (7, 5, 3, 2) float64 each."""
    generator = torch.Generator().manual_seed(2)
    x, grad = torch.randn(2, SEVEN, 5, 3, 2, generator=generator, dtype=torch.float64)
    return x * torch.arange(1.0, 6)[:, None, None] + 3, grad


def steps(out, peers):
    from sdbnn_lite.training.steps.data_parallel import SharedStep, SynchronisedBatchNorm

    shard = peers.rank, peers.count
    for stage in (1, 2):
        state, sums = two_steps(stage, lambda n, o, l: SharedStep(n, o, l, None, peers), shard)
        state["sums"] = torch.tensor(peers.total(*sums), dtype=torch.float64)
        save_file(state, out / f"steps{stage}-{peers.rank}.safetensors")
    x, grad = (t.tensor_split((3,))[peers.rank].clone() for t in batch_norm_case())
    norm = SynchronisedBatchNorm(5).double()
    y = norm(x.requires_grad_())
    y.backward(grad)
    found = {"y": y, "x": x.grad, "mean": norm.running_mean, "var": norm.running_var, "weight": norm.weight.grad}
    save_file({k: v.detach().clone() for k, v in found.items()}, out / f"norm-{peers.rank}.safetensors")


def runs(out, peers):
    train(FIVE, out / "five", method="float", options=quiet(tensorboard=""))
    train(TINY, out / "two", **SMOOTH)


def stopped(out, peers):
    """Ctrl-C reaches one process alone, in its third step; both stop."""
    call, left = Step.__call__, [3]

    def counted(self, images, labels):
        left[0] -= 1
        if left[0] == 0 and peers.rank == 1:
            signal.raise_signal(signal.SIGINT)
        call(self, images, labels)

    Step.__call__ = counted
    assert not train(TINY, out / "stopped", **SMOOTH).finished
    Step.__call__ = call


def resumed(out, peers):
    assert train(TINY, out / "from_one", resume=True, **SMOOTH).finished


def score(out, peers):
    images = random_images()
    torch.manual_seed(0)
    mine = evaluate(sd.build("digits_convnet"), dataclasses.replace(images, shard=(peers.rank, peers.count)), 100)
    both = peers.combine(mine)
    facts = {"mine": mine.images, **dataclasses.asdict(both)}
    (out / f"score-{peers.count}-{peers.rank}.json").write_text(json.dumps(facts))


def refused(out, peers):
    try:
        train(dataclasses.replace(TINY, batch_size=255), out / "refused", options=QUIET)
    except UsageError as error:
        assert error.everywhere and not (out / "refused").exists()
        (out / f"refused-{peers.rank}.txt").write_text(str(error))
    try:
        peers.agree(lambda: (_ for _ in ()).throw(UsageError("only here")) if peers.rank == 1 else None)
    except UsageError as error:
        (out / f"agreed-{peers.rank}.txt").write_text(str(error))


def killed(out, peers):
    """The command line; in the second epoch's third step, process 1 is killed for good, once."""
    from sdbnn_lite.cli import main

    call, left = Step.__call__, [9]

    def counted(self, images, labels):
        left[0] -= 1
        if left[0] == 0 and peers.rank == 1 and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
            os.kill(os.getpid(), signal.SIGKILL)
        call(self, images, labels)

    Step.__call__ = counted
    options = ["--lr", "0.001", "--method", "float", "--quiet", "--out", str(out / "killed")]
    sys.exit(main(["train", "digits", "--epochs", "2", "--batch-size", "256", *options]))


def work(out, *tasks):
    torch.set_num_threads(1)
    peers = processes.join("cpu")
    for task in tasks:
        globals()[task](Path(out), peers)
    processes.leave()


if __name__ == "__main__":
    work(*sys.argv[1:])

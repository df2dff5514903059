"""One training step, as a textbook has it: logits, loss, gradients, update. A GPU has its own: ``cuda_graph``."""

import torch
from torch import Tensor

from ..averaging import Average
from ..evaluate import Forward
from ..losses import TrainingLoss


class Step:
    """``step(images, labels)`` trains on one batch and adds to the sums, which stay on the device until ``sums``.

    ``forward`` maps images (B, C, H, W) to logits; ``average``, where there is one, is that of its network.
    """

    look_every = 1  # after so many steps it is cheap to read the sums: a GPU has to be waited for

    def __init__(self, forward: Forward, optimizer: torch.optim.Optimizer, loss: TrainingLoss,
                 average: Average | None = None):  # fmt: skip
        self.forward, self.optimizer, self.loss, self.average = forward, optimizer, loss, average
        device = optimizer.param_groups[0]["params"][0].device
        self.tally = torch.zeros(2, dtype=torch.float64, device=device)  # Σ loss·images, Σ correct

    @property
    def path(self) -> str:
        """How the steps are computed, for run.json."""
        return getattr(self.forward, "path", "readable")

    def __call__(self, images: Tensor, labels: Tensor) -> None:
        self.compute(images, labels)
        if self.average is not None:
            self.average.update()

    def compute(self, images: Tensor, labels: Tensor, forward: Forward | None = None) -> None:
        """Everything of a step that happens on the device, so that a CUDA graph can hold it."""
        logits = (forward or self.forward)(images)
        loss = self.loss(logits, images, labels)
        self.optimizer.zero_grad(set_to_none=True)
        self.weighed(loss, labels).backward()
        self.optimizer.step()
        correct = (logits.detach().argmax(1) == labels).sum()
        self.tally += torch.stack([loss.detach().double() * len(labels), correct.double()])

    def weighed(self, loss: Tensor, labels: Tensor) -> Tensor:
        """The scalar that is differentiated: the batch's mean loss (``data_parallel``: weighted by its shard)."""
        return loss

    def begin(self, loss_sum: float, correct: int) -> None:
        """Set the sums: 0 at the start of an epoch, a checkpoint's where one is resumed."""
        self.tally.copy_(torch.tensor([loss_sum, correct], dtype=torch.float64))

    def sums(self) -> tuple[float, int]:
        """Σ loss·images and Σ correct of the epoch so far; on a GPU this waits until the steps are done."""
        loss_sum, correct = self.tally.tolist()
        return loss_sum, int(correct)

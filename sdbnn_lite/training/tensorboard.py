"""A run in TensorBoard: the curves of its log and of its signs, which weights flip, how latent weights are spread."""

from pathlib import Path

import torch
from torch import Tensor

from ..core.layers import binary_layers
from ..errors import RunError, UsageError
from ..system.files import writable_folder
from .evaluate import Score
from .trainer import Trainer

CURVES = {  # tag -> column of log.csv
    "loss/train": "train_loss",
    "loss/test": "test_loss",
    "accuracy/train": "train_accuracy",
    "accuracy/test": "test_accuracy",
    "schedule/lr": "lr",
    "schedule/ede_t": "ede_t",
    "images_per_second": "images_per_second",
}


def check(folder: str | Path | None) -> None:
    """Raise UsageError where TensorBoard is asked for (not None) and its package is missing, or ``folder`` no folder.

    "" stands for a folder in the run's own, which need not be there yet.
    """
    if folder is None:
        return
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError as error:
        raise UsageError(f"--tensorboard needs a package: pip install tensorboard ({error})") from error
    if folder != "":
        writable_folder(folder)


class Board:
    """Writes each epoch of ``trainer`` (``after_epoch``) as an event file into ``folder``; the run stays as it is.

    What an earlier process wrote of epochs that this one trains again is hidden. Step k is the k-th epoch:

    CURVES                      the log's columns
    share_of_plus_one/LAYER     and entropy/LAYER, of the output signs, as signs.csv has them
    weight_flips/LAYER          share of ŵ that isn't what it was one epoch before; none where that isn't known
    latent_weights/LAYER        their histogram
    """

    def __init__(self, trainer: Trainer, folder: Path):
        from torch.utils.tensorboard import SummaryWriter

        self.trainer, self.layers = trainer, binary_layers(trainer.net)
        self.writer = SummaryWriter(str(writable_folder(folder)), purge_step=trainer.progress.epoch + 1)
        self.before = {} if trainer.progress.step else self.weight_signs()  # resumed within an epoch: its start is gone

    @torch.no_grad()
    def weight_signs(self) -> dict[str, Tensor]:
        """Where ŵ is +1, of each layer with binary weights."""
        return {name: layer.shifted_weight() >= 0 for name, layer in self.layers.items() if layer.binary_weights}

    def after_epoch(self, epoch: int, score: Score) -> None:
        """Write the epoch that was just finished; raises RunError where the files can't be written."""
        scalars = {tag: self.trainer.log[-1][column] for tag, column in CURVES.items()}
        for row in self.trainer.signs:
            if row["epoch"] == epoch:
                scalars |= {f"share_of_plus_one/{row['layer']}": row["output"], f"entropy/{row['layer']}": row["entropy"]}
        now = self.weight_signs()
        scalars |= {f"weight_flips/{name}": float((self.before[name] != signs).double().mean())
                    for name, signs in now.items() if name in self.before}  # fmt: skip
        self.before = now
        try:
            for tag, value in scalars.items():
                self.writer.add_scalar(tag, value, epoch)
            for name, layer in self.layers.items():
                self.writer.add_histogram(f"latent_weights/{name}", layer.weight.detach().cpu(), epoch)
            self.writer.flush()
        except OSError as error:
            raise RunError(f"{self.writer.log_dir}: TensorBoard's file can't be written ({error.strerror or error}); "
                           f"{self.trainer.kept}") from error  # fmt: skip

    def close(self) -> None:
        """End the thread that writes."""
        self.writer.close()

"""A run in TensorBoard: the curves of its log and of its signs, which weights flip, how latent weights are spread."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..core.layers import binary_layers
from ..errors import RunError, UsageError
from ..system.files import writable_folder
from .evaluate import Score
from .sign_rows import SHARE_BINS
from .trainer import Trainer

BIN_EDGES = np.linspace(0, 1, SHARE_BINS + 1)
BIN_CENTRES = (BIN_EDGES[1:] + BIN_EDGES[:-1]) / 2


def check(folder: str | Path | None) -> None:
    """Raise UsageError where TensorBoard is asked for (not None), but its package is missing or the folder unfit."""
    if folder is not None:
        try:
            import torch.utils.tensorboard  # noqa: F401
        except ImportError as error:
            raise UsageError(f"--tensorboard needs a package: pip install tensorboard ({error})") from error
        if folder:
            writable_folder(folder)


class Board:
    """Writes ``trainer``'s epochs into event files as steps 1, 2, …: the log's columns, and of each binary layer

    output, entropy   of the output signs, as in signs.csv
    weight_flips      share of ŵ that isn't what it was an epoch before; none where that isn't known
    output_signs      histogram over the channels: each one's share of +1, as signs.csv has it
    latent_weights    their histogram

    They lie in ``place``, in a folder named like the run's, ``out``; where it is "", in out/tensorboard. What a killed
    process wrote of epochs that are trained again is hidden. The run isn't changed.
    """

    def __init__(self, trainer: Trainer, place: str | Path, out: Path):
        from torch.utils.tensorboard import SummaryWriter
        self.trainer, self.layers = trainer, binary_layers(trainer.net)
        folder = writable_folder(Path(place, out.resolve().name) if place else out / "tensorboard")
        self.writer = SummaryWriter(str(folder), purge_step=trainer.progress.epoch + 1)
        self.before = {} if trainer.progress.step else self.weight_signs()  # resumed within an epoch: its start is lost

    @torch.no_grad()
    def weight_signs(self) -> dict[str, Tensor]:
        """Where ŵ is +1, of each layer with binary weights."""
        return {name: layer.shifted_weight() >= 0 for name, layer in self.layers.items() if layer.binary_weights}

    def after_epoch(self, epoch: int, score: Score) -> None:
        """Write the epoch that was just finished; raises RunError where that fails."""
        scalars = {name: value for name, value in self.trainer.log[-1].items() if name not in ("epoch", "seconds")}
        signs = [row for row in self.trainer.signs if row["epoch"] == epoch]
        scalars |= {f"{name}/{row['layer']}": row[name] for row in signs for name in ("output", "entropy")}
        before, self.before = self.before, self.weight_signs()
        scalars |= {f"weight_flips/{name}": (old != self.before[name]).double().mean() for name, old in before.items()}
        try:
            for name, value in scalars.items():
                self.writer.add_scalar(name, value, epoch)
            for row in signs:
                shares = np.repeat(BIN_CENTRES, [int(count) for count in row["share_histogram"].split()])
                self.writer.add_histogram(f"output_signs/{row['layer']}", shares, epoch, bins=BIN_EDGES)
            for name, layer in self.layers.items():
                self.writer.add_histogram(f"latent_weights/{name}", layer.weight, epoch)
            self.writer.flush()
        except OSError as error:
            raise RunError(f"{self.writer.log_dir}: can't be written ({error}); {self.trainer.kept}") from error

"""Training in a notebook, with a picture that grows epoch by epoch."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..core.methods import get_method
from ..plots.live import training_so_far
from ..system.devices import one_thread
from ..training.api import train
from ..training.train import Result
from .notebook import picture

EPOCHS = 15  # well below a minute, and enough for the signs to settle


def train_live(method: str, epochs: int = EPOCHS, seed: int = 0) -> Result:
    """Train the digits' network with ``method``, drawing accuracy, entropy and share of +1 after every epoch.

    The weights are those of ``sdbnn-lite train digits --method METHOD --epochs EPOCHS --seed SEED --threads 1`` on a
    CPU; beside other programs one thread is as quick as two on so small a network. One picture stays, and no file does.
    Stopping the cell ends the run after a step: the result isn't ``finished``.
    Raises UsageError as ``sd.train`` does; for an unknown method before anything is drawn.
    """
    from IPython.display import DisplayHandle
    log: list[dict] = []
    signs: list[dict] = []
    alt = (f"{get_method(method).title} on the digits, {epochs} epochs: accuracy on the test images, entropy of the "
           f"output signs and share of +1 among the inputs of each binary layer, epoch by epoch.")  # fmt: skip
    shown = DisplayHandle()

    def drawn() -> dict[str, Any]:
        data, about = picture(training_so_far(log, signs, epochs, method), alt)
        return {"obj": data, "metadata": about, "raw": True}

    def after_epoch(row: dict, layers: list[dict]) -> None:
        log.append(row)
        signs.extend(layers)
        shown.update(**drawn())

    shown.display(**drawn())
    with one_thread(), TemporaryDirectory() as folder:
        return train("digits", Path(folder) / "run", method=method, seed=seed, epochs=epochs, progress=False,
                     after_epoch=after_epoch)  # fmt: skip

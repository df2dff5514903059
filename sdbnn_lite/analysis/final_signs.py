"""The signs of a finished network, measured once more on more images than after every epoch.

``IMAGES`` test images from the whole set, beside the 256 of signs.csv.

final_signs.csv   the columns of signs.csv, a row per binary layer, for the last epoch
"""

from pathlib import Path

import pandas as pd
from torch import Tensor

from ..core.layers import binary_layers
from ..core.models import BinaryNet
from ..core.record import record_signs, summary_row
from ..data.in_memory import ImageSet
from ..system.machine import convolutions
from . import study
from .study import FINAL_SIGNS

IMAGES = 500


def final_rows(net: BinaryNet, images: Tensor, epoch: int) -> list[dict]:
    """The rows of final_signs.csv for ``net``, seen on ``images``; none for the float twin."""
    if not binary_layers(net):
        return []
    with convolutions(tf32=False):
        recorded = record_signs(net, images)
    return [{"epoch": epoch, "layer": name, "images": len(images), **summary_row(s)} for name, s in recorded.items()]


def write_study_signs(out: Path, rows: list[dict], to: Path, images: ImageSet, epoch: int) -> None:
    """final_signs.csv of a study whose runs lie in ``out``, into the folder ``to``; ``rows`` are those of runs.csv."""
    sample = images.test_sample(IMAGES)
    study.measure_runs(out, rows, Path(to) / FINAL_SIGNS, lambda net: final_rows(net.to(sample.device), sample, epoch))


def last_signs(name: str) -> tuple[pd.DataFrame, str]:
    """A study's signs after the last epoch, a row per run and layer, and on which images they were measured.

    Raises UsageError where the study isn't in the package.
    """
    if (study.RESULTS / name / FINAL_SIGNS).is_file():
        table = study.read_study(name, FINAL_SIGNS)
        return table, f"{table['images'].iloc[0]} test images, evenly from the whole set"
    try:
        table = study.read_study(name, "signs.csv")
    except pd.errors.EmptyDataError:  # the float twin alone
        return pd.DataFrame(columns=["method", "seed", "epoch", "layer", "entropy", "sign_difference"]), "no signs"
    table = table[table["epoch"] == table["epoch"].max()]
    return table, "256 test images"

"""The signs of a finished network, measured once more, on more than the 256 images that are seen after every epoch.

final_signs.csv   the columns of signs.csv, a row per binary layer, for the last epoch, on ``IMAGES`` of the whole set
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
from torch import Tensor

from ..core.layers import binary_layers
from ..core.models import BinaryNet
from ..core.record import record_signs
from ..data.in_memory import ImageSet
from ..system.devices import convolutions
from ..training.run_folder import SIGNS
from ..training.sign_rows import summary_row
from . import study, tables

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
    path = Path(to) / tables.FINAL_SIGNS
    study.measure_runs(out, rows, path, lambda net: final_rows(net.to(sample.device), sample, epoch))


def read_signs(folder: Path, images: str = "test images") -> tuple[pd.DataFrame, str]:
    """Signs after the last epoch of the run or study in ``folder``, a row per (run and) layer, and on which images.

    From final_signs.csv, or without one from signs.csv; no rows without any (the float twin).
    """
    whole = (folder / tables.FINAL_SIGNS).is_file()
    path = folder / (tables.FINAL_SIGNS if whole else SIGNS)
    if not path.is_file() or not path.stat().st_size:
        return pd.DataFrame(columns=["method", "seed", "epoch", "layer", "entropy", "sign_difference"]), "no signs"
    table = tables.read_table(path)
    table = table[table["epoch"] == table["epoch"].max()]
    return table, f"{table['images'].iloc[0]} {images}, evenly from the whole set" if whole else f"256 {images}"


def committed(datasets: Sequence[str] = ("cifar10", "imagenette", "imagenet"),
              ) -> Iterator[tuple[dict, list[Path], pd.DataFrame]]:  # fmt: skip
    """Facts, folders and last epoch's signs, with method and seed, of every study in the package, then of the runs
    that are published of the ``datasets``: those that differ in nothing but the seed together, facts of the first."""
    for study_name in tables.STUDIES:
        if tables.has_study(study_name):
            folder = tables.study_folder(study_name)
            yield tables.study_facts(study_name), [folder], read_signs(folder)[0]
    for dataset in datasets:
        for runs in tables.over_seeds(dataset):
            folders = [tables.results_of(name) for name in runs]
            signs = [read_signs(folder)[0].assign(method=run["method"], seed=run["seed"])
                     for folder, run in zip(folders, runs.values())]  # fmt: skip
            yield next(iter(runs.values())), folders, pd.concat(signs)


def last_signs(name: str) -> tuple[pd.DataFrame, str]:
    """:func:`read_signs` of a study. Raises UsageError where it isn't in the package."""
    if not tables.has_study(name, tables.FINAL_SIGNS) and not tables.has_study(name, SIGNS):
        tables.read_study(name, SIGNS)
    return read_signs(tables.study_folder(name))

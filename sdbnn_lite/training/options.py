"""What a command line says of a run beside its recipe, its method and its seed."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Row = dict[str, Any]  # of log.csv, or of signs.csv
Said = dict[str, Any]  # what a JSON says, by name


@dataclass(frozen=True)
class RunOptions:
    """Where a run's images and networks come from, what computes it, and what it prints; none is part of its recipe."""

    data_dir: str | Path | None = None  # this, download, strict and workers: as for ``data.load``
    device: str = "auto"  # CUDA where there is one; or "cpu", "cuda"
    download: bool = False  # ImageNet's teacher too
    init: str | Path | None = None  # a trained network whose weights are the run's first ones
    teacher: str | Path | None = None  # the trained network that a recipe with ``distill`` > 0 learns from
    progress: bool = True  # show a progress bar
    command: str = ""  # what was typed, for run.json
    strict: bool = False
    workers: int | None = None
    validation: int | None = None  # training images to hold out and score in place of the test images
    tensorboard: str | Path | None = None  # where TensorBoard finds the run under its name; "": in the run's own folder
    after_epoch: Callable[[Row, list[Row]], None] | None = None  # told each epoch's rows of log.csv and signs.csv


DEFAULTS = RunOptions()

"""What a command line says of a run beside its recipe, its method and its seed."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunOptions:
    """Where a run's images and networks come from, what computes it, and what it prints; none is part of its recipe.

    data_dir, download, strict, workers   as for ``data.load``; ``download`` also fetches ImageNet's teacher
    device                                "auto" (CUDA where there is one), "cpu" or "cuda"
    init                                  a trained network whose weights are the run's first ones
    teacher                               the trained network that a recipe with ``distill`` > 0 learns from
    progress                              whether to show a progress bar
    command                               what was typed, for run.json
    validation                            training images to hold out and score in place of the test images
    """

    data_dir: str | Path | None = None
    device: str = "auto"
    download: bool = False
    init: str | Path | None = None
    teacher: str | Path | None = None
    progress: bool = True
    command: str = ""
    strict: bool = False
    workers: int | None = None
    validation: int | None = None


DEFAULTS = RunOptions()

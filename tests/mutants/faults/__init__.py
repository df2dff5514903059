"""Faults that this project could plausibly have, each put into the package by replacing one text by another.

A fault that no test notices is a check that is missing: ``run.py`` makes every mutant in a copy and runs the tests
named beside it, which have to fail. ``old`` stands exactly once in ``file``; whoever changes that line changes it here
too. They lie by room: ``kernels`` has ``packed/`` and ``fast/``, ``numbers`` has ``cost/`` and ``analysis/``.
"""

from . import core, data, kernels, numbers, system, training, weights
from .mutant import Mutant

MUTANTS = (*core.MUTANTS, *kernels.MUTANTS, *data.MUTANTS, *training.MUTANTS, *weights.MUTANTS, *system.MUTANTS,
           *numbers.MUTANTS)  # fmt: skip
__all__ = ["MUTANTS", "Mutant"]

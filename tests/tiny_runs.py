"""Three short epochs on the digits, and what two runs of them have to have in common."""

import dataclasses

from sdbnn_lite import runs
from sdbnn_lite.checkpoints import WEIGHTS
from sdbnn_lite.files import read_csv
from sdbnn_lite.recipes import RECIPES

TINY = dataclasses.replace(RECIPES["digits"], epochs=3, batch_size=256)
EXACT = ("epoch", "ede_t", "lr", "train_loss", "train_accuracy", "test_loss", "test_accuracy")


def log_of(folder):
    """The log's columns that don't depend on the clock."""
    return [{key: row[key] for key in EXACT} for row in read_csv(folder / runs.LOG)]


def same_run(a, b):
    """The same network, bit for bit, and the same logs."""
    assert (a / WEIGHTS).read_bytes() == (b / WEIGHTS).read_bytes()
    assert log_of(a) == log_of(b)
    assert (a / runs.SIGNS).read_bytes() == (b / runs.SIGNS).read_bytes()

"""Three short epochs on the digits, and what two runs of them have to have in common."""

import dataclasses

import torch

from sdbnn_lite.system.files import read_csv
from sdbnn_lite.training import run_folder
from sdbnn_lite.training.options import RunOptions
from sdbnn_lite.training.recipes import RECIPES
from sdbnn_lite.training.train import train
from sdbnn_lite.weights.files import CHECKPOINT, WEIGHTS

TINY = dataclasses.replace(RECIPES["digits"], epochs=3, batch_size=256)
SEARCHED = dataclasses.replace(TINY, epochs=2)
QUIET = RunOptions(progress=False)
EXACT = ("epoch", "ede_t", "lr", "train_loss", "train_accuracy", "test_loss", "test_accuracy")


def quiet(**options):
    """``RunOptions`` without a progress bar."""
    return dataclasses.replace(QUIET, **options)


def log_of(folder):
    """The log's columns that don't depend on the clock."""
    return [{key: row[key] for key in EXACT} for row in read_csv(folder / run_folder.LOG)]


def same_run(a, b):
    """The same network, bit for bit, and the same logs."""
    assert (a / WEIGHTS).read_bytes() == (b / WEIGHTS).read_bytes()
    assert log_of(a) == log_of(b)
    assert (a / run_folder.SIGNS).read_bytes() == (b / run_folder.SIGNS).read_bytes()


def train_tiny(out):
    """Start or resume TINY in ``out``, on one thread."""
    torch.set_num_threads(1)
    train(TINY, out, resume=(out / CHECKPOINT).exists(), options=QUIET)


def search_tiny(out, space, trials):
    """Make ``trials`` trials of SEARCHED in ``out``, on one thread; ``space``: the text of its file."""
    from sdbnn_lite.training.search import Search
    from sdbnn_lite.training.search_space import read_space

    torch.set_num_threads(1)
    file = out.with_suffix(".toml")
    file.write_text(space)
    found = Search(SEARCHED, read_space(file, SEARCHED), out, "bnn", options=quiet(validation=700))
    found.run(trials)
    return found

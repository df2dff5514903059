"""A run's result is its last epoch's, also where an earlier one was better on the test images."""

import dataclasses
import json

from tiny_runs import QUIET, TINY

from sdbnn_lite import data
from sdbnn_lite.system.files import read_csv
from sdbnn_lite.training import run_folder
from sdbnn_lite.training.evaluate import evaluate
from sdbnn_lite.training.train import train
from sdbnn_lite.weights.zoo import load

GETS_WORSE = dataclasses.replace(TINY, warmup_epochs=2, lr=3.0)  # a warm-up to the end, and 30 times as steep


def test_the_result_is_the_last_epochs_not_the_best_ones(tmp_path):
    result = train(GETS_WORSE, tmp_path / "run", options=QUIET)
    shares = [float(row["test_accuracy"]) for row in read_csv(tmp_path / "run" / run_folder.LOG)]
    assert shares[-1] < max(shares) - 0.02  # else this test couldn't fail
    saved = json.loads((tmp_path / "run" / run_folder.RUN).read_text())["result"]
    assert result.score.top1 == saved["test_accuracy"] == shares[-1]
    assert saved["protocol"].startswith("last epoch")
    assert evaluate(load(tmp_path / "run"), data.load("digits")).top1 == shares[-1]

"""Time to accuracy: how long the committed CIFAR-10 runs trained until they first reached a test accuracy.

    minutes(a) = Σ seconds / 60 over the epochs up to the first whose test accuracy is a or more

Seconds are those of log.csv: training and scoring, beside whatever else the machine did. Reading off when an accuracy
is first reached chooses no result: what counts as a run's accuracy stays its last epoch's.
"""

from collections.abc import Sequence

from . import tables
from .captions import hardware
from .cifar10 import DATASET, TITLES

NETWORK = "cifar10_resnet20"
TARGETS = (60, 70, 75, 80)  # percent


def rows(network: str = NETWORK, targets: Sequence[float] = TARGETS) -> list[dict]:
    """A row per committed run of ``network`` and target, the shortest runs first.

    ``epoch`` and ``minutes`` are None where the run never reached the target.
    """
    found = []
    runs = tables.published_runs(DATASET).items()
    for name, run in sorted(runs, key=lambda item: (item[1]["epochs"], item[0])):
        if run["network"] != network:
            continue
        log = tables.run_log(name)
        for target in targets:
            there = log["test_accuracy"] >= target / 100
            first = int(there.idxmax()) if there.any() else None
            found.append({
                "run": name, "recipe": run["recipe"], "method": run["method"], "epochs": run["epochs"],
                "target_%": target, "epoch": None if first is None else int(log["epoch"][first]),
                "minutes": None if first is None else round(log["seconds"][: first + 1].sum() / 60, 1),
                "machine": hardware(run),
            })  # fmt: skip
    return found


def in_words(network: str = NETWORK) -> str:
    """For the highest target that any run reached: the run that took the least time, and what no run reached."""
    every = rows(network)
    reached = [row for row in every if row["minutes"] is not None]
    if not reached:
        return ""
    highest = max(row["target_%"] for row in reached)
    best = min((row for row in reached if row["target_%"] == highest), key=lambda row: row["minutes"])
    above = [target for target in TARGETS if target > highest]
    return (f"Time to accuracy: {TITLES[network]} first reaches {highest} % of the test images after {best['epoch']} "
            f"epochs, {best['minutes']:,.0f} minutes ({best['machine']}; `{best['recipe']}`, {best['epochs']} epochs)"
            f"{f'; no committed run reaches {above[0]} %' if above else ''}.")  # fmt: skip

"""Time to accuracy: how long the committed CIFAR-10 runs trained until they first reached a test accuracy.

    minutes(a) = Σ seconds / 60 over the epochs up to the first whose test accuracy is a or more

Seconds are those of log.csv, beside whatever else the machine did. A run's accuracy stays its last epoch's.
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
    found, every = [], sorted(tables.published_runs(DATASET).items(), key=lambda item: (item[1]["epochs"], item[0]))
    for name, run in (item for item in every if item[1]["network"] == network):
        log = tables.run_log(name)
        for target in targets:
            until = log[: int((log["test_accuracy"] >= target / 100).argmax()) + 1]
            reached = until["test_accuracy"].iloc[-1] >= target / 100
            epoch, minutes = (len(until), round(until["seconds"].sum() / 60, 1)) if reached else (None, None)
            found.append({"run": name, "recipe": run["recipe"], "method": run["method"], "epochs": run["epochs"],
                          "target_%": target, "epoch": epoch, "minutes": minutes, "machine": hardware(run)})
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

"""Does a scaling factor help while training? The committed studies' XNOR-Net beside the plain network, in words."""

import pandas as pd

from ..core.methods import METHODS
from .captions import in_percent
from .tables import has_study, read_study, study_facts, summary

STUDIES = ("digits", "cifar10-resnet20")


def against_plain(runs: pd.DataFrame, scaled: str = "xnor", plain: str = "bnn") -> tuple[str, bool]:
    """Both accuracies in words, and whether their difference is within the larger of the seeds' standard deviations.

    ``runs``: a row per run, with ``method`` and ``test_accuracy``, at least two seeds of both methods.
    """
    rows = summary(runs).loc[[scaled, plain]] * [1, 100, 100]
    within = abs(rows["mean"].diff().iloc[-1]) <= rows["std"].max()
    said = ", ".join(f"{METHODS[m].short} {in_percent(row['mean'], row['std'], 1)} (n = {row['n']:.0f})"
                     for m, row in rows.iterrows())  # fmt: skip
    return said, bool(within)


def scale_in_training() -> tuple[str, bool]:
    """One sentence over ``STUDIES``, as far as they are there; and whether the seeds hide the difference in all."""
    said, hidden = [], []
    for study in filter(has_study, STUDIES):
        words, within = against_plain(read_study(study))
        facts = study_facts(study)
        said.append(f"on {facts['data'].split(' (')[0]} ({facts['epochs']} epochs) {words}")
        hidden.append(within)
    spread = "no larger than" if all(hidden) else "not everywhere within"
    return f"Trained networks: {'; '.join(said)}. The difference is {spread} the spread of the seeds.", all(hidden)

"""Two methods of a committed study side by side, in words; and so whether a scaling factor helps while training."""

from ..core.methods import METHODS
from .captions import in_percent
from .tables import STUDIES, has_study, read_study, study_facts, summary


def side_by_side(study: str, methods: tuple[str, str]) -> str:
    """Both accuracies over the seeds, how far their means are apart, and the larger standard deviation."""
    rows, facts = summary(read_study(study)).loc[[*methods]] * [1, 100, 100], study_facts(study)
    points = abs(rows["mean"].iloc[0] - rows["mean"].iloc[1])
    said = ", ".join(f"{METHODS[m].short} {in_percent(row['mean'], row['std'], 1)} (n = {row['n']:.0f})"
                     for m, row in rows.iterrows())  # fmt: skip
    return (f"On {facts['data'].split(' (')[0]}, {facts['epochs']} epochs by the recipe `{study}`: {said}; their means "
            f"differ by {points:.1f} points, the seeds of one of them by ± {rows['std'].max():.1f}.")  # fmt: skip


def scale_in_training() -> str:
    """XNOR-Net beside the plain network, in each of ``STUDIES`` that is there."""
    return "Trained to the end: " + " ".join(side_by_side(s, ("xnor", "bnn")) for s in STUDIES if has_study(s))

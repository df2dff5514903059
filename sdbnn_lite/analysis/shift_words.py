"""What ASD does to the signs, in sentences: to its inputs, to the outputs, and whether σ or the adaptivity does it."""

from collections.abc import Sequence

import pandas as pd

from . import input_shares
from .ablation import contrasts
from .captions import in_percent, spread
from .tables import read_study, study_facts, summary


def remaining_loss(last: pd.DataFrame) -> float | None:
    """Of the entropy that ASD costs, added over the layers, the share that tanh costs too; None where it costs none."""
    mean = last.groupby(["method", "layer"])["entropy"].mean().groupby("method").sum()
    lost = mean["ede"] - mean["asd"]
    return float((mean["ede"] - mean["asd_tanh"]) / lost) if lost > 0 else None


def tanh_in_words(last: pd.DataFrame) -> str:
    """Which part of ASD lowers the entropy: σ, which only pushes upwards, or that each image has its own shift.

    ``last``: the study's signs after the last epoch, with the methods ede, asd and asd_tanh.
    """
    flips, left = last.loc[last["method"] == "asd_tanh", "input_flips"], remaining_loss(last)
    said = []
    for layer, rows in last.groupby("layer"):
        entropy = [spread(rows.loc[rows["method"] == method, "entropy"]) for method in ("asd_tanh", "asd", "ede")]
        said.append(f"{layer} {', '.join(entropy)} bit")
    if left is None:
        cause = "σ lowers nothing here"
    elif left < 0.25:
        cause = "what lowers it is that σ is positive, not that the shift adapts to the image"
    else:
        cause = "the shift that adapts lowers it too" + (", with either function alike" if left > 0.75 else "")
    cost = "" if left is None else f"Over the layers, tanh costs {100 * max(left, 0):.0f} % of what σ costs: "
    return (f"With tanh in place of σ, shifts flip {100 * flips.min():.0f} to {100 * flips.max():.0f} % of the input "
            f"signs, either way. Entropy with tanh, with σ and without a shift: {'; '.join(said)} "
            f"(n = {last['seed'].nunique()} seeds). {cost}{cause}.")  # fmt: skip


def before_and_after() -> pd.DataFrame:
    """Share of +1 among SD-BNN's inputs, before and after ASD, at the end of each committed study and run of it.

    Columns run (in words), before and after; means over seeds and layers.
    """
    rows = [(f"{folders[0].name}, {facts['epochs']} epochs", *table[input_shares.SHARES].mean())
            for facts, folders, table in input_shares.runs(stages=(1, 2))]  # fmt: skip
    return pd.DataFrame(rows, columns=["run", "before", "after"])


def before_and_after_in_words(rows: pd.DataFrame | None = None) -> str:
    """Whether most inputs are +1 behind ASD in all ``rows`` of :func:`before_and_after`, and where they aren't."""
    rows = before_and_after() if rows is None else rows
    first, others = rows.iloc[0], rows.iloc[1:]

    def shown(row) -> str:
        return f"{row.run}: {100 * row.before:.0f} → {100 * row.after:.0f} %"

    few = others[others["after"] < 0.5]
    end = "most inputs are +1 behind ASD in all of them."
    if len(few):
        end = (f"in {len(few)} of them most are −1 behind ASD too ({'; '.join(map(shown, few.itertuples()))}): batch "
               f"norm in front can push against the shift.")  # fmt: skip
    return (f"Share of +1 among the inputs before → after ASD, {shown(first)}. Of SD-BNN's {len(others)} other runs in "
            f"the package, {end}")  # fmt: skip


def outputs_in_words(last: pd.DataFrame) -> str:
    """What ASD does to the entropy of the output signs, layer by layer, beside what the paper expects."""
    mean = last.groupby(["layer", "method"])["entropy"].mean().unstack()
    said = [f"in {layer} {row['ede']:.2f} bit without a shift and {row['asd']:.2f} with ASD"
            for layer, row in mean.iterrows()]  # fmt: skip
    lower, of = (mean["asd"] < mean["ede"]).sum(), len(mean)
    so = {0: "as the paper expects, outputs differ more with ASD", of: "the opposite of what the paper expects"}
    return f"Entropy {', '.join(said)}: {so.get(lower, 'it depends on the layer')}."


def accuracy_in_words(methods: Sequence[str], study: str = "digits") -> str:
    """The accuracies of ``methods`` in a study, and whether ASD's differs from its control's, EDE alone."""
    runs = read_study(study)
    means = (100 * summary(runs)[["mean", "std"]]).loc[list(methods)]
    said = [f"{method} {in_percent(row['mean'], row['std'], 1)}" for method, row in means.iterrows()]
    images = study_facts(study)["test_images"]
    (asd,) = [c for c in contrasts(runs, images) if (c.one, c.other) == ("asd", "ede")]
    return f"Accuracy: {', '.join(said)}. ASD - ede: {asd.points:+.1f} points ({asd.verdict})."

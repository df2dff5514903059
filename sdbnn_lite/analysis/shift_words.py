"""What ASD does to the signs, in sentences: to its inputs, to the outputs, and whether σ or the adaptivity does it."""

import pandas as pd

from .final_signs import last_signs, read_signs
from .tables import published_runs, results_of, study_facts


def spread(values: pd.Series, digits: int = 3) -> str:
    """Mean ± sample standard deviation."""
    return f"{values.mean():.{digits}f} ± {values.std():.{digits}f}"


def remaining_loss(last: pd.DataFrame, layer: str) -> float | None:
    """Of the entropy that ASD costs in ``layer``, the share that it also costs with tanh; None where it costs none."""
    mean = last[last["layer"] == layer].groupby("method")["entropy"].mean()
    lost = mean["ede"] - mean["asd"]
    return float((mean["ede"] - mean["asd_tanh"]) / lost) if lost > 0 else None


def tanh_in_words(last: pd.DataFrame, layer: str = "conv2") -> str:
    """Which part of ASD lowers the entropy: σ, which only pushes upwards, or that each image has its own shift.

    ``last``: the study's signs after the last epoch, with the methods ede, asd and asd_tanh.
    """
    entropy = last[last["layer"] == layer].pivot(index="seed", columns="method", values="entropy")
    flips, left = last.loc[last["method"] == "asd_tanh", "input_flips"], remaining_loss(last, layer)
    if left is None:
        cause = "σ lowers nothing there"
    elif left < 0.25:
        cause = "what lowers it is that σ is positive, not that the shift adapts to the image"
    elif left > 0.75:
        cause = "the shift that adapts lowers it with either function"
    else:
        cause = "that σ is positive is a part of what lowers it"
    return (f"With tanh in place of σ, shifts flip {100 * flips.min():.0f} to {100 * flips.max():.0f} % of the input "
            f"signs, either way, and the entropy in {layer} is {spread(entropy['asd_tanh'])} bit, against "
            f"{spread(entropy['asd'])} with σ and {spread(entropy['ede'])} without a shift (n = {len(entropy)} "
            f"seeds): {cause}.")  # fmt: skip


def before_and_after() -> pd.DataFrame:
    """Share of +1 among SD-BNN's inputs, before and after ASD, at the end of each committed study and run of it.

    Columns run (in words), before and after; means over seeds and layers.
    """
    found = []
    for study in ("digits", "cifar10-resnet20"):
        facts, (table, _) = study_facts(study), last_signs(study)
        found.append((study, facts, table[table["method"] == "sdbnn"]))
    for dataset in ("cifar10", "imagenette"):
        runs = {name: run for name, run in published_runs(dataset).items() if run["method"] == "sdbnn"}
        found += [(name, run, read_signs(results_of(name))[0]) for name, run in runs.items()]
    return pd.DataFrame([(f"{name}, {facts['epochs']} epochs", *table[["input_before", "input_after"]].mean())
                         for name, facts, table in found], columns=["run", "before", "after"])  # fmt: skip


def before_and_after_in_words(rows: pd.DataFrame) -> str:
    """Whether most inputs are +1 behind ASD in all of ``rows``, and where they aren't."""
    first, others = rows.iloc[0], rows.iloc[1:]

    def shown(row) -> str:
        return f"{row.run}: {100 * row.before:.0f} → {100 * row.after:.0f} %"

    few = others[others["after"] < 0.5]
    end = "most inputs are +1 behind ASD in all of them."
    if len(few):
        end = (f"in {len(few)} of them most are −1 behind ASD too: "
               f"{'; '.join(map(shown, few.itertuples()))}. Batch norm in front can push against the shift.")  # fmt: skip
    return (f"Share of +1 among the inputs before → after ASD, {shown(first)}. Of the {len(others)} other runs of SD-BNN "
            f"in the package, {end}")  # fmt: skip

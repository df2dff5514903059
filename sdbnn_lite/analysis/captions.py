"""What a result was measured on, in the words of a caption; runs that differ in nothing but the seed, as one row."""

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from ..system.machine import processor


def hardware(facts: Mapping) -> str:
    """What a study or a run computed on; where a run was moved to another machine, all of them, once each."""
    runs = (*facts.get("earlier", ()), facts)
    names = [processor(part["machine"]) for part in runs]
    turns = [(a, f" up to epoch {p['epochs']}" if b else "") for p, a, b in zip(runs, names, names[1:] + [0]) if a != b]
    back = len({*names}) < len(turns)  # to one that it had left
    names = [*dict.fromkeys(names)] if back else [name + end for name, end in turns]
    same = f"{facts['machine']['cpu']}, "  # said once
    names = [name.removeprefix(same) if i and names[i - 1].startswith(same) else name for i, name in enumerate(names)]
    others = f"; elsewhere: {len(facts['elsewhere'])} of the runs" if "elsewhere" in facts else ""
    said = f"{' and '.join(names)} by turns" if back else ", then ".join(names)
    return said.replace("(R)", "").replace("(TM)", "") + others


def span(values: Sequence[float], digits: int = 0) -> str:
    """The smallest and the largest of ``values``, or the one number that all are."""
    return " to ".join(dict.fromkeys(f"{end:,.{digits}f}" for end in (min(values), max(values))))


def study_line(facts: Mapping, n: Sequence[int]) -> str:
    """Data set, network, epochs, number of seeds and test images of a study's figure."""
    return (f"{facts['data']}; {facts['network']}, {facts['epochs']} epochs, n = {span(n)}; last epoch, all "
            f"{facts['test_images']:,} test images")  # fmt: skip


def tuned_in_words(facts: Mapping) -> str:
    """How the methods of a study that was tuned got their settings, and which; "" where it wasn't."""
    if "tuned" not in facts:
        return ""
    budget, rates = facts["searches"], {}
    for method, own in facts["tuned"].items():
        rates.setdefault(", ".join(f"{name}={value:.3g}" for name, value in own.items()), []).append(method)
    said = "; ".join(f"{settings} ({', '.join(methods)})" for settings, methods in rates.items())
    return (f"each method by the best of its {budget['trials']} trials ({budget['epochs']} epochs; {budget['data']}): "
            f"{said}")  # fmt: skip


def settings(facts: Mapping, keys: Sequence[str]) -> dict:
    """What ``facts`` say of ``keys``, ready for grouping: lists as tuples."""
    return {key: tuple(facts[key]) if isinstance(facts[key], list) else facts[key] for key in keys}


def schedule_in_words(run: Mapping, facts: Mapping) -> str:
    """A run's epochs, and which optimizer and temperatures it has where those of ``facts`` are others."""
    said = [f"{run['epochs']} epochs"]
    said += [run["optimizer"].capitalize()] if run["optimizer"] != facts["optimizer"] else []
    return ", ".join(said) + temperatures(run["ede"], facts["ede"])


def temperatures(ede: Sequence[float], usual: Sequence[float]) -> str:
    """The two ends of EDE's t, to be added to a name, where they aren't the ``usual`` ones; else ""."""
    return "" if (*ede,) == (*usual,) else ", t from {:g} to {:g}".format(*ede)


def groups(runs: pd.DataFrame, same: Sequence[str], joined: Sequence[str],
           sort: bool = False) -> Iterator[tuple[dict, pd.DataFrame]]:  # fmt: skip
    """Each group of ``runs`` that are equal in the columns ``same``, as (row, runs), in order of appearance or sorted.

    The row holds those columns, n, and of each column ``joined`` its different texts.
    """
    for _, group in runs.groupby(list(same), sort=sort, dropna=False):
        texts = {key: "; ".join(dict.fromkeys(group[key])) for key in joined}
        yield {**{key: group[key].iloc[0] for key in same}, "n": len(group), **texts}, group


def mean_std(values: pd.Series, prefix: str = "") -> dict[str, float]:
    """Mean and sample standard deviation, NaN for one seed, as columns."""
    return {f"{prefix}mean": values.mean(), f"{prefix}std": values.std()}


def spread(values: pd.Series, digits: int = 3) -> str:
    """Mean ± sample standard deviation."""
    return f"{values.mean():.{digits}f} ± {values.std():.{digits}f}"


def in_percent(mean: float, std: float, digits: int = 2) -> str:
    """As "84.12 ± 0.20 %", or "84.12 %" where there is one seed."""
    return f"{mean:.{digits}f} %" if pd.isna(std) else f"{mean:.{digits}f} ± {std:.{digits}f} %"


def image_counts(rows: pd.DataFrame) -> str:
    """How many images each row was scored on."""
    return " or ".join(f"{n:,.0f}" for n in rows["test_images"].unique())


def measured_on(rows: pd.DataFrame, images: str) -> str:
    """Data sets, protocol, how many ``images`` (test images, ...) and what the spread means, of rows with n > 0."""
    data = " and ".join(rows["data"].unique())
    spread = "mean ± standard deviation over n seeds" if rows["n"].max() > 1 else "n = 1: a single seed, no spread"
    return f"{data}, last epoch, all {image_counts(rows)} {images}, {spread}."

"""Runs that differ in nothing but the seed: one row of a table, and what has to stand below such a table."""

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd


def settings(facts: Mapping, keys: Sequence[str]) -> dict:
    """What ``facts`` say of ``keys``, ready for grouping: lists as tuples."""
    return {key: tuple(facts[key]) if isinstance(facts[key], list) else facts[key] for key in keys}


def groups(
    runs: pd.DataFrame, same: Sequence[str], joined: Sequence[str], sort: bool = False
) -> Iterator[tuple[dict, pd.DataFrame]]:
    """Each group of ``runs`` that are equal in the columns ``same``, as (row, runs), in order of appearance or sorted.

    The row holds those columns, n, and of each column ``joined`` its different texts.
    """
    for _, group in runs.groupby(list(same), sort=sort, dropna=False):
        texts = {key: "; ".join(dict.fromkeys(group[key])) for key in joined}
        yield {**{key: group[key].iloc[0] for key in same}, "n": len(group), **texts}, group


def mean_std(values: pd.Series, prefix: str = "") -> dict[str, float]:
    """Mean and sample standard deviation, NaN for one seed, as columns."""
    return {f"{prefix}mean": values.mean(), f"{prefix}std": values.std()}


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

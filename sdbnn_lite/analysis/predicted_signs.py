"""Channels that hardly ever change sign: predicted from a layer's shares of +1 by 01's closed form, and measured.

predicted   P = P(y >= 0) for n random products, p = share of +1 among the inputs after ASD, q = among the weights
measured    of final_signs.csv: the outputs' entropy, dead channels, and those within the outermost 5 % of shares
"""

import pandas as pd
import torch

from ..core.layers import binary_layers
from ..core.models import build
from ..core.signs import entropy, random_signs
from . import tables
from .final_signs import read_signs

OUTER = 0.05  # a channel whose share of +1 lies below this, or above 1 - this, is nearly dead; the histogram's bins
SILENT = 0.1  # bit; below this a layer is predicted to say next to nothing


def predicted_signs(name: str, dataset: str = "imagenette") -> tuple[pd.DataFrame, str]:
    """A row per binary layer of the published run ``name``, in the network's order, and the images it was seen on.

    layer (from 1), p, q, n, P, predicted (bit), entropy (bit), channels, dead, outer (dead ones included).
    """
    run = tables.published_runs(dataset)[name]
    with torch.device("meta"):
        shapes = {layer: tuple(m.weight.shape) for layer, m in binary_layers(build(run["network"])).items()}
    signs, images = read_signs(tables.results_of(name), "validation images")
    rows = []
    for place, row in enumerate(signs.to_dict("records"), 1):
        channels, *taps = shapes[row["layer"]]
        p, q, n = row["input_after"], row["weight_after"], int(torch.Size(taps).numel())
        plus = min(random_signs(p, q, n).plus, 1.0)  # rounding may pass 1
        bins = [int(count) for count in row["share_histogram"].split()]
        rows.append({"layer": place, "p": p, "q": q, "n": n, "P": plus, "predicted": float(entropy(plus)),
                     "entropy": row["entropy"], "channels": channels, "dead": row["dead_channels"],
                     "outer": bins[0] + bins[-1]})  # fmt: skip
    return pd.DataFrame(rows), images


def predicted_in_words(table: pd.DataFrame, images: str) -> str:
    """What of ``predicted_signs`` was predicted, and what was found."""
    dead, outer, all_of_them = (int(table[column].sum()) for column in ("dead", "outer", "channels"))
    where = ", ".join(f"{row.layer} ({row.dead})" for row in table.itertuples() if row.dead)
    silent = table["predicted"] < SILENT
    said = [f"{len(found)} layer{'s' * (len(found) > 1)} that {what}: {found['entropy'].mean():.2f} bit an output sign "
            f"({found['entropy'].min():.2f} to {found['entropy'].max():.2f})"
            for found, what in ((table[silent], "the formula calls silent"), (table[~silent], "it doesn't"))
            if len(found)]  # fmt: skip
    return (f"{dead:,} of {all_of_them:,} channels have one sign on all of {images}"
            f"{f', in layers {where}' if dead else ''}; {outer:,} have one sign in {1 - OUTER:.0%} of their outputs or "
            f"more. The {'; the '.join(said)}.")  # fmt: skip

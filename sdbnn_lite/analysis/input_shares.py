"""How many inputs of the binary layers are +1 before and after ASD's shift, over the epochs and from run to run.

ASD's shift lies in (0, 1), so it only ever moves signs to +1. But batch norm's β, learned with it, moves whole
channels: where β falls, fewer activations are above 0 before the shift, and it no longer makes most inputs +1.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from torch import nn

from ..training.run_folder import SIGNS
from ..weights import zoo
from .captions import schedule_in_words
from .cifar10 import COMPRESSED, PUBLISHED, TITLES
from .final_signs import committed
from .tables import read_table

NETWORKS = {**TITLES, "imagenet_resnet18": "ResNet-18", "imagenet_resnet34": "ResNet-34", "digits_convnet": "small net"}
SHARES = ["input_before", "input_after"]
COLUMNS = ["label", "network", "dataset", "epochs", "n", "before", "after", "beta", "below"]
METHOD, CONTROLS = "sdbnn", ("ede", "wsd")


def _label(facts: Mapping) -> str:
    network = NETWORKS[facts["network"]]
    if facts["dataset"] == "cifar10":
        return f"{network}, {schedule_in_words(facts, vars(PUBLISHED[facts['network']]))}"
    return f"{facts['dataset'].capitalize()}, {network}, {facts['epochs']} epochs"


def runs(stages: tuple[int, ...] = (2,)) -> Iterator[tuple[dict, list[Path], pd.DataFrame]]:
    """What :func:`committed` gives of all studies and published runs of SD-BNN, of these ``stages``."""
    for facts, folders, table in committed():
        if METHOD in facts.get("methods", ()) or (facts.get("method") == METHOD and facts["stage"] in stages):
            yield facts, folders, _of(table, METHOD)


def _of(table: pd.DataFrame, method: str) -> pd.DataFrame:
    return table[table["method"] == method] if "method" in table else table  # a published run's has one method


def ends() -> pd.DataFrame:
    """A row per run, or study, of SD-BNN: shares of +1 ``before`` and ``after`` the shift, last epoch, in percent.

    Means over the binary layers, each counting the same, and over n seeds. beta, below: the mean of batch norm's β over
    the channels and the percentage of them that are below 0; NaN where the network isn't in the zoo.
    """
    rows = []
    for facts, folders, table in runs():
        who = {"label": _label(facts), **{key: facts[key] for key in ("network", "dataset", "epochs")}}
        shares = dict(zip(("before", "after"), 100 * table[SHARES].mean()))
        rows.append({**who, "n": table["seed"].nunique(), **shares, **betas(folders[0].name)})
    return pd.DataFrame(rows, columns=COLUMNS).sort_values(["dataset", "epochs"], ignore_index=True, kind="stable")


def betas(name: str) -> dict[str, float]:
    """Mean of batch norm's β over all channels of the zoo's network, and the percentage below 0; {} without one."""
    if name not in zoo.zoo_names():
        return {}
    norms = [m for m in zoo.load(name).modules() if isinstance(m, nn.BatchNorm2d)]
    beta = np.concatenate([norm.bias.detach().numpy() for norm in norms])
    return {"beta": float(beta.mean()), "below": 100 * float((beta < 0).mean())}


def over_epochs() -> dict[str, pd.DataFrame]:
    """Label -> ``SHARES`` in percent by epoch: of the CIFAR-10 ResNet-20's studies (the published schedule's beside a
    control, the same gradient without a shift) and of its longest published run by each recipe."""
    found, mine = {}, [run for run in runs() if run[0]["network"] == "cifar10_resnet20"]
    longest = {facts["recipe"]: facts["epochs"] for facts, *_ in sorted(mine, key=lambda run: run[0]["epochs"])}
    for facts, folders, _ in mine:
        if "methods" in facts or facts["epochs"] == longest[facts["recipe"]]:
            table = pd.concat([read_table(folder / SIGNS) for folder in folders])
            found[_label(facts)] = _of(table, METHOD)
            for control in [m for m in CONTROLS if facts["recipe"] == COMPRESSED and m in facts.get("methods", ())][:1]:
                found[f"{_label(facts)}, no ASD (`{control}`)"] = _of(table, control)
    return {label: 100 * table.groupby("epoch")[SHARES].mean() for label, table in found.items()}


def in_words(found: pd.DataFrame) -> str:
    """What :func:`ends` says of CIFAR-10 and ImageNet's classes, and no more; "" where there is nothing."""
    found = found[found["dataset"] != "digits"]
    if found.empty:
        return ""
    said = "; ".join(f"{row.label}: {row.before:.0f} → {row.after:.0f} %" for row in found.itertuples())
    fewer = found[found["after"] < 50]
    then = (f"In {len(fewer)} of these {len(found)} fewer than half are +1 even after it: the shift is more than "
            "compensated.") if len(fewer) else "The shift makes most of them +1 in all of these."  # fmt: skip
    return f"Share of +1 among binary inputs before → after ASD's shift: {said}. {then}"


def betas_in_words(found: pd.DataFrame) -> str:
    """Whether batch norm's β went below 0 where the share before the shift is low."""
    known = found[found["beta"].notna() & (found["dataset"] == "cifar10")]
    said = "; ".join(f"{row.label}: {row.beta:+.2f}, {row.below:.0f} % of the channels below 0"
                     for row in known.itertuples())  # fmt: skip
    return f"Batch norm's β in the mean: {said}." if said else "There is no network yet whose β could be looked at."


def course_in_words(found: Mapping[str, pd.DataFrame]) -> str:
    """How the shares went while learning, run by run, as :func:`over_epochs` gave them."""
    said = []
    for label, shares in found.items():
        ends = [(epoch, *shares.loc[epoch, SHARES]) for epoch in shares.index[[0, -1]]]
        said.append(f"{label}: " + ", ".join(f"{before:.0f} → {after:.0f} % in epoch {epoch}"
                                             for epoch, before, after in ends))  # fmt: skip
    return f"{'; '.join(said)}." if said else "No such run has recorded its signs yet."


def all_in_words(found: pd.DataFrame) -> str:
    """The ends, the way there, and batch norm's β, a paragraph each."""
    return f"{in_words(found)}\n\n{course_in_words(over_epochs())}\n\n{betas_in_words(found)}"

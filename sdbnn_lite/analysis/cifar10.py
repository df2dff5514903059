"""The paper's CIFAR-10 table beside ours, from the committed results; nothing of the paper's is in our columns.

Our number is the last epoch's on all test images. The published code quotes the best epoch on the test set; that is
taken from the same runs' logs, and has columns of its own (``best_…``).
"""

from collections.abc import Mapping

import pandas as pd

from ..system.text import markdown_table
from ..training.recipes import RECIPES
from . import tables
from .captions import groups, hardware, image_counts, in_percent, mean_std, measured_on, settings, temperatures

DATASET = "cifar10"
STUDY = "cifar10-resnet20-evening"  # the ablation, each method by its own learning rate
COMPRESSED = "cifar10-resnet20"  # all by the published schedule, compressed; both studies' sdbnn runs are in the table
METHOD = "sdbnn"
TITLES = {"cifar10_resnet18": "ResNet-18", "cifar10_resnet20": "ResNet-20", "cifar10_vgg_small": "VGG-Small"}
PAPER = {"cifar10_resnet18": 92.5, "cifar10_resnet20": 86.9, "cifar10_vgg_small": 90.8}  # percent, arXiv 2103.02394
PUBLISHED = {r.network: r for r in RECIPES.values() if r.published and r.network in PAPER}
THEIR_IMAGES = 9_984  # of the 10,000 test images: the published code drops the last, smaller batch


def finished_runs() -> pd.DataFrame:
    """A row per finished SD-BNN run, published ones and the studies': settings, ``last`` and ``best`` in percent."""
    rows = []
    for name, run in tables.published_runs(DATASET).items():
        if run["method"] == METHOD:
            rows.append(_row(run, run["seed"], run["result"]["test_accuracy"], tables.run_log(name), f"runs/{name}"))
    for study in filter(tables.has_study, (STUDY, COMPRESSED)):
        facts, epochs = tables.study_facts(study), tables.read_study(study, "epochs.csv")
        for run in tables.read_study(study).query("method == @METHOD").itertuples():
            log = epochs[(epochs["method"] == METHOD) & (epochs["seed"] == run.seed)]
            mine = tables.facts_of(facts, run._asdict())
            rows.append(_row(mine, run.seed, run.test_accuracy, log, study))
    who = [*tables.SAME, "seed"]  # once each, though a run may be in both
    return pd.DataFrame(rows, columns=[*who, "last", "best", "hardware", "command", "source"]).drop_duplicates(who)


def _row(facts: Mapping, seed: int, last: float, log: pd.DataFrame, source: str) -> dict:
    return {**settings(facts, tables.SAME), "seed": seed, "last": 100 * last, "best": 100 * log["test_accuracy"].max(),
            "hardware": hardware(facts), "command": facts["command"], "source": f"results/{source}"}  # fmt: skip


def table() -> pd.DataFrame:
    """A row per network, recipe and length, the paper's order, the longest first; n = 0 where nothing was run yet.

    Accuracies, the paper's too, in percent; std and best_std are NaN where n < 2.
    """
    runs, rows = finished_runs(), []
    for network, title in TITLES.items():
        paper = {"network": network, "title": title, "paper": PAPER[network], "paper_epochs": PUBLISHED[network].epochs}
        mine = runs[runs["network"] == network]
        found = groups(mine, tables.SAME, ("hardware", "command", "source"), sort=True)
        for row, same in sorted(found, key=lambda group: (-group[0]["epochs"], -group[1]["last"].mean())):
            rows.append({**row, **paper, **mean_std(same["last"]), **mean_std(same["best"], "best_")})
        if mine.empty:
            command = f"sdbnn-lite train {PUBLISHED[network].name} --data DIR"
            rows.append({**paper, "recipe": PUBLISHED[network].name, "n": 0, "command": command})
    columns = "network title recipe paper paper_epochs epochs n mean std best_mean best_std data test_images hardware"
    return pd.DataFrame(rows, columns=[*columns.split(), "ede", "command", "source"])


def markdown(rows: pd.DataFrame | None = None) -> str:
    """:func:`table` as a Markdown table, and below it what its columns mean and where each row comes from."""
    rows = table() if rows is None else rows
    heads = ("Network", "Epochs", "n", "Ours: last epoch", "Ours, by the published code's protocol: best epoch on the "
             "test set", "The paper's number", "The paper's epochs")  # fmt: skip
    lines, origins = [], []
    for row in rows.to_dict("records"):
        name = row["title"] + own_recipe(row)
        if row["n"]:
            cells = (f"{row['epochs']:.0f}", row["n"], f"**{in_percent(row['mean'], row['std'])}**",
                     in_percent(row["best_mean"], row["best_std"]))  # fmt: skip
            origins.append(f"- {name}, {row['epochs']:.0f} epochs, {row['hardware']}: `{row['command']}`")
        else:
            cells = ("–", 0, "not run yet", "–")
            origins.append(f"- {name}: `{row['command']}` would do it")
        lines.append((name, *cells, f"{row['paper']} %", row["paper_epochs"]))
    return "\n".join([markdown_table(heads, lines), "", legend(rows), "", *origins])


def best_markdown() -> str:
    """The best mean of each network, one row each, as a Markdown table with all that has to stand beside it."""
    rows = table().sort_values("mean", na_position="first").drop_duplicates("network", keep="last").sort_index()
    heads = ("Network", "Ours", "Epochs", "n", "Hardware", "Command", "The paper's number", "The paper's epochs")
    lines = []
    for row in rows.to_dict("records"):
        cells = ("not run yet", "–", 0, "–")
        if row["n"]:
            cells = f"**{in_percent(row['mean'], row['std'])}**", f"{row['epochs']:.0f}", row["n"], row["hardware"]
        name = row["title"] + own_recipe(row)
        lines.append((name, *cells, f"`{row['command']}`", f"{row['paper']} %", row["paper_epochs"]))
    there = rows[rows["n"] > 0]
    return markdown_table(heads, lines) + ("" if there.empty else f"\n\nOurs: {measured_on(there, 'test images')}")


def csv_rows(rows: pd.DataFrame) -> list[dict]:
    """:func:`table` with two decimals of a percent, empty where there is no number."""
    digits = {"mean": 2, "std": 2, "best_mean": 2, "best_std": 2, "epochs": 0, "test_images": 0}
    texts = {column: rows[column].map(f"{{:.{number}f}}".format) for column, number in digits.items()}
    return rows.assign(**texts).astype(object).where(rows.notna(), "").to_dict("records")


def legend(rows: pd.DataFrame) -> str:
    """What every number of ours in the table was measured on."""
    there = rows[rows["n"] > 0]
    if there.empty:
        return f"Nothing of ours was run yet. The published code scores {THEIR_IMAGES:,} of the 10,000 test images."
    return (f"Ours: {measured_on(there, 'test images')} The second protocol takes each run's best epoch on the test "
            f"set, as the published code does, but from the same {image_counts(there)} images; the published code "
            f"scores {THEIR_IMAGES:,} of them. The paper's two columns are the paper's own.")  # fmt: skip


def own_recipe(row: Mapping) -> str:
    """What is added to a network's name where recipe or EDE's temperatures aren't the published ones."""
    published = PUBLISHED[row["network"]]
    if row["recipe"] != published.name:
        return f", recipe `{row['recipe']}` (ours)"
    return temperatures(row["ede"], published.ede) if row["n"] else ""


def gap_in_words(row: Mapping) -> str:
    """A sentence on one row of :func:`table`: how far from the paper's number, and what differs."""
    if not row["n"]:
        return f"{row['title']}: not run yet."
    points = row["mean"] - row["paper"]
    side = "above" if points >= 0 else "below"
    length = row["epochs"] / row["paper_epochs"]
    schedule = "the published length" if length == 1 else f"{100 * length:.2g} % of the published {row['paper_epochs']}"
    seeds = f"n = {row['n']}" + (", so its spread isn't known" if row["n"] == 1 else f", ± {row['std']:.2f}")
    return (f"{row['title']}{own_recipe(row)}: {row['mean']:.2f} %, {abs(points):.2f} points "
            f"{side} the paper's {row['paper']} %, after {row['epochs']:.0f} "
            f"epochs, {schedule} ({seeds}).")  # fmt: skip


def protocol_in_words(rows: pd.DataFrame) -> str:
    """What choosing the best epoch on the test set adds, row by row."""
    there = rows[rows["n"] > 0]
    if there.empty:
        return "Nothing was run yet, so there is nothing to compare."
    said = [f"{row['best_mean'] - row['mean']:+.2f} points ({row['title']}{own_recipe(row)}, {row['epochs']:.0f} "
            f"epochs, n = {row['n']})" for row in there.to_dict("records")]  # fmt: skip
    return (f"Choosing the best epoch instead of the last one gives {', '.join(said)}. It can't be less than 0, since "
            "the last epoch is among those to choose from; it is 0 where the last epoch was the best. And it isn't a "
            "measurement of unseen images any more: the test images were looked at to choose.")  # fmt: skip


def fit(name: str) -> tuple[float, float]:
    """Percent right of a published run's training images, as they came in its last epoch, and of the test images."""
    last = tables.run_log(name).iloc[-1]
    return 100 * last["train_accuracy"], 100 * last["test_accuracy"]


def fit_in_words(name: str) -> str:
    """How well a published run fits its training images beside the test images."""
    run, (train, test) = tables.published_runs(DATASET)[name], fit(name)
    if test >= train:
        said = "it hasn't learnt the training images by heart (and they are harder: cropped and mirrored at random)"
    else:
        said = f"it is {train - test:.1f} points better on images that it knows, though they are cropped and mirrored"
    return (f"{TITLES.get(run['network'], run['network'])}, epoch {run['epochs']}: {train:.1f} % of the training "
            f"images, as augmented, and {test:.1f} % of the test images are right; {said}.")  # fmt: skip


def own_beside_longest(rows: pd.DataFrame, network: str = "cifar10_resnet20") -> tuple[pd.Series, pd.Series]:
    """Of a network's rows of :func:`table` that of its -evening recipe as it is, and the published one's longest."""
    mine, published = rows[rows["network"] == network], PUBLISHED[network].name
    own = RECIPES[f"{published}-evening"]
    return (mine[(mine["recipe"] == own.name) & (mine["epochs"] == own.epochs)].iloc[0],
            mine[mine["recipe"] == published].nlargest(1, "epochs").iloc[0])  # fmt: skip


def recipes_in_words(rows: pd.DataFrame, network: str = "cifar10_resnet20") -> str:
    """What a network reached in each row of :func:`table`, the shortest first, and how its -evening recipe compares."""
    own, longest = own_beside_longest(rows, network)
    mine = rows[rows["network"] == network].sort_values("epochs").to_dict("records")
    said = "; ".join(f"{in_percent(row['mean'], row['std'])} after {row['epochs']:.0f} epochs"
                     f"{own_recipe(row)} (n = {row['n']})" for row in mine)  # fmt: skip
    points, share = own["mean"] - longest["mean"], own["epochs"] / longest["epochs"]
    side = "above" if points >= 0 else "below"
    return (f"{TITLES[network]}: {said}. Ours after {own['epochs']:.0f} epochs is {abs(points):.2f} points {side} the "
            f"longest run of the published schedule, in {100 * share:.0f} % of its epochs.")  # fmt: skip


def in_words() -> str:
    """Our numbers in one sentence, with all that has to stand beside them; "" where nothing was run."""
    there = table().query("n > 0").drop_duplicates("network")  # the longest of each
    said = [
        f"{row['title']}{own_recipe(row)} {in_percent(row['mean'], row['std'])} after "
        f"{row['epochs']:.0f} of the paper's {row['paper_epochs']} epochs (n = {row['n']})"
        for row in there.to_dict("records")
    ]
    if not said:
        return ""
    data = " and ".join(there["data"].unique())
    return f"On {data}, last epoch, all {there['test_images'].iloc[0]:,.0f} test images: {'; '.join(said)}."

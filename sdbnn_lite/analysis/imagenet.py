"""ImageNet's two stages, and Imagenette's with their teacher, from the committed results; nothing of the paper's in our
columns. A published run belongs to a part by its recipe, whatever its name in ``results/runs``.
"""

from operator import neg

import pandas as pd

from ..core.methods import METHODS
from ..system.text import markdown_table
from ..training.recipes import CHAINS, RECIPES
from . import tables
from .captions import groups, hardware, in_percent, mean_std, measured_on, settings
from .final_signs import read_signs

SETS = {"imagenette": "imagenette-resnet18", "imagenet": "imagenet-resnet18"}  # data set: its chain
TITLES = {"teacher": "Teacher: real-valued ResNet-34", "stage1": "Stage 1: real weights, binary activations",
          "stage2": "Stage 2: both binary"}  # fmt: skip
PAPER = {"stage2": (66.5, 86.7), "stage1": (67.6, 87.4)}  # ImageNet, top-1 and top-5 in percent; arXiv 2103.02394
SIGN_COLUMNS = ["part", "layer", "input_before", "input_after", "entropy", "sign_difference"]
USUAL = {"teacher": "float", "stage1": "sdbnn", "stage2": "sdbnn"}  # the methods that the recipes are meant for
_SAME = ["part", "method", *tables.SAME]


def parts_of(dataset: str) -> dict[str, str]:
    """teacher, stage1, stage2 (ImageNet's teacher isn't ours) -> the recipe of that part."""
    return {name.rpartition("-")[2]: name for name in CHAINS[SETS[dataset]]}


def train_command(dataset: str) -> str:
    """What trains all parts."""
    return f"sdbnn-lite train {SETS[dataset]} --data DIR"


def runs(dataset: str = "imagenette") -> pd.DataFrame:
    """A row per published run of one of the parts: settings, ``top1`` and ``top5`` in percent, last epoch."""
    part_of = {recipe: part for part, recipe in parts_of(dataset).items()}
    rows = []
    for name, run in tables.published_runs(dataset).items():
        if part := part_of.get(run["recipe"]):
            top1, top5 = (100 * run["result"][key] for key in ("test_accuracy", "test_top5"))
            who = {**settings(run, _SAME[1:]), "part": part, "name": name, "seed": run["seed"]}
            rows.append({**who, "top1": top1, "top5": top5, "hardware": hardware(run), "command": run["command"]})
    columns = [*_SAME, "name", "seed", "top1", "top5", "hardware", "command"]
    found = pd.DataFrame(rows, columns=columns).drop_duplicates([*_SAME, "seed"])
    place = {"part": list(TITLES).index, "epochs": neg, "method": list(METHODS).index}
    return found.sort_values(["part", "epochs", "method", "seed", "name"], ignore_index=True,
                             key=lambda column: column.map(place.get(column.name, lambda value: value)))  # fmt: skip


def table(dataset: str = "imagenette") -> pd.DataFrame:
    """A row per part, method and length, the longest first; n = 0 where a part wasn't run yet.

    mean and std of top-1, and top5, in percent over the seeds; std is NaN where n < 2.
    """
    found, rows = runs(dataset), []
    for part, recipe in parts_of(dataset).items():
        mine = found[found["part"] == part]
        for row, same in groups(mine, _SAME, ("hardware", "command")):
            rows.append({**row, **mean_std(same["top1"]), "top5": same["top5"].mean()})
        if mine.empty:
            rows.append({"part": part, "method": USUAL[part], "epochs": RECIPES[recipe].epochs, "n": 0})
    return pd.DataFrame(rows, columns=[*_SAME, "n", "mean", "std", "top5", "hardware", "command"])


def markdown(rows: pd.DataFrame, dataset: str = "imagenette") -> str:
    """:func:`table` as a Markdown table, and below it what was measured on what, or the command that would do it."""
    lines = []
    for row in rows.to_dict("records"):
        cells = [TITLES[row["part"]], f"`{row['method']}`"]
        if row["n"]:
            cells += [f"{row['image_size']:.0f}", f"{row['epochs']:.0f}", row["n"],
                      f"**{in_percent(row['mean'], row['std'])}**", f"{row['top5']:.2f} %"]  # fmt: skip
        else:
            cells += ["–", "–", 0, "not run yet", "–"]
        lines.append(cells)
    filled = markdown_table(("Part", "Method", "Pixels", "Epochs", "n", "top-1", "top-5"), lines)
    there, would = rows[rows["n"] > 0], f"This trains all parts, one after the other: `{train_command(dataset)}`."
    if there.empty:
        return f"{filled}\n\nNothing of this was run for the package yet. {would}"
    legend = measured_on(there, "validation images") + ("" if len(there) == len(rows) else f" {would}")
    trained: dict[str, list[str]] = {}  # command: the parts that it trained
    for row in there.to_dict("records"):
        parts = trained.setdefault(f"{row['hardware']}: `{row['command']}`", [])
        parts.append(f"{row['part']} (`{row['method']}`)")
    origins = (f"- {', '.join(dict.fromkeys(parts))}, {how}" for how, parts in trained.items())
    return "\n".join([filled, "", legend, "", *origins])


def paper_markdown() -> str:
    """The paper's ImageNet table; our column holds what was run on ImageNet itself, and says so where nothing was."""
    found = _usual(table("imagenet").query("n > 0"))
    heads = ("ResNet-18: weights / activations", "The paper: top-1", "The paper: top-5", "Ours: top-1", "Ours: top-5")
    lines = []
    for part, bits in (("stage2", "1 / 1 bit, stage 2"), ("stage1", "32 / 1 bits, stage 1")):
        ours = ("not run here", "not run here")
        if row := found.get(part):
            ours = (f"{in_percent(row['mean'], row['std'])}, {row['epochs']:.0f} epochs, n = {row['n']}",
                    f"{row['top5']:.2f} %")  # fmt: skip
        lines.append((bits, *(f"{percent} %" for percent in PAPER[part]), *ours))
    return markdown_table(heads, lines)


def longest(dataset: str = "imagenette") -> dict[str, str]:
    """Part -> the name of its longest run with the method that its recipe is meant for, the lowest seed of it."""
    return {part: row["name"] for part, row in _usual(runs(dataset)).items()}


def stage_signs(dataset: str = "imagenette") -> tuple[pd.DataFrame, str]:
    """The signs of the longest runs of both stages, a row per layer in the network's order, and on which images they
    were measured (see :func:`read_signs`)."""
    found, where = [pd.DataFrame(columns=SIGN_COLUMNS)], []
    for part, name in longest(dataset).items():
        signs, images = read_signs(tables.results_of(name), "validation images")
        if part != "teacher" and len(signs):
            found.append(signs.assign(part=part)[SIGN_COLUMNS])
            where.append(images)
    return pd.concat(found[1:] or found, ignore_index=True), "; ".join(dict.fromkeys(where))


def in_words(dataset: str = "imagenette") -> str:
    """What was reached, with all that has to stand beside it; "" where nothing was run."""
    if not (there := _usual(table(dataset).query("n > 0"))):
        return ""
    said = [
        f"{TITLES[part].partition(':')[0].lower()} {in_percent(row['mean'], row['std'])} after {row['epochs']:.0f} "
        f"epochs at {row['image_size']:.0f} px (n = {row['n']})"
        for part, row in there.items()
    ]
    first = next(iter(there.values()))
    return f"On {first['data']}, last epoch, all {first['test_images']:,.0f} validation images: {'; '.join(said)}."


def ends(rows: pd.DataFrame) -> list[float]:
    """Points of top-1 by which stage 1 and stage 2 end above their teacher; [] unless all three parts were run."""
    best = _usual(rows.query("n > 0"))
    return [best[part]["mean"] - best["teacher"]["mean"] for part in ("stage1", "stage2")] if len(best) == 3 else []


def ends_in_words(rows: pd.DataFrame) -> str:
    """How far from their teacher both stages end, and what these runs can't say."""
    if not (found := ends(rows)):
        return "Not all three parts were run yet, so there is nothing to compare."
    best = _usual(rows.query("n > 0"))
    said = [f"Stage 1 ends {found[0]:+.2f} and stage 2 {found[1]:+.2f} points of top-1 from their teacher."]
    if max(found) > -2:
        said.append("Students that are about as accurate as the teacher that they imitate can hardly show what binary "
                    "numbers cost: a better teacher would.")  # fmt: skip
    said += ["One seed each: how much of that is luck isn't known."] * (min(row["n"] for row in best.values()) == 1)
    said.append("Nor do these runs say which of the two steps costs more: the teacher has more layers than its "
                "students, and stage 2 learns on top of stage 1's epochs.")  # fmt: skip
    return " ".join(said)


def _usual(rows: pd.DataFrame) -> dict[str, dict]:
    """The first, and so longest, of ``rows`` of each part with the method that its recipe is meant for."""
    usual = rows[rows["method"] == rows["part"].map(USUAL)].drop_duplicates("part")
    return {row["part"]: row for row in usual.to_dict("records")}

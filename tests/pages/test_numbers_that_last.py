"""Every figure that stands in README, docs/, notebooks or cards follows from what is committed, and is recomputed here.

    tables of README and docs/    filled again from results/ (``make readme``), equal to the letter
    their prose, Markdown cells   each figure lies in a phrase that is written again below, from data, recipes and code;
                                  or in one of SAID: what others measured, or a number that is itself the definition
    outputs of notebooks          every cell runs again and is compared (nbval, in ``make test``), but for UNLIKE
    cards of the zoo              from the tables of their runs; tests/weights/test_zoo.py scores the networks again
    results/                      totals from their own rows

A figure is a number above 9, one with decimals, a small one with a unit, or a counted word ("twelve methods"). Where
others check: the README's example (test_readme), minutes (test_teaching, test_notebook_00), exercises (tests/lessons).
"""

import inspect
import json
import math
import re
from functools import cache

import pytest
import torch
from measured import claims_once
from places import NOTEBOOKS, ROOT, SANITIZE

from sdbnn_lite.analysis import cifar10, claims, imagenet, speed, tables
from sdbnn_lite.core import wsd
from sdbnn_lite.core.layers import binary_layers
from sdbnn_lite.core.methods import METHODS
from sdbnn_lite.core.models import NETWORKS, build
from sdbnn_lite.cost.count import WORD
from sdbnn_lite.cost.imagenet_plan import FACTS
from sdbnn_lite.data.resized_copy import side_for
from sdbnn_lite.fast.rows import BLOCK
from sdbnn_lite.lessons import experiments, live, patches
from sdbnn_lite.pages import chain, readme
from sdbnn_lite.plots.gallery import SIGN_METHODS
from sdbnn_lite.system.target import TARGETS
from sdbnn_lite.training.recipes import RECIPES
from sdbnn_lite.training.trainer import SIGN_IMAGES
from sdbnn_lite.weights.zoo import ZOO

# --- the prose of a page ----------------------------------------------------------------------------------------------

WORDS = "zero one two three four five six seven eight nine ten eleven twelve thirteen".split()
UNIT = r"\ of\ \d|[ -]?(?:%|percent|points?\b|bits?\b|bytes\b|words\b|times\b|[KMG]i?B\b)"
COUNTED = r"\ (?:(?:binary|other|published)\ )?(?:methods|networks|seeds|binarisations)"
FIGURE = re.compile(rf"""
    (?<![\w.,·]) (?: \d[\d,]*\.\d+ | \d{{1,3}}(?:,\d{{3}})+ | \d\d+ | \d(?={UNIT}) ) (?!\w)
    | \b\de-\d+ | \b(?:{"|".join(WORDS[3:])})\b(?={COUNTED})""", re.VERBOSE | re.IGNORECASE)  # fmt: skip
ELSEWHERE = [re.compile(pattern, re.MULTILINE | re.DOTALL) for pattern in (
    r"<!-- table: (.*?) -->.*?<!-- end: \1 -->", r"^## References.*", r"^```.*?^```", r"\$\$.*?\$\$",
    r"^### Exercise.*?(?=^##|\Z)", r"^ {4,}(?![-*] )[^#\n]*",  # of a command, its comment stays
    r"^\| (?:\*\*Time|\*\*\d|\[\d)[^\n]*\| (?:\d+ minutes[^\n]*|\d+) \|$",
)]  # fmt: skip
INLINE = re.compile(r"\$[^$]*\$|`[^`]*`|\]\([^)]*\)|https?://\S+|<[^>]+>|\b(?:19|20)\d\d\b|\d+@\d+|\d+×\d+|"
                    r"(?<![\d.])0\d\b|(?:section |issue |arXiv[: ]|ResNet-|CIFAR-|AVX-|RTX |Python )[\d.]+",
                    re.IGNORECASE)  # fmt: skip


def prose(text):
    """The sentences alone, on one line: without tables that are filled, code, formulas, exercises and references."""
    for place in ELSEWHERE:
        text = place.sub("\n", text)
    return " ".join(text.split())


def figures(text):
    """The figures of sentences, each with the words around it."""
    text = INLINE.sub("~", text)
    return [text[max(0, m.start() - 30) : m.end() + 20] for m in FIGURE.finditer(text)]


@cache
def cells(number):
    (path,) = NOTEBOOKS.glob(f"{number}_*.ipynb")
    return chain.read(path).cells


def in_cell(number, pattern):
    """The number that a notebook's code holds, as it stands there."""
    (found,) = {*re.findall(pattern, "\n".join(cell.source for cell in cells(number) if cell.cell_type == "code"))}
    return found


# --- what the numbers are ---------------------------------------------------------------------------------------------

DIGITS, ABLATION = tables.study_facts("digits"), tables.study_facts("cifar10-resnet20")
RUNS = {path.parent.name: json.loads(path.read_text("utf-8")) for path in tables.runs_folder().glob("*/run.json")}
R20, R18, EVENING = (RECIPES[f"cifar10-resnet{end}"] for end in ("20", "18", "20-evening"))
STAGES = [RECIPES[f"imagenet-resnet18-stage{stage}"] for stage in (1, 2)]
CIFAR, PHOTOS = RUNS["cifar10_resnet20"], RUNS["imagenette_resnet18"]
TRAIN, TEST, EPOCHS = DIGITS["train_images"], DIGITS["test_images"], DIGITS["epochs"]
ALL = f"{CIFAR['test_images']:,} test images"  # of CIFAR-10
WHOLE = f"{CIFAR['test_images'] // R20.batch_size * R20.batch_size:,} of the {ALL}"  # whole batches alone
SEEDS, KINDS = (WORDS[len(found)] for found in (DIGITS["seeds"], METHODS))
PATCHES = 2 * (427 // patches.SIDE) * len(patches.SCORED)  # of two photographs, 427 × 640
PAPER, (TOP1, TOP5) = cifar10.PAPER.values(), imagenet.PAPER["stage2"]
MILLION = f"{FACTS['train_images'].value / 1e6:.2f} million"
VALIDATION = f"{FACTS['val_images'].value:,} validation images"
VECTOR = {name: target.vector for name, target in TARGETS.items()}  # bytes
with torch.device("meta"):
    NET, DEEP, PHOTO_NET = (build(name) for name in ("digits_convnet", "cifar10_resnet20", "imagenet_resnet18"))
    TEACHER, STAGE1 = build("imagenet_resnet34", "float", 10), build("imagenet_resnet18", num_classes=10, stage=1)
NARROW = DEEP.layers[0][0].conv1.weight.shape[0]
WIDE, DEPTH = NET.conv2.weight.shape[0], len(binary_layers(DEEP))
MAPS = NET.conv2.weight.shape[1]


def megabytes(net):
    return 4e-6 * sum(value.numel() for value in net.state_dict().values())


def part_of_a_point(share):
    """Of the standard error of an accuracy on CIFAR-10's test images."""
    error = 100 * math.sqrt(share * (1 - share) / CIFAR["test_images"])
    return {2: "half a point", 3: "a third of a point"}[round(1 / error)]


def default(function, name):
    return inspect.signature(function).parameters[name].default


def tolerances(test):
    """What a test allows at most, in its own words."""
    return {*re.findall(r"\b\de-\d\b", (ROOT / test).read_text("utf-8"))}


def claims_paper():
    """What claim 5 quotes."""
    networks = (f"{cifar10.TITLES[name]} {percent} %" for name, percent in cifar10.PAPER.items())
    return f"CIFAR-10: {', '.join(networks)}; ImageNet: ResNet-18 {TOP1} % top-1, {TOP5} % top-5"


LESSONS = re.findall(r"^### (\d+) minutes", (ROOT / "docs/teaching.md").read_text("utf-8"), re.MULTILINE)
ODD, LONG = int(in_cell("07", r"default_rng\(0\), (\d+), 16")), in_cell("07", r"for c = (\d+) and")
FILTER, SHORT = in_cell("03", r"conv3\.weight\[(\d+)\]"), in_cell("03", r"epochs=(\d+), seed")
EDGE, OWN = in_cell("02", r"linspace\(-[\d.]+, ([\d.]+), 301"), in_cell("08", r"conv2=nn\.Conv2d\((\d+),")
SEVEN = WORDS[len(re.findall(r'"\w+"', re.search(r"^methods = \[(.*?)\]", cells("04")[2].source, re.M)[1]))]
MINUTES = tables.read_study("digits", "epochs.csv")["seconds"].sum() / 60
ONE = {0: "under a minute"}[int(MINUTES / len(METHODS) / len(DIGITS["seeds"]))]  # of its runs
HOURS = {1: "about an hour"}[round(tables.run_log("cifar10_resnet20")["seconds"].mean() * EVENING.epochs / 3600)]
PHRASES = {
    "README": [f"{ONE}, embedded images", f"about {round(MINUTES, -1):.0f} minutes",
        f"all {KINDS} methods, {SEEDS} seeds",
        f"BOPs/{WORD} + FLOPs", f"{WORDS[len(SIGN_METHODS)]} binarisations",
        f"{WORDS[len(NETWORKS)]} networks and {KINDS} methods", f"{EVENING.epochs} epochs, {HOURS}",
        f"{R20.epochs} epochs; -resnet18: {R18.epochs}", f"at {PHOTOS['image_size']} pixels",
        "{}, {} or {} minutes".format(*LESSONS)],
    "cluster": [f"{megabytes(TEACHER):.0f} and {megabytes(STAGE1):.0f} MB", f"at {side_for(224)} pixels",
        f"The batch of {STAGES[0].batch_size}"],
    "results": [f"at {PHOTOS['image_size']} pixels", f"One test image is {100 / TEST:.2f} points", WHOLE,
        f"{KINDS} methods, {SEEDS} seeds", f"after {ABLATION['epochs']} epochs"],
    "search": [f"{R20.epochs} epochs isn't one for {EVENING.epochs}"],
    "speed": [f"{BLOCK} images lie side by side",
        *(f"{8 * VECTOR[name]} bits" for name in ("avx512-vpopcnt", "neon")),
        f"{8 * VECTOR['avx512']}, {8 * VECTOR['avx2']} bits", f"a row of {VECTOR['avx2']} bytes"],
    "00": ["{}, {} and {} minutes".format(*LESSONS), f"{TRAIN + TEST:,} real scans", f"{MAPS} feature maps",
        f"scored on {TEST} images", f"patch of {MAPS} maps",
        f"One of {TEST} images is {100 / TEST:.1f} percentage points",
        f"Guessing gives {100 // NET.linear.out_features} %", f"{MAPS}·3·3 = {MAPS * 9} signs"],
    "01": [f"{default(experiments.learn_nine_signs, 'steps')} steps of it",
        f"{TEST} images: 2 networks, 2 layers, {WIDE} channels", f"a layer's {WIDE} channels",
        f"two binary layers with {WIDE} channels",
        f"which has {PHOTO_NET.layers[0][1].conv.weight.shape[0]} channels"],
    "02": [f"all {TEST} test images", f"all {TEST} images", f"r = {NET.options.get('reduction', 16)} here",
        "from {:g} to {:g}".format(*R20.ede), f"begin at {DIGITS['ede'][0]}, since {EPOCHS} epochs",
        f"and {SIGN_IMAGES} of the test images", f"One image is {100 / TEST:.1f} points",
        f"{live.EPOCHS} epochs instead of {EPOCHS}", f"{SEEDS} runs of {EPOCHS} epochs",
        f"from −{EDGE} to {EDGE}"],
    "03": [f"for {EPOCHS} epochs with WSD", f"Take {100 * wsd.WSD_CONSTANT:g} %",
        f"how much of the {100 * wsd.WSD_CONSTANT:g} % it wants", f"times {100 * wsd.WSD_CONSTANT:g} % of its mean",
        f"number {FILTER} of", f"and {wsd.WSD_CONSTANT} is a number in that code",
        f"trained with {wsd.WSD_CONSTANT}", f"multiplied by {wsd.WSD_CONSTANT}", f"¼ · {wsd.WSD_CONSTANT} · mean",
        f"all {NET.conv3.weight[0].numel()} weights", f"its {NET.conv3.weight.shape[1]} kernels",
        "raise the constant to 10", f"{1 / (wsd.WSD_CONSTANT / 2):.0f} times as far",
        f"for {SHORT} epochs", f"which had {EPOCHS} epochs"],
    "04": [f"{SEVEN} binary networks", f"{SEVEN.title()} networks", f"the same {TRAIN:,} training images",
        f"the same {EPOCHS} epochs", f"on {SIGN_IMAGES} test images, for {SEEDS} seeds", f"with {SEEDS} seeds",
        f"the {SEEDS} seeds", f"all {SEEDS} seeds", f"{SEEDS.title()} seeds", f"each run has {EPOCHS} epochs",
        f"with {DEPTH} binary layers", claims_paper()],
    "05": [f"{CIFAR['train_images'] + CIFAR['test_images']:,} photographs", f"{WORDS[len(PAPER)]} networks",
        "({} %), a ResNet-20 ({} %), and a VGG-Small ({} %)".format(*PAPER), WHOLE,
        f"on all {CIFAR['test_images']:,};", f"the {ALL}. So", f"towards {R20.ede[1]:g}",
        f"meets {DEPTH} binary layers", f"ResNet-20's {DEPTH} binary layers", f"{DEPTH} layers are {DEPTH} chances",
        f"all {CIFAR['test_images']:,} answers", f"schedule to {CIFAR['epochs']} epochs",
        f"is made for {R20.epochs} epochs", f"= {EVENING.ede[0]:.2f}, where", f"ends at {EVENING.ede[1]:.1f}",
        f"{ALL} leave {part_of_a_point(0.87)} to chance at 87 %, {part_of_a_point(0.5)} near 50 %"],
    "06": [f"{MILLION} photographs", f"{TOP1} % of the {VALIDATION}",
        f"{sum(r.epochs for r in STAGES)} passes over {MILLION} images",
        f"from {STAGES[0].lr} linearly to 0 in {STAGES[0].epochs} epochs, {STAGES[0].batch_size} images a step",
        f"each stage | {STAGES[0].epochs} |", f"`batch_size` | {STAGES[0].batch_size} |",
        f"the highest | {STAGES[0].lr} |", f"light varied | {STAGES[0].lighting} |",
        f"{100 // len(PHOTOS['classes'])} % of the time instead of {100 / 1000} %",
        f"{224 * 224 * 3 * 4 / 2**20:.1f} MiB (1 MiB is", f"Each of {len(binary_layers(PHOTO_NET))} blocks",
        f"all {VALIDATION}"],
    "07": [f"words of {WORD} bits, one word for {WORD} channels",
        f"With {ODD} channels a pixel takes two words, and {-ODD % WORD} bits", f"a layer with {ODD} channels",
        f"9 · {ODD}", f"One instruction, {WORD} products", f"({8 * VECTOR['avx2']} or {8 * VECTOR['avx512']} bits)",
        f"do {WORD} bits at a time", f'"{WORD} times"', f"as if {WORD} binary products",
        f"and {LONG} channels)", f"with only {NARROW} channels",
        f"with {NARROW} channels", f"of {PHOTO_NET.layers[0][0].conv.weight.shape[0]} channels on",
        f"{VECTOR['avx512'] // 8} words", f"{VECTOR['avx2'] // 8} words", f"{VECTOR['neon'] // 8} words",
        f"a row of {2**4} numbers", f"the {2**4} half bytes", f"{VECTOR['avx2']} half bytes of w",
        f"{WORD} times cheaper", f"one image is {100 / TEST:.2f} points"],
    "08": [f"the {PATCHES} others", f"one patch is {100 / PATCHES:.2f} points",
        f"its {OWN} channels", f"the recipe's {RECIPES['digits'].epochs}",
        f"{WORDS[len(NETWORKS)]} networks", f"{WORDS[3]} seeds"],
}  # fmt: skip
SAID = {  # on any page
    "about 6 GB": "PyTorch's wheels with CUDA, unpacked",
    "83 MB": "torchvision's ResNet-34, as its documentation has it",
    "8 bits": "a byte, which 07 begins with",
    "16-bit": "int16, in which the fast step holds gradients",
    "32-bit numbers": "float32, as are the next four",
    "takes 32": "", "1 bit instead of 32": "", "less than 32": "", "32 times": "",
    "Below 0.05": "what is usually called a finding",
    "below 2 %": "the definition of nearly dead",
    "1 bit": "the most that a sign can say",
    "58 times": "XNOR-Net, arXiv 1603.05279, section 4.1: measured there",
    '"32 / 1 bits"': "the paper's name of a row of its table", '"1 / 1 bits"': "the same",
    "four published networks": "ResNet-18, ResNet-20, VGG-Small, ImageNet's ResNet-18: tests/golden",
    "86.5 % | 85.1 % after 400 epochs, 86.1 % after 1,000": "what its row of 05 links, as the next three",
    "between 86.3 and 86.7 %": "", "90.4 % | 87.8 % after 300 epochs": "", "91.5 % | 86 %": "",
    "1e-05": "ReActNet's run.sh, which the row links",
    "to 1e-9 and 1e-7 relative": "tests/core/test_golden.py", "to 1e-9 in float64, every gradient to 1e-7": "the same",
    "to 1e-2 in a layer and 3e-2": "tests/fast/test_fast.py",
    "64 channels and then 80": "something to try",
    "up to 100 %": "probabilities",
}  # fmt: skip
SOURCES = {"README": ROOT / "README.md", **{path.stem: path for path in sorted((ROOT / "docs").glob("*.md"))},
           **{path.name[:2]: path for path in chain.find_notebooks()}}  # fmt: skip
del SOURCES["teaching"]  # minutes that test_teaching adds up, and what students say


@cache
def text_of(page):
    if SOURCES[page].suffix == ".md":
        return prose(SOURCES[page].read_text("utf-8"))
    return " ".join(prose(cell.source) for cell in cells(page) if cell.cell_type == "markdown")


def unexplained(page, text):
    """The phrases that ``text`` should have and hasn't, and its figures that lie in none."""
    missing = [phrase for phrase in PHRASES.get(page, []) if phrase not in text]
    for phrase in sorted([*PHRASES.get(page, []), *SAID], key=len, reverse=True):
        text = text.replace(phrase, "~")
    return missing, figures(text)


@pytest.mark.parametrize("page", SOURCES)
def test_every_figure_in_a_sentence_is_computed_or_has_its_source(page):
    assert unexplained(page, text_of(page)) == ([], [])


def test_another_number_is_noticed():
    wrongs = [("results", "0.28 points", "0.38 points"), ("README", "twelve methods", "eleven methods"),
              ("05", "9,984 of", "9,983 of"), ("cluster", "46 MB", "45 MB")]  # fmt: skip
    for page, right, wrong in wrongs:
        missing, left = unexplained(page, text_of(page).replace(right, wrong))
        assert missing and wrong.split()[0] in " ".join(left)


def test_every_phrase_is_used():
    assert set(PHRASES) <= set(SOURCES)
    assert [phrase for phrase in SAID if not any(phrase in text_of(page) for page in SOURCES)] == []


def test_what_tests_allow_is_what_is_said():
    said = {"core/test_golden.py": {"1e-9", "1e-7"}, "fast/test_fast.py": {"1e-2", "3e-2"}}
    assert all(allowed <= tolerances(f"tests/{test}") for test, allowed in said.items())


@pytest.mark.parametrize("sentence, found", [
    ("It reaches 77.41 % here, 0 of 18.", 3), ("A gain of 3 points.", 1), ("Of 1,408 channels 290 are dead.", 2),
    ("All twelve methods.", 1), ("0.05 to 0.5 bits, or 15 epochs", 3), ("It takes 3 GB and 7 times as long.", 2),
    ("From 1 to 2, +1 and −1, `bits[64]`, $n = 64$, ResNet-20, notebook 05, 3×3, arXiv 2103.02394, one, two.", 0),
])  # fmt: skip
def test_figures_are_found(sentence, found):
    assert len(figures(sentence)) == found


# --- tables, outputs, cards, results ----------------------------------------------------------------------------------


def test_the_tables_are_the_committed_and_measured_ones(monkeypatch):
    monkeypatch.setattr(claims, "measure", claims_once)
    pages = {path: path.read_text(encoding="utf-8") for path in readme.PAGES}
    assert readme.filled(pages) == pages


UNLIKE = {  # notebook, the beginning of a cell: why its output is another one elsewhere
    ("07", "by_width = roofline.by_target"): "milliseconds, one row for each target that this machine can run",
    ("08", 'twins = {"by hand"'): "shares of random networks, which another version of torch draws otherwise",
    ("08", "runs = train_own_shift"): "three epochs of training, which another processor rounds otherwise",
}


def test_every_output_of_a_notebook_is_compared_when_its_cell_runs_again():
    """All that is said of it but a duration, a rate, an address."""
    free = [(number, cell.source) for number in map("{:02}".format, range(9)) for cell in cells(number)
            if "nbval-ignore-output" in cell.metadata.get("tags", []) and cell.outputs]  # fmt: skip
    assert len(free) == len(UNLIKE) and all(any(n == m and s.startswith(b) for m, b in UNLIKE) for n, s in free), free
    assert not any("NBVAL_IGNORE" in cell.source for number in map("{:02}".format, range(9)) for cell in cells(number))
    masked = re.findall(r"^replace: (.*)", SANITIZE.read_text("utf-8"), re.MULTILINE)
    assert masked == ["CELL-FILE", "ADDRESS", "DURATION", "RATE"]
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert "tests $(NOTEBOOKS) $(NBVAL)" in makefile and "nbval-lax" not in makefile


RESULT = ["test_accuracy", "test_top5", "test_loss"]


@pytest.mark.parametrize("path", sorted(ZOO.glob("*.json")), ids=lambda path: path.stem)
def test_a_card_says_what_the_tables_of_its_run_say(path):
    card = json.loads(path.read_text("utf-8"))
    if card["dataset"] == "digits":
        run = tables.read_study("digits").set_index(["method", "seed"]).loc[card["method"], card["seed"]]
        assert {key: card[key] for key in RESULT} == {key: run[key] for key in RESULT} and card["epochs"] == EPOCHS
        return
    run, answers = RUNS[path.stem], tables.read_table(tables.results_of(path.stem) / tables.PREDICTIONS)
    assert len(answers) == card["test_images"]
    assert (answers["true"] == answers["predicted"]).mean() == card["test_accuracy"]
    assert card.get("run_accuracy", card["test_accuracy"]) == run["result"]["test_accuracy"]
    assert all(card[key] == run[key] for key in ("network", "method", "epochs", "seed", "data", "machine", "command"))


@pytest.mark.parametrize("name", RUNS)
def test_a_run_s_result_is_the_last_row_of_its_log_and_what_its_answers_add_up_to(name):
    run, log = RUNS[name], tables.run_log(name)
    last = log.iloc[-1]
    assert list(log["epoch"]) == [*range(1, run["epochs"] + 1)]
    assert {key: last[key] for key in RESULT}.items() <= run["result"].items()
    if (path := tables.results_of(name) / tables.PREDICTIONS).is_file():  # else published without its images
        answers = tables.read_table(path)
        assert (answers["true"] == answers["predicted"]).mean() == pytest.approx(last["test_accuracy"], abs=0.002)


@pytest.mark.parametrize("study", tables.STUDIES)
def test_a_study_s_runs_are_the_last_rows_of_its_epochs(study):
    runs, epochs = tables.read_study(study), tables.read_study(study, "epochs.csv")
    last = epochs[epochs["epoch"] == tables.study_facts(study)["epochs"]]
    keys = ["method", "seed", *RESULT]
    assert runs[keys].to_dict("records") == last[keys].to_dict("records")


@pytest.mark.parametrize("what, ratio, parts", [("train", "published/fast", ("published_ms", "fast_ms")),
                                                ("packed", "float32/packed", ("float32_ms", "packed_ms"))])  # fmt: skip
def test_a_measured_ratio_fits_the_times_beside_it(what, ratio, parts):
    """The median of the rounds' ratios lies near the ratio of the medians, and that within the rounds'."""
    files = sorted((tables.RESULTS / "bench").glob(f"{what}*.json"))
    for row in (row for path in files for row in speed.read(path.stem)[what]):
        middle, low, high = map(float, re.match(r"([\d.]+) \(([\d.]+)-([\d.]+)\)", row[ratio]).groups())
        assert low <= middle <= high and low * 0.95 <= row[parts[0]] / row[parts[1]] <= high * 1.05, row

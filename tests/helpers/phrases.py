"""What the figures in the sentences of README, docs/ and notebooks are: written again from data, recipes and code.

PHRASES has those of each page; SAID what others measured, or what is itself the definition, with its source.
"""

import inspect
import json
import math
import re
from functools import cache

import torch
from places import NOTEBOOKS, ROOT

from sdbnn_lite.analysis import cifar10, imagenet, tables
from sdbnn_lite.core import wsd
from sdbnn_lite.core.layers import binary_layers
from sdbnn_lite.core.methods import METHODS
from sdbnn_lite.core.models import NETWORKS, build
from sdbnn_lite.cost.count import WORD
from sdbnn_lite.cost.imagenet_plan import FACTS
from sdbnn_lite.data.resized_copy import side_for
from sdbnn_lite.fast.rows import BLOCK
from sdbnn_lite.lessons import experiments, live, patches
from sdbnn_lite.pages import chain
from sdbnn_lite.plots.gallery import SIGN_METHODS
from sdbnn_lite.system.target import TARGETS
from sdbnn_lite.training.recipes import RECIPES
from sdbnn_lite.training.trainer import SIGN_IMAGES

WORDS = "zero one two three four five six seven eight nine ten eleven twelve thirteen".split()


@cache
def cells(number):
    (path,) = NOTEBOOKS.glob(f"{number}_*.ipynb")
    return chain.read(path).cells


def in_cell(number, pattern):
    """The number that a notebook's code holds, as it stands there."""
    (found,) = {*re.findall(pattern, "\n".join(cell.source for cell in cells(number) if cell.cell_type == "code"))}
    return found


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
    "results": [f"One test image is {100 / TEST:.2f} points", WHOLE,
        f"{KINDS} methods, {SEEDS} seeds", f"after {ABLATION['epochs']} epochs"],
    "search": [f"{R20.epochs} epochs isn't one for {ABLATION['epochs']}"],
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
        f"which has {PHOTO_NET.layers[1][3].conv.weight.shape[0]} channels"],
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
        "{} bits here, {} in".format(*(r["gradient_bits"] for r in (tables.study_facts(cifar10.STUDY), vars(EVENING)))),
        f"all {CIFAR['test_images']:,} answers", f"schedule to {RUNS['cifar10_resnet20_compressed']['epochs']} epochs",
        f"is made for {R20.epochs} epochs", f"= {EVENING.initial_gamma:g} (`",
        "= {:g} to {:g}. Elsewhere".format(*EVENING.ede),
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
    "to 1e-2 in a layer and 3e-2": "tests/fast/test_fast.py", "1e-1 in a layer": "the same",
    "64 channels and then 80": "something to try",
    "up to 100 %": "probabilities",
}  # fmt: skip

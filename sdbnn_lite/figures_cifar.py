"""The figures of the CIFAR-10 runs, each from whatever committed results there are; notebook 05 shows the same ones.

    cifar10_table.csv         the paper's table beside ours
    cifar10_ablation          every method's accuracy
    cifar10_ablation_curves   accuracy over the epochs
    cifar10_runs              the three networks' own runs
    cifar10_layers            sign difference of each layer
    cifar10_signs             does accuracy follow the sign difference?
    cifar10_confusion         what is taken for what
    cifar10_mistakes          mistakes as pictures: needs the images
"""

import textwrap
from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from . import ablation, plots, plots_cifar, predictions, reproduction, study
from .errors import UsageError
from .imageset import ImageSet
from .methods import METHODS

CURVES = ("float", "bnn", "irnet", "asd", "wsd", "sdbnn")  # more would cover each other


def drawable() -> dict[str, Figure]:
    """Every figure that the committed results allow, by name; the same each time."""
    figures = {}
    if ablation.ready():
        figures |= {"cifar10_ablation": ablation_table(), "cifar10_ablation_curves": ablation_curves()}
        if len(ablation.signs_and_accuracy()[0]):  # the float twin alone has no signs
            figures |= {"cifar10_layers": layers(), "cifar10_signs": signs_and_accuracy()}
    if reproduction.published_runs():
        figures["cifar10_runs"] = run_curves()
    if shown_run():
        figures["cifar10_confusion"] = confusion()
    return figures


# --- the ablation ----------------------------------------------------------------------------------------------------


def ablation_table() -> Figure:
    """Every method's accuracy, and which methods are still missing."""
    runs, facts = study.read_study(ablation.STUDY), study.study_facts(ablation.STUDY)
    title = f"ResNet-20 on CIFAR-10, {facts['epochs']} epochs: each dot is one trained network"
    return plots.method_table(runs, facts, title, _lines(ablation.missing_in_words(runs)))


def ablation_curves() -> Figure:
    """Test accuracy over the epochs, of ``CURVES`` as far as they are there."""
    epochs, facts = study.read_study(ablation.STUDY, "epochs.csv"), study.study_facts(ablation.STUDY)
    chosen = epochs[epochs["method"].isin(CURVES)]
    chosen = epochs if chosen.empty else chosen
    return plots.learning_curves(chosen, facts, lowest=40, highest=90)


def layers() -> Figure:
    """The sign difference of every layer's outputs, method by method."""
    table, about = ablation.signs_and_accuracy()
    return plots_cifar.layer_profile(table, _binary(table), caption=_sign_caption(table, about))


def signs_and_accuracy(measure: str = "sign_difference") -> Figure:
    """Accuracy against the signs, over runs and layer by layer."""
    table, about = ablation.signs_and_accuracy()
    found = ablation.correlation(ablation.over_seeds(table), measure)
    runs, by_layer = ablation.over_layers(table), ablation.by_layer(table, measure)
    return plots_cifar.signs_against_accuracy(runs, by_layer, found, measure, _sign_caption(table, about))


def _binary(table: pd.DataFrame) -> list[str]:
    return [m for m in METHODS if m in set(table["method"])]


def _sign_caption(table: pd.DataFrame, about: str) -> str:
    facts, seeds = study.study_facts(ablation.STUDY), table.groupby("method")["seed"].nunique()
    return f"{plots.study_line(facts, seeds)}\n{plots.hardware(facts)}; signs: {about}"


# --- single runs -----------------------------------------------------------------------------------------------------


def longest_runs() -> dict[str, tuple[str, Mapping]]:
    """Per network the name and run.json of the longest published SD-BNN run, the lowest seed of it."""
    found = {}
    for network in reproduction.TITLES:
        mine = [(name, run) for name, run in reproduction.published_runs().items()
                if run["network"] == network and run["method"] == reproduction.METHOD]  # fmt: skip
        if mine:
            found[network] = min(mine, key=lambda each: (-each[1]["epochs"], each[1]["seed"], each[0]))
    return found


def run_curves() -> Figure:
    """Accuracy over the epochs of each network's longest run."""
    chosen = longest_runs()
    if not chosen:
        raise UsageError("no run is published yet: sdbnn-lite publish RUN")
    panels = {
        f"{reproduction.TITLES[network]}, {run['epochs']} epochs":
            (reproduction.run_log(name), reproduction.PAPER[network]) for network, (name, run) in chosen.items()
    }  # fmt: skip
    runs = [run for _, run in chosen.values()]
    data, hardware = (" and ".join(dict.fromkeys(words)) for words in
                      ((run["data"] for run in runs), map(plots.hardware, runs)))  # fmt: skip
    epochs = ", ".join(f"{reproduction.TITLES[n]} {reproduction.PUBLISHED[n].epochs}" for n in chosen)
    caption = f"{data}; method sdbnn, n = 1 run each, all {runs[0]['test_images']:,} test images"
    more = f"{hardware}; epochs behind the paper's figures: {epochs}"
    return plots_cifar.run_curves(panels, f"{caption}\n{_lines(more)}")


def shown_run() -> str:
    """The published run whose answers are looked at: cifar10_resnet20's, else the first that has any; "" for none."""
    runs = reproduction.published_runs()
    names = sorted(runs, key=lambda name: (name != "cifar10_resnet20", name))
    there = [n for n in names if (study.RESULTS / "runs" / n / predictions.PREDICTIONS).is_file()]
    return there[0] if there else ""


def confusion() -> Figure:
    """What the network of :func:`shown_run` takes for what."""
    name = shown_run()
    table, classes = predictions.read_predictions(name)
    counts = predictions.confusion(table, len(classes))
    return plots_cifar.confusion_matrix(counts, classes, f"What {_title(name)} takes for what", _answers(name, table))


def mistakes(images: ImageSet) -> Figure:
    """The mistakes that the network of :func:`shown_run` is surest of; UsageError where ``images`` is another set."""
    name = shown_run()
    if not name:
        raise UsageError("no published run holds predictions: sdbnn-lite publish RUN --data DIR writes them")
    table, classes = predictions.read_predictions(name)
    surest = predictions.surest_mistakes(table)
    label = reproduction.published_runs()[name]["data"]
    pictures = predictions.pictures(surest, images, label)
    title = "Sure, and wrong: above what it is, below what the network says and how surely"
    return plots_cifar.mistakes(pictures, surest, classes, title, _answers(name, table))


def _title(name: str) -> str:
    run = reproduction.published_runs()[name]
    return f"the {reproduction.TITLES.get(run['network'], run['network'])}"


def _answers(name: str, table: pd.DataFrame) -> str:
    run = reproduction.published_runs()[name]
    right = int((table["true"] == table["predicted"]).sum())
    return (
        f"{run['data']}; {run['network']}, method {run['method']}, {run['epochs']} epochs, n = 1; last epoch,\n"
        f"{right:,} of all {len(table):,} test images right; {plots.hardware(run)}"
    )


def _lines(text: str, width: int = 110) -> str:
    """``text`` on lines that fit below a figure."""
    return "\n".join(textwrap.wrap(text, width))

"""The figures of the CIFAR-10 runs, each from whatever committed results there are; notebook 05 shows the same ones.

``FIGURES`` lists them, but for cifar10_mistakes, which needs the images; :func:`one` gives each with a text for readers
who don't see it, or says what is missing for it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import pandas as pd
from matplotlib.figure import Figure

from ..analysis import ablation, cifar10, ede_gradients, input_shares, predictions, tables
from ..analysis.captions import hardware, span, study_line, tuned_in_words
from ..core.methods import METHODS
from ..data.in_memory import ImageSet
from ..errors import UsageError, unknown
from . import gradients as gradient_plots
from . import inputs as input_plots
from . import methods as method_plots
from . import runs as run_plots
from . import signs as sign_plots
from .parts import joined, wrapped


@dataclass(frozen=True)
class GalleryEntry:
    """How a figure is drawn, what it shows in words, and ``missing``: "" or a sentence on what is still needed."""

    draw: Callable[[], Figure]
    words: Callable[[], str]
    missing: Callable[[], str]


def one(name: str, figures: Mapping[str, GalleryEntry] | None = None) -> tuple[Figure | None, str]:
    """Figure ``name`` of ``figures`` (default: those here) and its text, or None and what it lacks; or UsageError."""
    figures = FIGURES if figures is None else figures
    if name not in figures:
        raise unknown("figure", name, figures)
    missing = figures[name].missing()
    return (None, missing) if missing else (figures[name].draw(), figures[name].words())


def drawable(figures: Mapping[str, GalleryEntry] | None = None) -> dict[str, Figure]:
    """Every one of ``figures`` (default: those here) that the committed results allow, by name."""
    figures = FIGURES if figures is None else figures
    return {name: entry.draw() for name, entry in figures.items() if not entry.missing()}


def method_table(study: str) -> Figure:
    """Every method's accuracy in one of the two studies, and how they were tuned."""
    runs, facts = tables.read_study(study), tables.study_facts(study)
    how = "each method by its own learning rate" if "tuned" in facts else "all by SD-BNN's schedule, compressed"
    title = f"ResNet-20, {facts['epochs']} epochs, {how}"
    return method_plots.method_table(runs, facts, title, wrapped(tuned_in_words(facts)))


def gradients() -> Figure:
    """How the weights' gradients grow with EDE's temperature, by method, and layer by layer in SD-BNN."""
    table = tables.read_study(cifar10.COMPRESSED, tables.FINAL_GRADIENTS)
    one = cifar10.METHOD if cifar10.METHOD in set(table["method"]) else table["method"].iloc[0]
    return gradient_plots.gradients_over_t(table, one, ede_gradients.courses(), _gradient_caption(table))


def steps() -> Figure:
    """The steps that these gradients made with the learning rate, and what followed."""
    courses = ede_gradients.courses()
    ends = ede_gradients.summary(courses)
    title = "EDE's late steps, and the training accuracy after them"
    if len(ends) and ede_gradients.agreeing(ends) == len(ends):
        title = "Training accuracy fell where the last steps were larger than at t = 1"
    table = tables.read_study(cifar10.COMPRESSED, tables.FINAL_GRADIENTS)
    return gradient_plots.effective_steps(courses, ends, title, _gradient_caption(table))


def schedules() -> Figure:
    """What SD-BNN's ResNet-20 learnt under each schedule, and what the schedule was."""
    logs = {course.schedule: course.log for course in _under_schedules()}
    title = f"SD-BNN's ResNet-20 under {len(logs)} schedules"
    table = tables.read_study(cifar10.COMPRESSED).query("method == @cifar10.METHOD")
    return run_plots.compared(logs, title, _caption(cifar10.COMPRESSED, table, _others()))


def _under_schedules() -> list[ede_gradients.Course]:
    """The shortest first."""
    return sorted((c for c in ede_gradients.courses() if c.method == cifar10.METHOD), key=lambda c: len(c.log))


def _gradient_caption(table: pd.DataFrame) -> str:
    images = f"{table['images'].iloc[0]} test images, evenly from the whole set"
    return _caption(cifar10.COMPRESSED, table, f"{_others()}; weights after the last epoch; gradients: {images}")


def _others() -> str:
    """How long, how often and where the published runs of the studies' network were trained."""
    network = tables.study_facts(cifar10.COMPRESSED)["network"]
    said = [f"{runs[0]['epochs']} epochs, n = {len(runs)}, on {joined(map(hardware, runs))}" for same in
            tables.over_seeds(cifar10.DATASET) if (runs := [*same.values()])[0]["network"] == network]  # fmt: skip
    return f"others, published runs of the same network: {'; '.join(said)}"


def _caption(study: str, table: pd.DataFrame, more: str) -> str:
    """What the networks of a ``study`` in ``table`` were trained on, and ``more``."""
    facts, seeds = tables.study_facts(study), table.groupby("method")["seed"].nunique()
    return f"{study_line(facts, seeds)}\n{wrapped(f'{hardware(facts)}; {more}')}"


def inputs() -> Figure:
    """Shares of +1 among the inputs of binary layers, before and after ASD's shift."""
    ends, courses = input_shares.ends(), input_shares.over_epochs()
    low, title = int((ends["after"] < 50).sum()), input_plots.TITLE
    if low:
        title = f"With ASD fewer than half of the inputs are +1 in {low} of {len(ends)} cases"
    facts = [tables.study_facts(study) for study in (ablation.STUDY, cifar10.COMPRESSED) if tables.has_study(study)]
    about = (f"{facts[0]['data']} where nothing else is said; SD-BNN, means over the binary layers and "
             f"{span(ends['n'])} seeds\n256 of the {facts[0]['test_images']:,} test images in every epoch, "
             f"up to 500 after the last\n{wrapped(f'{joined(map(hardware, facts))}; {_others()}')}")  # fmt: skip
    return input_plots.before_and_after(courses, ends, title, about)


def layers() -> Figure:
    """The sign difference of every layer's outputs, each method's beside the control's."""
    table, about = ablation.signs_and_accuracy()
    caption = _caption(ablation.STUDY, table, f"signs: {about}")
    return sign_plots.against_control(table, ablation.CONTROL, ablation.layers_title(table), caption=caption)


def signs_and_accuracy(measure: str = "sign_difference") -> Figure:
    """Accuracy against the signs, over runs and layer by layer."""
    table, about = ablation.signs_and_accuracy()
    methods = ablation.over_seeds(table)
    runs, by_layer = ablation.over_layers(table), ablation.by_layer(table, measure)
    return sign_plots.signs_against_accuracy(runs, by_layer, ablation.correlation(methods, measure), measure,
                                             _caption(ablation.STUDY, table, f"signs: {about}"),
                                             ablation.extremes_in_words(methods, measure))


def longest_runs() -> dict[str, tuple[str, Mapping]]:
    """By network name and run.json of the longest SD-BNN run: our recipe's before the paper's, then the lowest seed."""
    found = {}
    for network in cifar10.TITLES:
        mine = [(-run["epochs"], run["recipe"] == cifar10.PUBLISHED[network].name, run["seed"], name, run)
                for name, run in tables.published_runs(cifar10.DATASET).items()
                if run["network"] == network and run["method"] == cifar10.METHOD]  # fmt: skip
        if mine:
            found[network] = min(mine)[3:]
    return found


def _curves() -> dict[str, tuple[pd.DataFrame, dict]]:
    """Heading -> log and run.json of each network's longest run, and of those that aren't finished."""
    found = {}
    for name, run in [*longest_runs().values(), *tables.published_runs(cifar10.DATASET, finished=False).items()]:
        log, network = tables.run_log(name), run["network"]
        recipe = "" if run["recipe"] == cifar10.PUBLISHED[network].name else " by our recipe"
        length = f"{run['epochs']} epochs" if run["result"] else f"epoch {len(log)} of {run['epochs']}"
        found[f"{cifar10.TITLES[network]}{recipe}, {length}"] = log, run
    return found


def run_curves() -> Figure:
    """Accuracy over the epochs of these runs."""
    curves = _curves()
    panels = {h: (log, cifar10.PAPER[run["network"]], run["epochs"]) for h, (log, run) in curves.items()}
    runs = [run for _, run in curves.values()]
    shown = dict.fromkeys(run["network"] for run in runs)
    epochs = ", ".join(f"{cifar10.TITLES[n]} {cifar10.PUBLISHED[n].epochs}" for n in shown)
    data = joined(run["data"] for run in runs)
    caption = f"{data}; method sdbnn, n = 1 run each, all {runs[0]['test_images']:,} test images"
    more = f"{joined(map(hardware, runs))}; epochs behind the paper's numbers: {epochs}"
    return run_plots.run_curves(panels, f"{caption}\n{wrapped(more)}")


def shown_run() -> str:
    """The published run whose answers are looked at: cifar10_resnet20's, else the first that has any; "" for none."""
    runs = tables.published_runs(cifar10.DATASET)
    names = sorted(runs, key=lambda name: (name != "cifar10_resnet20", name))
    there = [n for n in names if (tables.results_of(n) / tables.PREDICTIONS).is_file()]
    return there[0] if there else ""


def confusion() -> Figure:
    """The confusions of the network of :func:`shown_run`."""
    name = shown_run()
    table, classes = predictions.read_predictions(name)
    counts = predictions.confusion(table, len(classes))
    network = tables.published_runs(cifar10.DATASET)[name]["network"]
    title = f"What the {cifar10.TITLES.get(network, network)} takes for what"
    return run_plots.confusion_matrix(counts, classes, title, _answers(name, table))


def mistakes(images: ImageSet) -> Figure:
    """The mistakes that the network of :func:`shown_run` is surest of; UsageError where ``images`` is another set."""
    name = shown_run()
    if not name:
        raise UsageError(NO_ANSWERS)
    table, classes = predictions.read_predictions(name)
    surest = predictions.surest_mistakes(table)
    label = tables.published_runs(cifar10.DATASET)[name]["data"]
    pictures = predictions.pictures(surest, images, label)
    title = "Sure, and wrong: above what it is, below what the network says and how surely"
    return run_plots.mistakes(pictures, surest, classes, title, _answers(name, table))


def _answers(name: str, table: pd.DataFrame) -> str:
    run = tables.published_runs(cifar10.DATASET)[name]
    right = int((table["true"] == table["predicted"]).sum())
    return (f"{run['data']}; {run['network']}, method {run['method']}, {run['epochs']} epochs, n = 1; last epoch,\n"
            f"{right:,} of all {len(table):,} test images right; {hardware(run)}")  # fmt: skip


def _said_of_methods(study: str) -> str:
    means = tables.summary(tables.read_study(study)) * [1, 100, 100]
    said = ", ".join(f"{METHODS[m].short} {row['mean']:.1f} %" for m, row in means.iterrows())
    return f"Test accuracy on CIFAR-10, a row per method, a dot per seed. Means: {said}."


def _said_of_steps() -> str:
    found = ede_gradients.in_words(ede_gradients.summary(ede_gradients.courses())).replace("`", "")
    return ("Left: learning rate times relative gradient against the share of the schedule, a line per method and "
            f"schedule. Right: a marker each, training accuracy above t = 1 against the last step. {found}")


def _said_of_schedules() -> str:
    said = (f"{course.schedule}: {100 * course.log['test_accuracy'].iloc[-1]:.1f} %" for course in _under_schedules())
    return ("Accuracy on test and training images, loss, learning rate and EDE's t after every epoch, a line per "
            f"schedule. Test accuracy in the last epoch: {'; '.join(said)}.")  # fmt: skip


def _said_of_inputs() -> str:
    return (f"Left: share of +1 over the epochs, before and after the shift. Right: an arrow per run from before to "
            f"after. {input_shares.in_words(input_shares.ends())}")  # fmt: skip


def _said_of_layers() -> str:
    table = ablation.signs_and_accuracy()[0]
    means = ablation.over_seeds(table)["sign_difference"]
    said = ", ".join(f"{METHODS[m].short} {value:.3f}" for m, value in means.items())
    return ("Sign difference of the outputs in every binary layer, a panel per method. "
            f"{ablation.layers_title(table)}. Means over the layers: {said}.")  # fmt: skip


def _said_of_signs() -> str:
    table, _ = ablation.signs_and_accuracy()
    methods = ablation.over_seeds(table)
    found = ablation.correlation(methods, "sign_difference")
    said = "Left: a marker per run, accuracy against the mean sign difference. Right: the rank correlation of each "
    return (f"{said}layer. {ablation.extremes_in_words(methods)}. "
            f"{ablation.correlation_in_words(found, len(methods), 'methods')}")  # fmt: skip


def _said_of_runs() -> str:
    said = [f"{heading}: {100 * log['test_accuracy'].iloc[-1]:.1f} %" for heading, (log, _) in _curves().items()]
    return f"Accuracy on test and training images after every epoch, a panel per run. {'; '.join(said)}."


def _said_of_confusion() -> str:
    table, classes = predictions.read_predictions(shown_run())
    pairs = predictions.most_confused(predictions.confusion(table, len(classes)))
    said = ", ".join(f"{classes[i]} and {classes[j]} ({n} images)" for i, j, n in pairs)
    return f"Confusion matrix of ten classes. Most often taken for each other: {said}."


def _needs(study: str, there: Callable[[], object] = lambda: True, what: str = "") -> Callable[[], str]:
    """What is said where a ``study`` isn't in the package, or ``what`` isn't ``there`` in it."""
    def missing() -> str:
        has_it = tables.has_study(study) and there()
        return "" if has_it else f"The study {study}{what} isn't in this package yet; see `sdbnn-lite study --help`."
    return missing


def _methods() -> set[str]:
    """The methods of the ablation whose signs were measured."""
    return {*ablation.signs_and_accuracy()[0]["method"]}


_ABLATION, _COMPRESSED = ablation.STUDY, cifar10.COMPRESSED
_has_gradients = partial(tables.has_study, _COMPRESSED, tables.FINAL_GRADIENTS)
NO_RUN = "No run of SD-BNN on CIFAR-10 is published in this package yet: `sdbnn-lite publish RUN --data DIR` does it."
NO_ANSWERS = "No published run holds predictions yet: `sdbnn-lite publish RUN --data DIR` writes them."
GRADIENTS = "Left: relative gradient against t, a line per method; broken: other schedules. Right: one method's layers."
FIGURES = {
    "cifar10_ablation": GalleryEntry(partial(method_table, _ABLATION), partial(_said_of_methods, _ABLATION),
                                     _needs(_ABLATION)),
    "cifar10_compressed": GalleryEntry(partial(method_table, _COMPRESSED), partial(_said_of_methods, _COMPRESSED),
                                       _needs(_COMPRESSED)),
    "cifar10_gradients": GalleryEntry(gradients, lambda: GRADIENTS, _needs(
        _COMPRESSED, _has_gradients, "'s gradients")),
    "cifar10_steps": GalleryEntry(steps, _said_of_steps, _needs(
        _COMPRESSED, lambda: _has_gradients() and ede_gradients.courses(), " with EDE")),
    "cifar10_schedules": GalleryEntry(schedules, _said_of_schedules, _needs(
        _COMPRESSED, lambda: _has_gradients() and _under_schedules(), " with SD-BNN")),
    "cifar10_inputs": GalleryEntry(inputs, _said_of_inputs, _needs(
        _ABLATION, lambda: not input_shares.ends().empty and input_shares.over_epochs(), " with ASD")),
    "cifar10_layers": GalleryEntry(layers, _said_of_layers, _needs(
        _ABLATION, lambda: {ablation.CONTROL} < _methods(), " with its control")),
    "cifar10_signs": GalleryEntry(signs_and_accuracy, _said_of_signs, _needs(_ABLATION, _methods, " with signs")),
    "cifar10_runs": GalleryEntry(run_curves, _said_of_runs, lambda: "" if longest_runs() else NO_RUN),
    "cifar10_confusion": GalleryEntry(confusion, _said_of_confusion, lambda: "" if shown_run() else NO_ANSWERS),
}  # fmt: skip

"""Draw what the README shows from the package's own results: the digits' study, and what the other galleries list."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from .. import data
from ..analysis import cifar10, tables
from ..analysis.captions import hardware, in_percent, study_line
from ..analysis.tables import facts_for, read_study, study_facts, summary
from ..core.methods import METHODS
from ..core.record import LayerSigns, record_signs
from ..data.sets import digit_images
from ..errors import UsageError
from ..system.devices import one_thread
from ..system.files import writable_folder, write_csv
from ..weights import zoo
from . import gallery_cifar10, gallery_imagenet, theme
from . import methods as method_plots

STUDY = "digits"
SIGN_METHODS = ("bnn", "xnor", "irnet", "asd", "wsd", "sdbnn")
CURVE_METHODS = ("float", "bnn", "irnet", "ede", "sdbnn")  # more would cover each other
# What one sees in output_signs; tests/plots/test_gallery.py holds it to the numbers.
SIGN_TITLE = "Shifting its inputs (ASD) drives a layer's channels (the dots) apart"


def draw_all(out: str | Path, data_dir: str | Path | None = None) -> list[Path]:
    """Write every figure into the folder ``out``; the same bytes each time. Returns the files.

    ``data_dir``: the folder with the image sets, for the pictures that show some of them. Raises UsageError, and
    writes nothing, where the study's tables or networks aren't in the package, or these images aren't to be had.
    """
    check_results()
    mistakes = {}
    if data_dir is not None:
        mistakes["cifar10_mistakes"] = gallery_cifar10.mistakes(data.load("cifar10", data_dir))
    runs, epochs, facts = read_study(STUDY), read_study(STUDY, "epochs.csv"), study_facts(STUDY)
    recorded = {method: zoo_signs(method) for method in SIGN_METHODS}
    out = writable_folder(out)
    written = {"digits_methods.csv": method_rows(runs, facts)}
    reproduced = cifar10.table()
    if reproduced["n"].any():
        written["cifar10_table.csv"] = cifar10.csv_rows(reproduced)
    for name, rows in written.items():
        write_csv(out / name, rows)
    curves = epochs[epochs["method"].isin(CURVE_METHODS)]
    caption = sign_caption(runs, facts_for(facts, SIGN_METHODS))
    figures = {
        "digits_methods": method_plots.method_table(runs, facts),
        "output_signs": method_plots.output_signs(recorded, accuracy_notes(runs), SIGN_TITLE, caption),
        "digits_curves": method_plots.learning_curves(curves, facts_for(facts, CURVE_METHODS)),
        **gallery_cifar10.drawable(), **mistakes,
        **gallery_cifar10.drawable(gallery_imagenet.FIGURES),
    }  # fmt: skip
    drawn = [path for name, figure in figures.items() for path in theme.save(figure, out, name)]
    return [out / name for name in written] + drawn


def check_results() -> None:
    """Raise UsageError, saying what is missing and which command makes it, unless all that is drawn from is there."""
    needed = [tables.study_folder(STUDY) / name for name in ("runs.csv", "epochs.csv", "study.json")]
    needed += [zoo.ZOO / f"{STUDY}_{method}.safetensors" for method in SIGN_METHODS]
    if missing := [path.name for path in needed if not path.is_file()]:
        raise UsageError(f"the figures need {', '.join(missing)} in the package; make it with: sdbnn-lite study "
                         f"{STUDY} --publish")  # fmt: skip


def zoo_signs(method: str) -> dict[str, LayerSigns]:
    """The signs of the zoo's network of ``method`` on all test images."""
    with one_thread():
        return record_signs(zoo.load(f"{STUDY}_{method}"), digit_images())


def method_rows(runs: pd.DataFrame, facts: Mapping) -> list[dict]:
    """The rows of digits_methods.csv: each with all that has to be said where one of its numbers is quoted."""
    about, rows = {"epochs": facts["epochs"], "images": facts["test_images"], "data": facts["data"]}, []
    for method, row in summary(runs).iterrows():
        mean, std = f"{100 * row['mean']:.2f}", f"{100 * row['std']:.2f}" if row["n"] > 1 else ""
        who = {"method": method, "title": METHODS[method].title, "n": int(row["n"])}
        own = facts_for(facts, [method])
        own = {"hardware": hardware(own), "command": own["command"]}
        rows.append({**who, "mean_percent": mean, "std_percent": std, **about, **own})
    return rows


def accuracy_notes(runs: pd.DataFrame) -> dict[str, str]:
    """Method -> "98.4 ± 0.4 % correct"; without the spread where there is one seed."""
    percent = summary(runs) * [1, 100, 100]
    return {m: f"{in_percent(row['mean'], row['std'], 1)} correct" for m, row in percent.iterrows()}


def sign_caption(runs: pd.DataFrame, facts: Mapping) -> str:
    """What output_signs was measured on."""
    n = summary(runs)["n"]
    return f"{study_line(facts, n)}\n{hardware(facts)}; dots: seed 0's network; % correct: mean ± std over the seeds"

"""``sdbnn-lite walkthrough``: train SD-BNN, look at its signs, run the notebooks, draw the figures.

OUT/digits-sdbnn-seed0/    the trained network (see ``runs``); a second walkthrough takes it from there
OUT/notebooks/             the executed notebooks
OUT/figures/               every figure as PNG and SVG
"""

import shlex
import textwrap
from collections.abc import Mapping
from pathlib import Path

from ..core.record import LayerSigns, record_signs
from ..data.sets import digit_images
from ..errors import RunError, UsageError
from ..plots import gallery, theme
from ..plots import methods as method_plots
from ..system.files import writable_folder
from ..system.text import aligned_table
from ..training.options import RunOptions
from ..training.recipes import get_recipe
from ..training.train import Result, train
from ..weights.files import CHECKPOINT, read_tensors
from . import chain
from .first_cell import REPOSITORY

RECIPE, METHOD, SEED = "digits", "sdbnn", 0


def walk(out: str | Path) -> None:
    """Do all of it in the folder ``out``, with progress messages; a finished training is reused, a stopped one resumed.

    Where the notebooks can't be run (their packages aren't installed), all the rest is done, then a UsageError says
    what was left out; where there are none, it says at once where they are. Raises RunError where a notebook fails,
    and KeyboardInterrupt after Ctrl-C in the training.
    """
    if not chain.CHAIN:
        raise UsageError("the notebooks aren't part of the installed package: run this from a clone of "
                         f"https://github.com/{REPOSITORY}")  # fmt: skip
    out = writable_folder(out)
    result = train_or_reuse(out / f"{RECIPE}-{METHOD}-seed{SEED}")
    show_signs(result, out / "figures")
    left_out = run_notebooks(out / "notebooks")
    step("Drawing the figures of the README and the notebooks")
    for path in gallery.draw_all(out / "figures"):
        print(f"  {path.name}")
    step("Where to look")
    print(f"  {out / 'figures'}")
    if not left_out:
        print(f"  {out / 'notebooks'}: the executed notebooks")
    print("  make lab: the same notebooks in JupyterLab, where the sliders move")
    print("  sdbnn-lite train --help: train another method, network or data set")
    if left_out:
        raise UsageError(left_out)


def step(title: str) -> None:
    """The headline of what comes next, at once."""
    print(f"\n{title}", flush=True)


def train_or_reuse(folder: Path) -> Result:
    """The network in ``folder``, trained, resumed or only read; which of these is printed."""
    recipe = get_recipe(RECIPE)
    started = (folder / CHECKPOINT).exists()
    done = read_tensors(folder / CHECKPOINT)[1].get("progress", {}).get("epoch", 0) if started else 0
    how = f"resumed after epoch {done}, from {folder}" if started else "under a minute"
    if done >= recipe.epochs:
        how = f"finished before, reused from {folder}"
    step(f"Training {METHOD} on {recipe.dataset}, {recipe.epochs} epochs: {how}")
    command = shlex.join(["sdbnn-lite", "walkthrough", "--out", str(folder.parent)])
    options = RunOptions(progress=done < recipe.epochs, command=command)
    result = train(recipe, folder, method=METHOD, seed=SEED, resume=started, options=options)
    if result.stopped:
        raise KeyboardInterrupt
    score = result.score
    print(f"  test accuracy {100 * score.top1:.2f} % on all {score.images} test images of {result.label}, one seed")
    return result


def show_signs(result: Result, folder: Path) -> None:
    """Print what the network's signs do on all test images, and draw it."""
    step("Its signs on all test images")
    signs = record_signs(result.net.cpu(), digit_images())
    print(sign_table(signs))
    for path in theme.save(method_plots.sign_summary(signs), folder, "signs_after_training"):
        print(f"  {path.name}")


def sign_table(layers: Mapping[str, LayerSigns]) -> str:
    """A line per layer: share of +1 of the inputs before and after ASD, weights flipped by WSD, outputs' entropy."""
    lines = [("layer", "inputs +1", "after ASD", "weights flipped by WSD", "outputs +1", "their entropy")]
    for name, s in layers.items():
        weights = s.fan_in * len(s.output)
        flipped = f"{round(s.weight_flips * weights):,} of {weights:,}"
        before, after, plus = (f"{100 * share.mean():.1f} %" for share in (s.input_before, s.input_after, s.output))
        lines.append((name, before, after, flipped, plus, f"{s.entropy.mean():.3f} bit"))
    return textwrap.indent(aligned_table(lines, [True] * len(lines[0])), "  ")


def run_notebooks(folder: Path) -> str:
    """Execute the chain into ``folder``; returns "", or the sentence that says why notebooks were left out."""
    step("Running the notebooks")
    path = None
    try:
        for path in chain.find_notebooks():
            print(f"  {path.stem:40}", end="", flush=True)
            print(f"{chain.execute(path, folder / path.name):4.0f} s", flush=True)
    except UsageError as error:
        since = f" from {path.name} on" if path else ""
        print("  left out")
        return f"the notebooks were left out{since}: {error}"
    except chain.NotebookFailed as error:
        print("  failed")
        raise RunError(str(error)) from error
    return ""

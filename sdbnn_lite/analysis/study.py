"""Compare methods: train each with several seeds, then gather what the figures and notebooks read.

OUT/<method>-seed<k>/    a run's folder each (see ``run_folder``); a study that was stopped resumes
results/<recipe>/        runs.csv, epochs.csv, signs.csv (a row per run / epoch / epoch and layer), study.json;
                         trials.csv where each method was tuned (see ``tuned``);
                         given the images, also what ``final_signs`` and ``ede_gradients`` measure
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..core.methods import get_method
from ..core.models import BinaryNet
from ..errors import UsageError
from ..system.files import read_csv, writable_folder, write_atomic, write_csv, write_json
from ..training import run_folder
from ..training.options import DEFAULTS, RunOptions
from ..training.recipe import Recipe
from ..training.recipes import RECIPES
from ..training.train import train
from ..weights.files import CHECKPOINT, WEIGHTS
from ..weights.zoo import load
from .tables import FINAL_GRADIENTS, FINAL_SIGNS, read_facts, run_name


@dataclass(frozen=True)
class Tuned:
    """Recipes of the methods that have their own; what study.json says of it, and the trials that found them."""

    recipes: Mapping[str, Recipe] = field(default_factory=dict)
    facts: Mapping = field(default_factory=dict)
    trials: Sequence[dict] = ()


NOT_TUNED = Tuned()


def default_folder(recipe: Recipe) -> Path:
    """Where a study's runs lie unless the user says so: another length or data set has a folder of its own."""
    usual = RECIPES.get(recipe.name)
    images = "" if usual and usual.dataset == recipe.dataset else f"-{recipe.dataset}"
    length = "" if usual and usual.epochs == recipe.epochs else f"-{recipe.epochs}-epochs"
    return Path("runs") / f"{recipe.name}{images}-study{length}"


def plan(methods: Sequence[str], seeds: int) -> list[tuple[str, int]]:
    """Every (method, seed), seeds 0 … seeds-1. Raises UsageError for no seed or an unknown method."""
    if seeds < 1:
        raise UsageError(f"seeds={seeds}: at least 1 is needed")
    for method in methods:
        get_method(method)
    return [(method, seed) for method in dict.fromkeys(methods) for seed in range(seeds)]


def run_study(recipe: Recipe, out: str | Path, methods: Sequence[str], seeds: int, options: RunOptions = DEFAULTS,
              tuned: Tuned = NOT_TUNED) -> list[dict]:  # fmt: skip
    """Train every method with seeds 0 … seeds-1 into ``out``; finished runs are kept, started ones resumed.

    ``options`` go to :func:`train`; ``tuned``: the methods' own recipes. Returns the rows of runs.csv. Raises
    UsageError for no seed or an unknown method, and what :func:`train` raises; Ctrl-C raises KeyboardInterrupt after
    the state is saved.
    """
    planned, rows = plan(methods, seeds), []
    out = writable_folder(out)
    for method, seed in planned:
        who, mine = {"method": method, "seed": seed}, tuned.recipes.get(method, recipe)
        folder = out / run_name(who)
        if train(mine, folder, **who, resume=(folder / CHECKPOINT).exists(), options=options).stopped:
            raise KeyboardInterrupt
        rows.append({**who, **final_row(folder)})
        print(f"{method:8} seed {seed}: {100 * rows[-1]['test_accuracy']:.2f} %", flush=True)
    return rows


def finished(recipe: Recipe, out: str | Path, methods: Sequence[str], seeds: int,
             tuned: Tuned = NOT_TUNED) -> tuple[list[dict], list[dict]]:  # fmt: skip
    """What a study that was stopped has so far: the rows of runs.csv, and who is left out and why. Nothing is trained.

    A run counts where its last epoch is done and its settings are the recipe's, so that all have the same length; the
    others are {"method", "seed", "why"}. Raises UsageError where none counts.
    """
    rows, left_out = [], []
    for method, seed in plan(methods, seeds):
        who = {"method": method, "seed": seed}
        folder = Path(out) / run_name(who)
        if why := why_not(folder, run_folder.identity(tuned.recipes.get(method, recipe), method, seed)):
            left_out.append({**who, "why": why})
        else:
            rows.append({**who, **final_row(folder)})
    if not rows:
        raise UsageError(f"{out}: no finished run of recipe {recipe.name} with {recipe.epochs} epochs")
    return rows, left_out


def why_not(folder: Path, wanted: dict) -> str:
    """Why the run in ``folder`` isn't a finished run of ``wanted``; empty where it is one."""
    if not (folder / run_folder.RUN).is_file():
        return "not begun"
    run, log = run_folder.read_run(folder)
    wanted = {key: value for key, value in wanted.items() if key != "teacher"}  # its weights may be elsewhere by now
    if differences := run_folder.differing(run, wanted):
        return "; ".join(differences)
    return "" if run["result"] else f"{len(log)} of {wanted['epochs']} epochs"


def check_replaces(to: Path, epochs: int, planned: Sequence[tuple[str, int]]) -> None:
    """Raise UsageError where the study in ``to`` is longer, or as long and has runs that aren't ``planned`` now.

    So nothing that took longer is ever lost by a command that was typed to see whether it works.
    """
    if not (to / "study.json").is_file():
        return
    there = read_facts(to)
    if there["epochs"] > epochs:
        raise UsageError(f"{to}: holds a study of {there['epochs']} epochs, which one of {epochs} doesn't replace; "
                         f"leave --publish out (the tables then go beside the runs), or train {there['epochs']} epochs "
                         "or more")  # fmt: skip
    if there["epochs"] == epochs:
        rows = read_csv(to / "runs.csv")
        wanted = {f"{method} seed {seed}" for method, seed in planned}
        missing = [who for r in rows if (who := f"{r.get('method')} seed {r.get('seed')}") not in wanted]
        if missing:
            raise UsageError(f"{to}: holds runs of as many epochs that this study lacks: {', '.join(missing)}; "
                             f"name their methods and seeds too")  # fmt: skip


def check_adds(to: Path, recipe: Recipe) -> None:
    """Raise UsageError unless the study in ``to`` has the settings of ``recipe``, so that runs can be added to it."""
    if not (to / "study.json").is_file():
        raise UsageError(f"{to}: no study to add runs to; leave --add out")
    wanted = run_folder.identity(recipe, "", 0)
    wanted = {key: value for key, value in wanted.items() if key not in ("method", "seed", "teacher")}
    facts = read_facts(to)
    if "tuned" in facts:
        raise UsageError(f"{to}: its methods were tuned; gather all of them anew, with --searches and without --add")
    if differences := run_folder.differing(facts, wanted):
        raise UsageError(f"{to}: runs with other settings can't be added; {'; '.join(differences)}")


def add(new: Path, to: Path) -> None:
    """Put the runs whose tables lie in ``new`` into those of the study in ``to``; its other runs stay as they are.

    study.json's "elsewhere" names the added runs' machine and command.
    """
    there, facts = map(read_facts, (to, new))
    names = [run_name(row) for row in read_csv(new / "runs.csv")]
    for table in ("runs.csv", "epochs.csv", "signs.csv", FINAL_SIGNS, FINAL_GRADIENTS):
        if (new / table).is_file():
            kept = [row for row in read_csv(to / table) if run_name(row) not in names]
            write_csv(to / table, kept + read_csv(new / table))
    own, moved = {key: facts[key] for key in ("command", "machine")}, facts.get("elsewhere", {})
    there["elsewhere"] = {**there.get("elsewhere", {}), **{name: own | moved.get(name, {}) for name in names}}
    there["methods"] = list(dict.fromkeys(there["methods"] + facts["methods"]))
    there["seeds"] = sorted({*there["seeds"], *facts["seeds"]})
    write_json(to / "study.json", there)


def final_row(folder: Path) -> dict:
    """What runs.csv says of one finished run."""
    run, log = run_folder.read_run(folder)
    seconds, result = sum(float(row["seconds"]) for row in log), run["result"]
    kept = {key: result[key] for key in ("test_accuracy", "test_top5", "test_loss", "test_images")}
    return {**kept, "train_seconds": round(seconds, 1)}


def beside_who(out: Path, rows: list[dict], lines: Callable[[Path], list[dict]]) -> list[dict]:
    """The ``lines`` of the folder of each run that ``rows`` names, beside its method and seed."""
    whose = [({"method": row["method"], "seed": row["seed"]}, out / run_name(row)) for row in rows]
    return [who | line for who, folder in whose for line in lines(folder)]


def gather(out: Path, rows: list[dict], to: Path, command: str, left_out: Sequence[dict] = (),
           tuned: Tuned = NOT_TUNED) -> None:  # fmt: skip
    """Write the study's four files into the folder ``to``, from the runs that ``rows`` names.

    study.json names the first run's machine; "elsewhere", for each run that isn't all from there, its own.
    ``left_out``: what :func:`finished` says of the others; study.json keeps it.
    """
    to = writable_folder(to)
    write_csv(to / "runs.csv", rows)
    for other in (FINAL_SIGNS, FINAL_GRADIENTS, "trials.csv"):
        (to / other).unlink(missing_ok=True)  # of the runs that were there before
    runs = {name: run_folder.read_run(out / name) for name in map(run_name, rows)}
    write_csv(to / "epochs.csv", beside_who(out, rows, lambda folder: runs[folder.name][1]))
    write_csv(to / "signs.csv", beside_who(out, rows, lambda folder: run_folder.read_table(folder, run_folder.SIGNS)))
    first, _ = next(iter(runs.values()))
    facts = {k: v for k, v in first.items() if k not in ("method", "seed", "result", "started", "earlier", "launch")}
    facts |= {"methods": list(dict.fromkeys(row["method"] for row in rows)), "seeds": sorted({r["seed"] for r in rows})}
    facts |= {"protocol": "last epoch, all test images", "command": command}
    elsewhere = {name: {key: run[key] for key in ("earlier", "machine") if key in run}
                 for name, (run, _) in runs.items() if "earlier" in run or run["machine"] != first["machine"]}
    facts |= {"elsewhere": elsewhere} if elsewhere else {}
    facts |= {"left_out": list(left_out)} if left_out else {}
    facts |= tuned.facts
    if tuned.trials:
        write_csv(to / "trials.csv", [*tuned.trials])
    write_json(to / "study.json", facts)


def measure_runs(out: Path, rows: list[dict], to: Path, measure: Callable[[BinaryNet], list[dict]]) -> None:
    """Write the table ``to``: what ``measure`` finds in the network of each run that ``rows`` names, beside its method
    and seed. No file where it finds nothing, as in the float twin alone."""
    if found := beside_who(out, rows, lambda folder: measure(load(folder))):
        write_csv(writable_folder(to.parent) / to.name, found)


def publish(out: Path, rows: list[dict], zoo: Path, prefix: str) -> None:
    """Copy the seed-0 network of every method into the zoo as ``<prefix>_<method>.safetensors``."""
    zoo = writable_folder(zoo)
    for row in rows:
        if row["seed"] == 0:
            write_atomic(zoo / f"{prefix}_{row['method']}.safetensors", (out / run_name(row) / WEIGHTS).read_bytes())

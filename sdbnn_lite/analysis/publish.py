"""Put a finished run into the zoo: its network in bit form with a card, its tables beside the other results.

Given the images, also what ``predictions``, ``final_signs`` and ``ede_gradients`` measure on them.
"""

import copy
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import torch

from ..core.models import BinaryNet
from ..data.in_memory import ImageSet
from ..data.streamed import StreamedImageSet
from ..errors import RunError, UsageError
from ..system.files import writable_folder, write_atomic, write_csv, write_json
from ..training import run_folder
from ..training.evaluate import evaluate
from ..weights.bits import FORM, bit_state, round_matrices
from ..weights.cards import card_path, make_card
from ..weights.files import WEIGHTS, describe, read_tensors, rebuild, tensor_bytes
from ..weights.logits_check import probe_images, probe_logits
from ..weights.zoo import ZOO, load
from . import ede_gradients, final_signs
from .predictions import Collector
from .tables import FINAL_GRADIENTS, FINAL_SIGNS, PREDICTIONS, facts_of, runs_folder

SCORE_TOLERANCE = 0.2  # points between the run's own accuracy and the stored file's: another device, or rounding
Images = ImageSet | StreamedImageSet
Tables = dict[str, list[dict]]  # rows by file name


@dataclass(frozen=True)
class Target:
    """Where a published run goes: the folder of networks and cards, and that of the runs' tables."""

    zoo: Path
    results: Path

    @classmethod
    def at(cls, out: str | Path | None = None) -> "Target":
        """The folders of the package, or such folders below ``out``."""
        return cls(Path(out) / "zoo", Path(out) / "results" / "runs") if out else cls(ZOO, runs_folder())


def publish_run(folder: str | Path, name: str | None = None, *, images: Images | None = None, rounded: bool = False,
                tables_only: bool = False, to: Target | None = None) -> tuple[str, dict]:  # fmt: skip
    """Make the zoo's entry ``name`` from the finished run in ``folder``; returns its name and its card.

    ``name``: by default the network's, with ``_<method>`` for any but sdbnn. An entry of that name is replaced.
    ``images``: the set it was trained on; then the stored file is scored on all test images, and the card holds that
    figure and ``run_accuracy``, the run's own; else the run's alone. ``rounded``: in 16-bit steps (see ``bits``); needs
    ``images``. ``tables_only``: nothing goes into the zoo, which may hold no entry of that name. ``to``: the package.

    RunError, and nothing written, unless the file's network gives the logits of the trained one (its weights rounded
    with ``rounded``) to the last bit on ``logits_check``'s 500 images, and scores within ``SCORE_TOLERANCE`` of it.
    UsageError for a folder that holds no finished run, a name that can't be one or that latent weights have, images of
    another set, and with ``tables_only`` a name that the zoo has.
    """
    folder, to = Path(folder), to or Target.at()
    run, net = read_run(folder), load(folder / WEIGHTS)
    if any(net.about.get("identity", {}).get(key) != run[key] for key in ("recipe", "method", "seed", "epochs")):
        raise UsageError(f"{folder}: {WEIGHTS} is of another run than {run_folder.RUN}")
    file = entry_file(name, run, to.zoo)
    if tables_only and file.is_file():
        raise UsageError(f"name {file.stem!r}: the zoo holds {file.name}, and these tables are of another network; "
                         f"choose another name")  # fmt: skip
    if images is not None and images.label != run["data"]:
        raise UsageError(f"images: {images.label} given, but the run was on {run['data']}")
    if rounded and images is None:
        raise UsageError("rounded: changes weights, so the file has to be scored anew; give the images (--data)")
    content, card, run, tables = measure(run, net, images, rounded)
    results = writable_folder(Path(to.results) / file.stem)
    if not tables_only:
        writable_folder(to.zoo)
        write_atomic(file, content)
        write_json(card_path(file), card)
    write_json(results / run_folder.RUN, run)
    for table in (run_folder.LOG, run_folder.SIGNS):
        if (folder / table).is_file():
            write_csv(results / table, run_folder.read_table(folder, table))
    for table in (PREDICTIONS, FINAL_SIGNS, FINAL_GRADIENTS):
        (results / table).unlink(missing_ok=True)  # of the entry that was there before
        if tables.get(table):
            write_csv(results / table, tables[table])
    return file.stem, card


def publish_log(folder: str | Path, name: str | None, to: Target) -> Path:
    """The log of a run that isn't finished, with its run.json, among the results as ``name``: a curve, in no table.

    Returns its folder. UsageError for a run that is finished or has no epoch yet, and for a finished one's ``name``.
    """
    run, log = run_folder.read_run(Path(folder))
    if run["result"] or not log:
        raise UsageError(f"{folder}: --so-far is for a run under way; it has {len(log)} of its {run['epochs']} epochs")
    results = to.results / entry_file(name, run, to.zoo).stem
    if (results / run_folder.RUN).is_file() and run_folder.read_run(results)[0]["result"]:
        raise UsageError(f"name {results.name!r}: {results} holds a finished run; choose another name")
    run |= {"command": portable_command(run["command"], run["dataset"])}
    write_json(writable_folder(results) / run_folder.RUN, {key: run[key] for key in run if key != "launch"})
    write_csv(results / run_folder.LOG, log)
    return results


def entry_file(name: str | None, run: dict, zoo: Path) -> Path:
    """The file of the entry ``name`` (see :func:`publish_run`) in ``zoo``; UsageError unless it may be written."""
    name = name or (run["network"] if run["method"] == "sdbnn" else f"{run['network']}_{run['method']}")
    file = Path(zoo) / f"{name}.safetensors"
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise UsageError(f"name {name!r}: small letters, digits and _ are allowed, a letter first")
    if file.is_file() and read_tensors(file)[1].get("form") != FORM:  # the notebooks need those
        raise UsageError(f"name {name!r}: {file.name} holds latent weights, which bits can't replace; choose another")
    return file


def measure(run: dict, net: BinaryNet, images: Images | None, rounded: bool) -> tuple[bytes, dict, dict, Tables]:
    """The file of ``net`` in bit form, its card and run.json, and what was measured on ``images``, if there are any.

    RunError where the bit form isn't the trained network.
    """
    about = {**describe(net), "form": FORM, **{k: net.about[k] for k in ("dataset", "data", "identity")}}
    about |= {"rounded": "ASD's matrices and 1×1 shortcuts, to 16-bit steps"} if rounded else {}
    state, tables = bit_state(net, rounded), {}
    stored = rebuild(state, about)
    result, more = run["result"], {"scored": f"by the run, on {run['machine'].get('device')}"}
    if images is not None:
        result, more, tables[PREDICTIONS] = rescore(stored, run, images)
        sample = images.test_sample(final_signs.IMAGES).cpu()
        tables[FINAL_SIGNS] = final_signs.final_rows(net, sample, run["epochs"])
        if isinstance(images, ImageSet):
            tables[FINAL_GRADIENTS] = ede_gradients.final_rows(net, images)
        run = {**run, "classes": list(images.classes)}
    content = tensor_bytes(state, {**about, "result": result})
    more |= {"form": FORM, "rounded": about.get("rounded", "nothing")}
    run = {**run, "command": portable_command(run["command"], run["dataset"])}
    run.pop("launch", None)  # names a machine
    card = make_card(content, stored, run, result, **more)
    trained = copy.deepcopy(net)
    if rounded:
        round_matrices(trained)
    probe = probe_images(*(card["probe"][key] for key in ("image_size", "mean", "std")))
    if not torch.equal(probe_logits(trained, probe), probe_logits(stored, probe)):
        raise RunError("the bit form's logits differ from those of the trained network; nothing was written")
    return content, card, run, tables


def read_run(folder: Path) -> dict:
    """run.json of a finished run; UsageError where there is none, or the run isn't finished."""
    run, _ = run_folder.read_run(folder)
    if run["result"] is None or not (folder / WEIGHTS).is_file():
        raise UsageError(f"{folder}: the run isn't finished; go on with it (--resume) first")
    return run


def rescore(stored: BinaryNet, run: dict, images: Images) -> tuple[dict, dict, list[dict]]:
    """Result of the stored network on all test images, what the card says of that, and predictions.csv's rows.

    RunError where it is far from the run's own.
    """
    device = torch.device(images.test_images.device if isinstance(images, ImageSet) else images.device).type
    net, own = copy.deepcopy(stored).to(device), run["result"]["test_accuracy"]
    collector = Collector(net)
    score = evaluate(net, images, forward=collector)
    if 100 * abs(score.top1 - own) > SCORE_TOLERANCE + 1e-9:
        raise RunError(f"the file scores {100 * score.top1:.2f} %, the run itself {100 * own:.2f} %: more than "
                       f"{SCORE_TOLERANCE} points apart; nothing was written")  # fmt: skip
    result = {"protocol": run["result"]["protocol"], "test_accuracy": score.top1, "test_top5": score.top5}
    result |= {"test_loss": score.loss, "test_images": score.images}
    more = {"run_accuracy": own, "scored": f"as stored, on {device}"}
    return result, more, collector.table(images).to_dict("records")


def portable_command(typed: str, dataset: str = "digits") -> str:
    """A run's command for any machine: ``--data DIR`` for its images (also where SDBNN_DATA named them, but not for the
    embedded digits), no --out and --quiet, files by name alone."""
    kept, words = [], iter(shlex.split(typed))
    for word in words:
        flag, equals, _ = word.partition("=")
        data, out = (len(flag) > 2 and option.startswith(flag) for option in ("--data", "--out"))  # --dat will do
        if (data or out) and not equals:
            next(words, None)
        if data:
            kept += ["--data", "DIR"]
        elif not out and word != "--quiet":
            kept.append("=".join(Path(part).name if part.startswith("/") else part for part in word.split("=", 1)))
    if kept and dataset != "digits" and "--data" not in kept:
        kept += ["--data", "DIR"]
    return shlex.join(kept)


def card_study(zoo: Path, prefix: str, facts: dict) -> list[Path]:
    """Cards for what ``study.publish`` wrote: the networks ``<prefix>_<method>`` of a study, latent weights.

    ``facts`` is its study.json, from which the command, hardware and versions come. Returns the cards' paths.
    """
    targets = [Path(zoo) / f"{prefix}_{method}.safetensors" for method in facts["methods"]]
    for method, target in zip(facts["methods"], targets):
        card_path(target).unlink(missing_ok=True)  # of the file that was there before
        net = load(target)
        run = {**facts, "network": net.name, "method": method, "seed": net.about["identity"]["seed"]}
        run = facts_of(run, run)
        more = {"scored": f"by the run, on {run['machine'].get('device')}", "form": "latent", "rounded": "nothing"}
        write_json(card_path(target), make_card(target.read_bytes(), net, run, net.about["result"], **more))
    return [card_path(target) for target in targets]

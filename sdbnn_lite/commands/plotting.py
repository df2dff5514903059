"""``plot``: the curves of one or several runs as one picture."""

import argparse
import json
from pathlib import Path

from ..errors import UsageError, unknown
from .options import command, option


@command(
    option("runs", nargs="+", metavar="RUN", help="a run's folder; its training may still be going on"),
    option("--out", metavar="FILE", help=".png or .svg (default: RUN/curves.png; of several runs: ./curves.png)"),
)
def run_plot(args: argparse.Namespace) -> None:
    """Draw accuracy, loss and schedules of one or several runs."""
    import pandas as pd

    from ..plots.epochs import compared
    from ..plots.parts import joined, wrapped
    from ..plots.theme import FORMATS
    from ..system.files import writable_folder, write_atomic

    folders = [Path(run) for run in dict.fromkeys(args.runs)]
    out = Path(args.out or (folders[0] if len(folders) == 1 else Path()) / "curves.png")
    if out.suffix.lower() not in FORMATS:
        raise unknown(f"ending of --out {out}", out.suffix, FORMATS)
    runs, logs = zip(*map(read_run, folders))
    tables = [pd.DataFrame(log).astype(float) for log in logs]
    title = f"{joined(run['recipe'] for run in runs)}: {len(runs)} run{'s' * (len(runs) > 1)}, epoch by epoch"
    caption = wrapped(f"{joined(run['data'] for run in runs)}; training images: augmented, while the weights change")
    figure = compared(dict(zip(labels(folders, runs, logs), tables)), title, caption)
    writable_folder(out.parent)
    write_atomic(out, FORMATS[out.suffix.lower()](figure))
    print(out)


def read_run(folder: Path) -> tuple[dict, list[dict]]:
    """A run's run.json and the rows of its log; UsageError where ``folder`` is no run's, or has no epoch yet."""
    from ..system.files import read_csv
    from ..training.run_folder import LOG, RUN

    try:
        run = json.loads((folder / RUN).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        inside = ", ".join(str(found.parent) for found in sorted(folder.glob(f"*/{RUN}"))[:3])
        hint = f"; there are runs in it: {inside}" if inside else ""
        raise UsageError(f"{folder}: not a run's folder, it has no {RUN} that can be read{hint}") from error
    log = read_csv(folder / LOG)
    if not log:
        raise UsageError(f"{folder}: nothing to draw yet, no epoch is finished")
    return run, log


def labels(folders: list[Path], runs: tuple[dict, ...], logs: tuple[list, ...]) -> list[str]:
    """What tells the runs apart: method and seed if they share a recipe, or their folders; and how far they are."""
    same = len({(run["recipe"], run["epochs"]) for run in runs}) == 1
    who = [f"{run['method']} seed {run['seed']}" if same else "" for run in runs]
    names = next(names for names in (who, [folder.resolve().name for folder in folders], list(map(str, folders)))
                 if len(set(names)) == len(names))  # fmt: skip
    return [name if run["result"] else f"{name}, epoch {len(log)} of {run['epochs']}"
            for name, run, log in zip(names, runs, logs)]  # fmt: skip

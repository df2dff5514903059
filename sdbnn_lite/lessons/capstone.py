"""A shift of one's own (notebook 08): trained beside its control on the digits, and the claim card that this fills."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import torch
from torch import nn

from .. import data
from ..analysis.ablation import CONTROL, Contrast, contrast
from ..core.methods import METHODS, Method
from ..errors import UsageError, check_whole
from ..system.devices import one_thread
from ..training.initial import initial_network
from ..training.recipes import choose
from ..training.trainer import Trainer
from ..version import __version__
from .notebook import table

SIGNS = {"input_before": "+1 before", "input_after": "+1 after", "input_flips": "flipped"}  # of signs.csv: shares


def own_method(shift: Callable[[int], nn.Module]) -> Method:
    """``CONTROL`` with the module class ``shift``, under the class's name."""
    name = getattr(shift, "__name__", type(shift).__name__)
    return replace(METHODS[CONTROL], name=name, title=name, activation_shift=shift)


def train_own_shift(shift: Callable[[int], nn.Module], seeds: Sequence[int] = (0, 1, 2),
                    epochs: int = 10) -> pd.DataFrame:  # fmt: skip
    """Train the digits' network with the shift and without it, seed by seed; nothing is kept but a row per run.

    method (the class's name, or ``CONTROL``), seed, epochs, test_accuracy, test_images, and of the last epoch the
    shares in ``SIGNS`` and the outputs' entropy [bit], means over the layers. The recipe is ``digits``, on one thread:
    the control's weights are those of ``sdbnn-lite train digits --method ede --epochs EPOCHS --threads 1``.

    Raises UsageError for seeds that aren't different whole numbers, before anything is trained.
    """
    check_whole(0, 2**63 - 1, seeds=tuple(seeds))
    if not seeds or len(set(seeds)) < len(seeds):
        raise UsageError(f"seeds={tuple(seeds)}: one or more different ones are needed")
    recipe, images = choose("digits", epochs=epochs), data.load("digits")
    rows = []
    for seed in seeds:
        for method in (own_method(shift), METHODS[CONTROL]):
            with one_thread(), TemporaryDirectory() as folder:
                with torch.random.fork_rng():  # what the module itself draws while it trains
                    torch.manual_seed(seed)
                    trainer = Trainer(recipe, initial_network(recipe, method, seed, images), images, seed)
                    score = trainer.run(Path(folder), show=False)
            if trainer.stop():
                raise KeyboardInterrupt
            last = pd.DataFrame(trainer.signs).query("epoch == epoch.max()")[[*SIGNS, "entropy"]].mean()
            rows.append({"method": method.name, "seed": seed, "epochs": epochs, "test_accuracy": score.top1,
                         "test_images": score.images, **last})  # fmt: skip
    return pd.DataFrame(rows).sort_values("method", key=lambda names: names == CONTROL, kind="stable")


def verdict(runs: pd.DataFrame) -> Contrast:
    """The shift against its control, of :func:`train_own_shift`'s rows; ``.points`` and ``.verdict`` say the rest."""
    one = runs["method"].iloc[0]
    return contrast(runs, "the shift", one, CONTROL, int(runs["test_images"].iloc[0]))


@dataclass(frozen=True)
class ClaimCard:
    """What one expects, written down before it is measured: a ``claim`` in a sentence, a ``prediction`` in points."""

    claim: str
    prediction: str

    def fill(self, runs: pd.DataFrame) -> None:
        """Print the card with what ``runs`` of :func:`train_own_shift` say. Call it last in a cell."""
        found, first = verdict(runs), runs.iloc[0]
        rows = [("claim", self.claim), ("predicted", self.prediction)]
        rows += [(name, _result(some)) for name, some in runs.groupby("method", sort=False)]
        rows += [("difference", f"{found.points:+.1f} points; the images alone make up to {found.noise:.1f}"),
                 ("verdict", found.verdict),
                 ("trained", f"digits, {first['epochs']} epochs, seeds {', '.join(map(str, runs['seed'].unique()))}; "
                             f"last epoch, all {first['test_images']} test images"),
                 ("with", f"sdbnn-lite {__version__}, PyTorch {torch.__version__.split('+')[0]}, one thread")]
        table([(name, "not written yet" if said is ... else said) for name, said in rows])


def _result(runs: pd.DataFrame) -> str:
    accuracy, shares = 100 * runs["test_accuracy"], 100 * runs[[*SIGNS]].mean()
    spread = f" ± {accuracy.std():.1f}" if len(runs) > 1 else ""
    signs = ", ".join(f"{said} {shares[name]:.0f} %" for name, said in SIGNS.items())
    return f"{accuracy.mean():.1f}{spread} % (n = {len(runs)}); {signs}; entropy {runs['entropy'].mean():.2f} bit"

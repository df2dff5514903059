"""What a network answers to every test image: kept as a table, counted as a confusion matrix, searched for mistakes.

predictions.csv   a row per test image, in the set's order: class numbers, true and predicted, and the probability that
                  the network gives to each, p_true and p_predicted
"""

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import confusion_matrix
from torch import Tensor, nn

from ..data.in_memory import ImageSet
from ..data.streamed import StreamedImageSet
from ..errors import UsageError
from ..system.files import read_json
from ..training.run_folder import RUN
from .tables import PREDICTIONS, read_table, results_of

COLUMNS = ("true", "predicted", "p_true", "p_predicted")
VEHICLES = ("airplane", "automobile", "ship", "truck")  # CIFAR-10's other six are animals
DIGITS = 3  # of a probability: enough to sort mistakes by, and the file stays small


class Collector:
    """Stands in for a network where ``evaluate`` calls it, and keeps what it answers."""

    def __init__(self, net: nn.Module):
        self.net, self.kept = net, []

    def __call__(self, images: Tensor) -> Tensor:
        logits = self.net(images)
        self.kept.append(logits.detach().float().softmax(1).cpu())
        return logits

    def table(self, images: ImageSet | StreamedImageSet) -> pd.DataFrame:
        """The rows of predictions.csv; ``images`` is the set whose test images were shown, in order."""
        probabilities = torch.cat(self.kept)
        labels = (images.test_labels if isinstance(images, ImageSet) else images.test.labels).cpu()
        highest, predicted = probabilities.max(1)
        p_true = probabilities.gather(1, labels[:, None])[:, 0]
        values = (labels, predicted, *(p.double().round(decimals=DIGITS) for p in (p_true, highest)))
        return pd.DataFrame({name: value.numpy() for name, value in zip(COLUMNS, values)})


def read_predictions(name: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """A published run's predictions and the names of the classes; UsageError, saying how to make them, without any."""
    folder = results_of(name)
    try:
        table = read_table(folder / PREDICTIONS)
        classes = tuple(read_json(folder / RUN)["classes"])
    except (OSError, KeyError) as error:
        raise UsageError(f"results/runs/{name} holds no predictions; `sdbnn-lite publish RUN --data "
                         "DIR` writes them") from error  # fmt: skip
    if tuple(table.columns) != COLUMNS:
        raise UsageError(f"results/runs/{name}/{PREDICTIONS}: the columns are {', '.join(table.columns)}")
    return table, classes


def confusion(table: pd.DataFrame, classes: int) -> np.ndarray:
    """int (classes, classes): how many images of the row's class were taken for the column's."""
    return confusion_matrix(table["true"], table["predicted"], labels=range(classes))


def most_confused(counts: np.ndarray, most: int = 3) -> list[tuple[int, int, int]]:
    """The pairs of classes that are taken for each other most often: (one, other, images), both directions counted."""
    both = np.triu(counts + counts.T, k=1)
    places = np.argsort(-both, axis=None, kind="stable")[:most]
    return [(int(i), int(j), int(both[i, j])) for i, j in zip(*np.unravel_index(places, both.shape)) if both[i, j]]


def surest_mistakes(table: pd.DataFrame, most: int = 12, per_class: int = 2) -> pd.DataFrame:
    """The mistakes that the network is surest of, surest first, at most ``per_class`` of a true class.

    The index is the image's place among the test images.
    """
    wrong = table[table["true"] != table["predicted"]]
    ordered = wrong.sort_values("p_predicted", ascending=False, kind="stable")
    return ordered.groupby("true", sort=False).head(per_class).head(most)


def pictures(table: pd.DataFrame, images: ImageSet, label: str) -> np.ndarray:
    """uint8 (N, H, W, C): the test images that the index of ``table`` names, from the set called ``label``.

    Raises UsageError where ``images`` is another set, or another order of it: they would be the wrong pictures.
    """
    places = table.index.tolist()
    same = images.label == label and len(places) and max(places) < images.num_test
    if not same or (images.test_labels[places].cpu().numpy() != table["true"].to_numpy()).any():
        raise UsageError(f"images: {images.label} given, but the predictions are for {label}, in its order of images")
    return images.test_images[places].permute(0, 2, 3, 1).cpu().numpy()


def in_words(counts: np.ndarray, classes: tuple[str, ...]) -> str:
    """What a confusion matrix shows: the pair that is confused most, and whether kinds keep to themselves."""
    pairs = most_confused(counts, 1)
    if not pairs:
        return "There isn't a single mistake."
    i, j, n = pairs[0]
    said = f"{classes[i].capitalize()} and {classes[j]}: {n} images are taken for the other of the two."
    vehicle = np.isin(classes, VEHICLES)
    between = vehicle[:, None] != vehicle
    within = ~between & ~np.eye(len(classes), dtype=bool)
    if within.any() and between.any() and counts[within].mean() > 2 * counts[between].mean():
        said += (" The mistakes aren't spread evenly: animals are taken for animals, and vehicles for vehicles, more "
                 "than twice as often as one for the other, pair by pair.")  # fmt: skip
    return said

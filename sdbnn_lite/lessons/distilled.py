"""What notebook 06 tries: a teacher's and a student's answers on the digits, and whom a gradient reaches."""

import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional as F
from torch.nn.modules.module import register_module_forward_pre_hook

from .. import data
from ..analysis import tables
from ..core.layers import BinaryConv2d
from ..core.models import BinaryNet, build
from ..data.base import IMAGENET_MEAN, IMAGENET_STD
from ..data.sets import given_folder
from ..plots import imagenet as plots
from ..training.evaluate import evaluate
from ..weights import cards, zoo

TEACHER, STUDENT = "digits_float", "digits_bnn"


def answers() -> tuple[BinaryNet, Tensor, Tensor, Tensor]:
    """The digits' teacher, all test images (360, 1, 8, 8), their labels (360,), and the student's logits (360, 10)."""
    digits = data.load("digits")
    images, labels = next(iter(digits.test_batches(digits.num_test)))
    with torch.no_grad():
        return zoo.load(TEACHER), images, labels, zoo.load(STUDENT)(images)


def hardest(r: Tensor, labels: Tensor) -> int:
    """Of the images that the probabilities ``r`` (N, C) get right, the one with the highest entropy."""
    doubt = -torch.special.xlogy(r, r).sum(1)
    return int(doubt.masked_fill(r.argmax(1) != labels, -1).argmax())


def soft_targets(image: int, r: Tensor, p: Tensor) -> tuple[Figure, str]:
    """Test image number ``image``, its label, and the teacher's and the student's probabilities: figure and words."""
    digits = data.load("digits")
    right = int(digits.test_labels[image])
    rows = {"label q": F.one_hot(torch.tensor(right), 10).double(), "teacher's softmax r": r[image],
            "student's softmax p": p[image]}  # fmt: skip
    about = f"{digits.label}; teacher: {TEACHER}, student: {STUDENT}, seed 0 of each; {digits.num_test} test images"
    figure = plots.soft_targets(digits.test_images[image, 0].numpy(), rows, digits.classes, right, about)
    return figure, (f"A hard {digits.classes[right]}, and what its label, the teacher and the student give to the ten "
                    f"classes; to the right one {r[image, right]:.2f} from the teacher, {p[image, right]:.2f} from the "
                    "student.")  # fmt: skip


def photographs(side: int = 224) -> Tensor:
    """(2, 3, side, side): the middles of scikit-learn's two photographs, normalised as ImageNet's are."""
    from sklearn.datasets import load_sample_images
    window = slice(100, 100 + side), slice(200, 200 + side)
    pixels = torch.stack([torch.tensor(image[window]) for image in load_sample_images().images])
    mean, std = (torch.tensor(value).view(3, 1, 1) for value in (IMAGENET_MEAN, IMAGENET_STD))
    return (pixels.permute(0, 3, 1, 2) / 255 - mean) / std


@torch.no_grad()
def reached(network: str, method: str = "sdbnn") -> Tensor:
    """(layers,) the share of each binary layer's shifted activations that lie within -1 … 1, where the polynomial has a
    gradient: of the untrained ``network`` (seed 0) in training mode, on :func:`photographs`."""
    shares = []

    def watch(layer, inputs):
        if isinstance(layer, BinaryConv2d):
            shares.append(((inputs[0] + layer.activation_shift(inputs[0])).abs() < 1).float().mean())

    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = build(network, method).train()
    with register_module_forward_pre_hook(watch):
        net(photographs())
    return torch.stack(shares)


def score_published(name: str, dataset: str, folder: str | None) -> str:
    """What the zoo's file of the published run ``name`` rounds, and, where the images are in ``folder`` or SDBNN_DATA,
    how its accuracy compares with its card's."""
    net = zoo.load(name)
    card, compared = net.about["card"], "Nothing to score: the images aren't here."
    if given_folder(folder):
        size = tables.published_runs(dataset)[name]["image_size"]
        images = data.load(dataset, folder, image_size=size, progress=False)
        score = evaluate(net, images)
        compared = cards.compare(card, score.top1, score.images, images.label)
    return f"{cards.stored_in_words(name, card)}\n{compared}".strip()

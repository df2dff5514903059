"""What notebook 05 does with CIFAR-10's images, where a learner has them: score networks, show mistakes."""

from pathlib import Path

from .. import data
from ..analysis import tables
from ..data.in_memory import ImageSet
from ..data.sets import given_folder
from ..plots import gallery_cifar10
from ..system.paths import REPOSITORY
from ..training.evaluate import Score, evaluate
from ..weights import cards, zoo
from .notebook import show, show_png

DATASET = "cifar10"
DRAWN = REPOSITORY / "figures" / "cifar10_mistakes.png"
ALT = "Twelve test images, each with its true class above, and below the wrong answer and its probability."


def find_images(folder: str | Path | None) -> ImageSet | None:
    """The images in ``folder``, or in SDBNN_DATA; None, and a line that says so, where neither is given."""
    images = data.load(DATASET, folder, progress=False) if given_folder(folder) else None
    print(f"The images: {images.label}" if images else "The images aren't here, and aren't needed.")
    return images


def score_published(images: ImageSet | None, every: bool = False) -> None:
    """Score the published network whose answers are shown (``every``: all of them), and compare with their cards.

    Prints which they are where there are no ``images``. A bar moves while a network is scored.
    """
    names = [name for name in tables.published_runs(DATASET) if name in zoo.zoo_names()]
    if images is None:
        print(f"{len(names)} published networks: {', '.join(names) or 'none yet'}.")
        print("With the images they are scored here. In a terminal: sdbnn-lite evaluate cifar10_resnet20 --data DIR")
    shown = gallery_cifar10.shown_run()
    for name in [] if images is None else [shown] if shown in names and not every else names:
        net = zoo.load(name)
        score = with_bar(name, net, images)
        print(f"{name}: {100 * score.top1:.2f} % of {score.images:,} test images of {images.label}")
        print(cards.compare(net.about["card"], score.top1, score.images, images.label))


def with_bar(name: str, net, images: ImageSet) -> Score:
    """The score of ``net`` on all test images, with a line of text above it that is updated after every batch."""
    from IPython.display import display
    done, total = 0, images.num_test
    bar = display({"text/plain": name}, raw=True, display_id=True)

    def forward(x):
        nonlocal done
        logits, done = net(x), done + len(x)
        filled = 30 * done // total
        if bar is not None:  # a notebook, or a terminal with IPython
            bar.update({"text/plain": f"{name} [{'#' * filled}{'.' * (30 - filled)}] {done:,} of {total:,} images"},
                       raw=True)  # fmt: skip
        return logits

    return evaluate(net, images, forward=forward)


def show_mistakes(images: ImageSet | None) -> None:
    """The mistakes that the shown network was surest of; the committed picture where the ``images`` aren't those."""
    shown = gallery_cifar10.shown_run()
    if images is not None and shown and images.label == tables.published_runs(DATASET)[shown]["data"]:
        show(gallery_cifar10.mistakes(images), ALT)
    elif Path(DRAWN).is_file():
        show_png(DRAWN, ALT)
    else:
        print("These pictures need the images: set DATA above, or draw them with sdbnn-lite figures --data DIR")

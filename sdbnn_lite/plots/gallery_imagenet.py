"""Figures of notebook 06 that are files too: ImageNet's recipe, and whatever results on Imagenette are committed."""

from collections.abc import Collection

from matplotlib.figure import Figure

from ..analysis import imagenet as imagenet_results
from ..analysis.captions import hardware
from ..analysis.imagenet import PAPER, TITLES
from ..analysis.silent_channels import layer_table, predicted_in_words
from ..analysis.tables import published_runs, run_log
from ..training.recipes import get_recipe
from . import gallery_cifar10
from . import imagenet as imagenet_plots
from . import runs as run_plots
from .gallery_cifar10 import GalleryEntry
from .parts import joined, wrapped


def recipe() -> Figure:
    """ImageNet's two stages, from the recipes."""
    parts = imagenet_results.parts_of("imagenet")
    one, two = (get_recipe(parts[part]) for part in ("stage1", "stage2"))
    results = [f"in the paper: {PAPER[part][0]} % top-1 of ImageNet" for part in ("stage1", "stage2")]
    caption = ("r: the teacher's softmax, p: the student's. On Imagenette the teacher is trained first, by ourselves:\n"
               f"{TITLES['teacher'].partition(': ')[2]}, {_teacher_s_epochs()}, cross-entropy")  # fmt: skip
    return imagenet_plots.recipe_chain(one, two, "ResNet-34, from torchvision", results, caption)


def _teacher_s_epochs() -> str:
    """How long Imagenette's teacher was trained here, or would be by its recipe."""
    name, planned = imagenet_results.longest().get("teacher"), get_recipe("imagenette-teacher")
    if name is None:
        return f"{planned.epochs} epochs"
    run = published_runs("imagenette")[name]
    recipe = f"its recipe: {planned.epochs} at {planned.image_size}"
    return f"{run['epochs']} epochs at {run['image_size']} px here ({recipe})"


def runs() -> Figure:
    """A panel per part: top-1 over the epochs of its longest run."""
    logs = {TITLES[part].partition(":")[0]: run_log(name) for part, name in imagenet_results.longest().items()}
    panels = {f"{part}, {len(log)} epochs": (log, None, len(log)) for part, log in logs.items()}
    title = "Imagenette, accuracy while learning: our last epoch, and the best one"
    return run_plots.run_curves(panels, _caption(), title)


def signs() -> Figure:
    """Both stages' signs, from the first binary layer to the last."""
    table, where = imagenet_results.stage_signs()
    return imagenet_plots.stage_profile(table, f"{_caption(('stage1', 'stage2'))}\nsigns: {where}")


def silent() -> Figure:
    """Dead and nearly dead channels of stage 2's network, and what the closed form predicts."""
    table, images = layer_table(imagenet_results.longest()["stage2"])
    caption = f"{_caption(['stage2'])}\nsigns: {images}; dead channels: their number"
    return imagenet_plots.silent_channels(table, caption)


def _caption(parts: Collection[str] = tuple(TITLES)) -> str:
    runs = published_runs("imagenette")
    found = [runs[name] for part, name in imagenet_results.longest().items() if part in parts]
    data, sizes = (joined(texts) for texts in zip(*((run["data"], f"{run['image_size']} px") for run in found)))
    first = f"{data} at {sizes}; n = 1 run each, last epoch, all {found[0]['test_images']:,} validation images"
    return wrapped(f"{first}; {joined(map(hardware, found))}")


def missing() -> str:
    """What stands where there is no figure yet, on lines that fit a page."""
    return ("Not run yet: no part of it, trained on Imagenette, is published in this package.\n"
            f"All three are trained by: {imagenet_results.train_command('imagenette')}\n"
            "Each is put into the package by: sdbnn-lite publish RUN NAME --data DIR")  # fmt: skip


def _said_of_recipe() -> str:
    return ("Flow chart. A frozen real-valued ResNet-34 gives its softmax as the target of stage 1 (binary "
            "activations, real weights) and of stage 2 (both binary); stage 2 begins with all weights of stage 1; all "
            "three see the same augmented images.")  # fmt: skip


def _said_of_runs() -> str:
    first = "Accuracy on validation and training images after every epoch, a panel per part."
    return f"{first} {imagenet_results.in_words()}"


def _said_of_signs() -> str:
    means = imagenet_results.stage_signs()[0].groupby("part")[["input_after", "entropy"]].mean()
    said = "; ".join(f"{part}: {100 * row.input_after:.0f} % of the inputs are +1 after ASD, entropy of the output "
                     f"signs {row.entropy:.3f} bit" for part, row in means.iterrows())  # fmt: skip
    what = "Share of +1 among the inputs and entropy of the outputs in every binary layer"
    return f"{what}. Means over the layers: {said}."


def _said_of_silent() -> str:
    what = "Per binary layer: the share of channels that are dead or nearly so, and the entropy predicted and measured"
    return f"{what}. {predicted_in_words(*layer_table(imagenet_results.longest()['stage2']))}"


FIGURES = {
    "imagenet_recipe": GalleryEntry(recipe, _said_of_recipe, lambda: ""),
    "imagenette_runs": GalleryEntry(runs, _said_of_runs, lambda: "" if imagenet_results.longest() else missing()),
    "imagenette_signs": GalleryEntry(
        signs, _said_of_signs, lambda: "" if len(imagenet_results.stage_signs()[0]) else missing()
    ),
    "imagenette_silent": GalleryEntry(
        silent, _said_of_silent, lambda: "" if "stage2" in imagenet_results.longest() else missing()
    ),
}
ALL = {**gallery_cifar10.FIGURES, **FIGURES}

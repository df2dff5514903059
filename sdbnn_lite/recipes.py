"""Training recipes: the published ones, a short one each, and the embedded digits'. A reason beside what is unusual."""

import dataclasses
import math
from dataclasses import dataclass

from .errors import UsageError, unknown


@dataclass(frozen=True)
class Recipe:
    """All that decides a training run but the method, the seed and the machine.

    network, dataset   names for ``build`` and ``data.load``; ``image_size`` in pixels (None: the data set's own)
    epochs, batch_size, optimizer ("sgd" or "adam"), lr, momentum, weight_decay (on every parameter)
    schedule           "cosine" or "linear", from lr to 0, one value per epoch
    ede                (T_min, T_max) of the EDE schedule
    pad, flip          augmentation: zero padding in pixels before the random crop, random horizontal flip
    stage              1: real weights under binary activations, 2: both binary
    published          True where every value is the paper's
    about              one line for the list of recipes
    """

    name: str
    network: str
    dataset: str
    about: str
    epochs: int
    lr: float
    batch_size: int = 128
    optimizer: str = "sgd"
    momentum: float = 0.9
    weight_decay: float = 1e-4
    schedule: str = "cosine"
    ede: tuple[float, float] = (1e-3, 10.0)
    pad: int = 4
    flip: bool = True
    image_size: int | None = None
    stage: int = 2
    published: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.epochs, int) or self.epochs < 1:
            raise UsageError(f"epochs={self.epochs!r}: a whole number from 1 up is needed")
        if self.batch_size < 2:
            raise UsageError(f"batch_size={self.batch_size!r}: batch norm needs at least 2 images")
        if not (math.isfinite(self.lr) and self.lr > 0):
            raise UsageError(f"lr={self.lr!r}: a finite number above 0 is needed")
        for field, choices in (("optimizer", ("sgd", "adam")), ("schedule", ("cosine", "linear"))):
            if getattr(self, field) not in choices:
                raise unknown(field, getattr(self, field), choices)

    def with_epochs(self, epochs: int | None) -> "Recipe":
        """The same recipe, its schedules compressed or stretched to ``epochs`` (None: as it is)."""
        if epochs is None or epochs == self.epochs:
            return self
        return dataclasses.replace(self, epochs=epochs, published=False)

    def lr_at(self, epoch: int) -> float:
        """Learning rate of ``epoch`` = 0 … epochs-1: lr·(1 + cos(π·epoch/epochs))/2, or lr·(1 - epoch/epochs)."""
        done = epoch / self.epochs
        return self.lr * ((1 + math.cos(math.pi * done)) / 2 if self.schedule == "cosine" else 1 - done)


_RESNET20 = Recipe(
    "cifar10-resnet20",
    "cifar10_resnet20",
    "cifar10",
    "the paper's ResNet-20 (86.9 % there), 500 epochs",
    epochs=500,
    lr=0.11,
    published=True,
)
_RESNET18 = Recipe(
    "cifar10-resnet18",
    "cifar10_resnet18",
    "cifar10",
    "the paper's ResNet-18 (92.5 % there), 600 epochs",
    epochs=600,
    lr=0.08,
    published=True,
)
_VGG = Recipe(
    "cifar10-vgg-small",
    "cifar10_vgg_small",
    "cifar10",
    "the paper's VGG-Small (90.8 % there), 400 epochs",
    epochs=400,
    lr=0.08,
    ede=(1e-1, 10.0),  # the published value for this network alone
    published=True,
)
_IMAGENET = Recipe(
    "imagenet-resnet18-stage2",
    "imagenet_resnet18",
    "imagenet",
    "both binary, 256 epochs; start it with --init STAGE1; cross-entropy alone (no distillation yet)",
    epochs=256,
    lr=1e-3,
    batch_size=512,
    optimizer="adam",
    schedule="linear",
    weight_decay=0.0,  # latent weights near zero mean flipping signs; Adam's steps don't need the pull
    image_size=224,
)
_DIGITS = Recipe(
    "digits",
    "digits_convnet",
    "digits",
    "the embedded 8×8 digits; under a minute on two cores",
    epochs=40,
    lr=0.1,
    batch_size=64,  # 1,437 training images: more steps per epoch than 128 would give
    ede=(1e-2, 10.0),  # with 40 epochs, less time than the paper's 1e-3 gives to a gradient that is the identity
    pad=1,  # of 8 pixels
    flip=False,  # a mirrored 2 is not a 2
)


def _short(recipe: Recipe, epochs: int, about: str) -> Recipe:
    return dataclasses.replace(recipe, name=f"{recipe.name}-short", epochs=epochs, about=about, published=False)


_IMAGENET_STAGE1 = dataclasses.replace(
    _IMAGENET,
    name="imagenet-resnet18-stage1",
    about="real weights, binary activations, 256 epochs; cross-entropy alone (no distillation yet)",
    stage=1,
)


def _imagenette(recipe: Recipe, stage: str) -> Recipe:
    """The ImageNet recipe on ten of its classes: smaller images, batches and schedule; the rest as it was."""
    return dataclasses.replace(
        recipe,
        name=f"imagenette-resnet18-{stage}",
        dataset="imagenette",
        about=f"ImageNet's {stage} on ten classes at 128 px, 60 epochs",
        epochs=60,
        batch_size=64,
        image_size=128,
        pad=16,
    )


RECIPES = {
    r.name: r
    for r in (
        _DIGITS,
        _RESNET20,
        _short(_RESNET20, 30, "ResNet-20 in an hour on two cores: schedules compressed to 30 epochs"),
        _RESNET18,
        _short(_RESNET18, 10, "ResNet-18 in an evening on two cores: schedules compressed to 10 epochs"),
        _VGG,
        _short(_VGG, 10, "VGG-Small in an evening on two cores: schedules compressed to 10 epochs"),
        _IMAGENET_STAGE1,
        _IMAGENET,
        _imagenette(_IMAGENET_STAGE1, "stage1"),
        _imagenette(_IMAGENET, "stage2"),
    )
}


def get_recipe(name: str) -> Recipe:
    """The recipe called ``name``; raises UsageError with the choices for another."""
    if name not in RECIPES:
        raise unknown("recipe", name, RECIPES)
    return RECIPES[name]

"""What a training recipe is."""

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from ..errors import UsageError, unknown

CHOICES = {  # of networks: those of ``build``, named here so that recipes can be listed without loading torch
    "network": ("cifar10_resnet20", "cifar10_resnet18", "cifar10_vgg_small", "digits_convnet", "imagenet_resnet18",
                "imagenet_resnet34"),
    "optimizer": ("sgd", "adam", "normsgd"), "schedule": ("cosine", "linear"), "ede_k": ("published", "peak"),
}  # fmt: skip
LEAST_T, MOST_T = 2.0**-126, 2.0**126  # of EDE: float32 holds these, their inverses, and k·t = max(t, 1)


@dataclass(frozen=True)
class Recipe:
    """All that decides a training run but the method, the seed and the machine.

    Raises UsageError, naming the field, for a value of another type and for one that is impossible.
    """

    name: str  # what its runs are called
    network: str  # for ``build``
    dataset: str  # for ``data.load``
    about: str  # one line for the list of recipes
    epochs: int  # times that every training image is seen
    lr: float  # the highest learning rate
    batch_size: int = 128  # of all processes together
    optimizer: str = "sgd"  # or "adam", "normsgd"
    momentum: float = 0.9  # of "sgd" and "normsgd"
    weight_decay: float = 1e-4  # λ, of L2 in the gradient
    schedule: str = "cosine"  # or "linear", from lr to 0, one value per epoch
    ede: tuple[float, float] = (1e-3, 10.0)  # (T_min, T_max) of the EDE schedule
    pad: int = 4  # pixels around an image before the random crop
    flip: bool = True  # half of the images, horizontally; not for images with a left and a right, such as digits
    image_size: int | None = None  # pixels; None: the data set's own
    stage: int = 2  # 1: real weights under binary activations, 2: both binary
    published: bool = False  # True where every value is the paper's
    # What the published training doesn't have; every default means "as published".
    warmup_epochs: int = 0  # in which lr rises evenly, before the schedule begins
    label_smoothing: float = 0.0  # ε of the targets (1-ε)·onehot + ε/classes, 0 <= ε < 1; see ``losses``
    distill: float = 0.0  # share m of the teacher in the loss, 0 <= m <= 1: (1-m)·CE + m·KL(teacher‖student)
    decay_all: bool = True  # False: only weights of convolutions and linear layers decay; see ``optimizers``
    ema: float = 0.0  # decay d of the weights' average, 0 <= d < 1; above 0 it is scored and saved; see ``averaging``
    initial_gamma: float = 1.0  # γ of batch norms that a shortcut is added to, before the first step; see set_gamma
    initial_scale: float = 1.0  # factor on binary layers' latent weights before the first step; above 1 they flip later
    gradient_bits: int = 16  # or 8: of the integers to which the fast training step rounds gradients; see ``fast``
    ede_k: str = "published"  # k = max(1/t, 1); "peak": k = 1/t, so that the surrogate gradient's peak stays 1
    reflect: bool = False  # pad with the mirrored image instead of zeros
    cutout: int = 0  # side in pixels of a square that is erased at a random place of every training image
    alternate_flip: bool = False  # flip each image in every second epoch instead of by chance
    resized: bool = False  # instead of ``pad``: a random box, 8-100 % of the area, aspect 3/4-4/3, resized to the whole
    jitter: float = 0.0  # strength of brightness, contrast and saturation, 0 … 1; see ``imagenet_augment``
    lighting: float = 0.0  # standard deviation of a shift of colours

    def __post_init__(self) -> None:
        for field, value in vars(self).items():
            object.__setattr__(self, field, checked(field, value))
        for field, choices in CHOICES.items():
            if getattr(self, field) not in choices:
                raise unknown(field, getattr(self, field), choices)
        for field, fits, needed in self._rules():
            if not fits:
                raise UsageError(f"{field}={getattr(self, field)!r}: {needed}")

    def _rules(self) -> Iterator[tuple[str, bool, str]]:
        """Settings, whether each is allowed, and what would be; those that others are compared with come first."""
        yield "epochs", self.epochs >= 1, "a whole number from 1 up is needed"
        last = self.epochs - 1
        yield "warmup_epochs", 0 <= self.warmup_epochs <= last, f"a whole number from 0 to {last} is needed"
        yield "batch_size", self.batch_size >= 2, "batch norm needs at least 2 images"
        for field in ("lr", "initial_gamma", "initial_scale"):
            yield field, 0 < getattr(self, field) < math.inf, "a finite number above 0 is needed"
        for field in ("label_smoothing", "ema", "momentum"):
            yield field, 0 <= getattr(self, field) < 1, "a number from 0 below 1 is needed"
        for field in ("distill", "jitter"):
            yield field, 0 <= getattr(self, field) <= 1, "a number from 0 to 1 is needed"
        for field in ("weight_decay", "lighting"):
            yield field, 0 <= getattr(self, field) < math.inf, "a finite number from 0 up is needed"
        rises = LEAST_T <= self.ede[0] <= self.ede[1] <= MOST_T
        yield "ede", rises, f"two finite numbers are needed, 0 < t_min <= t_max, from {LEAST_T:.2g} to {MOST_T:.2g}"
        for field in ("pad", "cutout"):
            yield field, getattr(self, field) >= 0, "a whole number of pixels, 0 or more, is needed"
        yield "image_size", self.image_size is None or self.image_size >= 1, "1 pixel or more is needed"
        yield "gradient_bits", self.gradient_bits in (8, 16), "8 or 16 is needed"
        yield "stage", self.stage in (1, 2), "1 (real weights, binary activations) or 2 (both binary) is needed"

    def with_epochs(self, epochs: int | None) -> "Recipe":
        """The same recipe, its schedules (warm-up too) compressed or stretched to ``epochs`` (None: as it is)."""
        if epochs is None or epochs == self.epochs:
            return self
        warmup = min(round(self.warmup_epochs * checked("epochs", epochs) / self.epochs), max(epochs - 1, 0))
        return dataclasses.replace(self, epochs=epochs, warmup_epochs=warmup, published=False)

    def changed(self, epochs: int | None = None, batch_size: int | None = None, lr: float | None = None,
                **others: Any) -> "Recipe":  # fmt: skip
        """The same recipe with what isn't None replaced (any field); no longer "published" where that changes it.

        A ``batch_size`` alone takes the learning rate along: lr·b'/b with SGD (Goyal et al. 2017), lr·√(b'/b) with Adam
        (Malladi et al. 2022). Raises UsageError for an unknown field, and as the recipe itself.
        """
        if batch_size is not None and lr is None and checked("batch_size", batch_size) > 0:
            factor = batch_size / self.batch_size
            lr = self.lr * (factor if self.optimizer == "sgd" else math.sqrt(factor))
        wanted = {"batch_size": batch_size, "lr": lr, **others}
        recipe = self.with_epochs(epochs)
        other = {k: v for k, v in wanted.items() if v is not None and checked(k, v) != getattr(recipe, k)}
        return dataclasses.replace(recipe, **other, published=False) if other else recipe

    def lr_at(self, epoch: int) -> float:
        """Learning rate of ``epoch`` = 0 … epochs-1, with w = ``warmup_epochs``:

        epoch < w    lr·(epoch + 1)/(w + 1)
        then         lr·(1 + cos(π·done))/2 or lr·(1 - done), done = (epoch - w)/(epochs - w)
        """
        if epoch < self.warmup_epochs:
            return self.lr * (epoch + 1) / (self.warmup_epochs + 1)
        done = (epoch - self.warmup_epochs) / (self.epochs - self.warmup_epochs)
        return self.lr * ((1 + math.cos(math.pi * done)) / 2 if self.schedule == "cosine" else 1 - done)


KINDS: dict[str, Any] = {field.name: field.type for field in dataclasses.fields(Recipe)}
_NEEDED = {str: "text is", bool: "True or False is", int: "a whole number is", float: "a number is",
           int | None: "a whole number or None is", tuple[float, float]: "two numbers are"}  # fmt: skip


def checked(field: str, value: object) -> Any:
    """``value`` as a recipe holds it in ``field``: a number as float, a list of two as a tuple.

    Raises UsageError for an unknown field and for a value of another type; True is no number.
    """
    if field not in KINDS:
        raise unknown("setting of a recipe", field, KINDS)
    try:
        return _converted(KINDS[field], value)
    except (TypeError, OverflowError) as error:
        raise UsageError(f"{field}={value!r}: {_NEEDED[KINDS[field]]} needed") from error


def _converted(kind: Any, value: object) -> Any:
    if kind == int | None:
        return None if value is None else _converted(int, value)
    if kind == tuple[float, float] and isinstance(value, (list, tuple)) and len(value) == 2:
        return tuple(_converted(float, end) for end in value)
    allowed = {int: Integral, float: Real, str: str, bool: bool}.get(kind, ())
    if not isinstance(value, allowed) or (kind is not bool and isinstance(value, bool)):
        raise TypeError
    return kind(value)

"""What a run on ImageNet takes, worked out on paper: hours, images a second, memory, disk, electricity.

    S = G·e / (1/s + 1/t)       images a second on G GPUs. One alone trains s of the student's images a second, and
                                answers t as the teacher; e: the share of that which several GPUs keep (1 for one)
    T = Σ E·(N/S + V/(G·v))     seconds, over the stages: E epochs of N images trained, V scored (v a second)
    cores = S·c                 that keep the GPUs fed, where an image costs c seconds of one core
    memory = ⌈B/G⌉·b + 16·P + 4·P_t   bytes on each GPU: what is kept of its part of the batch B for the backward pass,
                                b an image; weight, gradient and Adam's two means for each of P parameters; the
                                teacher's weights
    disk = (N + V)·3·side·⌊side·aspect⌋     bytes of the packed copy (``data.resized_copy``)

No speed of a GPU was measured for this package: it is whatever the caller gives, and ``ASSUMED`` is an example with
its sources. All else is counted, measured (``imagenet_measured``, ``time_reading``) or quoted (``FACTS``).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ..data.resized_copy import packed_size
from ..errors import UsageError, check_whole
from ..system.files import read_toml
from ..training.recipes import CHAINS, get_recipe

ADAM_BYTES = 16  # of a float32 parameter: itself, its gradient, the two moving means
GPUS = (1, 2, 4, 8, 16, 32)


class Fact(NamedTuple):
    """A number that isn't ours, and where it stands."""

    value: float
    what: str
    source: str  # its address

    @property
    def place(self) -> str:
        """The repository that it stands in."""
        return "/".join(self.source.split("/")[3:5])


FACTS = {name: Fact(**said) for name, said in read_toml(Path(__file__).with_suffix(".toml")).items()}


@dataclass(frozen=True)
class Work:
    """What has to be computed: images, epochs of each stage, images per step of all GPUs together."""

    train_images: int = FACTS["train_images"].value
    val_images: int = FACTS["val_images"].value
    epochs: tuple[int, ...] = (256, 256)
    batch_size: int = 512

    def __post_init__(self) -> None:
        numbers = {"train_images": self.train_images, "val_images": self.val_images, "batch_size": self.batch_size}
        check_whole(**numbers, **{f"epochs[{i}]": n for i, n in enumerate(self.epochs)})
        if not self.epochs:
            raise UsageError("epochs: empty; at least one stage is needed")

    @property
    def steps(self) -> int:
        """Optimizer steps in all: an epoch's last batch is smaller, but counts."""
        return math.ceil(self.train_images / self.batch_size) * sum(self.epochs)

    @property
    def trained(self) -> int:
        """Training images that are seen in all, each as often as there are epochs."""
        return self.train_images * sum(self.epochs)


def work_of(chain: str = "imagenet-resnet18") -> Work:
    """The work of ImageNet's two stages as their recipes have it."""
    parts = [get_recipe(name) for name in CHAINS[chain]]
    return Work(epochs=tuple(part.epochs for part in parts), batch_size=parts[-1].batch_size)


@dataclass(frozen=True)
class Gpu:
    """What one GPU does, in images a second."""

    student: float  # trains
    teacher: float  # answers
    score: float  # scores
    keeps: float = 1.0  # the share of its speed that each keeps where several work together

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (isinstance(value, int | float) and math.isfinite(value) and value > 0):
                raise UsageError(f"{name}={value!r}: a finite number above 0 is needed")
        if self.keeps > 1:
            raise UsageError(f"keeps={self.keeps!r}: several GPUs keep at most the whole speed, 1")

    def images_s(self, gpus: int = 1) -> float:
        """S: training images a second on that many GPUs, the teacher's answers included."""
        check_whole(gpus=gpus)
        return gpus * (self.keeps if gpus > 1 else 1) / (1 / self.student + 1 / self.teacher)


def assumed(slower: float = 2.0, keeps: float = 0.9) -> Gpu:
    """An example, not a measurement: an RTX 3090 as timm measured it with real-valued networks (``FACTS``).

    Guesses: ``slower``, how many times as long as a real-valued ResNet-18 our binary network needs, and ``keeps``.
    """
    if not slower > 0:
        raise UsageError(f"slower={slower!r}: a number above 0 is needed")
    train, infer, teacher = (FACTS[name].value for name in ("resnet18_train", "resnet18_infer", "resnet34_infer"))
    return Gpu(student=train / slower, teacher=teacher, score=infer / slower, keeps=keeps)


ASSUMED = assumed()


def hours(work: Work, gpu: Gpu, gpus: int) -> float:
    """Hours of all stages: training, and scoring all validation images after every epoch."""
    scoring = work.val_images / (gpus * gpu.score)
    return sum(work.epochs) * (work.train_images / gpu.images_s(gpus) + scoring) / 3600


def cores(images_s: float, cpu_us: float) -> float:
    """CPU cores that make ``images_s`` images a second, where one image costs ``cpu_us`` microseconds of a core."""
    return images_s * cpu_us / 1e6


def memory(work: Work, gpus: int, per_image: float, parameters: int, teacher: int) -> dict[str, float]:
    """Bytes on each GPU, at least, of a student and a teacher with so many parameters: the formula's parts and ``all``.

    Gradients of activations, buffers for the exchange and what CUDA takes for itself come on top.
    """
    batch = math.ceil(work.batch_size / gpus) * per_image
    parts = {"batch": batch, "state": ADAM_BYTES * parameters, "teacher": 4 * teacher}
    return {**parts, "all": sum(parts.values())}


def packed_bytes(work: Work, side: int = 256, aspect: float = 4 / 3) -> int:
    """Bytes of the packed copy of all images, if each had that aspect (longer over shorter side); 1 is the least."""
    if not aspect >= 1:
        raise UsageError(f"aspect={aspect!r}: the longer side over the shorter one, 1 or more")
    height, width = packed_size(1, aspect, side)
    return (work.train_images + work.val_images) * 3 * height * width


def table(work: Work, gpu: Gpu, cpu_us: Mapping[str, float], per_image: float, parameters: int,
          teacher: int) -> list[dict[str, float]]:  # fmt: skip
    """A row per number of ``GPUS``: gpus, hours, images_s, a column of ``cores`` for each way of reading in ``cpu_us``
    (microseconds an image), and the memory of each GPU in GiB (see :func:`memory`)."""
    rows = []
    for number in GPUS:
        speed = gpu.images_s(number)
        rows.append({"gpus": number, "hours": hours(work, gpu, number), "images_s": speed,
                     **{f"cores, {way}": cores(speed, cost) for way, cost in cpu_us.items()},
                     "GiB": memory(work, number, per_image, parameters, teacher)["all"] / 2**30})  # fmt: skip
    return rows


def bill(row: Mapping[str, float], work: Work, parameters: int, watts: float) -> list[tuple[str, str, str]]:
    """All that a ``row`` of :func:`table` asks for, line by line: what, how much, and how it is known."""
    energy = row["hours"] * row["gpus"] * watts / 1000  # kWh, if each GPU took as much all the time
    least, usual = (packed_bytes(work, aspect=aspect) for aspect in (1, 4 / 3))
    archives = FACTS["train_gb"].value + FACTS["val_gb"].value
    rate = row["images_s"] * usual / (work.train_images + work.val_images)
    ways = [key for key in row if key.startswith("cores, ")]
    return [(f"hours, {' + '.join(map(str, work.epochs))} epochs", f"{row['hours']:.0f}", "assumed speed"),
            ("images a second to read", f"{row['images_s']:,.0f}", "assumed speed"),
            *((way.replace(",", ":", 1), f"{row[way]:.0f}", "assumed speed, measured cost") for way in ways),
            ("images on each GPU", f"{math.ceil(work.batch_size / row['gpus'])}", "recipe"),
            ("memory of each GPU, at least", f"{row['GiB']:.1f} GiB", "counted"),
            ("ImageNet's two archives", f"{archives:.0f} GB", "quoted"),
            ("packed copy, 256 px, at least", f"{least / 1e9:.0f} GB", "counted: all square"),
            ("packed copy, 256 px, about", f"{usual / 1e9:.0f} GB", "counted: all 4 to 3"),
            ("read from it, at most", f"{rate / 1e9:.1f} GB/s", "assumed speed"),
            ("checkpoint of a stage", f"{12 * parameters / 1e6:.0f} MB", "counted: weights, Adam's two means"),
            ("electricity of the GPUs", f"{energy:.0f} kWh", "assumed speed, power")]  # fmt: skip

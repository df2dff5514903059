"""The roofline: how fast a convolution can be at best on this machine, in floats and bit-packed, and how fast it is.

    intensity     products / bytes that have to move
    roof          min(peak, intensity · bandwidth)      products a second
    predicted     max(arithmetic, bytes / bandwidth)    seconds; arithmetic is products / peak, where every word is full

A *product* is one multiplication and its addition: an FMA of float32, or one bit of XOR, popcount and addition. All is
of one thread, on one core.

    float32     torch's convolution, its weights laid out in advance; floats in, floats out
    bits        the popcount convolution alone: words in, int16 out
    packed      the same, with taking the signs of floats and packing them before, as a network needs it
"""

import os
import subprocess
import sys
import timeit
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch

from ..errors import UsageError, unknown
from ..packed.network import BareLayer
from ..packed.words import WORD, sum_type
from ..system.devices import one_thread
from ..system.target import runnable, target
from .time_packed import implementations

KINDS = ("float32", "bits", "packed")
SETS = (2**18, 2**22, 2**27)  # bytes that a copy touches: what fits into the inner caches, the outer one, and memory
SLICE = 240_000_000  # products of a sample; larger layers are timed on a part of them
SLICE_VALUES = 400_000  # activations of a sample, at most
SAMPLES = 2


@dataclass(frozen=True)
class ConvShape:
    """A 3×3 convolution with stride 1 and padding 1: C inputs and O outputs of ``height`` × ``width`` pixels.

    Raises UsageError for a size below 1.
    """

    channels: int
    outputs: int
    height: int
    width: int
    batch: int = 1

    def __post_init__(self) -> None:
        if min(self.channels, self.outputs, self.height, self.width, self.batch) < 1:
            raise UsageError(f"a layer of {self}: every size has to be 1 or more")

    def __str__(self) -> str:
        return f"{self.channels} → {self.outputs} channels, {self.height}×{self.width}, batch {self.batch}"

    @property
    def pixels(self) -> int:
        return self.batch * self.height * self.width

    @property
    def weights(self) -> int:
        return 9 * self.channels * self.outputs

    @property
    def products(self) -> int:
        """Multiplications and their additions; BOPs where they are of ±1, FLOPs where they are real."""
        return self.pixels * self.weights

    @property
    def words(self) -> int:
        """64-bit words that one pixel's signs take."""
        return -(-self.channels // WORD)

    @property
    def word_counts(self) -> int:
        """Words to XOR, count and add up where bit-packed: products / 64 where C is a multiple of 64, else more."""
        return self.pixels * 9 * self.words * self.outputs

    def weight_bytes(self, kind: str) -> int:
        """float32: 4 a weight; else whole words, for every tap of every filter."""
        return 4 * self.weights if _known(kind) == "float32" else 8 * self.words * 9 * self.outputs

    def input_bytes(self, kind: str) -> int:
        """Activations: 4 bytes each as float32, whole words as bits; "packed" reads floats, writes and reads words."""
        floats, bits = 4 * self.pixels * self.channels, 8 * self.pixels * self.words
        return {"float32": floats, "bits": bits, "packed": floats + 2 * bits}[_known(kind)]

    def bytes(self, kind: str) -> int:
        """What has to move at least once: inputs, weights, and outputs, as float32 or of ``sum_type``."""
        output = np.dtype(np.float32 if kind == "float32" else sum_type(9 * self.channels)).itemsize
        return self.input_bytes(kind) + self.weight_bytes(kind) + output * self.pixels * self.outputs

    def intensity(self, kind: str) -> float:
        """Products per byte moved."""
        return self.products / self.bytes(kind)


@dataclass(frozen=True)
class Peaks:
    """What one core does at best, a second."""

    words: float  # XORed, counted and added
    fma: float  # float32 multiplications with their additions
    copied: tuple[tuple[int, float], ...]  # (bytes that a copy touches, bytes a second) by size

    def products(self, kind: str) -> float:
        """Products a second: 64 in a word of bits."""
        return self.fma if _known(kind) == "float32" else WORD * self.words

    def bandwidth(self, size: float) -> float:
        """Bytes a second where ``size`` bytes are touched: between the measured sizes, along a line over log(size)."""
        sizes, rates = zip(*self.copied)
        return float(np.interp(np.log2(size), np.log2(sizes), rates))

    def roof(self, kind: str, intensity: float, size: float = SETS[-1]) -> float:
        """The most products a second at ``intensity`` products per byte."""
        return min(self.products(kind), intensity * self.bandwidth(size))

    def arithmetic(self, shape: ConvShape, kind: str) -> float:
        """Seconds of nothing but arithmetic; a word that isn't full takes as long as a full one."""
        return shape.products / self.fma if _known(kind) == "float32" else shape.word_counts / self.words

    def predict(self, shape: ConvShape, kind: str) -> float:
        """Seconds that ``shape`` takes at best."""
        size = shape.bytes(kind)
        return max(self.arithmetic(shape, kind), size / self.bandwidth(size))

    def bound(self, shape: ConvShape, kind: str) -> str:
        """What sets the pace: "arithmetic" or "bytes"."""
        return "arithmetic" if self.predict(shape, kind) == self.arithmetic(shape, kind) else "bytes"


def _known(kind: str) -> str:
    if kind not in KINDS:
        raise unknown("kind", kind, KINDS)
    return kind


@lru_cache(maxsize=1)
def measure_peaks() -> Peaks:
    """This machine's, best of several short samples; measured once a process, in about a second.

    Raises UsageError where numba isn't installed or doesn't compile.
    """
    if not target().compiled:
        raise UsageError("the peaks of this machine are measured with numba: pip install numba, and let it compile")
    from . import peaks as loops
    turns = 50_000
    words = turns * loops.WORDS_A_TURN / best(lambda: loops.count_bits(turns), 20)
    if target().counts == "vpshufb":  # what popcounts cost that are looked up, see packed/tiles.py
        words = max(words, turns * loops.LOOKED_UP_A_TURN / best(lambda: loops.look_up(turns), 20))
    a, b = np.float32(0.5), np.float32(0.25)
    fma = turns * loops.PRODUCTS_A_TURN / best(lambda: loops.multiply(turns, a, b), 20)
    return Peaks(words, fma, tuple((size, _copied(loops.copy, size)) for size in SETS))


def _copied(copy: Callable, size: int) -> float:
    """Bytes a second, read and written ones, of copying within ``size`` bytes."""
    source, target = np.ones(size // 16, np.uint64), np.zeros(size // 16, np.uint64)
    times = max(1, 2**23 // size)  # so that a sample lasts long enough for the clock
    return times * size / best(lambda: copy(source, target), 8, times)


def best(run: Callable[[], object], samples: int, times: int = 1) -> float:
    """Seconds of the fastest of ``samples``, each so many ``times``, after a first run: other processes' interference
    is excluded."""
    run()
    return max(min(timeit.repeat(run, number=times, repeat=samples)), 1e-9)


@dataclass(frozen=True)
class Timed:
    """Seconds of a whole layer, by kind; ``share`` of it was run, and the rest scaled up (1: all of it)."""

    seconds: dict[str, float]
    share: float


def sample_of(shape: ConvShape, whole: bool = False) -> ConvShape:
    """The part of a layer that is timed: whole images while they are few products, else some rows of one."""
    if whole:
        return shape
    image = replace(shape, batch=1)
    fit = min(SLICE // image.products, SLICE_VALUES // (shape.channels * shape.height * shape.width))
    if fit >= 1:
        return replace(shape, batch=min(shape.batch, fit))
    row = replace(image, height=1)
    rows = min(SLICE // row.products, SLICE_VALUES // (shape.channels * shape.width))
    return replace(image, height=min(shape.height, max(rows, 2)))


@lru_cache(maxsize=256)
def measure(shape: ConvShape, samples: int = SAMPLES, whole: bool = False) -> Timed:
    """How long ``shape`` takes here on one thread, the fastest of a few runs; equal shapes are timed once.

    ``whole``: run all of it, however long that takes.
    """
    part = sample_of(shape, whole)
    share = part.products / shape.products
    with one_thread(), torch.inference_mode():
        return Timed({kind: best(run, samples) / share for kind, run in ways(part).items()}, share)


def by_target(shape: ConvShape, samples: int = SAMPLES) -> dict[str, float]:
    """Target -> seconds of all of ``shape``, bits alone, for all that this chip can run, the widest first.

    Others than this process's are timed in a process of their own: what numba compiles for is settled at its start.
    """
    code = f"from sdbnn_lite.cost.roofline import *\nprint(measure({shape!r}, {samples}, True).seconds['bits'])"
    found = {}
    for name in runnable():
        if name == target().name:
            found[name] = measure(shape, samples, True).seconds["bits"]
        else:
            child = [sys.executable, "-W", "ignore", "-c", code]
            done = subprocess.run(child, env=os.environ | {"SDBNN_TARGET": name}, check=True, stdout=subprocess.PIPE)
            found[name] = float(done.stdout)
    return found


@lru_cache(maxsize=4)
def _weights(channels: int, outputs: int) -> tuple[np.ndarray, BareLayer]:
    """Signs (O, C, 3, 3) float32, and the same packed."""
    w = np.random.default_rng(0).choice(np.float32([-1, 1]), (outputs, channels, 3, 3))
    return w, BareLayer(w)


def ways(shape: ConvShape) -> dict[str, Callable[[], object]]:
    """Kind -> a function that computes the layer for the same random activations and weights.

    float32 gives (N, O, H, W) of torch, the other two (N, H, W, O) int16.
    """
    w, layer = _weights(shape.channels, shape.outputs)
    rng = np.random.default_rng(1)
    x = rng.standard_normal((shape.batch, shape.height, shape.width, shape.channels), np.float32)
    found = implementations(x, w, layer)
    float32 = found.get("prepacked", found["channels_last"])
    return {"float32": float32, "bits": found["popcount"], "packed": found["packed"]}

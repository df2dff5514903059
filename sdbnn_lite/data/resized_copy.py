"""A resized copy of an image tree, made once for fast reading: all images in one file that is mapped into memory.

Decoding a photograph takes milliseconds, copying a part of its bytes microseconds. So the images are resized so that
the shorter side is 256/224 of what the network sees (256 for 224), and stored one after the other as raw RGB in

    ROOT/.sdbnn_cache/packed-<side>/        (.sdbnn_cache may be a link to another disk)
        <split>.pixels      uint8, height·width·3 bytes for every image
        <split>.index       safetensors: size int32 (N, 2), offset int64 (N,), kept uint8 (N,), crc int64 (N,) of each
                            image's bytes; its facts as metadata, with a SHA-256

Scores are the same to the last bit, for that resize is what they begin with anyway. Training crops are cut from the
resized image instead of the original: a box smaller than 224 pixels is a little softer.

The sizes of all images are read from their headers first, and the disk space is taken at once. A build that was stopped
resumes where it was. If path, size or time of any file changes, the copy isn't used until it is made again.
"""

import hashlib
import json
import os
import shutil
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from torch import Tensor
from torchvision.transforms import functional as F

from ..errors import RunError, UsageError
from ..system.terminal import Bar
from .decoded import CACHE
from .image_file import Box, Choose, first_line, header_size, read_image, resized, unreadable
from .prefetch import Item, Made, in_threads
from .tree import Split, Tree

FORMAT = "1"  # raise it when the same tree would be packed to other bytes
CHUNK = 64  # images that a thread packs in a go
FLUSH = 20.0  # seconds between two points from which a stopped build resumes
WAITING, KEPT, LEFT_OUT = 0, 1, 2


@dataclass(frozen=True, eq=False)
class PackedSplit:
    """The images of one split: ``pixels`` uint8 (bytes,), mapped; ``size`` (N, 2) height and width; ``offset`` (N,)."""

    pixels: np.ndarray
    size: np.ndarray
    offset: np.ndarray
    labels: Tensor  # int64 (N,)
    crc: np.ndarray | None = None  # int64 (N,), -1 once it was compared; None in a copy of an earlier version

    def __len__(self) -> int:
        return len(self.offset)

    def image(self, index: int) -> np.ndarray:
        """uint8 (height, width, 3); its bytes are checked when it is read for the first time. UsageError if damaged."""
        (height, width), at = self.size[index].tolist(), int(self.offset[index])
        pixels = self.pixels[at : at + height * width * 3]
        if self.crc is not None and self.crc[index] >= 0:
            if zlib.crc32(pixels.data) != self.crc[index]:
                raise UsageError(f"packed image {index}: damaged; remove its folder in {CACHE}, and pack again")
            self.crc[index] = -1
        return pixels.reshape(height, width, 3)

    def picture(self, index: int) -> Image.Image:
        return Image.fromarray(self.image(index))

    def crop(self, index: int, choose: Choose, size: int, reduced: bool = False, flip: bool = False) -> np.ndarray:
        """As ``read_crop``, of the packed image; only the box is read. ``reduced`` changes nothing here."""
        image = self.image(index)
        box = choose(*image.shape[:2])
        part = image[box.top : box.top + box.height, box.left : box.left + box.width]
        return resized(Image.fromarray(part), Box(0, 0, box.height, box.width), size, flip)


def side_for(image_size: int) -> int:
    """The shorter side that is packed for a network's ``image_size``."""
    return round(image_size * 256 / 224)


def packed_size(height: float, width: float, side: int) -> tuple[int, int]:
    """Height and width of a packed picture: the shorter one is ``side``, the longer one in proportion, rounded down."""
    long = int(side * max(width, height) / min(width, height))
    return (long, side) if height > width else (side, long)


def place_of(tree: Tree, side: int) -> Path:
    """The folder of a tree's packed images."""
    return tree.root / CACHE / f"packed-{side}"


def open_packed(tree: Tree, side: int) -> tuple[PackedSplit, PackedSplit] | None:
    """The packed train and test images; None where there are none, or (with a line on stderr) where they don't fit."""
    place = place_of(tree, side)
    if not place.is_dir():
        return None
    try:
        facts = _facts(tree, side)
        train, test = (_open_split(place / name, split, facts) for name, split in _splits(tree))
        return train, test
    except (OSError, SafetensorError, AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        print(f"{place} isn't used ({first_line(error)}): make it again with sdbnn-lite pack-images", file=sys.stderr)
        return None


def _open_split(path: Path, split: Split, facts: dict[str, str]) -> PackedSplit:
    with safe_open(path.with_suffix(".index"), "np") as file:
        said = json.loads(file.metadata()["facts"])
        digest = said.pop("sha256", None)
        if said != facts:
            raise ValueError("the images have changed since")
        index = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        if digest not in (None, _digest(index, facts)):
            raise ValueError("its index is damaged")
    size, offset, kept = (index[name] for name in ("size", "offset", "kept"))
    forms = [(a.dtype.name, *a.shape) for a in (size, offset, kept)]
    if forms != [("int32", len(split), 2), ("int64", len(split)), ("uint8", len(split))] or (size < 0).any():
        raise ValueError("its index is damaged")
    pixels, length = np.memmap(path.with_suffix(".pixels"), np.uint8, "r"), _lengths(size)
    if len(pixels) != length.sum() or not np.array_equal(offset, np.cumsum(length) - length):
        raise ValueError("its length is wrong")
    good = kept == KEPT
    crc = index["crc"][good] if digest else None  # both are missing in a copy of an earlier version
    return PackedSplit(pixels, size[good], offset[good], split.labels[torch.from_numpy(good)], crc)


@dataclass(frozen=True)
class _Build:
    """A tree being packed: the folder of what is done so far, the shorter side, threads, a bar or not, and the key."""

    part: Path
    side: int
    workers: int
    progress: bool
    facts: dict[str, str]


@dataclass(frozen=True)
class Packed:
    """What is packed: its folder, bytes on the disk, images, and how many of the tree's are left out."""

    place: Path
    bytes: int
    images: int
    left_out: int


def pack(tree: Tree, side: int, workers: int = os.cpu_count() or 1, strict: bool = False,
         progress: bool = True) -> Packed:  # fmt: skip
    """Pack the images of ``tree``, the shorter side resized to ``side`` (bilinear, antialiased, as torchvision).

    Unreadable training images are left out and named; with ``strict``, and for test images always, the first one stops
    with a UsageError, and so does a build that is already there without some.
    Raises RunError where the disk is too small or can't be written, saying what is needed and what was kept.
    """
    place, facts = place_of(tree, side), _facts(tree, side)
    part = place.with_name(f"{place.name}.part")
    build = _Build(part, side, workers, progress, facts)
    if open_packed(tree, side) is None:
        try:
            _start(build)
            sizes = {name: _sizes(build, split) for name, split in _splits(tree)}
            _reserve(part, {name: int(_lengths(size).sum()) for name, size in sizes.items()})
            for name, split in _splits(tree):
                _fill(build, name, split, sizes[name], stop=strict or split is tree.test)
            if place.exists():
                shutil.rmtree(place)
            os.replace(part, place)
            for name in ("about.json", "train.done", "test.done"):
                (place / name).unlink(missing_ok=True)
        except OSError as error:
            raise RunError(f"{part} can't be written ({first_line(error)}); what is packed so far is kept there, and "
                           f"the same command resumes it. {place.parent} may be a link "
                           "to another disk") from error  # fmt: skip
    on_disk = sum(file.stat().st_size for file in place.iterdir())
    packed = sum(map(len, open_packed(tree, side) or ()))
    left_out = len(tree.train) + len(tree.test) - packed
    if strict and left_out:
        raise UsageError(f"{place}: packed without {left_out} unreadable training images; mend or remove them, "
                         f"remove that folder, and pack again")  # fmt: skip
    return Packed(place, on_disk, packed, left_out)


def _splits(tree: Tree) -> list[tuple[str, Split]]:
    return [("train", tree.train), ("test", tree.test)]


def _facts(tree: Tree, side: int) -> dict[str, str]:
    return {"format": FORMAT, "side": str(side), "tree": tree.fingerprint()}


def _lengths(size: np.ndarray) -> np.ndarray:
    """int64 (N,): bytes of each image."""
    return size.astype(np.int64).prod(1) * 3


def _digest(index: dict[str, np.ndarray], facts: dict[str, str]) -> str:
    content = [index[name].tobytes() for name in sorted(index)]
    return hashlib.sha256(b"".join([json.dumps(facts).encode(), *content])).hexdigest()


def _start(build: _Build) -> None:
    """An empty folder, or one that a build of the same images has left."""
    about = build.part / "about.json"
    if build.part.is_dir() and not (about.is_file() and json.loads(about.read_text() or "{}") == build.facts):
        shutil.rmtree(build.part)
    build.part.mkdir(parents=True, exist_ok=True)
    about.write_text(json.dumps(build.facts))


def _sizes(build: _Build, split: Split) -> np.ndarray:
    """int32 (N, 2): height and width that each image will have, from its header; 0, 0 where that can't be read."""

    def one(path: str) -> tuple[int, int]:
        size = header_size(path)
        return packed_size(size[1], size[0], build.side) if size else (0, 0)

    found = list(_spread(build, one, split.paths, f"{Path(split.root).name}: sizes"))
    return np.array(found, np.int32).reshape(-1, 2)


def _reserve(part: Path, wanted: dict[str, int]) -> None:
    """Take the disk space of both files at once, so that a full disk is known before hours of decoding."""
    files = {part / f"{name}.pixels": number for name, number in wanted.items()}
    missing = sum(number - (path.stat().st_size if path.exists() else 0) for path, number in files.items())
    free = shutil.disk_usage(part).free
    if missing > free:
        raise RunError(f"{part} needs {missing / 1e9:,.1f} GB and the disk has {free / 1e9:,.1f} GB free: make room, "
                       f"make {part.parent} a link to another disk, or pack for a smaller --image-size")  # fmt: skip
    for path, number in files.items():
        with open(path, "ab") as file:
            if number and hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, number)
            file.truncate(number)


def _fill(build: _Build, name: str, split: Split, size: np.ndarray, stop: bool) -> None:
    """Decode what isn't there yet, then write the index; ``stop`` at an unreadable image, else leave it out."""
    path = build.part / name
    length = _lengths(size)
    offset = np.cumsum(length) - length
    done = path.with_suffix(".done")
    state = np.fromfile(done, np.uint8) if done.exists() else np.empty(0, np.uint8)
    if len(state) != len(split):
        state = np.full(len(split), WAITING, np.uint8)
    state[state == LEFT_OUT] = WAITING  # named again
    pixels = np.memmap(path.with_suffix(".pixels"), np.uint8, "r+") if length.any() else np.empty(0, np.uint8)
    written, crc = time.monotonic(), np.full(len(split), -1, np.int64)

    def one(index: int) -> tuple[int, UsageError | None]:
        file = split.samples[index][0]
        try:
            picture = F.resize(read_image(file), build.side)
            if picture.size[::-1] != tuple(size[index]):
                raise unreadable(file, ValueError("its header tells another size"))
        except UsageError as error:
            return index, error
        packed = np.ascontiguousarray(picture).reshape(-1)
        pixels[offset[index] : offset[index] + length[index]] = packed
        crc[index] = zlib.crc32(packed.data)
        return index, None

    def keep() -> None:
        """What ``state`` says is on the disk before it says so."""
        if isinstance(pixels, np.memmap):
            pixels.flush()
        state.tofile(done)

    waiting = np.flatnonzero(state == WAITING).tolist()
    try:
        for index, error in _spread(build, one, waiting, f"packing {name}", len(split)):
            if error is not None and stop:
                raise error
            state[index] = KEPT if error is None else LEFT_OUT
            if error is not None:
                print(f"{error}; left out", file=sys.stderr)
            if time.monotonic() - written > FLUSH:
                keep()
                written = time.monotonic()
    finally:
        keep()
    for i in np.flatnonzero(crc < 0).tolist():  # packed before this build was stopped
        crc[i] = zlib.crc32(pixels[offset[i] : offset[i] + length[i]].data)
    tensors = {"size": size, "offset": offset, "kept": state, "crc": crc}
    facts = json.dumps({**build.facts, "sha256": _digest(tensors, build.facts)})
    save_file(tensors, path.with_suffix(".index"), {"facts": facts})


def _spread(build: _Build, one: Callable[[Item], Made], items: Sequence[Item], title: str,
            total: int | None = None) -> Iterator[Made]:  # fmt: skip
    """``one(item)`` for every item, in order, by the build's threads, with a bar; ``total``: those done before too."""
    total = len(items) if total is None else total
    with Bar(total, title, "image", initial=total - len(items), show=build.progress) as bar:
        yield from in_threads(one, items, build.workers, CHUNK, bar)

"""The pixels of an image tree, decoded once and cached with a checksum.

Decoding 60,000 small JPEG files takes about as long as an epoch of a small network, so the pixels are kept in
ROOT/.sdbnn_cache/<size>px.safetensors (in the user's cache folder where ROOT can't be written; a tree without test
images: <size>px-train), with the statistics of the training images, a fingerprint of the tree and a SHA-256. A cache
that doesn't fit is made again.
"""

import hashlib
import json
import os
import sys
import uuid
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..errors import UsageError
from ..system.terminal import Bar
from .image_file import centre_crop, first_line, read_image
from .pixels import measure, to_channels
from .prefetch import in_threads
from .tree import SAMPLE, Tree, some

CACHE = ".sdbnn_cache"
Seen = tuple[tuple[int, int], bool]  # width and height, and whether grey
CHUNK = 64  # images that a thread decodes in a go
FORMAT = "2"  # raise it when the same tree would be decoded to other pixels


@dataclass(frozen=True, eq=False)
class Decoded:
    """The pixels of a tree: uint8 (N, C, size, size), C = 1 where all its files are grey, else 3.

    ``native``: "WxH" where all its files have one size, else ""; ``left_out``: which training images can't be read;
    ``statistics``: mean and std of the training images' channels (:func:`measure`).
    """

    train: Tensor
    test: Tensor
    native: str
    left_out: tuple[int, ...] = ()
    statistics: tuple[tuple[float, ...], tuple[float, ...]] | None = None  # of every one that `decode` returns

    def labels(self, tree: Tree) -> Tensor:
        """int64 (N,): the classes of the training images that are there."""
        kept = torch.ones(len(tree.train), dtype=torch.bool)
        kept[list(self.left_out)] = False
        return tree.train.labels[kept]

    def in_channels(self, channels: int | None) -> "Decoded":
        """The same with 1 or 3 channels (None: as they are), see :func:`to_channels`, measured anew."""
        if channels in (None, self.train.shape[1]):
            return self
        train, test = (to_channels(images, channels) for images in (self.train, self.test))
        return replace(self, train=train, test=test, statistics=measure(train))


def decode(tree: Tree, size: int, exact: bool = False, progress: bool = True, strict: bool = False) -> Decoded:
    """All images of ``tree``, the shorter side resized to ``size`` (bilinear, antialiased), then cropped in the middle.

    With ``exact`` nothing is resized: an image of another size is refused. Training images that can't be read are left
    out and named on stderr; with ``strict``, and for test images always, they are refused. What is decoded is cached.
    Raises UsageError, naming the file, where one is refused.
    """
    facts = {"format": FORMAT, "size": str(size), "tree": tree.fingerprint()}
    places = _cache_places(tree.root, f"{size}px{tree.kind}")
    decoded = _read_cache(places, facts)
    if decoded is None or (strict and decoded.left_out):
        seen: set[Seen] = set()
        with Bar(len(tree.train) + len(tree.test), f"decoding {tree.root.name}", "image", show=progress) as bar:
            train, left_out = _decode_split(tree.train.paths, size, exact, strict, seen, bar)
            test, _ = _decode_split(tree.test.paths, size, exact, True, seen, bar)
        sizes = {size for size, _ in seen}
        native = "{}x{}".format(*sizes.pop()) if len(sizes) == 1 else ""
        if all(grey for _, grey in seen):
            train, test = to_channels(train, 1), to_channels(test, 1)
        decoded = Decoded(train, test, native, left_out, measure(train))
        _write_cache(places, facts, decoded)
    if decoded.left_out:
        names = some(tree.train.samples[index][0] for index in decoded.left_out)
        print(f"{len(decoded.left_out)} of {len(tree.train):,} training images can't be read and are left out: {names} "
              f"(--strict stops instead)", file=sys.stderr)  # fmt: skip
        found = set(decoded.labels(tree).tolist())
        if (empty := set(tree.train.targets) - found) and not (found and tree.kind == SAMPLE):
            names = some(tree.classes[index] for index in sorted(empty))
            raise UsageError(f"{tree.train.root}: no image of class {names} can be read")
    return decoded


def _decode_split(paths: list[str], size: int, exact: bool, strict: bool, seen: set[Seen],
                  bar: Bar) -> tuple[Tensor, tuple[int, ...]]:  # fmt: skip
    """uint8 (N, 3, size, size) and which were left out; adds to ``seen`` every image."""
    # Written through numpy: torch would wake its own threads for each of these small copies.
    images = np.empty((len(paths), 3, size, size), np.uint8)
    left_out: set[int] = set()

    def one(index: int) -> Seen | None:
        try:
            picture = read_image(paths[index])
        except UsageError:
            if strict:
                raise
            left_out.add(index)
            return None
        if exact and picture.size != (size, size):
            width, height = picture.size
            raise UsageError(f"{paths[index]} is {width}x{height} pixels: every image must be {size}x{size}")
        images[index] = centre_crop(picture, size, size).transpose(2, 0, 1)
        return picture.size, picture.info["grey"]

    seen.update(pair for pair in in_threads(one, range(len(paths)), os.cpu_count() or 1, CHUNK, bar) if pair)
    kept = images if not left_out else np.delete(images, sorted(left_out), axis=0)
    return torch.from_numpy(kept), tuple(sorted(left_out))


def _cache_places(root: Path, name: str) -> tuple[Path, Path]:
    """Where the cache may lie: beside the images or, if that can't be written, in the user's cache folder."""
    user = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "sdbnn_lite"
    key = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]
    return root / CACHE / f"{name}.safetensors", user / f"{key}-{name}.safetensors"


def _checksum(decoded: Decoded, facts: dict[str, str]) -> str:
    """SHA-256 over the pixels and all that is said about them."""
    said = [facts, decoded.native, decoded.left_out]
    said += [decoded.statistics] if decoded.statistics else []  # earlier versions didn't measure
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
    for images in (decoded.train, decoded.test):
        digest.update(f"{images.dtype}{tuple(images.shape)}".encode())
        digest.update(images.reshape(-1).numpy().data)
    return digest.hexdigest()


def _read_cache(places: tuple[Path, ...], facts: dict[str, str]) -> Decoded | None:
    """The first cache that fits ``facts`` and its own checksum; None, after a line on stderr if there was a bad one."""
    notice = ""
    for path in places:
        try:
            if not path.exists():
                continue
            with safe_open(path, "pt") as file:
                metadata = file.metadata()
                if any(metadata[key] != value for key, value in facts.items()):
                    notice = f"{path} is outdated (the images changed, or the package): decoding them again"
                    continue
                left_out = tuple(json.loads(metadata["left_out"]))
                statistics = tuple(map(tuple, json.loads(metadata.get("statistics", "[]")))) or None
                pixels = file.get_tensor("train"), file.get_tensor("test")
                decoded = Decoded(*pixels, metadata["native"], left_out, statistics)  # type: ignore[arg-type]  # two tuples
            if metadata["sha256"] != _checksum(decoded, facts):
                notice = f"{path} is damaged (wrong checksum): decoding the images again"
            else:
                return decoded if statistics else replace(decoded, statistics=measure(decoded.train))
        except Exception as error:  # a damaged header can fail in any way; none of them may stop a run
            notice = f"{path} is damaged or unreadable ({first_line(error)}): decoding the images again"
    if notice:
        print(notice, file=sys.stderr)
    return None


def _write_cache(places: tuple[Path, ...], facts: dict[str, str], decoded: Decoded) -> None:
    """Write to the first of ``places`` that takes it: a temporary file first, so that no half of one is ever found."""
    about = {"native": decoded.native, "left_out": json.dumps(decoded.left_out)}
    about["statistics"] = json.dumps(decoded.statistics)
    metadata = facts | about | {"sha256": _checksum(decoded, facts)}
    for path in places:
        temporary = path.with_name(f"{uuid.uuid4().hex}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            save_file({"train": decoded.train, "test": decoded.test}, temporary, metadata)
            temporary.chmod(path.parent.stat().st_mode & 0o666)  # safetensors writes for its owner's eyes only
            os.replace(temporary, path)
            return
        except (OSError, SafetensorError) as error:
            problem = f"{path} can't be written ({first_line(error)})"
        finally:
            with suppress(OSError):  # no folder, or one that can't be written: nothing was left there
                temporary.unlink(missing_ok=True)
    print(f"{problem}: the images will be decoded again next time", file=sys.stderr)

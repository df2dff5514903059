"""Everything that the package reads, made small: where it lies, and what a program gets of it."""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

import sdbnn_lite as sd
from sdbnn_lite import data
from sdbnn_lite.analysis import study, tables
from sdbnn_lite.analysis.publish import Target, publish_run, read_run
from sdbnn_lite.data.decoded import CACHE, decode
from sdbnn_lite.data.resized_copy import open_packed, pack, place_of
from sdbnn_lite.data.tree import open_tree
from sdbnn_lite.packed.file import load_packed, save_packed
from sdbnn_lite.training import run_folder
from sdbnn_lite.training.initial import initial_network
from sdbnn_lite.training.options import RunOptions
from sdbnn_lite.training.recipes import RECIPES
from sdbnn_lite.training.train import train
from sdbnn_lite.training.trainer import Trainer
from sdbnn_lite.weights import files
from sdbnn_lite.weights.files import CHECKPOINT, WEIGHTS
from sdbnn_lite.weights.published import from_original, stored_options
from sdbnn_lite.weights.torch_files import read_state_dict
from sdbnn_lite.weights.zoo import load

TINY = RECIPES["digits"].changed(epochs=2, batch_size=256)


@dataclass
class Reader:
    """A file, what kind of text is in it, and ``read()``, which gives all that a program gets of it (None: nothing).

    ``unmarked``: why a change that makes another valid file can't be seen; "" where it must be.
    """

    file: Path
    kind: str
    read: object
    unmarked: str = ""


class Made(NamedTuple):
    """What all readers share: a trained run, and a folder for each of the others."""

    run: Path
    folder: Path


def fingerprint(*parts):
    """One text for tensors, arrays, dicts and lists."""
    found = hashlib.sha256()
    for part in parts:
        if isinstance(part, torch.Tensor):
            part = part.numpy()
        if isinstance(part, dict):
            for key, value in sorted(part.items(), key=lambda pair: str(pair[0])):
                found.update(f"{key} {fingerprint(value)}".encode())
        elif isinstance(part, np.ndarray):
            found.update(f"{part.dtype} {part.shape}".encode() + part.tobytes())
        elif isinstance(part, (list, tuple)):
            found.update(" ".join(map(fingerprint, part)).encode())
        else:
            found.update(repr(part).encode())
    return found.hexdigest()


def make(folder):
    """Train a run of two short epochs in ``folder``."""
    run = folder / "run"
    train(TINY, run, options=RunOptions(progress=False, command="sdbnn-lite train digits"))
    return Made(run, folder)


def without_digest(path, to):
    """The file as an earlier version wrote it."""
    from safetensors.torch import save
    tensors, about = files.read_tensors(path)
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_bytes(save(tensors, {"sdbnn_lite": json.dumps(about)}))
    return to


def of_net(net):
    return fingerprint(net.state_dict(), net.about, net.options)


OLD = "an earlier version's, without a digest: a line says so"


def weights(made):
    return Reader(made.run / WEIGHTS, "safetensors", lambda: of_net(load(made.run / WEIGHTS)))


def old_weights(made):
    path = without_digest(made.run / WEIGHTS, made.folder / "old" / WEIGHTS)
    return Reader(path, "safetensors", lambda: of_net(load(path)), OLD)


def checkpoint(made, path=None):
    path = path or made.run / CHECKPOINT
    images = data.load("digits")
    trainer = Trainer(TINY, initial_network(TINY, "sdbnn", 0, images), images)

    def read():
        found = run_folder.look_into(path.parent, trainer.identity, True)
        trainer.resume(*found, path.parent)
        state = trainer.optimizer.state_dict()["state"]
        return fingerprint(trainer.net.state_dict(), state, vars(trainer.progress), trainer.log, trainer.signs,
                           trainer.epoch_start)  # fmt: skip

    return Reader(path, "safetensors", read)


def old_checkpoint(made):
    reader = checkpoint(made, without_digest(made.run / CHECKPOINT, made.folder / "old" / "run" / CHECKPOINT))
    reader.unmarked = OLD
    return reader


def packed(made):
    path = made.folder / "packed.safetensors"
    save_packed(path, load(made.run))
    return Reader(path, "safetensors", lambda: of_net(load_packed(path).net))


def published(made):
    zoo = made.folder / "zoo"
    if not zoo.is_dir():
        publish_run(made.run, "tiny", to=Target(zoo, made.folder / "results"))
    return zoo / "tiny.safetensors"


def zoo_file(made):
    path = published(made)
    return Reader(path, "safetensors", lambda: of_net(load(path)))


def card(made):
    path = published(made)
    return Reader(path.with_suffix(".json"), "json", lambda: of_net(load(path)), "text that people edit, no digest")


def published_pth(made):
    path, net = made.folder / "published.pth", sd.build("cifar10_resnet20")
    names = [(r"^layers\.(\d)", lambda m: f"layer{int(m[1]) + 1}"), (r"wsd\.alpha", "alpha"),
             (r"asd\.squeeze", "dybeta.fc.0"), (r"asd\.expand", "dybeta.fc.2")]  # fmt: skip
    state = {}
    for key, value in net.state_dict().items():
        for ours, theirs in names:
            key = re.sub(ours, theirs, key)
        if not key.endswith(("ede_k", "ede_t")):
            state[key] = value
    torch.save({"state_dict": state}, path)

    def read():
        mapped = from_original(read_state_dict(path), "cifar10_resnet20")
        options = stored_options(mapped, "cifar10_resnet20")
        return of_net(files.rebuild(mapped, {"network": "cifar10_resnet20", "options": options}, path))

    return Reader(path, "", read)


def run_json(made):
    known = list(read_run(made.run))  # another name there is no harm: nothing reads it
    return Reader(made.run / run_folder.RUN, "json", lambda: fingerprint([read_run(made.run).get(k) for k in known]))


def log_csv(made):
    path = made.run / run_folder.LOG
    return Reader(path, "csv", lambda: fingerprint(run_folder.read_table(made.run, path.name)))


def _study(made):
    to, out = made.folder / "studies" / "tiny", made.folder / "runs"
    if not to.is_dir():
        out.mkdir()
        (out / "sdbnn-seed0").symlink_to(made.run, target_is_directory=True)
        study.gather(out, [{"method": "sdbnn", "seed": 0, **study.final_row(made.run)}], to, "sdbnn-lite study digits")

    def read():
        tables.RESULTS = made.folder / "studies"
        tried = study.check_replaces(to, TINY.epochs, [("sdbnn", 0)]), study.check_adds(to, TINY)
        found = [tables.read_study("tiny", f"{name}.csv").to_dict("list") for name in ("runs", "epochs", "signs")]
        return fingerprint(tried, tables.study_facts("tiny"), *found)

    return to, read


def study_table(made):
    to, read = _study(made)
    return Reader(to / "runs.csv", "csv", read, "text that people edit, no digest")


def study_json(made):
    to, read = _study(made)
    return Reader(to / "study.json", "json", read, "text that people edit, no digest")


def _tree(root):
    colours = np.random.default_rng(0)
    for split in ("train", "val"):
        for name in ("a", "b"):
            (root / split / name).mkdir(parents=True)
            for number, ending in enumerate(("png", "jpg", "png")):
                pixels = colours.integers(0, 256, (20, 24, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{number}.{ending}")
    return open_tree(root, ("val",))


def _decoded(tree):
    found = decode(tree, 16, progress=False)
    return None if found.left_out else fingerprint(found.train, found.test, found.statistics)


def cache(made):
    tree = _tree(made.folder / "cached")
    read = lambda: _decoded(tree)  # noqa: E731
    read()
    return Reader(tree.root / CACHE / "16px.safetensors", "safetensors", read)


def image(made, ending="png"):
    root = made.folder / f"images_{ending}"
    _tree(root)

    def read():
        for path in (root / CACHE).glob("*"):
            path.unlink()
        return _decoded(open_tree(root, ("val",)))

    return Reader(root / "train" / "a" / ("0.png" if ending == "png" else "1.jpg"), "", read, "an image of your own")


def jpeg(made):
    return image(made, "jpg")


def _resized(made, ending):
    tree = _tree(made.folder / f"resized_{ending}")
    pack(tree, 18, 1, progress=False)

    def read():
        found = open_packed(tree, 18)
        return found and fingerprint(*([split.image(i) for i in range(len(split))] + [split.labels] for split in found))

    return Reader(place_of(tree, 18) / f"train.{ending}", "safetensors" if ending == "index" else "", read)


def resized_index(made):
    return _resized(made, "index")


def resized_pixels(made):
    return _resized(made, "pixels")


READERS = {f.__name__: f for f in (weights, old_weights, checkpoint, old_checkpoint, packed, zoo_file, card,
                                   published_pth, run_json, log_csv, study_table, study_json, cache, image, jpeg,
                                   resized_index, resized_pixels)}  # fmt: skip

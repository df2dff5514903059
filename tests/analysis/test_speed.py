"""The committed measurements and their tables."""

import json

import pytest

from sdbnn_lite.analysis import speed, tables
from sdbnn_lite.commands.bench import BENCHES
from sdbnn_lite.errors import UsageError

MACHINE = {"cpu": "Some CPU", "gpu": None, "cores": 4, "threads": 1, "versions": {"torch": "2.15.0"}}
TRAIN = {"network": "cifar10_resnet20", "batch": 128, "rounds": 7, "published_ms": 493.04, "readable_ms": 552.7,
         "fast_ms": 187.0, "fast8_ms": 123.4, "float_ms": 34.83, "published/fast": "2.61 (2.26-3.05)",
         "published/fast8": "4.02 (3.88-4.11)", "goal": 4.0, "readable_saved_mb": 368.3,
         "fast_saved_mb": 147.3}  # fmt: skip
PACKED = {"what": "64@56", "batch": 32, "float32_ms": 1030.38, "packed_ms": 4.789, "float32/packed": "6.6 (3.6-7.7)",
          "goal": 9.0}  # fmt: skip


DATA = {"source": "photographs 500x375", "pixels": 224, "way": "packed", "workers": 2, "images": 256,
        "images_s": 1234, "cpu_us": 900.1, "goal": None, "met": None}  # fmt: skip


def test_tables(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    folder = tmp_path / "bench"
    folder.mkdir()
    assert speed.markdown() == ""
    with pytest.raises(UsageError, match="no committed measurement 'train'; `sdbnn-lite bench train` measures"):
        speed.read("train")
    (folder / "train.json").write_text(json.dumps({"machine": MACHINE, "train": [TRAIN]}))
    (folder / "packed.json").write_text(json.dumps({"machine": MACHINE, "packed": [PACKED, PACKED | {"goal": None}]}))
    memory = {"source": "cifar10", "pixels": 32, "way": "resident", "workers": 0, "images_s": 65_000, "goal": 50_000}
    alone = [{**DATA, "workers": 1, "images_s": 700}, {**DATA, "way": "torchvision", "workers": 0, "images_s": 99}]
    (folder / "data.json").write_text(json.dumps({"machine": MACHINE, "data": [DATA, *alone, DATA | memory]}))
    text = speed.markdown()
    assert text.count("photographs") == 1  # two workers, and what needs none
    for line in (
        "| `cifar10_resnet20` | 493 ms | 553 ms | 34.8 ms | 187 ms | 123 ms | 2.61 (2.26-3.05) "
        "| **4.02 (3.88-4.11)** | 4.0 | 368.3, 147.3 MB |",
        "| 3×3, 64 → 64 channels, 56×56 | 32 | 1,030 ms | 4.79 ms | **6.6 (3.6-7.7)** | 9 |",
        "| 3×3, 64 → 64 channels, 56×56 | 32 | 1,030 ms | 4.79 ms | **6.6 (3.6-7.7)** | – |",
        "| photographs 500x375 | 224 | packed | **1,234** | – |",
        "| cifar10 | 32 | in memory | **65,000** | 50,000 |",
        "Some CPU, 1 thread on 4 cores, kernels of an earlier version, torch 2.15.0: `sdbnn-lite bench packed "
        "--threads 1 --json`. Ratios: median (10th-90th percentile) of the rounds.",
    ):
        assert line in text.splitlines()
    wide = {"machine": MACHINE | {"kernels": "avx2"}, "train": [TRAIN]}
    (folder / "train_wide.json").write_text(json.dumps(wide))
    assert "Some CPU, 1 thread on 4 cores, kernels for avx2, torch 2.15.0: `sdbnn-lite bench train " in speed.markdown()


@pytest.mark.parametrize("path", sorted(tables.RESULTS.glob("bench/*.json")), ids=lambda path: path.stem)
def test_what_is_committed_is_whole(path):
    """It has a machine, was measured with this version's command, and its rows are that command's."""
    result, what = speed.read(path.stem), path.stem.partition("_")[0]
    assert set(result) == {"machine", what} and what in BENCHES
    assert result["machine"]["cpu"] and result["machine"]["threads"] >= 1 and len(result[what]) >= 3

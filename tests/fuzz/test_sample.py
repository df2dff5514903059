"""A few hundred of the fuzzer's mutations in every run of the tests; `make fuzz` makes thousands."""

import pickle
import shutil
import sys
from pathlib import Path

import pytest
from tiny_runs import TINY

from sdbnn_lite.errors import UsageError

sys.path.insert(0, str(Path(__file__).parent))
import fuzz  # noqa: E402
import mutate  # noqa: E402
import readers  # noqa: E402

QUICK = ("weights", "old_weights", "zoo_file", "card", "run_json", "log_csv", "study_table", "study_json",
         "resized_index", "resized_pixels")  # fmt: skip


@pytest.fixture(scope="module")
def made(tiny_run, tmp_path_factory):
    """A folder to damage, with a copy of the tests' finished run."""
    folder = tmp_path_factory.mktemp("fuzz")
    return readers.Made(shutil.copytree(tiny_run, folder / "run"), folder)


@pytest.mark.parametrize("name", QUICK)
def test_damage_is_never_taken_as_good(name, made, monkeypatch):
    monkeypatch.setattr(readers, "TINY", TINY)
    monkeypatch.setattr(readers.tables, "RESULTS", readers.tables.RESULTS)  # a reader sets it
    counts, examples = fuzz.fuzz(name, made, 30, seed=1)
    assert sum(counts.values()) == 30 and set(counts) <= set(fuzz.GOOD), examples


def test_the_fuzzer_sees_what_it_looks_for(tmp_path):
    """A reader that believes everything, one that fails, one that says too much, one that is right."""
    file = tmp_path / "file"
    file.write_bytes(b"some bytes")

    def fails(error):
        raise error

    for read, expected in (
        (file.read_bytes, "OTHER"),
        (lambda: fails(KeyError("x")), "CRASH"),
        (lambda: fails(UsageError("a\nb")), "CRASH"),
        (lambda: fails(UsageError("a")), "refused"),
        (lambda: fails(MemoryError()), "MEMORY"),
        (lambda: b"before", "same"),
        (lambda: None, "refused"),
    ):
        assert fuzz.outcome(readers.Reader(file, "", read), b"before")[0] == expected
    assert fuzz.outcome(readers.Reader(file, "", file.read_bytes, "no digest"), b"before")[0] == "unmarked"
    marker = tmp_path / "ran"
    pickle.loads(pickle.dumps(mutate.Bomb(marker)))
    assert marker.is_dir()

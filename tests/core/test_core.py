"""The room itself: what importing it loads, how long it is, and whether all that its docstring says is so."""

import json
import re
import subprocess
import sys
import time
from pkgutil import iter_modules, resolve_name
from textwrap import dedent

import pytest
import torch
from places import ROOT

import sdbnn_lite.core
from sdbnn_lite.training.recipes import get_recipe

ROOM = ROOT / "sdbnn_lite" / "core"
TEXT = sdbnn_lite.core.__doc__
FILES = ["binarize", "asd", "wsd", "scaling", "methods", "layers", "models", "signs", "record"]  # as they are read


def example():
    """The one indented block of Python in the room's docstring."""
    (block,) = re.findall(r"^    import torch\n(?:    .*\n|\n)*", TEXT, re.M)
    return dedent(block)


def loaded_by(statement):
    """All modules of a fresh Python after the statement."""
    program = f"{statement}; import sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_importing_core_loads_its_files_when_they_are_used():
    """First none, then all of them, by attribute and by star; beside them only torch and what it needs."""
    ours = {"sdbnn_lite", "sdbnn_lite.version", "sdbnn_lite.core"}
    loaded = loaded_by("import sdbnn_lite.core")
    assert {name for name in loaded if name.startswith("sdbnn_lite")} == ours and "torch" not in loaded
    everything = loaded_by("import sdbnn_lite.core as c; c.layers.BinaryConv2d; from sdbnn_lite.core import *; record")
    files = {f"sdbnn_lite.core.{name}" for name in FILES}
    assert {n for n in everything if n.startswith("sdbnn_lite")} == ours | {"sdbnn_lite.errors"} | files
    assert "torch" in everything
    assert "torch" not in loaded_by("import sdbnn_lite.core; sdbnn_lite.core.methods.METHODS")
    with pytest.raises(AttributeError, match="'sdbnn_lite.core' has no attribute 'layer'"):
        _ = sdbnn_lite.core.layer


def test_importing_the_package_loads_nothing_heavy():
    """Its names load their modules when they are used."""
    loaded = loaded_by("import sdbnn_lite")
    assert {name for name in loaded if name.startswith("sdbnn_lite")} == {"sdbnn_lite", "sdbnn_lite.version"}
    assert not {"torch", "numpy"} & set(loaded)


def test_core_can_be_read_in_an_evening():
    assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in ROOM.rglob("*.py")) <= 1200


def test_the_reading_order_names_every_file_once_with_a_link_to_a_paper():
    assert sorted(FILES) == [module.name for module in iter_modules([str(ROOM)])]
    assert re.findall(r"^    (\w+) .*https://arxiv\.org/abs/\d{4}\.\d{5}$", TEXT, re.M) == FILES
    assert sdbnn_lite.core.__all__ == FILES


def test_the_walk_names_only_what_exists():
    """Every ``room.module.name`` of the last paragraph can be imported; rooms come in the order of the levels."""
    _, _, walk = TEXT.partition("One batch of")
    rooms = re.findall(r"^    (\w+)  +\S", walk, re.M)
    assert rooms == ["data", "core", "fast", "training", "analysis", "plots", "lessons"]
    names = re.findall(r"``((?:\w+\.)+\w+)``", walk)
    assert {name.split(".")[0] for name in names} == set(rooms)
    for name in names:
        assert callable(resolve_name(f"sdbnn_lite.{name}")), name


@pytest.mark.slow
def test_the_example_fits_a_screen_and_learns_the_digits(capsys):
    """SD-BNN on 360 test images that it never saw, exactly as printed in the docstring: one thread, seeded."""
    assert len(example().splitlines()) <= 30
    names = {}
    state, start = torch.get_rng_state(), time.process_time()
    try:
        exec(compile(example(), "example", "exec"), names)
    finally:
        torch.set_rng_state(state)
    assert time.process_time() - start < 120  # about 25 where nothing else runs
    assert len(names["test_y"]) == 360 and not names["net"].training
    assert names["accuracy"] >= 0.97
    assert capsys.readouterr().out == f"{names['accuracy']:.1%} of 360 test images\n"


def test_the_example_has_the_settings_of_the_recipe():
    """Nothing in it was chosen by looking at test images."""
    recipe, text = get_recipe("digits"), example()
    low, high = recipe.ede
    assert f"epochs = {recipe.epochs}\n" in text and f"split({recipe.batch_size})" in text
    assert f"lr={recipe.lr}, momentum={recipe.momentum}" in text and recipe.weight_decay == 1e-4
    assert "weight_decay=1e-4" in text and "t_min=1e-2, t_max=10.0" in text and (low, high) == (1e-2, 10.0)
    assert f'build("{recipe.network}"' in text and recipe.schedule == "cosine" and "CosineAnnealingLR" in text

"""Notebook 06 keeps its word: its commands exist, its script is one, no result is written down, sources are linked."""

import os
import re
import shlex
import shutil
import subprocess

import pytest
from places import NOTEBOOKS

from sdbnn_lite import cli
from sdbnn_lite.training.recipes import CHAINS, RECIPES
from sdbnn_lite.weights.files import CHECKPOINT

nbformat = pytest.importorskip("nbformat")
NOTEBOOK = NOTEBOOKS / "06_imagenet_reproduction.ipynb"
if not NOTEBOOK.exists():
    pytest.skip("no notebooks here: an installed package", allow_module_level=True)
CELLS = nbformat.read(NOTEBOOK, as_version=4).cells
TEXT = "\n".join(cell.source for cell in CELLS if cell.cell_type == "markdown")
SCRIPT = re.search(r"```bash\n(.*?)```", TEXT, re.DOTALL)[1]


def arguments(text):
    """What follows `sdbnn-lite` or `-m sdbnn_lite` in every command, lines that end in \\ joined."""
    lines = re.sub(r" *\\\n *", " ", text).splitlines()
    found = (re.search(r"(?:^    sdbnn-lite|^(?:    |srun )torchrun .*-m sdbnn_lite) (.*)", line) for line in lines)
    return [match[1].replace("$RESUME", "--resume") for match in found if match]


COMMANDS = arguments(TEXT)


def test_there_are_commands_of_every_kind():
    kinds = [command.split()[0] for command in COMMANDS]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "train": 7, "pack-images": 1, "evaluate": 1, "publish": 4, "import-original": 1}  # fmt: skip
    assert sum("--resume" in command for command in COMMANDS) == 2  # by hand, and in the script


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_one(command):
    args = cli.make_parser().parse_args(shlex.split(command))
    if hasattr(args, "recipe"):
        assert args.recipe in RECIPES or args.recipe in CHAINS


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash here")
def test_the_script_is_one_and_resumes_only_what_was_begun(tmp_path):
    """Run with a launcher that only says what it was given."""
    for name, says in (("srun", 'echo "$@"'), ("scontrol", "echo first; echo second")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{says}\n")
        (tmp_path / name).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_NODELIST": "first,second",
                   "SLURM_JOB_NUM_NODES": "2", "SLURM_JOB_ID": "77"}  # fmt: skip

    def said():
        return subprocess.run(["bash", "-u", "-c", SCRIPT], cwd=tmp_path, env=environment, capture_output=True,
                              text=True, check=True).stdout  # fmt: skip

    first = said()
    for part in ("--nnodes 2", "--rdzv-id 77", "--rdzv-endpoint first:29500", "--max-restarts 3",
                 "-m sdbnn_lite train imagenet-resnet18"):  # fmt: skip
        assert part in first
    assert "--resume" not in first
    (tmp_path / "runs/imagenet/stage1").mkdir(parents=True)
    (tmp_path / "runs/imagenet/stage1" / CHECKPOINT).write_text("")
    assert "--resume" in said()


def test_torchrun_knows_these_options():
    """torch's own parser, with the options of every line that launches."""
    from torch.distributed.run import get_args_parser

    lines = [line for line in re.sub(r" *\\\n *", " ", TEXT).splitlines() if "torchrun " in line and "-m sdb" in line]
    assert len(lines) == 3
    for line in lines:
        words = shlex.split(line.partition("torchrun ")[2])
        args = get_args_parser().parse_args(words)
        assert args.module and args.training_script == "sdbnn_lite" and args.max_restarts == 3


def test_no_number_of_a_run_stands_in_the_text():
    """What was reached is computed from the files; the paper's figures alone may be written down."""
    percent = set(re.findall(r"\d\d\.\d %", TEXT))
    assert percent <= {"66.5 %", "86.7 %", "67.6 %", "87.4 %"}


def test_every_source_has_an_address():
    references = TEXT.partition("## References")[2]
    assert references.count("https://") >= references.count("\n- ") >= 5

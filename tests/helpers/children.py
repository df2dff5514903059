"""Processes that tests start: each forked from one that has imported torch and the package already."""

import multiprocessing
import os
from pathlib import Path

from places import ROOT

HERE = Path(__file__).parent
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["distributed_worker", "tiny_runs", "commands"])


def start(function, *args, **environment):
    """Call ``function(*args)``, one of a module in this folder, in a process of its own with one thread."""
    before = os.environ.copy()
    os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE), str(ROOT), before.get("PYTHONPATH", "")])
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        process = CONTEXT.Process(target=_call, args=(function, args, environment))
        process.start()
    finally:
        os.environ.clear()
        os.environ.update(before)
    return process


def _call(function, args, environment):
    for name in list(os.environ):
        if name.startswith(("TORCHELASTIC", "RANK", "WORLD", "LOCAL_")):
            del os.environ[name]
    os.environ.update(environment)
    function(*args)

"""A command line in a process of its own, whose output goes to files or pipes of the test's choice."""

import os
import sys
from multiprocessing.reduction import DupFd

import children

from sdbnn_lite.cli import main


def start(place, *argv, out, err, **environment):
    """``sdbnn-lite argv`` in the folder ``place``; ``out`` and ``err``: open files, the process's stdout and stderr."""
    files = [DupFd(file.fileno()) for file in (out, err)]
    return children.start(_command, str(place), list(map(str, argv)), files, **environment)


def said(file):
    """All that the process has written; ``file`` shares its place with it."""
    file.seek(0)
    return file.read()


def _command(place, argv, files):
    os.chdir(place)
    for number, file in enumerate(files, start=1):
        os.dup2(file.detach(), number)
    sys.stdout, sys.stderr = (os.fdopen(os.dup(number), "w") for number in (1, 2))
    sys.exit(main(argv))

"""The tiny training, killed at a chosen one of its moments: before a batch, or inside any part of writing a file."""

import os
import signal

from tiny_runs import train_tiny

from sdbnn_lite.data.in_memory import ImageSet
from sdbnn_lite.system import files


class Moments:
    """Counts the process's moments, and sends it SIGKILL at number ``fatal`` (from 0); ``names``: what they were."""

    def __init__(self, fatal=None):
        self.names, self.fatal = [], fatal

    def __call__(self, name):
        if len(self.names) == self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        self.names.append(name)


class HalfWritten:
    """A file that is written in two halves, with a moment between them."""

    def __init__(self, file, moment):
        self.file, self.moment = file, moment

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def __getattr__(self, name):
        return getattr(self.file, name)

    def write(self, content):
        self.file.write(content[: len(content) // 2])
        self.file.flush()
        self.moment("a file half written")
        self.file.write(content[len(content) // 2 :])


def watch(moment):
    """Make ``moment`` be called wherever this process may be killed."""
    epoch, fsync, replace = ImageSet.epoch, os.fsync, os.replace

    def batches(self, *args, **kwargs):
        for batch in epoch(self, *args, **kwargs):
            moment("before a batch")
            yield batch

    def synced(descriptor):
        moment("before fsync")
        fsync(descriptor)

    def renamed(source, target):
        moment(f"before {os.path.basename(target)} is renamed")
        replace(source, target)
        moment(f"after {os.path.basename(target)} was renamed")

    ImageSet.epoch, os.fsync, os.replace = batches, synced, renamed
    files.open = lambda path, *how, **more: (
        HalfWritten(open(path, *how, **more), moment) if "wb" in how else open(path, *how, **more)
    )


def train_and_die(out, fatal, names=None):
    """Train in ``out`` and die at moment ``fatal``; None: live, and write each moment's name as a line of ``names``."""
    moment = Moments(fatal)
    watch(moment)
    train_tiny(out)
    if names:
        names.write_text("\n".join(moment.names))

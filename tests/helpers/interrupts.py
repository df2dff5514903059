"""Ctrl-C, or another signal, at a chosen moment of a training run."""

import signal

from tiny_runs import train_tiny

from sdbnn_lite.data.in_memory import ImageSet


def epoch_with_ctrl_c(batches, number=signal.SIGINT):
    """``ImageSet.epoch``, but with a signal while the ``batches``-th batch from now on is being prepared.

    Another one than Ctrl-C comes twice.
    """
    epoch, left = ImageSet.epoch, [batches]

    def counted(self, *args, **kwargs):
        for batch in epoch(self, *args, **kwargs):
            left[0] -= 1
            if left[0] == 0:
                for _ in range(1 if number == signal.SIGINT else 2):
                    signal.raise_signal(number)
            yield batch

    return counted


def train_until(out, batches, number):
    """Train the tiny recipe in ``out``; the signal comes while the ``batches``-th batch is being prepared."""
    ImageSet.epoch = epoch_with_ctrl_c(batches, number)
    train_tiny(out)

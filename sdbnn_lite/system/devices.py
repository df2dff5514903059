"""Devices and threads: which device computes, with how many CPU threads, and how it rounds and allocates."""

import ctypes
import platform
from contextlib import contextmanager

import torch

from ..errors import UsageError, check_whole, unknown

DEVICES = ("auto", "cpu", "cuda")


def pick_device(name: str) -> torch.device:
    """The device; "auto": CUDA where there is one, else the CPU. UsageError for "cuda" without one, and other names."""
    if name not in DEVICES:
        raise unknown("device", name, DEVICES)
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("device 'cuda': torch finds no CUDA device here; use --device cpu or auto")
    return torch.device("cuda" if name == "cuda" or (name == "auto" and torch.cuda.is_available()) else "cpu")


def set_threads(threads: int) -> None:
    """Let torch compute with ``threads`` CPU threads; sums round differently with another number of them.

    Raises UsageError for a number outside 1 … 1024.
    """
    check_whole(most=1024, threads=threads)
    torch.set_num_threads(threads)


@contextmanager
def one_thread():
    """Inside, torch computes with one thread: sums in another order could tip an activation next to 0."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def convolutions(tf32: bool, benchmark: bool = False):
    """Inside, CUDA's float32 convolutions may round their inputs to TF32 (10 bits of mantissa instead of 23), or not.

    ``benchmark``: try cuDNN's algorithms on the first call of a shape, keep the fastest. Nothing changes on a CPU.
    """
    cudnn = torch.backends.cudnn
    before = cudnn.allow_tf32, cudnn.benchmark
    cudnn.allow_tf32, cudnn.benchmark = tf32, benchmark
    try:
        yield
    finally:
        cudnn.allow_tf32, cudnn.benchmark = before


def keep_freed_memory() -> bool:
    """Let this process keep freed memory for its next allocation; True where the C library could be told so (glibc).

    Else every training step gives its activations back to the system and gets them again zeroed: a fifth of a fast
    step's time. Process-wide, until the process ends; its peak memory is about the same.
    """
    trim_threshold, mmap_max = -1, -4  # M_TRIM_THRESHOLD, M_MMAP_MAX of <malloc.h>
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    return bool(libc.mallopt(trim_threshold, -1)) and bool(libc.mallopt(mmap_max, 0))

"""What a figure was measured on: hardware and versions, as the JSON beside every result holds them."""

import os
import platform
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
import torchvision

from ..version import __version__
from .target import target


def cpu_name() -> str:
    """The processor's name as the system tells it."""
    info = Path("/proc/cpuinfo")
    names = re.findall(r"^model name\s*:\s*(.+)", info.read_text(), re.MULTILINE) if info.exists() else []
    return names[0].strip() if names else platform.processor() or platform.machine()


def processor(machine: Mapping) -> str:
    """What computed, of :func:`describe_machine`'s: the GPU, or the CPU and its threads."""
    return machine["gpu"] or f"{machine['cpu']}, {machine['threads']} thread{'s' * (machine['threads'] != 1)}"


def describe_machine(device: torch.device) -> dict:
    """Hardware, thread count and versions, ready for JSON."""
    versions = {module.__name__: module.__version__ for module in (torch, torchvision, np)}
    return {
        "device": device.type,
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "kernels": target().name,
        "system": platform.platform(terse=True),
        "versions": {"sdbnn_lite": __version__, "python": sys.version.split()[0], **versions},
    }

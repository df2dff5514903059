"""What the process asks of its machine."""

import platform
import subprocess
import sys

import pytest

CHILD = """
import resource, torch
from sdbnn_lite.system.devices import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        kept = [torch.ones(2_000_000) for _ in range(8)]  # 8 MB each, as a layer of ResNet-20 at 128 images
        del kept
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(faults())
assert keep_freed_memory()
faults()
print(faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's malloc can be told")
def test_freed_memory_is_used_again_without_page_faults():
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True)
    default, kept = map(int, done.stdout.split())
    assert default > 5 * kept + 10_000

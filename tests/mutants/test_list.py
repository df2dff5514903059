"""The list of faults stays true while the code moves: every text is where it says, and so is every test file."""

import subprocess
import sys
from pathlib import Path


def test_every_fault_can_be_put_in():
    checked = subprocess.run(
        [sys.executable, Path(__file__).parent / "run.py", "--list"], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stderr

"""Faults of files, locks, signals; and what all rooms stand on: types and ranges, exit codes."""

from .mutant import Mutant

MUTANTS = (
    Mutant(
        "write-not-atomic",
        "A file is written over the old one in place, so that a kill or a full disk leaves half of it.",
        "system/files.py",
        "os.replace(temporary, path)",
        "path.write_bytes(temporary.read_bytes()), temporary.unlink()",
        ("system/test_files.py::test_a_failed_write_keeps_the_old_file",),
    ),
    Mutant(
        "folder-not-locked",
        "Two processes can train in the same folder.",
        "system/locks.py",
        "held.enter_context(FileLock(path, timeout=WAIT, thread_local=False, fallback_to_soft=False))",
        "path.touch()",
        ("system/test_locks.py::test_two_cannot_train_in_one_folder",),
    ),
    Mutant(
        "below-zero",
        "A count or a share in a file may be negative.",
        "errors.py",
        "not 0 <= value < math.inf",
        "not -math.inf < value < math.inf",
        ("training/test_damaged_run.py::test_where_a_run_stands_has_to_be_possible",),
    ),
    Mutant(
        "endless",
        "A number in a file may be infinite.",
        "errors.py",
        "not 0 <= value < math.inf",
        "not 0 <= value <= math.inf",
        ("training/test_damaged_run.py::test_where_a_run_stands_has_to_be_possible",),
    ),
    Mutant(
        "stopped-is-success",
        "What SIGTERM stopped exits with 0.",
        "system/interrupt.py",
        "return 128 + _last[0]",
        "return 0",
        ("commands/test_signals.py::test_before_anything_is_trained_it_just_ends",),
    ),
    Mutant(
        "sigterm-as-ctrl-c",
        "What SIGTERM stopped exits as after Ctrl-C.",
        "system/interrupt.py",
        "        came.append(number)\n        _last[0] = came[0]",
        "        came.append(number)",
        ("training/test_resume.py::test_what_ends_a_process_saves_too",),
    ),
    Mutant(
        "reader-gone-is-success",
        "A command whose output nobody read exits with 0.",
        "cli.py",
        "return code or (0 if out.lost is None else",
        "return code or (0 if code == 0 else",
        ("commands/test_signals.py::test_what_could_not_be_said_is_no_success",),
    ),
)

"""A lock on a file: one process at a time, and none is kept out by one that died."""

from contextlib import ExitStack
from pathlib import Path

from filelock import FileLock, Timeout

from ..errors import UsageError

WAIT = 0.1  # seconds: long enough for a holder that is just removing its file, too short to notice


class Held(UsageError):
    """Another process has the lock."""


def hold(path: Path, held_means: str) -> ExitStack:
    """Keep the file ``path``, made for it, locked until the returned context is closed; then the file is gone.

    The lock is released when the process dies, also where workers that it forked live on. Raises Held, a UsageError
    that says ``held_means``, where another process has it, and UsageError where the file can't be opened. Where the
    file system can't lock files, nothing is locked.
    """
    held = ExitStack()
    try:
        held.enter_context(FileLock(path, timeout=WAIT, thread_local=False, fallback_to_soft=False))
        held.callback(path.unlink, missing_ok=True)
    except Timeout as error:
        raise Held(held_means) from error
    except OSError as error:
        if error.filename:  # else it was opened, and locking it failed
            raise UsageError(f"{path}: can't be opened ({error.strerror or error}); remove it") from error
    return held
